#!/usr/bin/perl
# A key that no edge knows: asked for in ai1:lookup, answered by a worker from
# Postgres, told by a bell.  This test is the edge.
use AiTest;
use AiSign;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new(allow_log => [qr/Postgres is away/, qr/malformed/]);
my $redis = $t->redis;
my $pg = $t->pg;
my $edge = 'test-1-1';

$t->start_workers(n => 2);
my $bells = $redis->subscribe($t->prefix . "edge:$edge");
my $keys = $redis->subscribe('ai1:keys');

sub ask {
    my ($hex, $from) = @_;
    $redis->cmd('XADD', 'ai1:lookup', '*', k => $hex, e => $from || $edge);
}

sub bell {
    my $got = $bells->message(10);
    return $got ? ref $got ? $got->[-1] : $got : 'no bell';
}

sub settled {
    wait_for(sub {
        my $p = $redis->cmd('XPENDING', 'ai1:lookup', 'workers');
        return $p->[0] == 0 && $redis->cmd('XLEN', 'ai1:lookup') == 0;
    }, 10, 'lookups acknowledged');
}

$t->aictl('tenant', 'create', 'acme', '--plan', 'pro', '--weight', 3);
my $key = $t->key('demo');
my $mine = decode_json($t->aictl('--json', 'key', 'create', '--tenant', 'acme',
    '--user', 'bob', '--models', 'gpt-4o echo/echo', '--scopes',
    'completions jobs:read', '--role', 'tenant_admin', '--expires', 2,
    '--networks', '10.0.0.0/8 fd00::/8'));
my $hex = sha256_hex($mine->{key});
my $hash = $redis->hash('HGETALL', "ai1:key:$hex");
$redis->cmd('FLUSHALL');
wait_for(sub { $redis->cmd('EXISTS', 'ai1:lookup') }, 10, 'groups again');

# A key that is there.
ask($hex);
is(bell(), "K$hex ok\n", 'a known key: the bell says ok');
is_deeply($redis->hash('HGETALL', "ai1:key:$hex"), $hash,
    'a worker writes what aictl wrote');
is(delete $hash->{mac}, AiSign::principal($t->sign_key, $hex, $hash),
    'signed');
my $expires = delete $hash->{expires};
cmp_ok(abs($expires - time() - 2 * 86400), '<', 120, 'with its expiry');
is_deeply($hash, { v => $hash->{v}, state => 'active', id => $mine->{id},
    name => '', tenant => 'acme', tenant_state => 'active', weight => 3,
    plan => 'pro', user => 'bob', role => 'tenant_admin',
    scopes => 'completions jobs:read', networks => '10.0.0.0/8 fd00::/8',
    models => 'gpt-4o echo/echo' }, 'all fields of a principal, no others');
my $ttl = $redis->cmd('PTTL', "ai1:key:$hex");
ok($ttl > 86_000_000 && $ttl <= 86_400_000, 'for a day');

# One that is not.
my $none = sha256_hex('ngx-nothing');
ask($none);
is(bell(), "K$none none\n", 'an unknown key: none');
is_deeply($redis->hash('HGETALL', "ai1:key:$none"),
    { v => 0, state => 'unknown', mac => AiSign::principal($t->sign_key,
    $none, { v => 0, state => 'unknown' }) }, 'and so it is written');
$ttl = $redis->cmd('PTTL', "ai1:key:$none");
ok($ttl > 0 && $ttl <= 10_000, 'for ten seconds');

# Many at once, from several edges.
my $other = $redis->subscribe($t->prefix . 'edge:test-2-2');
ask($hex) for 1 .. 50;
ask($hex, 'test-2-2');
my @got = map { bell() } 1 .. 50;
is((grep { $_ eq "K$hex ok\n" } @got), 50, 'each that asked is told');
ok($other->message(10), 'another edge too');
settled();

# What is malformed harms nobody.
ask('nonsense');
ask($hex, 'no edge/../');
$redis->cmd('XADD', 'ai1:lookup', '*', x => 'y');
ask($hex);
is(bell(), "K$hex ok\n", 'behind malformed entries');
settled();

# Revoked, and its tenant disabled.
$t->aictl('key', 'revoke', $mine->{id});
$redis->cmd('DEL', "ai1:key:$hex");
ask($hex);
is(bell(), "K$hex ok\n", 'a revoked key is known');
is($redis->cmd('HGET', "ai1:key:$hex", 'state'), 'revoked', 'as revoked');
$t->aictl('tenant', 'disable', 'demo');
my $demo = sha256_hex($key);
$redis->cmd('DEL', "ai1:key:$demo");
ask($demo);
bell();
is($redis->cmd('HGET', "ai1:key:$demo", 'tenant_state'), 'disabled',
    'a disabled tenant is told with its key');

# A newer state in Redis stays.
$redis->cmd('HSET', "ai1:key:$demo", v => 999999, state => 'newer');
ask($demo);
is(bell(), "K$demo ok\n", 'an older state: ok');
is($redis->cmd('HGET', "ai1:key:$demo", 'state'), 'newer', 'is not written');

# Without Postgres.
$pg->stop;
wait_for(sub { $t->worker_log =~ /lookup: Postgres is away/ }, 10, 'the log');
sleep 1.2;
my $began = time();
ask($hex);
is(bell(), "K$hex down\n", 'without Postgres: down');
cmp_ok(time() - $began, '<', 5, 'at once');
settled();
$pg->start;
wait_for(sub { ask($hex); bell() eq "K$hex ok\n" }, 30, 'Postgres again');
pass('and ok when it is back');

# One that is frozen.
$pg->freeze;
ask($demo);
is(bell(), "K$demo down\n", 'one that does not answer: down');
$pg->thaw;
wait_for(sub { ask($demo); bell() eq "K$demo ok\n" }, 30, 'Postgres again');
settled();

unlike($t->worker_log, qr/\Q$mine->{key}\E/, 'no key is in the log');
$_->close for grep { $_->can('close') } $bells, $keys, $other;
done_testing();
