#!/usr/bin/perl
# The harness itself: what the other tests rest on.
use AiTest;

my $t = AiTest->new(no_keys => 1);
my $redis = $t->redis;

is($redis->cmd('SET', 'a', "b\r\nc"), 'OK', 'a command');
is($redis->cmd('GET', 'a'), "b\r\nc", 'a bulk reply');
is($redis->cmd('GET', 'none'), undef, 'a null');
is_deeply($redis->cmd('EVAL', 'return {1, {"x", {}}, false}', 0),
    [1, ['x', []], undef], 'nested arrays');
ok(!eval { $redis->cmd('NOSUCH'); 1 }, 'an error reply dies');
like($@, qr/unknown command/, 'and says so');
$redis->cmd('SET', 'ttl', 1, 'PX', 100000);
my $keys = $redis->keys;
is($keys->{a}, -1, 'a key without expiry');
cmp_ok($keys->{ttl}, '>', 0, 'a key with one');

my $sub = $redis->subscribe('ch');
$redis->cmd('PUBLISH', 'ch', 'hello');
is_deeply($sub->message(10), ['ch', 'hello'], 'a message');
is($sub->message(0.05), undef, 'no further message');

my $fake = AiRedis::Fake->new(dir => $t->dir, upstream => $redis->path,
    answer => sub {
        my ($n, $name) = @_;
        return "-LOADING busy\r\n" if $name eq 'GET';
        return { close => 1, send => '$5' } if $name eq 'INCR';
        return { stall => 1 } if $name eq 'DEL';
        return undef;
    });
my $client = AiRedis::Client->new(unix => $fake->{sock});
is($client->cmd('PING'), 'PONG', 'the fake hands on');
ok(!eval { $client->cmd('GET', 'a'); 1 } && $@ =~ /LOADING/, 'or answers');
ok(!eval { $client->cmd('INCR', 'a'); 1 } && $@ =~ /closed/, 'or cuts');
$client = AiRedis::Client->new(unix => $fake->{sock});
$client->send('DEL', 'a');
ok(!eval { $client->read(0.1); 1 } && $@ =~ /timed out/, 'or stalls');
is((grep { /INCR a/ } $fake->log), 1, 'and remembers');

$redis->kill9;
ok(!eval { $redis->cmd('PING'); 1 }, 'a killed Redis does not answer');
$redis->start;
is($redis->cmd('GET', 'a'), undef, 'and starts again');

my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $how = $req->{path};

    if ($how eq '/json') {
        $out->answer(200, { got => $req->{body} });
    } elsif ($how eq '/stall') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk("data: 1\n\n");
        $out->stall;
    } elsif ($how eq '/cut') {
        $out->head(200);
        $out->chunk('half');
        $out->cut;
    } else {
        AiProvider::openai(words => ['a', 'b'])->($req, $out);
    }
});

my $edge = $t->edge(module => undef, vars => { TO => $provider->url },
    conf => <<'CONF');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location / {
            proxy_pass %%TO%%;
            proxy_http_version 1.1;
            proxy_buffering off;
        }
        location = /text { return 200 one; }
    }
}
CONF
$edge->start;
$t->baseline;

is($t->get('/text')->body, 'one', 'nginx answers');
my $res = $t->post('/json', { x => 1 });
is($res->status, 200, 'the provider answers');
is($res->json->{got}, '{"x":1}', 'with what it was sent');
is($t->post('/json', 'abc', chunked => ['a', 'bc'])->json->{got}, 'abc',
    'a chunked body');
is($t->post('/json', 'x' x 3000, split => 500)->json->{got}, 'x' x 3000,
    'a split write');

my $s = $t->stream('/v1/chat/completions', { stream => \1, model => 'm' });
is($s->head->status, 200, 'a stream begins');
my @events = $s->events;
is(@events, 4, 'its events');
is(decode_json($events[1]{data})->{choices}[0]{delta}{content}, 'b', 'in order');
is($events[3]{data}, '[DONE]', 'to the end');

$s = $t->stream('/stall', {});
is($s->event->{data}, 1, 'an event before the stall');
$s->close;
wait_for(sub { $provider->aborts }, 30, 'the abort at the provider');
pass('the provider saw the client leave');

ok($t->get('/cut')->{cut}, 'a cut body is seen');
is($provider->request(1)->{path}, '/json', 'requests are remembered');

my $old = ($edge->workers)[0];
$edge->reload;
isnt(($edge->workers)[0], $old, 'a reload has other workers');
is($t->get('/text')->body, 'one', 'that answer');
my ($code, $said) = $edge->test_conf("nonsense on;\n");
is($code, 1, 'a broken configuration');
like($said, qr/unknown directive "nonsense"/, 'is named');

my $pg = $t->pg(bare => 1);
is($pg->value('select 1 + 1'), 2, 'Postgres answers');
is_deeply([$pg->query("select 1, 'a' union select 2, 'b' order by 1")],
    [[1, 'a'], [2, 'b']], 'with rows');
is($pg->value('select current_user', 'ngxai_worker'), 'ngxai_worker',
    'in a role');
$pg->kill9;
$pg->start;
is($pg->value('select 1'), 1, 'and starts again');

done_testing();
