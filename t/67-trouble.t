#!/usr/bin/perl
# Full queues, silent workers, and a Redis that stalls, restarts or is gone.
use AiTest;
use AiFake;

my $t = AiTest->new;
my $redis = $t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge(conf => <<'CONF');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_queue_timeout 1s;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /long/v1/ { ai_pass; ai_queue_timeout 60s; }
        location /few/v1/ { ai_pass; ai_max_streams 2; ai_queue_timeout 60s; }
        location /small/v1/ { ai_pass; ai_backlog jobs=1; ai_queue_timeout 60s; }
        location /status/v1/ { ai_pass; ai_redis_error 500 retry_after=9s; }
        location = /metrics { ai_metrics; }
    }
}
CONF
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => []);
my $p = sub { $fake->s->key($_[0]) };

# Nobody takes it.
$fake->slots(0);
my $s = $t->stream($chat, \%ask);
my $res = $s->response;
is($res->status, 503, 'no worker in time');
is($res->json->{error}{code}, 'queue_timeout', 'says so');
like($res->header('retry-after'), qr/^\d+$/, 'and when to try again');
is($fake->cmd('EXISTS', $p->('waiting')), 0, 'nothing is left in the queue');
is(scalar(my @held = $fake->s->leases), 0, 'and no slot is held');
$s->close;

# It runs: its time in the queue does not matter any more.
$fake->slots(100);
$s = $t->stream($chat, { %ask, stream => \1 });
my $job = $fake->job;
sleep 1.5;
$job->head(stream => 1)->data("data: 1\n\n")->end;
is(($s->events)[0]{data}, 1, 'a slow start is no time in the queue');
$s->close;

# Full.
$fake->slots(0);
$s = $t->stream("/small$chat", \%ask);
wait_for(sub { $fake->cmd('LLEN', $p->('backlog:demo')) == 1 }, 10, 'one waits');
$res = $t->post("/small$chat", \%ask);
is($res->status, 429, 'a second may not wait');
is($res->json->{error}{code}, 'queue_full', 'says so');
$s->close;
wait_for(sub { $fake->cmd('LLEN', $p->('backlog:demo')) == 0 }, 10, 'it left');
$fake->slots(100);
$fake->cmd('HSET', $p->('sweep'), 'pressure', 1);
$res = $t->post($chat, \%ask);
is($res->status, 503, 'Redis is nearly full');
is($res->json->{error}{code}, 'overloaded', 'says so');
$res = $t->post($chat, { %ask, x => 'y' x 10000 });
is($res->status, 503, 'with a large body, too');
is(scalar(grep { /body:/ } @{ $fake->cmd('KEYS', '*') }), 0,
    'which is not kept');
$fake->cmd('HSET', $p->('sweep'), 'pressure', 0);
my @open = map { $t->stream("/few$chat", \%ask) } 1 .. 2;
wait_for(sub { 2 == (my @all = $fake->s->leases) }, 10, 'two are open');
$res = $t->post("/few$chat", \%ask);
is($res->status, 503, 'more than ai_max_streams');
is($res->json->{error}{code}, 'unavailable', 'says so');
$fake->job->answer('{}') for @open;
is($_->response->status, 200, 'the others are served') for @open;
$_->close for @open;

# The catalog is set again for a worker that misses it.
my ($catalog) = grep { /^ai1:catalog:[0-9a-f]{64}$/ } @{ $fake->cmd('KEYS', 'ai1:*') };
ok($catalog, 'the catalog is in Redis');
cmp_ok($fake->cmd('TTL', $catalog), '>', 47 * 3600, 'for 48 hours');
my $content = $fake->cmd('GET', $catalog);
$fake->cmd('DEL', $catalog);
my ($channel) = grep { /edge:/ } @{ $fake->cmd('PUBSUB', 'CHANNELS', '*') };
$fake->cmd('PUBLISH', $channel, 'C' . substr($catalog, 12) . "\n");
wait_for(sub { $fake->cmd('EXISTS', $catalog) }, 10, 'the catalog');
is($fake->cmd('GET', $catalog), $content, 'the same');
my @alive = grep { /^e:/ } @{ $fake->cmd('ZRANGE', $p->('alive'), 0, -1) };
is(scalar(@alive), 1, 'the edge beats');

# Redis stalls: streams wait, and a lost reply is asked for again.
$s = $t->stream("/long$chat", { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
is($s->event->{data}, 1, 'a stream');
my $new = $t->stream("/long$chat", \%ask);
wait_for(sub { 2 == (my @all = $fake->s->leases) }, 10, 'the other');
my $two = $fake->job;
$redis->freeze;
my $lost = $t->stream("/long$chat", { %ask, n => 3 });
sleep 2.5;
$redis->thaw;
$job->data("data: 2\n\n")->end;
is($s->event->{data}, 2, 'goes on');
is($s->event, undef, 'to its end');
$s->close;
$two->answer('{"n":2}');
is($new->response->body, '{"n":2}', 'an answer, too');
$new->close;
my $third = $fake->job;
is(decode_json($third->body)->{n}, 3, 'what was asked meanwhile is there');
is($fake->job(timeout => 0.5), undef, 'once');
$third->answer('{"n":3}');
is($lost->response->body, '{"n":3}', 'and answered');
$lost->close;

# The connections are cut: what was said meanwhile is read from the log.
$s = $t->stream("/long$chat", { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
is($s->event->{data}, 1, 'a stream');
$fake->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
$job->data("data: 2\n\n");
is($s->event->{data}, 2, 'over a cut');
$fake->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$job->data("data: 3\n\n")->end;
is($s->event->{data}, 3, 'and another');
is($s->event, undef, 'to its end');
$s->close;

# A client leaves while Redis is away: it is told later.
$s = $t->stream("/long$chat", { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
$s->event;
$fake->cmd('CLIENT', 'PAUSE', 1500, 'ALL');
$s->close;
wait_for(sub {
    $fake->cmd('HGET', $p->('job:' . $job->id), 'lst') eq ''
}, 20, 'the leave');
is($fake->cmd('HGET', $p->('job:' . $job->id), 'cancel'), 'disconnect',
    'left, later');
my $usage = AiFake::Job::usage('cancelled', 499);
$job->settle('cancelled', $usage, e => $usage);

# Redis is gone.
is($t->get('/v1/models')->status, 200, 'a key in shared memory');
$t->{no_keys} = 1;
$redis->stop;
$fake->{s}{r} = undef;
$res = $t->post($chat, \%ask);
is($res->status, 503, 'Redis is gone');
is($res->json->{error}{code}, 'unavailable', 'says so');
$res = $t->post("/status$chat", \%ask);
is($res->status, 500, 'ai_redis_error: its status');
is($res->header('retry-after'), 9, 'and its time');

done_testing();
