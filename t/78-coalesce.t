#!/usr/bin/perl
# Joining: identical requests under way share one call, whichever edge they
# came to, and nobody else's.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
# Of two kinds: who comes by /short waits for a second only.
my $location = 'ai_coalesce on; ai_stream_heartbeat off; } location /short/ {'
    . ' ai_pass; ai_coalesce on; ai_queue_timeout 1s;';
my $one = $t->edge(name => 'one', location => $location);
$one->start;
my $two = $t->edge(name => 'two', location => $location);
$two->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';
my $count = 0;

sub ask { return { model => 'echo/echo', messages => [{ role => 'user',
    content => $_[0] }], @_[1 .. $#_] } }

sub open_at {
    my ($edge, $ask, %o) = @_;

    return AiHttp->stream(port => $edge->port, path => $chat, json => $ask,
        key => $t->{key}, %o);
}

# Until the job has as many followers as the test wants.
sub joined {
    my ($job, $n) = @_;

    return wait_for(sub {
        my $h = $t->redis->hash('HGETALL', $t->prefix . 'job:' . $job->id);
        my $sum = 0;
        $sum += $h->{$_} for grep { /^joins:/ } keys %$h;
        return $sum == $n;
    }, 30, "$n followers");
}

sub listeners {
    my ($job) = @_;

    return scalar split ' ', $t->redis->cmd('HGET', $t->prefix . 'job:'
        . $job->id, 'lst') // '';
}

sub no_job { is($fake->job(timeout => 0.3), undef, $_[0]) }

# A stream, and followers at both edges: every byte from the start.
my $ask = ask('a', stream => \1);
my $s = open_at($one, $ask);
my $job = $fake->job->head(stream => 1, headers => ['x-request-id: r1']);
$job->data("data: {\"n\":1}\n\n");
is($s->event->{data}, '{"n":1}', 'the leader\'s first event');
my @others = map { open_at($_, $ask) } $one, $two, $two;
joined($job, 3);
is(listeners($job), 2, 'an edge listens once');
$job->data("data: {\"n\":2}\n\n");
for my $o (@others) {
    my $head = $o->head;
    is($head->header('x-ai-cache'), 'JOIN', 'JOIN');
    is($head->header('x-ai-job'), $job->id, 'the job it is');
    is($head->header('x-request-id'), 'r1', 'its headers');
    is($o->event->{data}, "{\"n\":$_}", "event $_") for 1, 2;
}

# The leader goes, and one at its edge; the rest is told to the end.
$s->close;
(shift @others)->close;
wait_for(sub { listeners($job) == 1 }, 30, 'the first edge to leave');
is($job->field('cancel'), undef, 'nobody cancels it');
(shift @others)->close;
$job->data("data: {\"n\":3}\n\n");
is($others[0]->event->{data}, '{"n":3}', 'the last follower goes on');
$job->end(s => "data: [DONE]\n\n");
is($others[0]->event->{data}, '[DONE]', 'to the end');
is($others[0]->event, undef, 'which is one');
$others[0]->close;

# The same again is a new call.
$s = open_at($one, $ask);
my $next = $fake->job;
isnt($next->id, $job->id, 'what has ended is joined by nobody');

# When the last one goes, it is cancelled, and joined no more.
my $o = open_at($two, $ask);
joined($next, 1);
$s->close;
wait_for(sub { listeners($next) == 1 }, 30, 'the leader to leave');
$o->close;
wait_for(sub { ($next->field('cancel') // '') eq 'disconnect' }, 30,
    'its end');
$s = open_at($two, $ask);
my $third = $fake->job;
isnt($third->id, $next->id, 'a call that is cancelled is joined by nobody');
$third->head(stream => 1)->end(s => "data: [DONE]\n\n");
is($s->response->header('x-ai-cache'), 'MISS', 'but asked for again');
$s->close;
$next->error('cancelled', '');

# Before anything has come of it, and whole answers.
$ask = ask('b');
my @all = map { open_at($_, $ask) } $one, $one, $two;
$job = $fake->job;
joined($job, 2);
$job->answer('{"n":1}');
for my $r (map { $_->response } @all) {
    is($r->status, 200, 'an answer for all');
    is($r->body, '{"n":1}', 'the same');
}
$_->close for @all;
no_job('from one call');

# An error reaches all.
@all = map { open_at($_, ask('c')) } $one, $two, $two;
$job = $fake->job;
joined($job, 2);
$job->error('provider_unreachable', 'nobody there');
for my $r (map { $_->response } @all) {
    is($r->status, 502, 'an error for all');
    is($r->json->{error}{message}, 'nobody there', 'in its words');
}
$_->close for @all;

# So does a cancel.
@all = map { open_at($_, ask('d')) } $one, $two;
$job = $fake->job;
joined($job, 1);
is(AiHttp->post($one->port, '/v1/jobs/' . $job->id . '/cancel', {},
    key => $t->{key})->status, 200, 'cancelled by its id');
wait_for(sub { $job->field('cancel') }, 30, 'the cancel');
my $late = open_at($one, ask('d'));
my $fresh = $fake->job;
isnt($fresh->id, $job->id, 'nobody joins it then');
$fresh->answer('{}');
is($late->response->body, '{}', 'who comes later is served');
$late->close;
$job->error('cancelled', 'The job was cancelled.');
is($_->response->status, 499, 'the error reaches all') for @all;
$_->close for @all;

# Never: another tenant, another body, another shape.
my $other = $fake->key('other');
my $mine = open_at($one, ask('e'));
$job = $fake->job;
for my $case (['another tenant', ask('e'), key => $other],
    ['another body', ask('f')], ['a stream', ask('e', stream => \1)],
    ['no-cache', ask('e'), headers => { 'Cache-Control' => 'no-cache' }],
    ['resumable', ask('e'), headers => { 'X-AI-Resumable' => 1 }])
{
    my ($what, $body, %o) = @$case;
    my $c = open_at($two, $body, %o);
    my $j = $fake->job;
    isnt($j->id, $job->id, "$what: a call of its own");
    $j->answer('{"own":1}');
    is($c->response->body, '{"own":1}', "$what: its own answer");
    $c->close;
}
is(listeners($job), 1, 'nobody joined');
$job->answer('{"mine":1}');
is($mine->response->body, '{"mine":1}', 'each has its own');
$mine->close;

# A waiting job is joined, too.
$fake->slots(1);
my $first = open_at($one, ask('g'));
my $g = $fake->job;
my @waiting = map { open_at($_, ask('h')) } $one, $two;
wait_for(sub { $t->redis->cmd('LLEN', $t->prefix . 'backlog:demo') == 1 }, 30,
    'one to wait');
sleep 0.3;
is($t->redis->cmd('LLEN', $t->prefix . 'backlog:demo'), 1, 'and only one');
$g->answer('{}');
$job = $fake->job;
$job->answer('{"h":1}');
is($_->response->body, '{"h":1}', 'both have it') for @waiting;
$_->close for $first, @waiting;

# Who waited as long as it may goes alone: others, who came later or may wait
# longer, go on.
$first = open_at($one, ask('i'));
$g = $fake->job;
my $patient = open_at($one, ask('k'));
wait_for(sub { $t->redis->cmd('LLEN', $t->prefix . 'backlog:demo') == 1 }, 30,
    'one to wait');
for my $edge ($one, $two) {
    my $short = AiHttp->stream(port => $edge->port, path => "/short$chat",
        json => ask('k'), key => $t->{key});
    my $r = $short->response;
    is($r->status, 503, 'its time is over');
    is($r->json->{error}{code}, 'queue_timeout', 'which it is told');
    $short->close;
}
my $short = AiHttp->stream(port => $two->port, path => "/short$chat",
    json => ask('l'), key => $t->{key});
wait_for(sub { $t->redis->cmd('LLEN', $t->prefix . 'backlog:demo') == 2 }, 30,
    'another to wait');
my $longer = open_at($two, ask('l'));
is($short->response->status, 503, 'the leader\'s time is over');
$short->close;
$g->answer('{}');
for my $case ([$patient, '{"k":1}'], [$longer, '{"l":1}']) {
    $fake->job->answer($case->[1]);
    is($case->[0]->response->body, $case->[1], 'who waits longer has it');
}
$_->close for $first, $patient, $longer;

# The ledger has a record of each follower.
my %cause;
for my $e (@{ $t->redis->cmd('XRANGE', $t->prefix . 'outbox', '-', '+') }) {
    my %f = @{ $e->[1] };
    my @u = split /\t/, $f{u};
    next if $u[17] ne 'join';
    $cause{$u[17]}++;
    is("$f{n} $u[0] @u[6, 7, 11]", 'demo done 0 0 0', 'costs nothing');
}
is($cause{join}, 3 + 1 + 2 + 2 + 1 + 1 + 3, 'a record a follower');

done_testing();
