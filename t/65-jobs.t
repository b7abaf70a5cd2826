#!/usr/bin/perl
# Jobs in the background, and what can be asked of any job.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge;
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => []);

# In the background.
$fake->slots(0);
my $res = $t->post($chat, \%ask, headers => { Prefer => 'respond-async' });
is($res->status, 202, 'respond-async');
my $id = $res->json->{id};
is($res->header('location'), "/v1/jobs/$id", 'Location');
is($res->header('x-ai-job'), $id, 'X-AI-Job');
is($res->json->{object}, 'job', 'the job');
is($res->json->{state}, 'waiting', 'not begun');
is($res->json->{model}, 'echo/echo', 'its model');
cmp_ok(abs($res->json->{created_at} - time), '<', 60, 'its time');
is($res->json->{started_at}, undef, 'no start');
is($res->json->{result}, undef, 'no result');
my $url = "/v1/jobs/$id";
$fake->slots(100);
my $job = $fake->job;
is($job->id, $id, 'a worker has it');
is($job->spec('background'), 1, 'as background work');
is($t->get($url)->json->{state}, 'running', 'running');
my $s = AiHttp->stream(port => $edge->port, path => "$url/events",
    key => $t->{key});
is($s->head->status, 200, 'its events');
my $text = "{\n \"id\": 7,\n \"s\": \"a\\nb\"}";
$job->answer($text);
my @events = $s->events;
is(scalar(@events), 1, 'are one');
is_deeply(decode_json($events[0]{data}), { id => 7, s => "a\nb" },
    'the answer');
like($events[0]{id}, qr/^1-\d+$/, 'with an id');
$s->close;
$res = $t->get($url);
my $got = $res->json;
is($got->{state}, 'done', 'done');
is_deeply($got->{result}, { id => 7, s => "a\nb" }, 'the result');
is($got->{status}, 200, 'its status');
is($got->{usage}{input_tokens}, 3, 'input tokens');
is($got->{usage}{output_tokens}, 4, 'output tokens');
is($got->{usage}{cost_nano_usd}, 500, 'cost');
is($got->{usage}{provider}, 'fake', 'provider');
cmp_ok($got->{finished_at}, '>=', $got->{started_at}, 'times');
like($res->body, qr/"result":\Q$text\E/, 'byte for byte');
is($t->get($url, method => 'HEAD')->status, 200, 'HEAD');
my @again = AiHttp->stream(port => $edge->port, path => "$url/events",
    key => $t->{key})->events;
is($again[0]{raw}, $events[0]{raw}, 'the events again');

# A large result, and one that is no JSON.
for my $case (['{"a":"' . 'x' x 300_000 . '"}', sub { length $_[0]{a} == 300_000 }],
    ['plain "text"', sub { $_[0] eq 'plain "text"' }])
{
    $res = $t->post($chat, \%ask, headers => { Prefer => 'respond-async' });
    $job = $fake->job->head;
    my @parts = $case->[0] =~ /(.{1,60000})/gs;
    $job->emit(s => shift @parts);
    $job->emit(c => $_) for @parts;
    $job->end;
    ok($case->[1]->($t->get('/v1/jobs/' . $job->id)->json->{result}),
        'a result of ' . length($case->[0]) . ' bytes');
}

# A short stream that lies in the job, from any of its events on.
$t->post($chat, { %ask, stream => \1 },
    headers => { Prefer => 'respond-async' });
$job = $fake->job;
$job->end(h => AiFake::Job::head_of(stream => 1),
    map { (s => "data: $_\n\n") } 1 .. 3);
is($fake->cmd('EXISTS', $fake->s->key('ev:' . $job->id)), 0, 'no Stream');
is(join(',', map { "$_->{id}=$_->{data}" } AiHttp->stream(port => $edge->port,
    key => $t->{key}, path => '/v1/jobs/' . $job->id . '/events',
    headers => { 'Last-Event-ID' => '1-2' })->events), '1-3=2,1-4=3',
    'a short stream from the middle');

# One that fails.
$res = $t->post($chat, \%ask,
    headers => { Prefer => 'respond-async; priority=batch' });
$job = $fake->job;
is($job->field('class'), 'batch', 'batch work');
$job->error('provider_timeout', 'It took too long.');
$got = $t->get('/v1/jobs/' . $job->id)->json;
is($got->{state}, 'failed', 'failed');
is($got->{error}{code}, 'provider_timeout', 'why');
is($got->{error}{message}, 'It took too long.', 'in words');
is($got->{result}, undef, 'no result');

# One that fails in mid-body: what there is of it, by an attempt that had none.
$t->post($chat, \%ask, headers => { Prefer => 'respond-async' });
$job = $fake->job->head->emit(s => "{\n \"a\": \"\xc3");
$job->error('provider_bad', 'It broke off.');
$got = $t->get('/v1/jobs/' . $job->id)->json;
is($got->{error}{code}, 'provider_bad', 'half a body');
is($got->{status}, 200, 'with its status');
is($got->{result}, "{\n \"a\": \"\x{fffd}", 'is a string');
$res = $t->get('/v1/jobs/' . $job->id . '/events');
like($res->body, qr/\Adata: \{  "a": "\xc3\n\ndata: \{"error":.*\n\n\z/,
    'and an event, before that of its error');

# More than a result may have: why it failed all the same.
$t->post($chat, \%ask, headers => { Prefer => 'respond-async' });
$job = $fake->job->head;
$job->emit(map { (c => 'x' x 65_536) } 1 .. 4) for 1 .. 17;
$job->emit(c => 'x') for 1 .. 33;
$job->error('lost', 'It broke off.');
$got = $t->get('/v1/jobs/' . $job->id)->json;
is($got->{error}{code}, 'lost', 'what is too large fails');
is($got->{result}, undef, 'without a result');

# A stream in the background.
$res = $t->post($chat, { %ask, stream => \1 },
    headers => { Prefer => 'respond-async' });
is($res->status, 202, 'a stream in the background');
$job = $fake->job->head(stream => 1)->data("data: 1\n\n", "data: 2\n\n")->end;
@events = AiHttp->stream(port => $edge->port, key => $t->{key},
    path => '/v1/jobs/' . $job->id . '/events')->events;
is(join(',', map { "$_->{id}=$_->{data}" } @events), '1-2=1,1-3=2',
    'is there to be read');
is_deeply([map { "$_->[0] " . @{ $_->[1] } / 2 } @{ $fake->cmd('XRANGE',
    $fake->s->key('ev:' . $job->id), '-', '+') }],
    ['1-1 1', '1-3 2', '1-4 1'], 'two events share an entry of the log');
@events = AiHttp->stream(port => $edge->port, key => $t->{key},
    path => '/v1/jobs/' . $job->id . '/events',
    headers => { 'Last-Event-ID' => '1-2' })->events;
is(join(',', map { "$_->{id}=$_->{data}" } @events), '1-3=2',
    'and one of them is read alone');
$got = $t->get('/v1/jobs/' . $job->id)->json;
is($got->{state}, 'done', 'done');
is($got->{result}, undef, 'its result are its events');
is($got->{error}, undef, 'no error');

# One that fails in the middle says why, too.
$t->post($chat, { %ask, stream => \1 },
    headers => { Prefer => 'respond-async' });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
$job->error('lost', 'It broke off.');
$got = $t->get('/v1/jobs/' . $job->id)->json;
is($got->{state}, 'failed', 'a stream that fails in the background');
is($got->{error}{code}, 'lost', 'says why');
is($got->{error}{message}, 'It broke off.', 'in words');
is($got->{result}, undef, 'its result are its events');

# Events are in the job's dialect, whatever the client of them sends.
for my $case (['/v1/messages', {}, qr/^event: error\ndata: \{"type":"error"/m],
    [$chat, { 'anthropic-version' => '2023-06-01' },
        qr/^data: \{"error":\{"message"/m])
{
    my ($path, $headers, $want) = @$case;
    $t->post($path, { %ask, max_tokens => 9, stream => \1 },
        headers => { Prefer => 'respond-async' });
    $job = $fake->job->head(stream => 1)->data("data: 1\n\n");
    my $read = AiHttp->stream(port => $edge->port, key => $t->{key},
        path => '/v1/jobs/' . $job->id . '/events', headers => $headers);
    $read->event;
    $job->error('lost', 'It broke off.');
    like(join('', map { $_->{raw} } $read->events), $want,
        "the error of a job of $path to who listens");
    like($t->get('/v1/jobs/' . $job->id . '/events', headers => $headers)->body,
        $want, 'and to who comes later');
    $read->close;
}

# Cancelled in the queue, while it runs, and after its end.
$fake->slots(0);
$res = $t->post($chat, \%ask, headers => { Prefer => 'respond-async' });
$id = $res->json->{id};
$res = $t->post("/v1/jobs/$id/cancel", '');
is($res->status, 200, 'cancel');
is($res->json->{state}, 'cancelled', 'in the queue');
is($fake->job(timeout => 0), undef, 'nobody gets it');
is($t->post("/v1/jobs/$id/cancel", '')->json->{state}, 'cancelled', 'again');
$fake->slots(100);
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
$s->event;
$id = $job->id;
is($t->post("/v1/jobs/$id/cancel", '')->status, 200, 'while it runs');
is($fake->cmd('HGET', $fake->s->key("job:$id"), 'cancel'), 'client', 'marked');
my $usage = AiFake::Job::usage('cancelled', 499, 'cancelled');
$job->settle('cancelled', $usage, x => AiFake::field(cause => 'cancelled')
    . AiFake::field(message => 'gone') . AiFake::field(usage => $usage));
is(decode_json($s->event->{data})->{error}{code}, 'cancelled',
    'its stream says so');
$s->close;
$fake->slots(0);
$s = $t->stream($chat, \%ask);
my $backlog = $fake->s->key('backlog:demo');
wait_for(sub { $fake->cmd('LLEN', $backlog) }, 10, 'the job');
my ($waiting) = @{ $fake->cmd('LRANGE', $backlog, 0, 0) };
$t->post("/v1/jobs/$waiting/cancel", '');
is($s->response->status, 499, 'one that waits is told');
$fake->slots(100);
$s->close;

# What is not there, and what is not theirs.
my $other = $fake->key('other');
for my $path ($url, "$url/events") {
    $res = $t->get($path, key => $other);
    is($res->status, 410, "another tenant's $path");
    is($res->json->{error}{code}, 'expired', 'looks like one that was');
}
is($t->post("$url/cancel", '', key => $other)->status, 410,
    'and cannot be cancelled');
my $past = sprintf 'job_%012x%020d', (time - 86400) * 1000, 1;
my $future = sprintf 'job_%012x%020d', (time + 86400) * 1000, 1;
is($t->get("/v1/jobs/$past")->status, 410, 'one that has expired');
is($t->get("/v1/jobs/$past/events")->status, 410, 'and its events');
is($t->get("/v1/jobs/$future")->status, 404, 'one that never was');
is($t->get('/v1/jobs/1')->status, 404, 'no id at all');
is($t->get('/v1/jobs/')->status, 404, 'nothing');
is($t->get("$url/cancel")->status, 405, 'cancel is a POST');
is($t->post($url, '')->status, 405, 'a job is not');
is($t->get("$url/events", headers => { 'Last-Event-ID' => 'x' })->status, 400,
    'an id that never was sent');

done_testing();
