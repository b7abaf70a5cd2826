#!/usr/bin/perl
# conf/redis-users.acl: each part does all of its work with the rights of its
# own user, which are few.
use AiTest;
use AiJwt;
use AiRedis;

my $t = AiTest->new;
my $keys = $t->subdir('keys');
is(system($t->root . '/tools/keys.sh', $keys), 0, 'keys.sh');
my %before = map { $_ => slurp($_) } glob "$keys/*";
is(scalar(keys %before), 5, 'five files');
is(sprintf('%o', (stat $_)[2] & 07777), '600', "$_ is its owner's")
    for sort keys %before;
unlike(slurp("$keys/redis-users.acl"), qr{@[A-Z]}, "no name is left in the ACL");
like(slurp("$keys/sign.key"), qr/^[0-9a-f]{64}\n\z/, 'a key of 256 bits');
is(system($t->root . '/tools/keys.sh', $keys), 0, 'keys.sh, again');
is_deeply({ map { $_ => slurp($_) } glob "$keys/*" }, \%before,
    'nothing is made twice');


# Every command of a script may be run by whoever runs it.

my $acl = slurp($t->root . '/conf/redis-users.acl');
my %may;
while ($acl =~ /^user ngxai-(\w+) (.*)$/mg) {
    my ($user, $rights) = ($1, $2);
    $may{$user} = { map { $_ => 1 } $rights =~ /\+(\S+)/g };
}
my %scripts = (
    edge => [qw(admit beat body cancel hits join leave)],
    worker => [qw(beat claim emit inherit keep leave principal seed settle
        sweep)],
    admin => [qw(principal purge)]);
sub commands {
    my ($name, $seen) = @_;
    my $lua = slurp($t->root . "/src/scripts/$name.lua");
    my %got = map { lc $_ => 1 } $lua =~ /call\('([A-Z]+)'/g;
    for my $more ($lua =~ /\@include (\w+)/g) {
        %got = (%got, commands("_$more", $seen)) unless $seen->{$more}++;
    }
    return %got;
}
for my $user (sort keys %scripts) {
    for my $name (@{ $scripts{$user} }) {
        my %need = (commands($name, {}), commands('_prelude', {}));
        my @no = grep { my $c = $_; !$may{$user}{$c}
            && !grep { /^\Q$c\E\|/ } keys %{ $may{$user} } } sort keys %need;
        is("@no", '', "ngxai-$user may do what $name.lua does");
    }
}


# With the users that are shipped, and the one that tests ask Redis as.

my $file = $t->dir . '/users.acl';
{
    my $text = slurp("$keys/redis-users.acl");
    $text =~ s/^user default .*/user default on nopass ~* &* +\@all/m or die;
    open my $fh, '>', $file or die $!;
    print $fh $text;
    close $fh;
}
my $r = $t->redis(aof => 1, args => ['--aclfile', $file]);
my $sock = $r->path;
$t->pg;
$t->start_workers(redis => "unix:ngxai-worker\@$sock",
    args => ['--redis-password-file', "$keys/redis-worker.password"]);
my $token = AiJwt->new(alg => 'ES256', kid => 'one');
my $set = AiJwt::jwks($token);
my $idp = $t->provider(script => sub { $_[1]->answer(200, $set) });
$t->edge(redis => "unix:$sock user=ngxai-edge "
    . "password=file:$keys/redis-edge.password",
    ai => 'ai_resume 20s; ai_header_delay 1s; ai_zone cache 1m; ai_auth key jwt;'
        . ' ai_plan default { requests 10000/h; tokens 900000000/day;'
        . ' budget 1000usd/month; concurrency 100; }'
        . ' ai_price echo/echo input=1 output=1;'
        . ' ai_jwt_key url=' . $idp->url('/jwks') . ' issuer=idp;'
        . ' add_header X-Status $ai_cache_status always;',
    location => 'ai_cache 1m; ai_coalesce on; ai_auth key jwt;')->start;

sub admin {
    my (@args) = @_;
    my $out = $t->dir . '/admin.out';
    unlink $out;
    my $status = AiProc->spawn(cmd => [$t->built('aictl'), @args], out => $out,
        env => { $t->san_env, AI_REDIS => "unix:ngxai-admin\@$sock",
            AI_REDIS_PASSWORD_FILE => "$keys/redis-admin.password",
            AI_MIGRATIONS => $t->root . '/migrations',
            AI_POSTGRES => $t->pg->conninfo('ngxai_admin') })->wait(60);
    return ($status >> 8 || $status, slurp($out));
}

sub done_well {
    my (@args) = @_;
    my ($code, $out) = admin(@args);
    is($code, 0, "aictl @args") or diag($out);
    return $out;
}

done_well(qw(tenant create demo));
my $said = done_well(qw(key create --tenant demo --json));
my ($id, $key) = (decode_json($said)->{id}, $said =~ /(ngx-[\w-]{43})/);
$t->{key} = $key;
$t->ready;

is($t->chat('x' x $_)->status, 200, "a body of $_ bytes")
    for 10, 20_000, 300_000;
is($t->chat('hello', body => { stream => JSON::PP::true })->status, 200,
    'a stream');
is($t->get('/v1/models')->status, 200, 'models');
is($t->get('/metrics')->status, 200, 'metrics');
is($t->get('/health/ready')->status, 200, 'health');

my $res = $t->chat('in the back', headers => { Prefer => 'respond-async' });
is($res->status, 202, 'a job in the background');
my $job = $res->json->{id};
wait_for(sub { $t->get("/v1/jobs/$job")->json->{state} eq 'done' }, 30,
    'its end');
is($t->get("/v1/jobs/$job/events")->status, 200, 'its events');
is($t->post("/v1/jobs/$job/cancel", {})->status, 200, 'its cancel');

# One that is cancelled while it runs; one that is left.
$res = $t->chat('one ' x 2000, body => { stream => JSON::PP::true },
    headers => { Prefer => 'respond-async' });
$job = $res->json->{id};
wait_for(sub { $t->get("/v1/jobs/$job")->json->{state} eq 'running' }, 30,
    'it runs');
$t->post("/v1/jobs/$job/cancel", {});
wait_for(sub { $t->get("/v1/jobs/$job")->json->{state} eq 'cancelled' }, 30,
    'a running job is cancelled');
my $stream = $t->stream('/v1/chat/completions', { model => 'echo/echo',
    stream => JSON::PP::true, messages => [{ role => 'user',
    content => 'one ' x 2000 }] });
$stream->event;
$stream->close;
wait_for(sub { !grep { /running/ } map { $r->cmd('HGET', $_, 'state') || '' }
    keys %{ $r->keys($t->prefix . 'job:*') } }, 30, 'a stream that was left');

# Kept answers, out of Redis and out of shared memory; joined calls.
my %same = (body => { temperature => 0 });
is($t->chat('kept', %same)->header('x-ai-cache'), 'MISS', 'not kept yet');
wait_for(sub { $t->chat('kept', %same)->header('x-ai-cache') eq 'HIT' }, 10,
    'kept') for 1 .. 3;
my %one = (model => 'echo/echo', stream => JSON::PP::true, temperature => 0,
    messages => [{ role => 'user', content => 'one ' x 100 }]);
my @both = map { my $s = $t->stream('/v1/chat/completions', \%one);
    [$s, $s->head->header('x-ai-cache')] } 1, 2;
is($both[1][1], 'JOIN', 'a joined call');
@both = map { $_->[0] } @both;
$both[0]->close;
like(join('', map { $_->{data} } $both[1]->events), qr/DONE/, 'to its end');
$both[1]->close;
wait_for(sub { $r->cmd('XLEN', $t->prefix . 'outbox') == 0 }, 30, 'the ledger');

# A token, whose tenant is looked up, with keys from a URL.
my $who = $token->token({ iss => 'idp', sub => 'ann', tenant => 'demo',
    exp => int(time) + 600 });
wait_for(sub { $t->get('/v1/models', key => $who)->status == 200 }, 30, 'a token');
is($t->chat('hello', key => $who)->status, 200, 'with limits');

done_well('cache', 'purge', '--tenant', 'demo');
is($t->chat('kept', %same)->header('x-ai-cache'), 'MISS', 'purged');
done_well(qw(tenant create other --plan p --weight 2));
done_well(qw(tenant set other --weight 3));
done_well(qw(tenant disable other));
done_well(qw(tenant enable other));
done_well(qw(tenant list));
done_well(qw(key create --tenant demo --user ann));
done_well(qw(user list --tenant demo));
done_well(qw(user disable ann --tenant demo));
done_well(qw(user enable ann --tenant demo));
done_well(qw(key list));
done_well('doctor');
done_well('queue');
done_well('jobs', '--tenant', 'demo');
done_well(qw(usage --tenant demo));
done_well(qw(key sync --tenant demo));
done_well('key', 'revoke', $id);
wait_for(sub { $t->chat('hello')->status == 401 }, 10, 'a revoked key is refused');

# A worker dies with a job, another inherits.
my ($pid) = $t->worker_pids;
kill 'KILL', $pid;
wait_for(sub { $t->get('/health/ready')->status == 200 }, 30,
    'a worker that died');
sleep 4;

my @said = map { my %h = @$_; "$h{username}: $h{reason} $h{object} ($h{context})" }
    @{ $r->cmd('ACL', 'LOG') };
is_deeply(\@said, [], 'Redis refused nothing');
unlike($t->worker_log, qr/NOPERM/, 'nor do the workers say so');
unlike($t->edge->log, qr/NOPERM/, 'nor does the edge');


# What they may not.

for (['edge', qr/NOPERM/, qw(FLUSHALL)], ['edge', qr/NOPERM/, qw(CONFIG SET dir /tmp)],
    ['edge', qr/NOPERM/, qw(CONFIG GET requirepass)],
    ['admin', qr/NOPERM/, qw(CONFIG GET requirepass)],
    ['edge', qr/NOPERM/, qw(HSET ai1:tenant:x v 1)],
    ['edge', qr/NOPERM/, qw(SET ai1:jwks:x y)],
    ['edge', qr/NOPERM/, qw(HSET ai1:key:x v 1)], ['edge', qr/NOPERM/, qw(KEYS *)],
    ['edge', qr/NOPERM/, qw(GET other)], ['edge', qr/NOPERM/, qw(ACL LIST)],
    ['edge', qr/NOPERM/, qw(PUBLISH other x)], ['edge', qr/NOPERM/, qw(DEBUG SLEEP 0)],
    ['edge', qr/can't access|No permissions to access a key/,
        'EVAL', 'return redis.call("SET", "other", "1")', 0],
    ['worker', qr/NOPERM/, qw(SET ai1:catalog:x y)],
    ['worker', qr/NOPERM/, qw(CONFIG GET dir)], ['worker', qr/NOPERM/, qw(FLUSHDB)],
    ['worker', qr/NOPERM/, qw(MONITOR)], ['worker', qr/NOPERM/, qw(SHUTDOWN)],
    ['admin', qr/NOPERM/, qw(SET ai1:catalog:x y)], ['admin', qr/NOPERM/, qw(FLUSHALL)],
    ['admin', qr/NOPERM/, qw(REPLICAOF NO ONE)])
{
    my ($user, $want, @cmd) = @$_;
    my $c = $r->client;
    $c->cmd('AUTH', "ngxai-$user", slurp("$keys/redis-$user.password") =~ s/\n//r);
    eval { $c->cmd(@cmd) };
    like($@, $want, "ngxai-$user may not @cmd");
}

$t->allow_log(qr/ended: status/, qr/held, and not/, qr/another Redis/);
$t->{no_keys} = 1;
done_testing();
