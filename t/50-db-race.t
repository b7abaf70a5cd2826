#!/usr/bin/perl
# What meets at the wrong moment: a key made while its tenant is disabled, many
# unknown keys at once, queries that wait for locks, readers that are dead, a
# thousand lost connections.
use AiTest;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new(allow_log => [qr/Postgres is away/]);
my $redis = $t->redis;
my $pg = $t->pg;
my $p = $t->prefix;

# One version of a principal is one state of it.
sub lookup {
    my ($key) = @_;
    my @rows = $pg->query("select v, tenant_state, state
        from ngxai.key_lookup(sha256('$key'))", 'ngxai_worker');
    return @rows ? join ' ', @{ $rows[0] } : 'none';
}

sub race {
    my ($name, $key, $n, $change) = @_;
    my $admin = $pg->session('ngxai_admin');
    my $other = $pg->session('ngxai_admin');

    $admin->do('begin', "insert into ngxai.api_keys (id, hash, prefix, tenant,
        user_name) values ('key_000000000000000$n', sha256('$key'), 'ngx',
        'acme', 'ann')");
    $other->send('begin', "$change returning 'changed'");
    wait_for(sub {
        slurp($other->{out}) =~ /changed/ or $pg->value("select count(*)
            from pg_stat_activity where wait_event_type = 'Lock'
            and query ~ 'returning .changed.' and pid <> pg_backend_pid()");
    }, 20, 'the change');
    $admin->do('commit');
    my ($v1, $before) = split / /, lookup($key), 2;
    $other->do('commit');
    my ($v2, $after) = split / /, lookup($key), 2;
    ok($before eq $after || $v2 > $v1,
        "$name: another state has another version")
        or diag("$v1 $before, then $v2 $after");
    isnt($after, 'active active', "$name: it counts");
}

$t->aictl('tenant', 'create', 'acme');
$t->aictl('key', 'create', '--tenant', 'acme', '--user', 'ann');
race('a key made while its tenant is disabled', 'one', 1,
    "update ngxai.tenants set state = 'disabled' where id = 'acme'");
$t->aictl('tenant', 'enable', 'acme');
race('a key made while its user is disabled', 'two', 2,
    "update ngxai.users set state = 'disabled' where name = 'ann'");

# A look-up that read the old state writes it last: the newer one stays.
my $key = decode_json($t->aictl('--json', 'key', 'create', '--tenant', 'acme'));
my $hex = sha256_hex($key->{key});
my $old = $redis->hash('HGETALL', "ai1:key:$hex");
$t->aictl('key', 'revoke', $key->{id});
AiRedis->scripts($t->root, $t->subdir('gen'));
is_deeply($redis->script('principal', ['ai1:'], $hex, $old->{v}, 60000,
    map { $_ => $old->{$_} } grep { $_ ne 'v' } sort keys %$old), ['OLD'],
    'a look-up that is late writes nothing');
is($redis->cmd('HGET', "ai1:key:$hex", 'state'), 'revoked',
    'and the tombstone stays');

# Readers of look-ups that died before there was anybody to see it.
$redis->cmd('XGROUP', 'CREATE', 'ai1:lookup', 'workers', 0, 'MKSTREAM');
$redis->cmd('XGROUP', 'CREATECONSUMER', 'ai1:lookup', 'workers', $_)
    for 'ghost-1-1', 'x' x 300, 'a b';
$redis->cmd('ZADD', "${p}alive", time() * 1000 + 600_000, 'w:host-9-9');
$redis->cmd('XGROUP', 'CREATECONSUMER', 'ai1:lookup', 'workers', 'host-9-9');
$t->start_workers(n => 2);
sub readers {
    return map { $_->[1] } @{ $redis->cmd('XINFO', 'CONSUMERS', 'ai1:lookup',
        'workers') };
}
wait_for(sub { !grep { /ghost|xxx|a b/ } readers() }, 20,
    'the dead to be forgotten');
is((grep { $_ eq 'host-9-9' } readers()), 1, 'one that beats stays');

# 10,000 different unknown keys at once.
sub answered {
    my ($bells, $want, $seconds) = @_;
    my ($until, %got) = time() + $seconds;

    while (keys %got < $want && time() < $until) {
        my $m = $bells->message(1) or next;
        $got{$1} = $2 if $m->[1] =~ /^K([0-9a-f]{64}) (\w+)$/m;
    }
    return \%got;
}

sub rss {
    my ($kb) = slurp("/proc/$_[0]/status") =~ /^VmRSS:\s+(\d+)/m;
    return $kb || 0;
}

my $bells = $redis->subscribe("${p}edge:test-1-1");
my $live = decode_json($t->aictl('--json', 'key', 'create', '--tenant',
    'acme'));
$redis->cmd('DEL', 'ai1:key:' . sha256_hex($live->{key}));
{
    my $c = $redis->client;
    $c->send('XADD', 'ai1:lookup', '*', k => $_, e => 'test-1-1')
        for (map { sha256_hex("unknown $_") } 1 .. 10_000),
            sha256_hex($live->{key});
    $c->read for 1 .. 10_001;
}
my $got = answered($bells, 10_001, 60);
is(scalar(keys %$got), 10_001, 'each of 10,000 unknown keys is answered');
is((grep { !/^(?:none|down|ok)$/ } values %$got), 0, 'none or down');
cmp_ok((grep { $_ eq 'none' } values %$got), '>', 100, 'many with none');
isnt($got->{ sha256_hex($live->{key}) }, 'none',
    'a known one among them is not called unknown');
cmp_ok(rss($_), '<', 100_000, 'the memory of a worker is bounded')
    for $t->worker_pids;
wait_for(sub { $redis->cmd('XPENDING', 'ai1:lookup', 'workers')->[0] == 0
    && $redis->cmd('XLEN', 'ai1:lookup') == 0 }, 20, 'acknowledged');

# Statements that wait for a lock past their deadline do not pile up: what the
# worker has given up, Postgres gives up too.
my $lock = $pg->session('postgres');
$lock->do('begin', 'lock table ngxai.api_keys in access exclusive mode');
sub backends {
    return $pg->value("select count(*) from pg_stat_activity
        where application_name = 'lookup'");
}
for my $i (1 .. 40) {
    $redis->cmd('XADD', 'ai1:lookup', '*', k => sha256_hex("stuck $i $_"),
        e => 'test-1-1') for 1 .. 4;
    sleep 0.25;
}
answered($bells, 160, 10);
wait_for(sub { backends() <= 2 }, 15, 'one connection a worker');
pass('a locked table costs one connection a worker');
undef $lock;

# Connections cut again and again, with queries under way.
my $cuts = 0;
my ($pid) = $t->worker_pids;
wait_for(sub { backends() == 2 }, 30, 'both connected');
my $fds = fd_count($pid);
my $until = time() + 12;
while ($cuts < 150 && time() < $until) {
    $redis->cmd('XADD', 'ai1:lookup', '*', k => sha256_hex("cut $cuts $_"),
        e => 'test-1-1') for 1 .. 20;
    $cuts += $pg->value("select count(pg_terminate_backend(pid))
        from pg_stat_activity where application_name in ('lookup', 'ledger')");
}
cmp_ok($cuts, '>=', 20, 'connections were cut');
wait_for(sub { backends() == 2 }, 30, 'both connected again');
wait_for(sub { fd_count($pid) <= $fds }, 10, 'descriptors given back');
pass("$cuts cut connections leave no descriptor");
is(($t->worker_pids)[0], $pid, 'no worker died of it');
unlike($t->worker_log, qr/bad file descriptor|file already exists/,
    'and the log says what happened');
my $last = sha256_hex('the last');
$redis->cmd('XADD', 'ai1:lookup', '*', k => $last, e => 'test-1-1');
$until = time() + 20;
my $said = '';
while ($said !~ /none/ && time() < $until) {
    my $m = $bells->message(1) or next;
    ($said) = $m->[1] =~ /^K$last (\w+)/ or $said = '';
}
is($said, 'none', 'and look-ups go on');

$bells->close if $bells->can('close');
done_testing();
