#!/usr/bin/perl
# What limits promise whatever happens: many at once on ten edges, processes
# that are killed, an edge whose clock is wrong, a client that comes back at
# once, a Redis that has lost everything.
use AiTest;

my $t = AiTest->new(allow_log => [qr/./]);
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $usage = { prompt_tokens => 4, completion_tokens => 3 };
    if (!$ask->{stream}) {
        $out->wait($ask->{user} || 0);
        return $out->answer(200, { object => 'chat.completion', usage => $usage,
            choices => [{ index => 0, finish_reason => 'stop',
                message => { role => 'assistant', content => 'yes' } }] });
    }
    # It is in no hurry to end what it has said.
    $out->head(200, 'Content-Type' => 'text/event-stream');
    for ({ choices => [{ index => 0, delta => { content => 'yes' },
            finish_reason => 'stop' }] }, { choices => [], usage => $usage })
    {
        $out->chunk('data: ' . encode_json($_) . "\n\n");
    }
    $out->wait($ask->{user}) if $ask->{user};
    $out->chunk("data: [DONE]\n\n");
    $out->wait(0.5);
    $out->end;
});
$t->start(workers => { n => 2 }, edge => { workers => 10, ai => '
    ai_provider o { api openai; url ' . $p->url('/v1') . '; }
    ai_price o/m input=100 output=100;
    ai_plan tokens { tokens 100/h; }
    ai_plan one { concurrency 1; }
    ai_plan held { concurrency 8; tokens 100000/h; budget 1usd/day; }
    ai_plan clock { requests 6/h; }
    ai_plan month { requests 1000/month; tokens 100000/month; budget 5usd/month; }' });
my $redis = $t->redis;
my $pg = $t->pg;
my $chat = '/v1/chat/completions';

sub tenant {
    my ($plan) = @_;
    $t->aictl('tenant', 'create', $plan, '--plan', $plan);
    $t->{tenants}{$plan} = 1;
    return $t->key($plan);
}

sub lim { return $t->prefix . "lim:$_[0]" }

sub counter { return split ' ', $redis->cmd('GET', lim($_[0])) // '' }

sub drained {
    wait_for(sub { $redis->cmd('XLEN', $t->prefix . 'outbox') == 0 }, 60,
        'the ledger');
}

# 500 at once, on ten edges, where four fit: what is settled and reserved after
# each script that counts is never more than the limit.
my $key = tenant('tokens');
is($t->post($chat, { model => 'o/m', max_tokens => 200, messages => [] },
    key => $key)->status, 429, 'more than there is');
{
    my $m = $redis->client;
    $m->cmd('MONITOR');
    my @open = map {
        my $http = AiHttp->new(port => $t->edge->port, timeout => 60);
        $http->send_request(path => $chat, key => $key, json => {
            model => 'o/m', max_tokens => 1, messages => [],
            user => '0.0' . $_ % 10 });
        $http;
    } 1 .. 500;
    my %status;
    for (@open) {
        my $res = $_->response;
        $status{ $res->status }++;
        $_->close;
    }
    is(join(' ', sort keys %status), '200 429', '500 at once: these and no other');
    cmp_ok($status{200}, '>=', 4, "$status{200} of them fit");
    cmp_ok($status{200}, '<=', 14, 'and no more: 7 tokens is what one took');
    my ($most, $n) = (0, 0);
    $redis->cmd('ECHO', 'all-was-counted');
    while (my $line = $m->read(10)) {
        $line = $$line if ref $line;
        last if $line =~ /all-was-counted/;
        next unless $line =~ /"SET" "\S+:lim:tokens:th:tenant" "\d+ (\d+) (\d+)"/;
        $most = $1 + $2 if $1 + $2 > $most;
        $n++;
    }
    cmp_ok($n, '>=', 2 * $status{200}, "$n times it was counted");
    cmp_ok($most, '<=', 100, "at most $most of 100");
}
wait_for(sub { (counter('tokens:th:tenant'))[1] % 7 == 0 }, 30, 'the ends');

# A client that comes back the moment its answer ends.
$key = tenant('one');
my %seen;
for my $stream (0, 1) {
    for (1 .. 40) {
        my $s = $t->stream($chat, { model => 'o/m', messages => [],
            stream => $stream ? \1 : \0 }, key => $key);
        if ($stream) {
            $seen{ $s->head->status }++;
            while (my $e = $s->event) {
                last if ($e->{data} // '') eq '[DONE]';
            }
        } else {
            $seen{ $s->response->status }++;
        }
        $s->close;
    }
}
is_deeply(\%seen, { 200 => 80 }, 'one at a time is never refused');
my $s = $t->stream($chat, { model => 'o/m', messages => [], stream => \1,
    user => 3 }, key => $key);
$s->head;
my $res = $t->post($chat, { model => 'o/m', messages => [] }, key => $key);
is($res->status, 429, 'two are');
like($res->json->{error}{message}, qr/limit of 1 concurrent request\b/, 'why');
$s->close;
wait_for(sub { $redis->cmd('SCARD', lim('one:c-:tenant')) == 0 }, 10,
    'who leaves gives its place back');
pass('who leaves gives its place back');

# Edges and a worker are killed with what they hold.
$key = tenant('held');
{
    my @open = map {
        my $http = AiHttp->new(port => $t->edge->port, timeout => 60);
        $http->send_request(path => $chat, key => $key, json => {
            model => 'o/m', max_tokens => 100, messages => [], user => 20 });
        $http;
    } 1 .. 8;
    wait_for(sub { $redis->cmd('SCARD', lim('held:c-:tenant')) == 8 }, 20,
        'all are there');
    cmp_ok((counter('held:bd:tenant'))[2], '>', 0, 'money is reserved');
    my ($worker) = $t->worker_pids;
    kill 'KILL', $t->edge->workers, $worker;
    my $killed = time;
    wait_for(sub {
        return $redis->cmd('SCARD', lim('held:c-:tenant')) == 0
            && (counter('held:bd:tenant'))[2] == 0;
    }, 30, 'nothing is held');
    cmp_ok(time - $killed, '<', 10, 'nothing is held ten seconds later');
    $_->close for @open;
    wait_for(sub { $t->get('/health/ready')->status == 200 }, 30, 'ready');
    $t->baseline;
    wait_for(sub {
        $res = $t->post($chat, { model => 'o/m', messages => [] }, key => $key);
        return $res->status == 200;
    }, 20, 'a request');
    drained();
    is((counter('held:bd:tenant'))[1], $pg->value("select sum(cost)
        from ngxai.ledger where tenant = 'held'"), 'and what was spent is known');
}

# An edge whose clock is an hour ahead.
$key = tenant('clock');
{
    my $dir = $t->subdir('clock');
    open my $c, '>', "$dir/ahead.c" or die;
    print $c <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec + 3600;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t
time(time_t *t)
{
    struct timeval  tv;

    gettimeofday(&tv, 0);
    if (t) {
        *t = tv.tv_sec;
    }
    return tv.tv_sec;
}
C
    close $c;
    is(system("cc -shared -fPIC -o $dir/ahead.so $dir/ahead.c"), 0, 'a clock');
    my $right = $t->edge;
    my $wrong = $t->edge(name => 'ahead', ai => $right->{vars}{AI}, workers => 1,
        env => { LD_PRELOAD => "$dir/ahead.so" });
    $wrong->start;
    $t->ready;
    like($t->get('/health/ready')->header('date'),
        qr/@{[ sprintf '%02d', (gmtime(time + 3600))[2] ]}:\d\d:\d\d GMT/,
        'it is an hour ahead');
    my @got = map {
        $t->{edge} = $_ % 2 ? $wrong : $right;
        $t->post($chat, { model => 'o/m', messages => [] }, key => $key)->status;
    } 1 .. 8;
    is("@got", '200 200 200 200 200 200 429 429',
        'and changes nothing of what is counted');
    $t->{edge} = $right;
    $wrong->stop('QUIT');
    @{ $t->{edges} } = ($right);
}

# Redis loses everything: what a month has seen stands in the ledger.
$key = tenant('month');
my $n = 0;
sub asked {
    my ($how) = @_;
    my @got = map { $t->post($chat, { model => 'o/m', messages => [],
        stream => $_ % 2 ? \1 : \0 }, key => $key)->status } 1 .. 5;
    is("@got", '200 200 200 200 200', "$how: requests");
    $n += 5;
    drained();
    my ($requests, $tokens, $cost) = map { (counter("month:$_:tenant"))[1] }
        qw(rM tM bM);
    is("$requests $tokens $cost", join(' ', $pg->query("select
        count(distinct job), sum(input + output), sum(cost) from ngxai.ledger
        where tenant = 'month'") ? map { "@$_" } $pg->query("select
        count(distinct job), sum(input + output), sum(cost) from ngxai.ledger
        where tenant = 'month'") : ()), "$how: the counters are the ledger's sums");
    is($requests, $n, "$how: of all requests there were");
}
asked('at first');
$redis->cmd('FLUSHALL');
wait_for(sub { $t->get('/health/ready')->status == 200 }, 30, 'ready');
asked('after FLUSHALL');

# While Postgres is away nobody can say what a month has seen; a counter that
# is there goes on.
$pg->stop;
is($t->post($chat, { model => 'o/m', messages => [] }, key => $key)->status, 200,
    'without Postgres: what is counted goes on');
$n++;
$redis->cmd('DEL', map { lim("month:$_:tenant") } qw(rM tM bM));
$res = $t->post($chat, { model => 'o/m', messages => [] }, key => $key);
is($res->status, 503, 'what is not is unavailable');
ok($res->header('retry-after'), 'for a while');
$pg->start;
drained();
wait_for(sub { $t->post($chat, { model => 'o/m', messages => [] }, key => $key)
    ->status == 200 }, 30, 'a request');
$n++;
asked('after Postgres was away');

$t->baseline;
done_testing();
