#!/usr/bin/perl
# Who asks, and who may not: keys in shared memory, in Redis, and where a
# worker has to look them up.
use AiTest;
use AiFake;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge(conf => <<'CONF');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    log_format who '$ai_tenant|$ai_key|$status';
    access_log %%DIR%%/who.log who;
    ai_redis %%REDIS%%;
    ai_zone principals 64k;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /open/v1/ { ai_pass; ai_auth off; }
        location /any/v1/ { ai_pass; satisfy any; deny all; }
        location /any2/v1/ { ai_pass; satisfy any; allow all; }
        location /all/v1/ { ai_pass; deny all; }
        location /json/v1/ { ai_pass; satisfy any; error_page 401 403 /ai_error; }
        location = /ai_error { internal; ai_error; }
        location = /metrics { ai_metrics; }
    }
}
CONF
$edge->start;

my $models = '/v1/models';
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => []);

sub get { my ($path, %o) = @_; return AiHttp->get($edge->port, $path, %o) }

# Nobody.
my $res = get($models);
is($res->status, 401, 'no key');
is($res->json->{error}{code}, 'invalid_api_key', 'in the dialect');
is(get($models, key => 'sk-other')->status, 401, 'no key of ours');
$res = get($models, headers => { 'anthropic-version' => '2023-06-01' });
is($res->json->{error}{type}, 'authentication_error', 'in the other dialect');
$res = AiHttp->post($edge->port, '/v1/messages', 'x' x 100_000);
is($res->status, 401, 'before the body is looked at');
is($res->json->{type}, 'error', 'in the dialect of its path');
is($fake->cmd('XLEN', 'ai1:lookup'), 0, 'nobody was asked');

# The places of a key.
my $key = $fake->key('demo', id => 'k1');
is(get($models, key => $key)->status, 200, 'Authorization: Bearer');
is(get($models, headers => { $_ => $key })->status, 200, $_)
    for qw(x-api-key api-key X-Goog-Api-Key);
is(get($models, headers => { Authorization => "bearer  $key" })->status, 200,
    'in lower case');
is(get($models, headers => { Authorization => "Basic $key" })->status, 401,
    'not another scheme');

# Shared memory answers while Redis has nothing.
$fake->cmd('DEL', 'ai1:key:' . sha256_hex($key));
is(get($models, key => $key)->status, 200, 'from shared memory');

# A change is heard.
$fake->principal($key, 2, id => 'k1', state => 'revoked');
wait_for(sub { get($models, key => $key)->status == 401 }, 10, 'revoked');
is(get($models, key => $key)->json->{error}{code}, 'invalid_api_key',
    'a revoked key is none');
$fake->principal($key, 3, id => 'k1', tenant_state => 'disabled');
wait_for(sub { get($models, key => $key)->status == 403 }, 10, 'disabled');
is(get($models, key => $key)->json->{error}{code}, 'forbidden',
    'a disabled tenant');
$fake->principal($key, 4, id => 'k1');
wait_for(sub { get($models, key => $key)->status == 200 }, 10, 'active again');
my $old = $fake->key('demo', expires => int(time) - 10);
is(get($models, key => $old)->status, 401, 'expired');
$old = $fake->key('demo', expires => 'soon');
is(get($models, key => $old)->status, 401, 'or nobody knows when');
my $soon = $fake->key('demo', expires => int(time) + 2);
is(get($models, key => $soon)->status, 200, 'not yet expired');
wait_for(sub { get($models, key => $soon)->status == 401 }, 10,
    'and then it is');

# A key that Redis does not know: one question for all that wait.
my $text = 'ngx-' . 'Q' x 43;
my $sha = sha256_hex($text);
my @waiting = map { AiHttp->stream(port => $edge->port, path => $models,
    key => $text) } 1 .. 5;
wait_for(sub { $fake->cmd('XLEN', 'ai1:lookup') }, 10, 'the question');
sleep 0.2;
my $asked = $fake->cmd('XRANGE', 'ai1:lookup', '-', '+');
is(scalar(@$asked), 1, 'is asked once');
my %q = @{ $asked->[0][1] };
is($q{k}, $sha, 'by its hash');
like($q{e}, qr/^[A-Za-z0-9.-]+-\d+-\d+$/, 'with who asks');
$fake->principal($text, 1, tenant => 'other', id => 'q');
$fake->cmd('PUBLISH', $fake->s->key("edge:$q{e}"), "K$sha ok\n");
is($_->response->status, 200, 'all have the answer') for @waiting;
$_->close for @waiting;

my $none;
my $nones = 0;
sub looked_up {
    my ($word, $status, $name) = @_;
    $none = sprintf 'ngx-R%042d', ++$nones;
    my $n = $fake->cmd('XLEN', 'ai1:lookup');
    my $s = AiHttp->stream(port => $edge->port, path => $models, key => $none);
    wait_for(sub { $fake->cmd('XLEN', 'ai1:lookup') > $n }, 10, 'a question');
    $fake->cmd('PUBLISH', $fake->s->key("edge:$q{e}"), 'K' . sha256_hex($none)
        . " $word\n") if $word;
    is($s->response->status, $status, $name);
    $s->close;
}
looked_up('none', 401, 'nobody has that key');
my $n = $fake->cmd('XLEN', 'ai1:lookup');
is(get($models, key => $none)->status, 401, 'still');
is($fake->cmd('XLEN', 'ai1:lookup'), $n, 'and nobody is asked again');
looked_up('down', 503, 'the database is away');
looked_up('', 503, 'no worker answers');

# Models that a key may not use.
my $few = $fake->key('demo', models => 'gpt-x echo/one');
$res = AiHttp->post($edge->port, $chat, \%ask, key => $few);
is($res->status, 403, 'a model that is not allowed');
is($res->json->{error}{code}, 'model_not_allowed', 'says so');
my $s = AiHttp->stream(port => $edge->port, path => $chat, key => $few,
    json => { %ask, model => 'echo/one' });
$fake->job->answer('{}');
is($s->response->status, 200, 'one that is');
$s->close;

# Without authentication.
$s = AiHttp->stream(port => $edge->port, path => "/open$chat", json => \%ask);
my $job = $fake->job;
is($job->spec('tenant'), 'default', 'ai_auth off: the tenant');
is($job->spec('principal'), 'anonymous', 'and nobody');
$job->answer('{}');
is($s->response->status, 200, 'answered');
$s->close;

# With nginx's own.
is(get("/all$models", key => $key)->status, 403, 'satisfy all: denied');
is(get("/any$models", key => $key)->status, 200, 'satisfy any: the key');
is(get("/any$models")->status, 401, 'satisfy any: neither');
is(get("/any2$models")->status, 401, 'an address alone is no tenant');
is(get("/any2$models")->json->{error}{code}, 'invalid_api_key', 'as JSON');
is(get("/any2$models", key => $key)->status, 200, 'with a key it is');
$res = get("/json$models");
is($res->status, 401, 'satisfy any alone');
is($res->json->{error}{code}, 'invalid_api_key', 'by ai_error');

# A version that is older than the queue knows: looked up again, once.
$fake->cmd('SET', $fake->s->key('pv:k1'), 5, 'EX', 100);
$fake->change(sha256_hex($key), v => 5);
$s = AiHttp->stream(port => $edge->port, path => $chat, key => $key,
    json => \%ask);
$job = $fake->job;
ok($job, 'a stale principal is looked up again');
$job->answer('{}');
is($s->response->status, 200, 'and serves');
$s->close;
$fake->cmd('SET', $fake->s->key('pv:k1'), 6, 'EX', 100);
$fake->principal($key, 6, id => 'k1', state => 'revoked');
wait_for(sub { get($models, key => $key)->status == 401 }, 10, 'revoked');
is(AiHttp->post($edge->port, $chat, \%ask, key => $key)->status, 401,
    'a revoked one does not');
$fake->cmd('SET', $fake->s->key('pv:kx'), 9, 'EX', 100);
my $never = $fake->key('demo', id => 'kx');
is(AiHttp->post($edge->port, $chat, \%ask, key => $never)->status, 503,
    'one that stays stale is not asked for ever');

# More keys than the zone holds.
my @many = map { $fake->key('demo') } 1 .. 100;
is(join(',', map { get($models, key => $_)->status } @many, @many),
    join(',', (200) x 200), 'more keys than fit');

# Redis is away: nobody is told that a good key is a bad one.
$fake->{s}{r} = undef;
$t->redis->stop;
is(get($models, key => $many[0])->status, 503, 'without Redis');
is(get($models, key => 'ngx-' . 'Z' x 43)->status, 503, 'for any key');
is(get($models)->status, 401, 'none at all is still none');
like(get($models, key => $many[0])->header('retry-after'), qr/^\d+$/,
    'try again later');
$t->{no_keys} = 1;
like(slurp("$edge->{dir}/who.log"), qr/^demo\|k1\|200$/m, 'the log knows who');

done_testing();
