#!/usr/bin/perl
# From the queue to the client: streams and answers, with a worker that the
# test plays itself.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge(location => 'ai_header_delay 1s; ai_stream_heartbeat 300ms;'
    . ' ai_forward_header request x-team; ');
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => [{ role => 'user',
    content => 'hi' }]);

# A stream: bytes as they came, one after the other.
my $s = $t->stream($chat, { %ask, stream => \1 });
my $job = $fake->job;
ok($job, 'the job is in the queue') or BAIL_OUT(scalar $edge->log);
is($job->spec('tenant'), 'demo', 'of the tenant');
is($job->spec('stream'), 1, 'a stream');
is($job->spec('op'), 'chat', 'op');
is($job->spec('model'), 'echo/echo', 'model');
is(decode_json($job->body)->{model}, 'echo/echo', 'with its body');
$job->head(stream => 1, headers => ['x-request-id: r1']);
my $res = $s->head;
is($res->status, 200, 'head');
is($res->header('content-type'), 'text/event-stream', 'type');
is($res->header('x-request-id'), 'r1', 'a header of the provider');
is($res->header('x-ai-job'), $job->id, 'X-AI-Job');
is($res->header('cache-control'), 'no-cache, no-transform', 'not cached');
$job->data("data: {\"n\":1}\n\n");
is($s->event->{raw}, "data: {\"n\":1}\n\n", 'the first event');
$job->data("data: {\"n\":2}\n\n", "data: {\"n\":3}\n\n");
is($s->event->{raw}, "data: {\"n\":$_}\n\n", "event $_") for 2, 3;
$job->end(s => "data: [DONE]\n\n");
is($s->event->{data}, '[DONE]', 'the last');
is($s->event, undef, 'the end');
$s->close;

# The same connection again, an answer with its length.
my $http = AiHttp->new(port => $edge->port);
for my $n (1 .. 3) {
    $http->send_request(path => $chat, key => $t->{key}, json => \%ask);
    $fake->job->answer("{\"n\":$n}");
    $res = $http->response;
    is($res->status, 200, "answer $n");
    is($res->header('content-length'), 7, 'with its length');
    is($res->body, "{\"n\":$n}", 'as it came');
}
$http->close;

done_testing();
