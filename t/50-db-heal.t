#!/usr/bin/perl
# What reached Postgres and not Redis: the workers find it and write it, and
# nothing else.
use AiTest;
use Digest::SHA qw(sha256_hex);
use IO::Socket::UNIX;

my $t = AiTest->new(allow_log => [qr/Redis|Postgres is away/]);
my $look = 45;              # seconds: two looks, on a machine that is busy

$t->start;
my $redis = $t->redis;
my $pg = $t->pg;
my $p = $t->prefix;

sub new_key { decode_json($t->aictl('--json', 'key', 'create', '--tenant',
    $_[0] || 'demo', @_[1 .. $#_])) }
sub hex_of { sha256_hex($_[0]{key}) }
sub field { $redis->cmd('HGET', 'ai1:key:' . hex_of($_[0]), $_[1]) }
sub admin { $pg->psql('ngxai', $_[0], 'ngxai_admin') }
sub version { $pg->value("select version from ngxai.api_keys
    where id = '$_[0]{id}'") }
sub status { $t->chat('hello', key => $_[0]{key})->{status} }

sub healed {
    my ($key, $name) = @_;
    my $v = version($key);

    eval { wait_for(sub { (field($key, 'v') || 0) == $v
        && ($redis->cmd('GET', "${p}pv:$key->{id}") || 0) == $v }, $look) };
    is(field($key, 'v'), $v, $name);
    is($redis->cmd('GET', "${p}pv:$key->{id}"), $v, '... admit knows it');
}

sub revoke { admin("update ngxai.api_keys set revoked_at = now()
    where id = '$_[0]{id}'") }

# Revoked while Redis is away, and the edge has the key in its memory.
my ($one, $two, $calm, @more) = map { new_key() } 1 .. 9;
is(status($one), 200, 'a key');
$redis->stop;
is(($t->try_aictl('key', 'revoke', $one->{id}))[0], 4,
    'revoked while Redis is away: exit 4');
$redis->start;
is(field($one, 'state'), 'active', 'Redis has its old data');
healed($one, 'healed when Redis is back');
is(field($one, 'state'), 'revoked', 'as a tombstone');
wait_for(sub { status($calm) == 200 }, 30, 'the edge');
is(status($one), 401, 'and it is refused');

# aictl is killed between its commit and Redis.
is(status($two), 200, 'another key');
my $deaf = IO::Socket::UNIX->new(Local => $t->dir . '/deaf', Listen => 5)
    or die "deaf: $!";
my $aictl = AiProc->spawn(name => 'aictl', cwd => $t->dir,
    out => $t->dir . '/killed.out', env => { $t->san_env },
    cmd => [$t->built('aictl'), '--redis', 'unix:' . $t->dir . '/deaf',
        '--postgres', $pg->conninfo('ngxai_admin'), 'key', 'revoke',
        $two->{id}]);
wait_for(sub { $pg->value("select revoked_at is not null
    from ngxai.api_keys where id = '$two->{id}'") eq 't' }, 20, 'the commit');
$aictl->stop('KILL');
close $deaf;
healed($two, 'aictl killed after its commit: healed all the same');
is(status($two), 401, 'and refused by an edge that had it');

# aictl is killed between the hash and the version that admit is to know.
my ($gone, $lower, $ahead) = map { new_key() } 1 .. 3;
$redis->cmd('DEL', "${p}pv:$_->{id}") for $gone, $ahead;
$redis->cmd(qw(SET), "${p}pv:$lower->{id}", version($lower) - 1, EX => 90);
$redis->cmd('HINCRBY', 'ai1:key:' . hex_of($ahead), 'v', 1000);
healed($gone, 'the version that was missing');
healed($lower, 'the version that was too low');
cmp_ok($redis->cmd('TTL', "${p}pv:$_->{id}"), '>', 80_000, '... for 25 hours')
    for $gone, $lower;
is($redis->cmd('GET', "${p}pv:$ahead->{id}"), undef,
    'what Redis has of a later time is not told on');

# What Redis has is left alone, though it is new and looked at.
my $ttl = 50_000_000;
$calm = new_key();
my $calm_key = 'ai1:key:' . hex_of($calm);
$redis->cmd('PEXPIRE', $_, $ttl) for $calm_key, "${p}pv:$calm->{id}";

# A version that is committed later than higher ones.
my $session = $pg->session('ngxai_admin');
my ($late, $absent, $plain) = @more[0 .. 2];
$session->do('begin', "update ngxai.api_keys set revoked_at = now()
    where id = '$late->{id}'");
is($pg->value('select ngxai.principals_mark()', 'ngxai_worker'), undef,
    'no mark while a change is under way');
$redis->cmd('DEL', 'ai1:key:' . hex_of($_)) for $absent, $plain;
admin("update ngxai.api_keys set role = 'x' where id = '$plain->{id}'");
revoke($absent);
healed($absent, 'a revoked key that Redis does not hold gets its tombstone');
is(field($absent, 'state'), 'revoked', 'which refuses it');
revoke($more[3]);
healed($more[3], 'another look');
is(field($late, 'state'), 'active', 'what is not committed is not there');
$session->do('commit');
undef $session;
healed($late, 'a version committed behind higher ones');
is($redis->cmd('EXISTS', 'ai1:key:' . hex_of($plain)), 0,
    'a key that Redis does not hold and that is good is left to look-ups');
like($pg->value('select ngxai.principals_mark()', 'ngxai_worker'), qr/^\d+$/,
    'a mark when nothing is under way');
cmp_ok($redis->cmd('PTTL', $calm_key), '<=', $ttl,
    'a key that Redis has as it is was not written');
cmp_ok($redis->cmd('PTTL', "${p}pv:$calm->{id}"), '<=', $ttl,
    'nor its version');

# A tenant with more keys than a page has, disabled while Redis is away.
$t->aictl('tenant', 'create', 'acme');
admin("insert into ngxai.api_keys (id, hash, prefix, tenant)
    select 'key_' || lpad(to_hex(i), 16, '0'), sha256(('many ' || i)::bytea),
    'ngx', 'acme' from generate_series(1, 1100) i");
$t->aictl('key', 'sync', '--tenant', 'acme');
my @many = map { 'ai1:key:' . sha256_hex("many $_") } 1 .. 1100;
$redis->stop;
my $logged = length $t->worker_log;
is(($t->try_aictl('tenant', 'disable', 'acme'))[0], 4,
    'a tenant disabled while Redis is away: exit 4');
$redis->start;
sub open_keys { scalar grep { ($redis->cmd('HGET', $_, 'tenant_state') || '')
    ne 'disabled' } @many }
is(open_keys(), 1100, 'Redis does not know');
eval { wait_for(sub { open_keys() == 0 }, 2 * $look) };
is(open_keys(), 0, 'all of its keys are healed');
is($redis->cmd('GET', "${p}pv:key_000000000000044c"),
    $pg->value("select max(version) from ngxai.api_keys
        where tenant = 'acme'"), 'the last with its version');
eval {
    wait_for(sub {
        my $said = 0;
        $said += $_ for substr($t->worker_log, $logged)
            =~ /"heal".*an old state of (\d+) keys/g;
        return $said >= 1100;
    }, 2 * $look);
};
is($@, '', 'the log says so');

# The functions: bounded, of a day, for workers.
sub changed { $pg->value("select count(*) from
    ngxai.principals_changed($_[0], $_[1])", $_[2] || 'ngxai_worker') }
is(changed(0, 7), 7, 'as many as asked for');
is(changed(0, 100_000), 1000, 'and never more than 1000');
is(changed(0, -1), 0, 'nor less than none');
my ($low, $high) = @{ ($pg->query('select min(v), max(v) from
    ngxai.principals_changed(0, 5)', 'ngxai_worker'))[0] };
is($low, $pg->value('select min(version) from ngxai.api_keys'),
    'the lowest versions first');
isnt($pg->value("select min(v) from ngxai.principals_changed($high, 5)",
    'ngxai_worker'), $high, 'those above the one given');
$pg->psql('ngxai', "set session_replication_role = replica;
    update ngxai.api_keys set changed_at = now() - interval '26 hours'
    where tenant = 'demo'");
is($pg->value("select count(*) from ngxai.principals_changed(0, 1000) c
    join ngxai.api_keys k on k.version = c.v where k.tenant = 'demo'"), 0,
    'none that changed longer ago than Redis keeps it');
for my $role ('ngxai_ledger', 'ngxai_admin') {
    ok(!eval { changed(0, 1, $role); 1 }, "$role does not ask");
    like($@, qr/permission denied/, 'it is denied');
}
unlike($t->worker_log, qr/ngx-[A-Za-z0-9_-]{20}/, 'no key is in the log');

done_testing();
