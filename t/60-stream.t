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

# What passes to the provider, and what never does.
$s = $t->stream($chat, { %ask, stream => \1,
    stream_options => { include_usage => \1 } }, headers => {
    'OpenAI-Organization' => 'org', 'X-Team' => 'red', Cookie => 'a=b',
    'X-Other' => 'no' });
$job = $fake->job;
my %passed = map { lc($_) => 1 } $job->headers;
ok($passed{'x-team: red'}, 'ai_forward_header adds one');
ok(!(grep { /^(?:cookie|x-other|authorization|host)/ } keys %passed),
    'others stay');
is($job->spec('usage_asked'), 1, 'usage was asked for');
like($job->spec('traceparent'), qr/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/,
    'a traceparent is made');
like($job->spec('principal'), qr/^key:k/, 'principal');
$job->head(stream => 1)->end;
is($s->response->body, '', 'a stream of nothing ends');
$s->close;
my $trace = '00-' . 'ab' x 16 . '-' . 'cd' x 8 . '-01';
$s = $t->stream($chat, \%ask, headers => { traceparent => $trace });
$job = $fake->job;
is($job->spec('traceparent'), $trace, 'a traceparent passes');
is($job->spec('usage_asked'), 0, 'usage was not asked for');
$job->answer('{}');
$s->response;
$s->close;

# Errors before the header are a status, in the dialect.
$s = $t->stream($chat, { %ask, stream => \1 });
$fake->job->error('provider_unreachable', 'nobody there', retry_after => 7);
$res = $s->response;
is($res->status, 502, 'an early failure is a status');
is($res->json->{error}{message}, 'nobody there', 'with its words');
is($res->json->{error}{code}, 'provider_unreachable', 'and code');
is($res->header('retry-after'), 7, 'and when to try again');
like($res->header('x-ai-job'), qr/^job_/, 'and the job');
$s->close;
$s = $t->stream('/v1/messages', { %ask, max_tokens => 5, stream => \1 });
$fake->job->error('lost', '');
$res = $s->response;
is($res->status, 502, 'the same in the other dialect');
is($res->json->{type}, 'error', 'as it words them');
is($res->json->{error}{type}, 'api_error', 'with its type');
is($res->header('x-should-retry'), 'false', 'not to be paid for again');
$s->close;

# The provider's own refusal passes, to one that asked for a stream too.
$s = $t->stream($chat, { %ask, stream => \1 });
$fake->job->answer('{"error":{"message":"slow down"}}', status => 429,
    headers => ['retry-after: 3']);
$res = $s->response;
is($res->status, 429, 'the provider\'s status');
is($res->body, '{"error":{"message":"slow down"}}', 'and body');
is($res->header('retry-after'), 3, 'and header');
$s->close;

# In the middle of a stream it is an event.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
is($s->event->{data}, 1, 'a stream that will fail');
$job->error('lost', 'The worker died.');
my $ev = $s->event;
is(decode_json($ev->{data})->{error}{code}, 'stream_lost', 'says so');
is($s->event, undef, 'and ends');
$s->close;
$s = $t->stream('/v1/messages', { %ask, max_tokens => 5, stream => \1 });
$job = $fake->job->head(stream => 1)->emit(s => "event: x\nda");
$s->head;
$job->error('lost', 'The worker died.');
my @all = $s->events;
is($all[-1]{event}, 'error', 'apart from an event that was cut');
is(decode_json($all[-1]{data})->{type}, 'error', 'in the dialect');
$s->close;

# A header that waits no longer; then heartbeats, then what comes.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job;
$res = $s->head;
is($res->status, 200, 'the header does not wait for ever');
is($res->header('content-type'), 'text/event-stream', 'it is a stream');
cmp_ok($res->{time}, '>', 0.9, 'it waited');
ok(defined $s->event->{comment}, 'a heartbeat');
ok(defined $s->event->{comment}, 'and another');
$job->head(stream => 1)->data("data: late\n\n")->end;
do { $ev = $s->event } while defined $ev->{comment};
is($ev->{data}, 'late', 'then the stream');
is($s->event, undef, 'to its end');
$s->close;

# The same, and the provider refuses: its words become an event.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job;
$s->head;
$job->answer("{\n  \"error\": {\"message\":\"no\"}\n}", status => 500);
($ev) = $s->events;
is($ev->{data}, '{   "error": {"message":"no"} }', 'a refusal in a stream');
$s->close;

# Nothing comes between the pieces of one event.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->emit(s => 'data: half');
$s->head;
sleep 1;
$job->emit(c => " and half\n\n")->end;
is(join('|', map { $_->{raw} } $s->events), "data: half and half\n\n",
    'no heartbeat inside an event');
$s->close;

# ids for one that may come back.
$s = $t->stream($chat, { %ask, stream => \1 },
    headers => { 'X-AI-Resumable' => '1' });
$job = $fake->job->head(stream => 1)->data("data: a\n\n", "data: b\n\n");
$job->emit(s => "data: c", c => "c\n\n")->end;
is(join('|', map { "$_->{id}=$_->{data}" } $s->events),
    '1-2=a|1-3=b|1-4=cc', 'id lines');
$s->close;

# What the bell does not carry stands in the log: over the inline limit, and
# a message that was lost.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1);
$s->head;
my $big = 'data: ' . 'x' x 40000 . "\n\n";
$job->data($big, $big)->end(s => "data: end\n\n");
is(length join('', map { $_->{raw} } $s->events), 2 * 40008 + 11,
    'events over the inline limit');
$s->close;
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1);
$s->head;
my $lst = $fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'lst');
$fake->cmd('HSET', $fake->s->key('job:' . $job->id), 'lst', '');
$job->data("data: $_\n\n") for 1 .. 100;
$fake->cmd('HSET', $fake->s->key('job:' . $job->id), 'lst', $lst);
$job->data("data: 101\n\n")->end;
is(join(',', map { $_->{data} } $s->events), join(',', 1 .. 101),
    'a gap is read from the log');
$s->close;

# Nothing rings at all: after a silence the log is read.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job;
$fake->cmd('HSET', $fake->s->key('job:' . $job->id), 'lst', '');
$job->head(stream => 1)->data("data: quiet\n\n")->end;
is(($s->events)[0]{data}, 'quiet', 'without a bell');
$s->close;

# The same of an answer that lies in the job and has no Stream.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job;
$fake->cmd('HSET', $fake->s->key('job:' . $job->id), 'lst', '');
$job->end(h => AiFake::Job::head_of(stream => 1), s => "data: one\n\n",
    s => 'data: ' . 'x' x 12000 . "\n\n");
is($fake->cmd('EXISTS', $fake->s->key('ev:' . $job->id)), 0, 'no Stream');
is(join(',', map { length $_->{data} } $s->events), '3,12000',
    'a short answer without a bell');
$s->close;

# The job is gone.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
is($s->event->{data}, 1, 'a stream');
$fake->cmd('DEL', $fake->s->key('job:' . $job->id),
    $fake->s->key('ev:' . $job->id));
do { $ev = $s->event } while $ev && defined $ev->{comment};
is(decode_json($ev->{data})->{error}{code}, 'stream_lost', 'whose job is gone');
$s->close;
$fake->cmd('DEL', map { $fake->s->key($_) } 'running:demo', 'held:w1');

# Another worker takes it before anything was said; bells of the first are not
# heard any more.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job;
$fake->s->silent('w:w1', 10000);
$fake->s->sweep;
my $two = AiFake->new($t, name => 'w2');
my $again = $two->job;
is($again->{attempt}, 2, 'a second attempt');
$again->head(stream => 1)->data("data: two\n\n")->end;
is(join('|', map { $_->{data} } $s->events), 'two', 'is what the client gets');
$s->close;
$fake->s->run('beat', 'w', 'w1', 100, 'up');

# Old clients.
my $old = AiHttp->new(port => $edge->port);
$old->send_request(path => $chat, key => $t->{key}, version => '1.0',
    json => { %ask, stream => \1 });
$fake->job->head(stream => 1)->data("data: 10\n\n")->end;
$res = $old->response;
is($res->header('transfer-encoding'), undef, 'HTTP/1.0 without chunks');
is($res->body, "data: 10\n\n", 'to its end');
$old->close;

# A large answer, in many pieces: with its length up to a bound, then without.
for my $n (3, 40) {
    $s = $t->stream($chat, \%ask);
    $job = $fake->job->head;
    my $piece = 'y' x 65536;
    $job->emit($_ == 1 ? 's' : 'c', $piece) for 1 .. $n;
    $job->end;
    $res = $s->response;
    is(length $res->body, $n * 65536, "an answer of $n pieces");
    is($res->header('content-length'), $n == 3 ? 3 * 65536 : undef,
        $n == 3 ? 'with its length' : 'too large to wait for');
    $s->close;
}
$s = $t->stream($chat, \%ask);
$job = $fake->job->head;
$job->emit($_ == 1 ? 's' : 'c', 'y' x 65536) for 1 .. 10;
$s->head;
$job->error('provider_bad', 'cut');
$res = eval { my $r = $s->{res}; 1 while defined $s->piece; $r };
ok(!$res, 'a large answer that breaks has no end');
$s->close;

# Paths and methods.
is($t->get('/v1/nothing')->status, 404, 'no such path');
is($t->get('/v1/nothing')->json->{error}{code}, 'not_found', 'as JSON');
$res = $t->get($chat);
is($res->status, 405, 'wrong method');
is($res->header('allow'), 'POST', 'and the right one');
is($t->get('/v1/models')->json->{object}, 'list', 'models');
is($t->get('/v1/models', method => 'HEAD')->status, 200, 'HEAD');

done_testing();
