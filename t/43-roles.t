#!/usr/bin/perl
# What a credential may do: its role, its scopes, its networks, and whose jobs
# it sees; at the edge, and again in the worker.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge(conf => <<'CONF');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /open/v1/ { ai_pass; ai_auth off; }
        location /any/v1/ { ai_pass; satisfy any; allow all; }
        location /sub/v1/ { ai_pass; auth_request /yes; }
        location = /yes { return 204; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        set_real_ip_from 127.0.0.0/8;
        real_ip_header X-Real;
        location /v1/ { ai_pass; }
    }
    server {
        listen unix:%%DIR%%/edge.sock;
        location /v1/ { ai_pass; }
    }
}
CONF
$edge->start;

my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => []);

# A request of each operation: what it answers, of a job that is there.
my $owner = $fake->key('demo', user => 'ann');
my $async = { Prefer => 'respond-async' };
sub background {
    my ($key) = @_;
    my $res = AiHttp->post($edge->port, $chat, \%ask, key => $key,
        headers => $async);
    $fake->job->end if $res->status == 202;
    return $res->status == 202 ? $res->json->{id} : undef;
}
my $job = background($owner);
ok($job, 'a job');
my %ops = (
    completions => sub { status(POST => $chat, @_) },
    'models:read' => sub { status(GET => '/v1/models', @_) },
    'jobs:read' => sub { status(GET => "/v1/jobs/$job", @_) },
    'jobs:write' => sub { status(POST => "/v1/jobs/$job/cancel", @_) });

my $said;
sub status {
    my ($method, $path, $key, %o) = @_;
    my $s = AiHttp->stream(port => $edge->port, path => $path, key => $key,
        method => $method, ($path =~ /$chat$/ ? (json => \%ask) : ()), %o);
    my $res;
    if ($path =~ /$chat$/) {
        my $j = $fake->job(timeout => 1);
        $j->answer('{}') if $j;
    }
    $res = $s->response;
    $s->close;
    $said = $res->status == 200 ? undef : $res->json->{error};
    return $res->status;
}

# A row for each role, a column for each operation.
my %may = (
    '' => 'completions jobs:read jobs:write models:read',
    member => 'completions jobs:read jobs:write models:read',
    viewer => 'jobs:read models:read',
    tenant_admin => 'completions jobs:read jobs:write models:read',
    platform_admin => 'completions jobs:read jobs:write models:read',
    admin => '');
for my $role (sort keys %may) {
    my $key = $fake->key('demo', role => $role);
    my @can = grep { $ops{$_}->($key) == 200 } sort keys %ops;
    is("@can", $may{$role}, "role '$role'");
}

# A key with one scope can that one thing, and is told what it lacks.
for my $scope (sort keys %ops) {
    my $key = $fake->key('demo', scopes => "$scope files");
    my @can = grep { $ops{$_}->($key) == 200 } sort keys %ops;
    is("@can", $scope, "scope $scope");
}
my $key = $fake->key('demo', scopes => 'models:read');
is($ops{completions}->($key), 403, 'what it may not');
is($said->{code}, 'forbidden', 'in the dialect');
like($said->{message}, qr/lacks the scope "completions"/, 'names the scope');
is($ops{completions}->($fake->key('demo', role => 'viewer',
    scopes => 'completions')), 403, 'a scope gives nothing that the role has not');
like($said->{message}, qr/role "viewer".*"completions"/, 'names the role');
my $res = AiHttp->post($edge->port, '/v1/messages', \%ask, key => $key);
is($res->json->{error}{type}, 'permission_error', 'in the other dialect');
is(status(GET => '/v1/nothing', $key), 404, 'a path that is none is 404');
is(status(POST => "/any$chat", $key), 403, 'satisfy any opens nothing');
is(status(POST => "/sub$chat", $key), 403, 'nor auth_request');
is(status(GET => '/sub/v1/models', $key), 200, 'which composes');
is(status(POST => "/open$chat", undef), 200, 'without ai_auth all may');

# A role that changes while its request comes.
my $late = $fake->key('demo', id => 'late');
is($ops{completions}->($late), 200, 'a member');
$fake->cmd('SET', $fake->s->key('pv:late'), 2, 'EX', 100);
$fake->change(Digest::SHA::sha256_hex($late), v => 2, role => 'viewer');
is($ops{completions}->($late), 403, 'is a viewer when it is admitted');

# Whose jobs.
my %who = (own => $owner, other => $fake->key('demo', user => 'bob'),
    service => $fake->key('demo'),
    boss => $fake->key('demo', user => 'eve', role => 'tenant_admin'),
    stranger => $fake->key('acme', user => 'ann', role => 'tenant_admin'));
my %sees = (own => 1, other => 0, service => 1, boss => 1, stranger => 0);
for my $who (sort keys %sees) {
    for my $what ('', '/events') {
        is(status(GET => "/v1/jobs/$job$what", $who{$who}),
            $sees{$who} ? 200 : 410, "$who: $job$what");
    }
}
$fake->slots(0);
$res = AiHttp->post($edge->port, $chat, \%ask, key => $owner,
    headers => $async);
my $waiting = $res->json->{id};
is(status(POST => "/v1/jobs/$waiting/cancel", $who{other}), 410,
    'who does not see it does not cancel it');
is(AiHttp->get($edge->port, "/v1/jobs/$waiting", key => $owner)->json->{state},
    'waiting', 'it waits still');
is(status(POST => "/v1/jobs/$waiting/cancel", $who{boss}), 200,
    'an administrator does');
is(AiHttp->get($edge->port, "/v1/jobs/$waiting", key => $owner)->json->{state},
    'cancelled', 'cancelled');
$fake->slots(100);

# Networks.
sub from { my ($nets, @more) = @_; return status(GET => '/v1/models',
    $fake->key('demo', networks => $nets, id => 'net'), @more) }
is(from('127.0.0.0/8'), 200, 'a network');
is(from('10.0.0.0/8'), 403, 'another one');
like($said->{message}, qr/from this address/, 'says why');
ok($edge->wait_log(qr/key "net" of tenant "demo" is used outside its networks/),
    'and the log');
my ($began, $told) = (time, qr/used outside its networks/);
$edge->wait_log($told);
my $before = () = $edge->log =~ /$told/g;
is(from('10.0.0.0/8'), 403, 'again and again') for 1 .. 50;
my $took = time - $began + 1;
wait_for(sub { (() = $edge->log =~ /$told/g) == $before + 50 }, 20,
    'each in the log');
cmp_ok(scalar(() = $edge->log =~ /\[warn\].*$told/g), '<=', 2 + $took,
    'a warning once a second');
is(from('10.0.0.0/8 127.0.0.1/32'), 200, 'one of several');
is(from('fd00::/8'), 403, 'of IPv6');
is(from('nonsense'), 403, 'what is none lets nobody in');
my @real = (port => $edge->port(2));
for (['10.1.2.3', '10.0.0.0/8', 200], ['11.1.2.3', '10.0.0.0/8', 403],
    ['fd00::1', 'fd00::/8', 200], ['fe00::1', 'fd00::/8', 403],
    ['10.1.2.3', '127.0.0.0/8', 403])
{
    my ($address, $nets, $want) = @$_;
    is(from($nets, @real, headers => { 'X-Real' => $address }), $want,
        "$address in $nets: $want");
}
is(from($_, unix => "$edge->{dir}/edge.sock"), 403, "a socket is not in $_")
    for '127.0.0.0/8', '0.0.0.0/0 ::/0';
is(from('', unix => "$edge->{dir}/edge.sock"), 200, 'but with a key of anywhere');

done_testing();
