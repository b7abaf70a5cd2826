#!/usr/bin/perl
# Whose request it is: each strategy of ai_tenant, their order, and who says
# another tenant than his own.
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
    log_format who '$uri|$ai_tenant|$ai_key|$status';
    access_log %%DIR%%/who.log who;
    ai_redis %%REDIS%%;
    map $http_x_word $word { default ''; ~^(?<w>.+)$ $w; }
    ai_tenant key host=.Example.com header=X-Tenant-ID;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /only/v1/ { ai_pass; ai_tenant header=X-Tenant-ID; }
        location /host/v1/ { ai_pass; ai_tenant host=.example.com; }
        location /first/v1/ { ai_pass; ai_tenant header=X-Tenant-ID key; }
        location ~ ^/(?<org>[^/]+)/p(/v1/.*)$ { ai_pass; ai_tenant var=$org; }
        location /open/v1/ { ai_pass; ai_auth off; }
        location /fixed/v1/ { ai_pass; ai_auth off; ai_tenant var=acme; }
        location /word/v1/ { ai_pass; ai_auth off; ai_tenant var=$word; }
        location /any/v1/ { ai_pass; ai_tenant header=X-Tenant-ID;
            satisfy any; allow all; }
        location /from/v1/ { ai_pass; error_page 403 404 = /to$uri; }
        location /to/ { rewrite ^/to/from(/.*)$ /second$1 last; }
        location /second/v1/ { ai_pass; ai_tenant header=X-Other; }
        location /json/v1/ { ai_pass; error_page 403 404 /ai_error; }
        location = /ai_error { internal; ai_error; }
    }
}
CONF
$edge->start;

my $models = '/v1/models';
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => []);
my $key = $fake->key('acme', id => 'ka', plan => 'pro');
my $admin = $fake->key('ops', id => 'kp', role => 'platform_admin');

sub get { my ($path, %o) = @_; return AiHttp->get($edge->port, $path, %o) }
sub tenant { $fake->tenant(@_) }
sub says { my ($name) = @_; return (headers => { 'X-Tenant-ID' => $name }) }

# The job that a request makes.
sub job_of {
    my ($path, %o) = @_;
    my $s = AiHttp->stream(port => $edge->port, path => $path, json => \%ask,
        %o);
    my $job = $fake->job(timeout => 10);
    my %got = $job ? (map { $_ => $job->spec($_) } qw(tenant principal role))
        : ();
    $job->answer('{}') if $job;
    $got{status} = $s->response->status;
    $s->close;
    return \%got;
}

# The key's own.
is(job_of($chat, key => $key)->{tenant}, 'acme', 'the key\'s tenant');
is(get($models, key => $key, says('acme'))->status, 200, 'said again');
is(get($models, key => $key, says('beta'))->status, 200,
    'what stands behind the key does not count');

# A header that decides.
is(get("/only$models", key => $key)->status, 200, 'no header: the key\'s');
is(get("/only$models", key => $key, says('acme'))->status, 200, 'the same');
my $res = get("/only$models", key => $key, says('beta'));
is($res->status, 403, 'another tenant');
is($res->json->{error}{code}, 'forbidden', 'is no switch');
like($res->json->{error}{message}, qr/another tenant/, 'and says why');
$res = get("/only$models", key => $key, headers => { 'X-Tenant-ID' => 'beta',
    'anthropic-version' => '2023-06-01' });
is($res->json->{error}{type}, 'permission_error', 'in the other dialect');
is(get("/only$models", key => $key, says($_))->status, 403, "no name: $_")
    for 'Acme', 'acme ..', "a'; drop", '../acme', 'a' x 64, 'acme,beta';
is(get("/only$models", key => $key, headers => ['X-Tenant-ID', 'acme',
    'X-Tenant-ID', 'acme'])->status, 403, 'a header that is there twice');
is(get("/only$models", key => $key, says(''))->status, 200, 'an empty one');
is(get("/first$models", key => $key, says('beta'))->status, 403,
    'before the key');
is(get("/only$models", says('acme'))->status, 401, 'a tenant is no key');
is(AiHttp->post($edge->port, "/only$chat", \%ask, key => $key, says('beta'))
    ->status, 403, 'no job of another tenant');
is(get("/any$models", key => $key, says('beta'))->status, 403,
    'nor where any access check would do');
is(get("/json$models", key => $key)->status, 200, 'with an error page');
unlike($edge->log, qr/drop/, 'a name that is none is in no log');
is(scalar(() = $edge->log =~ /tenant "acme" names another one/g) > 5, 1,
    'who tried is');

# A host.
my @host = (key => $key, headers => { Host => 'acme.example.com' });
is(get("/host$models", @host)->status, 200, 'a subdomain');
for (['ACME.example.COM:8080', 200, 'in any case, with a port'],
    ['beta.example.com', 403, 'another one'],
    ['a.acme.example.com', 200, 'two labels are none'],
    ['example.com', 200, 'the domain itself'],
    ['.example.com', 200, 'no label at all'],
    ['acme.example.com.evil.org', 200, 'another domain'],
    ['acmeexample.com', 200, 'not by half'])
{
    my ($host, $status, $name) = @$_;
    is(get("/host$models", key => $key, headers => { Host => $host })->status,
        $status, "$name: $host");
}

# A variable: the path.
is(get("/acme/p$models", key => $key)->status, 200, 'a path');
is(get("/beta/p$models", key => $key)->status, 403, 'of another tenant');
is(job_of("/acme/p$chat", key => $key)->{tenant}, 'acme', 'its job');

# A platform administrator may, and it is logged.
tenant('acme', 1, weight => 3, plan => 'pro');
my $got = job_of("/only$chat", key => $admin, says('acme'));
is($got->{tenant}, 'acme', 'an administrator acts for another tenant');
is($got->{principal}, 'key:kp', 'as who he is');
ok($edge->wait_log(qr/notice.*administrator "kp" of tenant "ops" acts for tenant "acme"/),
    'which is logged');
wait_for(sub { slurp("$edge->{dir}/who.log")
    =~ /^\/only$chat\|acme\|kp\|200$/m }, 10, 'that tenant in the log');
pass('the variables have that tenant');
is(get("/only$models", key => $admin)->status, 200, 'or for his own');
my $asked = $fake->cmd('XLEN', 'ai1:lookup');
is(get("/only$models", key => $admin, says("no'body"))->status, 404,
    'a name that cannot be one');
is($fake->cmd('XLEN', 'ai1:lookup'), $asked, 'is asked of nobody');
is(get("/only$models", key => $fake->key('ops', role => 'tenant_admin'),
    says('acme'))->status, 403, 'a tenant\'s administrator may not');

# A tenant that Redis does not know is asked of a worker, once.
sub looked_up {
    my ($name, $word, @request) = @_;
    my $n = $fake->cmd('XLEN', 'ai1:lookup');
    my $s = AiHttp->stream(port => $edge->port, @request);
    wait_for(sub { $fake->cmd('XLEN', 'ai1:lookup') > $n }, 10, 'a question');
    my %q = @{ $fake->cmd('XREVRANGE', 'ai1:lookup', '+', '-', 'COUNT', 1)
        ->[0][1] };
    is($q{t}, $name, 'the question is for the tenant') or return;
    tenant($name, 1) if $word eq 'ok';
    $fake->cmd('PUBLISH', $fake->s->key("edge:$q{e}"), "T$name $word\n");
    my $status = $s->response->status;
    $s->close;
    return $status;
}
my @admin = (path => "/only$models", key => $admin);
is(looked_up('nobody', 'none', @admin, says('nobody')), 404,
    'an unknown tenant');
$asked = $fake->cmd('XLEN', 'ai1:lookup');
$res = get("/only$models", key => $admin, says('nobody'));
is($res->status, 404, 'still');
is($res->json->{error}{code}, 'not_found', 'in the dialect');
like($res->json->{error}{message}, qr/no such tenant/, 'says what');
is($fake->cmd('XLEN', 'ai1:lookup'), $asked, 'and nobody is asked again');
is(looked_up('late', 'ok', @admin, says('late')), 200, 'one that is there');
is(looked_up('cold', 'down', @admin, says('cold')), 503,
    'the database is away');

# A disabled one, at once everywhere.
tenant('acme', 2, state => 'disabled');
wait_for(sub { get("/only$models", key => $admin, says('acme'))->status
    == 403 }, 10, 'disabled');
like(get("/only$models", key => $admin, says('acme'))->json->{error}{message},
    qr/disabled/, 'a disabled tenant');
tenant('acme', 3);
wait_for(sub { get("/only$models", key => $admin, says('acme'))->status
    == 200 }, 10, 'enabled');

# Without authentication.
is(job_of("/open$chat")->{tenant}, 'default', 'nothing says it: default');
is(job_of("/open$chat", says('acme'))->{tenant}, 'acme', 'the header');
is(job_of("/open$chat", headers => { Host => 'late.example.com',
    'X-Tenant-ID' => 'acme' })->{tenant}, 'late', 'the first that yields');
is(job_of("/fixed$chat", says('late'))->{tenant}, 'acme', 'a fixed one');
is(job_of("/word$chat", headers => { 'X-Word' => 'late' })->{tenant}, 'late',
    'a variable');
is(job_of("/word$chat")->{tenant}, 'default', 'an empty variable');
is(get("/word$models", headers => { 'X-Word' => $_ })->status, 404,
    "no name: $_") for '../x', 'A';
is(looked_up('nemo', 'none', path => "/open$models", says('nemo')), 404,
    'an unknown one');

# What admit compares: the record's version, where no key has one.
$fake->cmd('SET', $fake->s->key('pv:tenant:acme'), 4, 'EX', 100);
$fake->change('acme', v => 4);
is(job_of("/fixed$chat")->{status}, 200, 'a stale record is read again');
$fake->cmd('SET', $fake->s->key('pv:tenant:acme'), 5, 'EX', 100);
$fake->change('acme', v => 5, state => 'disabled');
is(AiHttp->post($edge->port, "/fixed$chat", \%ask)->status, 403,
    'and refuses, if the tenant is disabled now');

# An internal redirect to where other strategies hold.
is(get("/from$models", key => $key)->status, 200, 'no redirect');
my $wrong = $fake->key('beta', networks => '10.0.0.0/8');
is(get("/from$models", key => $wrong, headers => { 'X-Other' => 'acme' })
    ->status, 403, 'those of the second place decide there');

# How many commands: warm none but admit, a cold key one more, with a cold
# tenant two.
my $scripts = AiRedis->scripts($t->root, $t->subdir('lua'));
my %script = map { $scripts->{$_}{sha} => $_ } qw(admit find);
sub commands {
    my ($path, @request) = @_;
    my $monitor = $t->redis->client;
    $monitor->cmd('MONITOR');
    is(job_of($path, @request)->{status}, 200, 'a job');
    $fake->cmd('ECHO', 'over');
    my @names;
    while (defined(my $line = $monitor->read(5))) {
        last if $line =~ /"ECHO" "over"/;
        push @names, $1 if $line !~ / lua\]/
            && $line =~ /"((?i:HGETALL|HMGET|GET|XADD))" /;
        push @names, $script{$1} || () if $line =~ /"EVALSHA" "(\w+)"/;
    }
    return "@names";
}
my $cold = $fake->key('acme', id => 'kc');
is(commands($chat, key => $cold), 'find admit', 'of a cold key');
is(commands($chat, key => $cold), 'admit', 'of a warm one');
tenant('fresh', 1);
my $root = $fake->key('ops', role => 'platform_admin');
is(commands("/only$chat", key => $root, says('fresh')),
    'find find admit', 'of a cold key and a cold tenant');
is(commands("/only$chat", key => $root, says('fresh')), 'admit', 'both warm');

# A Redis that takes nothing more still says what it has.
my %known = (key => $fake->key('acme', id => 'kf'));
tenant('full', 1);
my $other = $fake->key('ops', role => 'platform_admin');
$fake->cmd('CONFIG', 'SET', 'maxmemory', 1);
is(get($models, %known)->status, 200, 'a cold key of a full Redis');
is(get("/only$models", key => $other, says('full'))->status, 200,
    'and a cold tenant');
is(get($models, key => 'ngx-' . 'q' x 43)->status, 503, 'one that it has not');
$fake->cmd('CONFIG', 'SET', 'maxmemory', 0);

# What nginx -t says.
for (['host=example.com', 'no dot'], ['host=.', 'no domain'],
    ['header=a:b', 'no header'], ['header=', 'no name'], ['nonsense', 'none'],
    ['var=No_Tenant', 'no name of a tenant'], ['key key=', 'a word'])
{
    my ($line, $name) = @$_;
    my ($code, $said) = $edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n"
        . "%%HTTP%%\nai_tenant $line;\n}\n");
    is($code, 1, "ai_tenant $line: $name");
    like($said, qr/invalid strategy|no name of a tenant/, 'says why');
}

done_testing();
