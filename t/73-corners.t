#!/usr/bin/perl
# Requests that come by unusual ways: redirected, in several header lines, back
# in the middle of what they had.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge(conf => <<'CONF');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_resume 30s;
    server {
        listen 127.0.0.1:%%PORT%%;
        ai_auth key;
        location /v1/ { ai_pass; }
        location /open/ {
            ai_auth off;
            ai_pass;
            try_files /none /v1/models;
        }
        location = /metrics { ai_metrics; }
    }
}
CONF
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => []);

sub metric {
    my ($name) = @_;
    return AiHttp->get($edge->port, '/metrics')->body
        =~ /^ngx_ai_$name (\d+)$/m ? $1 : undef;
}

# From where nobody is asked to where a key is.
is(AiHttp->get($edge->port, '/open/x')->status, 401,
    'who was nobody before a redirect is nobody behind it');
my $res = $t->get('/open/x');
is($res->status, 200, 'with a key he is somebody');
is($res->json->{object}, 'list', 'at the endpoint he was sent to');

# One header in several lines is a list.
$res = $t->post($chat, \%ask, headers => [Prefer => 'wait=10',
    Prefer => 'respond-async', Prefer => 'priority=batch']);
is($res->status, 202, 'Prefer in several lines');
my $job = $fake->job;
is($job->field('class'), 'batch', 'all of them count');
$job->answer('{}');

# Back for what follows an event that was more than one piece.
my $before = metric('resumed_total');
my $s = $t->stream($chat, { %ask, stream => \1 },
    headers => { 'X-AI-Resumable' => '1' });
$job = $fake->job->head(stream => 1);
my @part = ('data: ' . 'a' x 60000, 'b' x 60000, "c\n\n");
$job->emit(s => $part[0], c => $part[1], c => $part[2]);
my $ev = $s->event;
is($ev->{raw}, "id: 1-2\n" . join('', @part), 'an event of three pieces');
$s->close;
$job->data("data: next\n\n");
my $events = '/v1/jobs/' . $job->id . '/events';
$s = AiHttp->stream(port => $edge->port, path => $events, key => $t->{key},
    headers => { 'Last-Event-ID' => $ev->{id} });
is($s->event->{raw}, "id: 1-5\ndata: next\n\n",
    'who has it gets what follows, nothing of it twice');
is(metric('resumed_total'), $before + 1, 'one stream that was come back for');
$job->data("data: more\n\n")->end;
is($s->event->{data}, 'more', 'and the rest');
is($s->event, undef, 'to its end');
$s->close;

# Redis does not take a leave now: it is told again.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
$s->event;
$fake->cmd('CONFIG', 'SET', 'min-replicas-to-write', 1);
$s->close;
sleep 0.5;
$fake->cmd('CONFIG', 'SET', 'min-replicas-to-write', 0);
wait_for(sub {
    $fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'lst') eq ''
}, 10, 'the leave');
is($fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'cancel'),
    'disconnect', 'a leave that Redis refused is told again');
my $usage = AiFake::Job::usage('cancelled', 499);
$job->settle('cancelled', $usage, e => $usage);

# A process that leaves says bye with its last job, and takes it back for one
# whose request was still on its way.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1);
$s->head;
my ($me) = $fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'lst');
my $slow = AiHttp->new(port => $edge->port);
$slow->{method} = 'POST';
my $body = encode_json(\%ask);
$slow->write("POST $chat HTTP/1.1\r\nHost: a\r\n"
    . "Authorization: Bearer $t->{key}\r\nContent-Length: "
    . length($body) . "\r\n\r\n" . substr $body, 0, 5);
sleep 0.2;
$edge->reload;
$job->end;
$s->events;
$s->close;
my $alive = sub { $fake->cmd('ZSCORE', $fake->s->key('alive'), "e:$me") };
wait_for(sub { !defined $alive->() }, 10, 'its bye');
sleep 1;
is($alive->(), undef, 'it is not waited for');
$slow->write(substr $body, 5);
$job = $fake->job;
is($fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'lst'), $me,
    'a job of the old process');
ok(defined $alive->(), 'which is alive again');
$job->answer('{"late":1}');
is($slow->response->body, '{"late":1}', 'and answers');
$slow->close;
wait_for(sub { !defined $alive->() }, 10, 'its second bye');

done_testing();
