#!/usr/bin/perl
# The main job, end to end: a client, nginx, the queue, a worker, the built-in
# echo provider, and back; with the health of it all.
use AiTest;

my $t = AiTest->new->start;
my $chat = '/v1/chat/completions';

is($t->get('/health')->status, 200, 'health');
is($t->get("/health/$_")->status, 200, "health/$_") for qw(live ready);
my $detailed = $t->get('/health/detailed');
ok($detailed->json, 'health/detailed is JSON');

# One answer.
my $res = $t->chat('Hello from the smoke test');
is($res->status, 200, 'a completion');
like($res->header('content-type'), qr{^application/json}, 'as JSON');
like($res->header('x-ai-job'), qr/^job_[0-9a-f]{32}$/, 'with the job it was');
my $data = $res->json;
is($data->{object}, 'chat.completion', 'in OpenAI\'s shape');
is($data->{choices}[0]{message}{content}, 'Hello from the smoke test',
    'says what it was told');
is($data->{choices}[0]{finish_reason}, 'stop', 'to the end');
cmp_ok($data->{usage}{total_tokens}, '>', 0, 'with usage');
is($data->{usage}{total_tokens},
    $data->{usage}{prompt_tokens} + $data->{usage}{completion_tokens},
    'that adds up');

# A stream.
my $s = $t->stream($chat, { model => 'echo/echo', stream => \1,
    stream_options => { include_usage => \1 },
    messages => [{ role => 'user', content => 'one two three' }] });
my $head = $s->head;
is($head->status, 200, 'a stream');
like($head->header('content-type'), qr{^text/event-stream}, 'of events');
is($head->header('x-accel-buffering'), 'no', 'not to be buffered');
my @events = $s->events;
is((pop @events)->{data}, '[DONE]', 'ends with [DONE]');
my @chunks = map { decode_json($_->{data}) } @events;
is(join('', map { $_->{choices}[0]{delta}{content} // '' } @chunks),
    'one two three', 'says what it was told');
cmp_ok(scalar(@chunks), '>=', 4, 'in several chunks');
is((grep { $_->{usage} } @chunks), 1, 'with usage once');
$s->close;

# One connection, several requests.
my $http = AiHttp->new(port => $t->edge->port);
for my $n (1 .. 3) {
    $http->send_request(path => $chat, key => $t->{key}, json => {
        model => 'echo/echo',
        messages => [{ role => 'user', content => "number $n" }] });
    is($http->response->json->{choices}[0]{message}{content}, "number $n",
        "request $n of one connection");
}
$http->close;

# A body in small pieces, and a large one.
$res = $t->chat('piece by piece', split => 7);
is($res->json->{choices}[0]{message}{content}, 'piece by piece',
    'a body in small pieces');
my $long = join ' ', ('long' x 500) x 6, ('long' x 25000) x 3;
$res = $t->chat($long);
is($res->json->{choices}[0]{message}{content}, $long, 'a body of 300 KB');

# Refusals.
$res = AiHttp->post($t->edge->port, $chat, { model => 'echo/echo' });
is($res->status, 401, 'no key is 401');
is($res->json->{error}{code}, 'invalid_api_key', 'in OpenAI\'s words');
is($t->post($chat, { model => 'echo/echo' },
    key => 'ngx-' . 'A' x 43)->status, 401, 'an unknown key is 401');
is($t->post($chat, '{"model":')->status, 400, 'broken JSON is 400');
is($t->post($chat, { model => 'nobody/none', messages => [] })->status, 404,
    'an unknown model is 404');

my $models = $t->get('/v1/models')->json;
is($models->{object}, 'list', 'the list of models');

# The ledger has them all.
wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger') >= 7 }, 30,
    'the ledger');
is($t->pg->value("select count(*) from ngxai.ledger where tenant <> 'demo'"), 0,
    'the ledger has the tenant\'s jobs only');

my $metrics = $t->get('/metrics');
is($metrics->status, 200, 'metrics');
open my $fh, '|-', "promtool check metrics > $t->{dir}/promtool.out 2>&1"
    or die "promtool: $!\n";
print $fh $metrics->body;
close $fh;
is($?, 0, 'promtool accepts the metrics') or diag(slurp("$t->{dir}/promtool.out"));

done_testing();
