#!/usr/bin/perl
# Clients that read slowly, hang up, or come back.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge(location => 'ai_resume 30s;', conf => <<'CONF');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    server {
        listen 127.0.0.1:%%PORT%% sndbuf=16k;
        send_timeout 60s;
        location /v1/ { ai_pass; %%LOCATION%% ai_stream_buffers 4 4k; }
        location /short/v1/ { ai_pass; send_timeout 1s; }
        location /on/v1/ { ai_pass; ai_on_disconnect continue; }
        location = /metrics { ai_metrics; }
    }
}
CONF
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', stream => \1, messages => []);

sub rss {
    my ($pid) = $edge->workers;
    return slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : 0;
}

sub left {
    my ($id) = @_;
    return $fake->cmd('HGET', $fake->s->key("job:$id"), 'lst') eq '';
}

# A client that does not read costs the edge its buffers, and gets it all.
my $s = $t->stream($chat, \%ask, rcvbuf => 4096);
my $job = $fake->job->head(stream => 1);
$s->head;
my $before = rss();
my $line = sub { sprintf "data: %06d %s\n\n", $_[0], 'z' x 2000 };
my $n = 0;
for (1 .. 200) {
    $job->data(map { $line->(++$n) } 1 .. 20);
}
sleep 0.5;
SKIP: {
    skip('a sanitizer keeps what is freed', 1) if AiEdge->sanitized;
    cmp_ok(rss() - $before, '<', 1500, '8 MB for a client that does not read');
}
$job->end;

# However long it takes: it reads what lies in the log.
for my $key (map { $fake->s->key("$_:" . $job->id) } qw(ev job)) {
    $fake->cmd('PEXPIRE', $key, 15000);
    wait_for(sub { $fake->cmd('PTTL', $key) > 30000 }, 14,
        'the log is held for it');
}
my $bad = 0;
my $seen = 0;
while (my $ev = $s->event) {
    $bad++ if $ev->{raw} ne $line->(++$seen);
}
is($seen, $n, 'it gets all of them');
is($bad, 0, 'in order, byte for byte');
$s->close;
my $metrics = AiHttp->get($edge->port, '/metrics')->body;
like($metrics, qr/lagg\S*\s+[1-9]/, 'it is counted');

# Events larger than all the buffers.
$s = $t->stream($chat, \%ask, rcvbuf => 4096,
    headers => { 'X-AI-Resumable' => '1' });
$job = $fake->job->head(stream => 1);
my @large = map { my $c = chr(96 + $_);
    'data: ' . join('', map { $c . $_ } 1 .. 12000) . "\n\n" } 1 .. 6;
$job->data($_) for @large;
$job->emit(s => 'data: ' . 'a' x 60000, c => 'b' x 60000, c => "c\n\n")->end;
$bad = '';
$seen = 0;
while (my $ev = $s->event) {
    my $want = $seen < 6 ? substr($large[$seen], 6, -2)
        : 'a' x 60000 . 'b' x 60000 . 'c';
    $seen++;
    $bad .= " $seen" if $ev->{data} ne $want
        || $ev->{id} ne '1-' . ($seen + 1);
}
is($seen, 7, 'events larger than the buffers');
is($bad, '', 'each as it was, with its id');
$s->close;

# One that never reads is let go.
$s = $t->stream("/short$chat", \%ask, rcvbuf => 4096);
$job = $fake->job->head(stream => 1);
$s->head;
$job->data(map { $line->($_) } 1 .. 20) for 1 .. 100;
wait_for(sub { left($job->id) }, 20, 'the slow client to be let go');
is($fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'cancel'),
    'disconnect', 'and its job cancelled');
$job->settle('cancelled', AiFake::Job::usage('cancelled', 499),
    e => AiFake::Job::usage('cancelled', 499));
$s->close;

# One that hangs up, at any time.
for my $when ('at once', 'in the queue', 'in the stream') {
    $fake->slots($when eq 'in the stream' ? 100 : 0);
    $s = $t->stream($chat, \%ask);
    if ($when eq 'at once') {
        # Until it has come, there is nothing to be empty of.
        my $logged = () = $edge->access_log =~ /\n/g;
        $s->half_close;
        wait_for(sub { (() = $edge->access_log =~ /\n/g) > $logged }, 10,
            'its end');
    }
    if ($when eq 'in the stream') {
        $job = $fake->job->head(stream => 1)->data("data: 1\n\n");
        $s->event;
    } elsif ($when eq 'in the queue') {
        wait_for(sub { $fake->cmd('EXISTS', $fake->s->key('waiting')) }, 10,
            'it');
    }
    $s->close if $when ne 'at once';
    if ($when eq 'in the stream') {
        wait_for(sub { left($job->id) }, 10, 'the leave');
        is($fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'cancel'),
            'disconnect', "gone $when: cancelled");
        $job->settle('cancelled', AiFake::Job::usage('cancelled', 499),
            e => AiFake::Job::usage('cancelled', 499));
    } else {
        wait_for(sub { !$fake->s->leases
            && !$fake->cmd('EXISTS', $fake->s->key('waiting')) }, 10,
            'the queue to be empty');
        is($fake->job(timeout => 0), undef, "gone $when: nothing to do");
    }
    $s->close;
}

# With the FIN right behind the request, as it may come in one event.
$fake->slots(0);
my @gone = map {
    my $c = $t->stream($chat, \%ask);
    $c->half_close;
    $c;
} 1 .. 30;
wait_for(sub {
    !$fake->cmd('EXISTS', $fake->s->key('waiting'))
        && AiHttp->get($edge->port, '/metrics')->body =~ /active_jobs 0$/m
}, 10, 'all of them to be noticed');
pass('all of 30 that are gone at once');
$_->close for @gone;

# With its request still on the way.
$fake->slots(100);
$s = AiHttp->new(port => $edge->port);
$s->write("POST $chat HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer $t->{key}\r\n"
    . "Content-Length: 400000\r\n\r\n" . '{"model":"echo/echo","a":"' . 'x' x 9999);
$s->reset;
is($t->get('/v1/models')->status, 200, 'gone in its body');

# A policy that goes on.
$s = $t->stream("/on$chat", \%ask);
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
$s->event;
$s->close;
wait_for(sub { left($job->id) }, 10, 'the leave');
is($fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'cancel'), undef,
    'ai_on_disconnect continue');
$job->data("data: 2\n\n")->end;

# A stream that is taken up again.
$s = $t->stream($chat, \%ask, headers => { 'X-AI-Resumable' => '1' });
$job = $fake->job->head(stream => 1)->data(map { "data: $_\n\n" } 1 .. 3);
$s->event;
my $last = $s->event->{id};
is($last, '1-3', 'the last that it saw');
$s->close;
wait_for(sub { left($job->id) }, 10, 'the leave');
is($fake->cmd('ZCARD', $fake->s->key('grace')), 1, 'its job waits');
$job->data("data: 4\n\n");
my $events = '/v1/jobs/' . $job->id . '/events';
$s = AiHttp->stream(port => $edge->port, path => $events, key => $t->{key},
    headers => { 'Last-Event-ID' => $last });
is($s->head->status, 200, 'back again');
is($s->event->{data}, $_, "event $_") for 3, 4;
is($fake->cmd('ZCARD', $fake->s->key('grace')), 0, 'it does not wait any more');
$job->data("data: 5\n\n");
is($s->event->{data}, 5, 'and live');
my $two = AiHttp->stream(port => $edge->port, path => $events, key => $t->{key});
is($two->event->{data}, $_, "a second one from the start: $_") for 1 .. 5;
$s->close;
sleep 0.3;
is(left($job->id), '', 'one left, one listens');
$job->data("data: 6\n\n")->end;
is($two->event->{data}, 6, 'to the end');
is($two->event, undef, 'of it');
$two->close;
$s = AiHttp->stream(port => $edge->port, key => $t->{key},
    path => "$events?last_event_id=1-6");
is(join(',', map { $_->{data} } $s->events), '6', 'and after it, by argument');
$s->close;

$metrics = AiHttp->get($edge->port, '/metrics')->body;
like($metrics, qr/active_jobs 0$/m, 'nothing is open');

done_testing();
