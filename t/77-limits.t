#!/usr/bin/perl
# Plans and limits with the real parts: what is refused, what it is told, and
# what a refusal leaves.
use AiTest;
use POSIX ();

my $t = AiTest->new;
my $ai = <<'CONF';
ai_plan default { requests 3/h; concurrency 2; weight 5; }
ai_plan small { tokens 4000/h 100000/day; models echo/echo; }
ai_plan money { budget 0.01usd/month; }
ai_price echo/priced input=10 output=20 request=0.001;
ai_provider other { api openai; url http://127.0.0.1:1; }
log_format limits '$ai_tenant|$ai_limit|$status';
access_log %%DIR%%/limits.log limits;
CONF
$t->start(workers => { n => 1 }, edge => { ai => $ai, location =>
    'ai_limit endpoint=messages requests=1/h;
     ai_limit user=bob requests=1/h; ai_limit user=eve tokens=1/h;' });
my $redis = $t->redis;
my $chat = '/v1/chat/completions';

sub counters {
    my $all = $redis->keys($t->prefix . 'lim:*');
    return { map { $_ => $redis->cmd('GET', $_) }
        grep { $redis->cmd('TYPE', $_) eq 'string' && !/:est:|:epoch$/ }
        keys %$all };
}

# Requests: a plan that is not named is the one that is called default.
my $res = $t->chat('one');
is($res->status, 200, 'within the limit');
is($res->header('x-ratelimit-limit-requests'), 3, 'x-ratelimit-limit-requests');
is($res->header('x-ratelimit-remaining-requests'), 2, 'remaining');
like($res->header('x-ratelimit-reset-requests'), qr/^1h\d+m\d+s$/, 'reset');
is($res->header('x-ratelimit-limit-tokens'), undef, 'none of tokens');
is($res->header('ratelimit-policy'), '"tenant-requests-hour";q=3;w=3600, '
    . '"tenant-concurrency";q=2;qu="concurrent-requests"', 'RateLimit-Policy');
like($res->header('ratelimit'), qr/^"tenant-requests-hour";r=2;t=\d+, "tenant-concurrency";r=1$/,
    'RateLimit');
$t->chat('two');
is($t->chat('three')->status, 200, 'the last');
my $before = counters();
$res = $t->chat('four');
is($res->status, 429, 'one more is refused');
is($res->json->{error}{type}, 'rate_limit_error', 'in the dialect');
like($res->json->{error}{message},
    qr/over the tenant limit of 3 requests per hour\. Try again in \d+ s\./,
    'which limit, and until when');
cmp_ok($res->header('retry-after'), '>=', 1, 'Retry-After');
cmp_ok($res->header('retry-after'), '<=', 7200, 'within two windows');
is($res->header('x-ratelimit-remaining-requests'), 0, 'nothing remains');
is_deeply(counters(), $before, 'it takes nothing');
is($redis->cmd('SCARD', $t->prefix . 'lim:demo:c-:tenant'), 0, 'no place');
is($t->get('/v1/models')->status, 200, 'models are no requests of it');
like(slurp($t->edge->{dir} . '/limits.log'),
    qr/^demo\|tenant limit of 3 requests per hour\|429$/m, '$ai_limit');
like($t->edge->log, qr/limiting: over the tenant limit of 3 requests per hour/,
    'the log');

# Another tenant is another count; Anthropic's client its headers.
my $key = $t->key('acme');
$res = $t->post('/v1/messages', { model => 'echo/echo', max_tokens => 10,
    messages => [{ role => 'user', content => 'a' }] }, key => $key);
is($res->status, 200, 'another tenant');
is($res->header('anthropic-ratelimit-requests-limit'), 1,
    'the tightest of two: the endpoint');
is($res->header('anthropic-ratelimit-requests-remaining'), 0, 'remaining');
like($res->header('anthropic-ratelimit-requests-reset'),
    qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'reset');
is($res->header('x-ratelimit-limit-requests'), undef, "not OpenAI's");
$res = $t->post('/v1/messages', { model => 'echo/echo', max_tokens => 10,
    messages => [] }, key => $key);
is($res->status, 429, 'the endpoint is full');
is($res->json->{error}{type}, 'rate_limit_error', "Anthropic's words");
like($res->json->{error}{message}, qr/endpoint limit of 1 request per hour/,
    'its limit');
is($t->chat('a', key => $key)->status, 200, 'the other is not');

# Users.
my %user = map { $_ => $t->key('acme', '--user', $_) } qw(bob eve tom);
is($t->chat('a', key => $user{bob})->status, 200, 'a user');
$res = $t->chat('a', key => $user{bob});
like($res->json->{error}{message}, qr/user limit of 1 request per hour/,
    'that user is full');
$res = $t->chat('a', key => $user{eve});
is($res->status, 429, 'more than the limit at once');
like($res->json->{error}{message},
    qr/alone is estimated at more than the user limit of 1 token per hour/,
    'says so');

# Tokens: max_tokens is reserved, what was not used comes back.
$t->aictl('tenant', 'create', 'tok', '--plan', 'small');
$t->{tenants}{tok} = 1;
$key = $t->key('tok');
$res = $t->chat('a b c', key => $key, body => { max_tokens => 3000 });
is($res->status, 200, 'tokens');
is($res->header('x-ratelimit-limit-tokens'), 4000, 'of the hour');
my $input = int((length(encode_json({ model => 'echo/echo', max_tokens => 3000,
    messages => [{ role => 'user', content => 'a b c' }] })) + 3) / 4);
is($res->header('x-ratelimit-remaining-tokens'), 1000 - $input,
    'what was reserved is gone');
my $usage = $res->json->{usage};
my ($used) = map { (split / /)[1] } counters()->{$t->prefix . 'lim:tok:th:tenant'};
is($used, $usage->{prompt_tokens} + $usage->{completion_tokens},
    'what was not used is there again');
is($t->chat('a', key => $key, body => { max_tokens => 3990 })->status, 429,
    'more than remains');
is($t->chat('a', key => $key, body => { max_completion_tokens => 1,
    max_tokens => 3990 })->status, 429, 'the larger of two');
is($t->chat('a', key => $key, body => { max_completion_tokens => 1000, n => 4 })
    ->status, 429, 'so many choices');
is($t->post('/v1/completions', { model => 'echo/echo', prompt => 'a',
    max_tokens => 1000, best_of => 4 }, key => $key)->status, 429,
    'so many to choose from');
is($t->chat('a', key => $key, body => { model => 'echo/other' })->status, 403,
    'a model that the plan has not');
$res = $t->get('/v1/models', key => $key);
is_deeply([map { $_->{id} } @{ $res->json->{data} }], ['echo/echo'],
    'the list has it not');

# Money.
$t->aictl('tenant', 'create', 'rich', '--plan', 'money');
$t->{tenants}{rich} = 1;
$key = $t->key('rich');
$res = $t->chat('a', key => $key, body => { model => 'other/x' });
is($res->status, 403, 'no price, under a budget');
like($res->json->{error}{message}, qr/has no price/, 'says so');
my $pg = $t->pg;
my ($n, $status) = (0, 200);
while ($n < 50) {
    $status = $t->chat('one two three', key => $key, body => {
        model => 'echo/priced', max_tokens => 1 })->status;
    last if $status != 200;
    $n++;
}
is($status, 429, "a budget is at its end after $n");
cmp_ok($n, '>', 0, 'but not at once');
wait_for(sub { $redis->cmd('XLEN', $t->prefix . 'outbox') == 0 }, 30, 'ledger');
($used, my $reserved) = map { (split / /)[1, 2] }
    counters()->{ $t->prefix . 'lim:rich:bM:tenant' };
is($used, $pg->value("select sum(cost) from ngxai.ledger where tenant = 'rich'"),
    'the counter is the sum of the ledger');
is($reserved, 0, 'nothing is reserved');

done_testing();
