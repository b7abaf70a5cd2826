#!/usr/bin/perl
# What a governed request costs Redis: warm one command (admit), cold at most
# three, whoever asks, with four limits, the cache and joining in force.
use AiTest;
use AiFake;
use AiJwt;
use AiProc qw(wait_for);
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $dir = $t->subdir('jwks');
my $idp = AiJwt->new(alg => 'ES256', kid => 'k');
AiJwt::write_jwks("$dir/keys.json", $idp);

my $edge = $t->edge(conf => <<"CONF")->start;
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_zone cache 1m;
    ai_auth key jwt;
    ai_tenant header=X-Tenant-ID key claim=tenant;
    ai_jwt_key file=$dir/keys.json issuer=idp role=platform_admin;
    ai_plan pro { requests 1000/m; tokens 1000000/h; concurrency 50; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /all/v1/ {
            ai_pass;
            ai_limit tenant requests=1000/m;
            ai_limit user tokens=1000000/m;
            ai_limit key concurrency=20;
            ai_limit address requests=1000/s;
            ai_cache 1m;
            ai_coalesce on;
        }
    }
}
CONF

my %script = map { $_->[1]{sha} => $_->[0] }
    do { my $all = AiRedis->scripts($t->root, $t->subdir('lua'));
        map { [$_, $all->{$_}] } keys %$all };

# Life signs, and what the test and its worker do.
my $others = qr/^(?:PING|ECHO|EVAL|SCRIPT|HELLO|CLIENT|SUBSCRIBE|
    beat|hits|sweep|run|head|data|settle|finish|
    XREVRANGE|principal|PUBLISH)$/x;
my $n = 0;

# A worker that is asked for a key that Redis does not hold.
sub look_up {
    my ($key) = @_;
    my $sha = sha256_hex($key);

    wait_for(sub {
        my ($entry) = @{ $t->redis->cmd('XREVRANGE', 'ai1:lookup', '+', '-',
            'COUNT', 1) };
        my %e = $entry ? @{ $entry->[1] } : ();
        return ($e{k} || '') eq $sha && ($e{c} eq '1' || die 'not clean')
            && $e{e};
    }, 20, 'a look-up');
    my ($entry) = @{ $t->redis->cmd('XREVRANGE', 'ai1:lookup', '+', '-',
        'COUNT', 1) };
    $fake->principal($key, 1, tenant => 'acme', plan => 'pro');
    $t->redis->cmd('PUBLISH', $t->prefix . 'edge:' . $entry->[1][3],
        "K$sha ok\n");
}

# What Redis was asked for a request, from its first byte to its last.
sub commands {
    my ($path, %request) = @_;
    my $unheld = delete $request{unheld};
    my @request = %request;
    my $monitor = $t->redis->client;
    $monitor->cmd('MONITOR');
    my $s = AiHttp->stream(port => $edge->port, path => "$path/chat/completions",
        json => { model => 'echo/echo', temperature => 0, max_tokens => 10,
            messages => [{ role => 'user', content => 'p' . ++$n }] }, @request);
    look_up($request{key}) if $unheld;
    my $job = $fake->job(timeout => 20);
    $job->answer('{}') if $job;
    my $res = $s->response;
    my $status = $res->status;
    $s->close;
    if ($path =~ /all/ && $status == 200) {
        is($res->header('x-ai-cache'), 'MISS', 'the cache was asked');
        like($res->header('ratelimit-policy'), qr/;q=1000\b/, 'and the limits');
    }
    $fake->cmd('ECHO', 'over');
    my @names;
    while (defined(my $line = $monitor->read(10))) {
        last if $line =~ /"ECHO" "over"/;
        next if $line =~ / lua\] /;
        my ($name, $sha) = $line =~ /\] "(\w+)"(?: "([0-9a-f]{40})")?/;
        $name = $script{$sha} || $sha if $sha;
        push @names, $name unless $name =~ $others;
    }
    return $status == 200 ? "@names" : "$status: @names";
}

$fake->tenant($_, 1, plan => 'pro') for qw(acme globex);
my %key = map { $_ => $fake->key('acme', user => 'ann', plan => 'pro') }
    qw(/v1 /all/v1);
my %root = map { $_ => $fake->key('ops', role => 'platform_admin',
    user => 'root') } qw(/v1 /all/v1);
my @as = (headers => { 'X-Tenant-ID' => 'globex' });

for my $path ('/all/v1', '/v1') {
    my ($key, $root) = ($key{$path}, $root{$path});
    is(commands($path, key => $key), 'find admit', "$path: a cold key");
    is(commands($path, key => $key), 'admit', "$path: a warm one") for 1 .. 3;
    is(commands($path, key => $root, @as), 'find'
        . ($path eq '/all/v1' ? ' find' : '') . ' admit',
        "$path: a cold key that acts for a tenant");
    is(commands($path, key => $root, @as), 'admit', "$path: a warm one");
}

# One that Redis does not hold.
my $unheld = sprintf 'ngx-%043d', 4711;
is(commands('/all/v1', key => $unheld, unheld => 1), 'find HGETALL admit',
    'a key that a worker must look up');
is(commands('/all/v1', key => $unheld), 'admit', 'and then is warm');

# Tokens: of a tenant that is not known yet, and of one that is.
for (['a token', sub { () }], ['of a platform administrator', sub {
    (headers => { 'X-Tenant-ID' => "$_[0]-too" }) }])
{
    my ($name, $headers) = @$_;
    my $tenant = 't' . ++$n;
    my $token = $idp->token({ iss => 'idp', sub => 'ann', tenant => $tenant,
        roles => ['platform_admin'], exp => int(time) + 300 });
    my @who = (key => $token, $headers->($tenant));
    $fake->tenant($_, 1, plan => 'pro') for $tenant, "$tenant-too";
    is(commands('/all/v1', @who), 'find admit', "$name: cold");
    is(commands('/all/v1', @who), 'admit', "$name: warm") for 1, 2;
}

done_testing();
