#!/usr/bin/perl
# Health says what is wrong, and /metrics is what Prometheus reads.
use AiTest;

my $t = AiTest->new->start;

is($t->chat('hello metrics')->status, 200, 'a completion');
my $s = $t->stream('/v1/messages', { model => 'echo/echo', stream => \1,
    max_tokens => 10, messages => [{ role => 'user', content => 'a b' }] });
$s->events;
$s->close;
is($t->post('/v1/chat/completions', '{')->status, 400, 'an error');

my $res = $t->get('/health/detailed');
is($res->status, 200, 'detailed');
my $d = $res->json;
is($d->{status}, 'ready', 'ready');
is_deeply([grep { $_ ne 'ok' } values %{ $d->{checks} }], [], 'all checks ok');
cmp_ok($d->{slots}, '>', 0, 'slots');
is($d->{workers}, 1, 'one worker');
is(scalar(@{ $d->{redis} }), 3, 'three connections');
like($d->{catalog}, qr/^[0-9a-f]{64}$/, 'the catalog');
is($t->get('/health', method => 'HEAD')->status, 200, 'HEAD');
is($t->post('/health/live', '{}')->status, 405, 'no POST');

# The format, as promtool checks it, and a few figures.
$res = $t->get('/metrics');
is($res->status, 200, 'metrics');
like($res->header('content-type'), qr{^text/plain; version=0\.0\.4}, 'as text');
my $text = $res->body;
like($text, qr/^ngx_ai_requests_total\{dialect="openai",status="2xx"\} 1$/m,
    'requests of one dialect');
like($text, qr/^ngx_ai_requests_total\{dialect="anthropic",status="2xx"\} 1$/m,
    'and of the other');
like($text, qr/^ngx_ai_errors_total\{cause="bad_json"\} 1$/m, 'errors by cause');
like($text, qr/^ngx_ai_streams_total 1$/m, 'streams');
like($text, qr/^ngx_ai_active_jobs 0$/m, 'nothing open');
like($text, qr/^ngx_ai_request_duration_seconds_count [1-9]/m, 'a histogram');
wait_for(sub {
    $t->get('/metrics')->body =~ /^ngx_ai_worker_jobs_done_total\{.*\} 2$/m
}, 30, 'the workers\' counters');
pass('the workers\' counters');

SKIP: {
    my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};
    skip('no promtool', 1) unless $promtool;
    open my $fh, '>', "$t->{dir}/metrics.txt" or die;
    print $fh $t->get('/metrics')->body;
    close $fh;
    my $said = `$promtool check metrics < $t->{dir}/metrics.txt 2>&1`;
    is("$?: $said", '0: ', 'promtool has nothing to say');
}

# An nginx that has no ai_pass knows as much.
my $ready = $t->get('/health/ready')->json;
my $edge = $t->edge;
my $only = $t->edge(name => 'only', conf => <<'CONF');
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /health { ai_health; }
        location = /metrics { ai_metrics; }
    }
}
CONF
$only->start;
eval { wait_for(sub { $t->get('/health/ready')->status == 200 }, 20) };
is_deeply($t->get('/health/ready')->json, $ready,
    'a server with health alone says the same');
like($t->get('/metrics')->body, qr/^ngx_ai_worker_jobs_done_total\{.*\} 2$/m,
    "and has the workers' counters");
$only->stop;
$t->{edge} = $edge;

# No worker alive.
$_->stop('TERM', 60) for @{ $t->{workers} };
wait_for(sub { $t->get('/health/ready')->status == 503 }, 30, 'not ready');
is($t->get('/health/ready')->json->{checks}{workers}, 'no worker is alive',
    'and why');
is($t->get('/health/live')->status, 200, 'it lives all the same');

# Redis that evicts, or forgets.
$t->start_workers;
wait_for(sub { $t->get('/health/ready')->status == 200 }, 30, 'ready again');
$t->redis->cmd('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
is($t->get('/health/ready')->json->{checks}{redis_eviction},
    'maxmemory-policy must be noeviction', 'a Redis that evicts');
$t->redis->cmd('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
$t->redis->cmd('CONFIG', 'SET', 'appendonly', 'no');
is($t->get('/health/ready')->json->{checks}{redis_persistence},
    'appendonly must be on', 'a Redis that forgets');
$t->redis->cmd('CONFIG', 'SET', 'appendonly', 'yes');

done_testing();
