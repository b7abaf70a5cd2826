#!/usr/bin/perl
# aictl doctor: each thing that can be wrong, made wrong, is said and then no
# longer said.
use AiTest;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new;
my $redis = $t->redis(aof => 1, args => ['--maxmemory', '200mb']);
my $pg = $t->pg;
my $p = $t->prefix;
my @args = ('--dir', $t->root . '/migrations');

sub doctor {
    my ($code, $out) = $t->try_aictl('--json', 'doctor', @args, @_);
    my $found = eval { decode_json($out) } or die "doctor: $out\n";
    return ($code, map { "$_->{level} $_->{part}: $_->{what}"
        . ($_->{todo} ? " -> $_->{todo}" : '') } @$found);
}

# What is wrong, found by like; how it is put right.
sub finds {
    my ($name, $like, $wrong, $right) = @_;

    $wrong->();
    my ($code, @found) = doctor();
    my ($said) = grep { /$like/ } @found;
    ok($said, "$name: found") or diag(join "\n", @found);
    is($code, $said && $said =~ /^warning/ ? 0 : 1, "$name: exit code");
    like($said || '', qr/ -> ./, "$name: with what to do");
    $right->();
    (undef, @found) = doctor();
    ok(!(grep { /$like/ } @found), "$name: gone")
        or diag(join "\n", @found);
}

sub sql { my ($sql, $role) = @_; sub { $pg->psql('ngxai', $sql, $role) } }
sub redis { my @cmd = @_; sub { $redis->cmd(@cmd) } }
sub beat {
    my $in = time() * 1000 + 600_000;
    $redis->cmd('ZADD', "${p}alive", $in, 'w:host-1-1', $in, 'e:host-2-2');
}

# A healthy one.
beat();
my $key = $t->key('acme');
my ($code, @found) = doctor();
is_deeply([grep { !/^ok / } @found], [], 'nothing is wrong');
is($code, 0, 'exit 0');
like(($t->try_aictl('doctor', @args))[1], qr/^Nothing is wrong\.$/m,
    'in words');

# Redis.
finds('eviction', qr/^problem redis: maxmemory-policy is allkeys-lru/,
    redis('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru'),
    redis('CONFIG', 'SET', 'maxmemory-policy', 'noeviction'));
finds('no append-only file', qr/^problem redis: the append-only file is off/,
    redis('CONFIG', 'SET', 'appendonly', 'no'),
    redis('CONFIG', 'SET', 'appendonly', 'yes'));
finds('no maxmemory', qr/^warning redis: maxmemory is not set/,
    redis('CONFIG', 'SET', 'maxmemory', 0),
    redis('CONFIG', 'SET', 'maxmemory', '200mb'));
finds('memory full', qr/^problem redis: memory is \d+ % full/,
    redis('CONFIG', 'SET', 'maxmemory', 1_100_000),
    redis('CONFIG', 'SET', 'maxmemory', '200mb'));
finds('pressure', qr/sweeper says pressure/,
    redis('HSET', "${p}sweep", pressure => 1, slots => 1),
    redis('HSET', "${p}sweep", pressure => 0, slots => 1));
finds('no scripts', qr/^problem redis: scripts do not run/,
    redis('ACL', 'SETUSER', 'default', '-eval'),
    redis('ACL', 'SETUSER', 'default', '+eval'));
finds('no Redis', qr/^problem redis: Redis at .* cannot be used/,
    sub { $redis->stop }, sub { $redis->start; beat() });

# Workers and queue.
finds('no worker', qr/^problem workers: no worker is alive/,
    redis('ZREM', "${p}alive", 'w:host-1-1'), \&beat);
finds('a worker that fell silent', qr/no worker is alive/,
    redis('ZADD', "${p}alive", time() * 1000 - 5000, 'w:host-1-1'), \&beat);
finds('no nginx', qr/^warning workers: no nginx/,
    redis('ZREM', "${p}alive", 'e:host-2-2'), \&beat);
finds('another database', qr/^problem workers: somebody beats in database 3/,
    sub {
        $redis->cmd('COPY', "${p}alive", "${p}alive", 'DB', 3);
        $redis->cmd('DEL', "${p}alive");
    }, sub {
        my $c = $redis->client;
        $c->cmd('SELECT', 3);
        $c->cmd('FLUSHDB');
        beat();
    });
finds('jobs without slots', qr/^problem workers: jobs of 2 tenants wait/,
    sub {
        $redis->cmd('HSET', "${p}sweep", slots => 0);
        $redis->cmd('ZADD', "${p}waiting", 1, 'acme', 2, 'beta');
    }, redis('DEL', "${p}waiting"));
finds('an outbox that stays', qr/^problem outbox: 1 usage records .* 1\d\d s/,
    redis('XADD', "${p}outbox", int((time() - 150) * 1000) . '-1', j => 'x'),
    redis('DEL', "${p}outbox"));
$redis->cmd('XADD', "${p}outbox", '*', j => 'x');
is((doctor())[0], 0, 'a record just written is nothing');
$redis->cmd('DEL', "${p}outbox");

# Postgres.
finds('no Postgres', qr/^problem postgres: Postgres cannot be reached/,
    sub { $pg->stop }, sub { $pg->start });
finds('a role with BYPASSRLS', qr/ngxai_worker can get round row level/,
    sql('alter role ngxai_worker bypassrls'),
    sql('alter role ngxai_worker nobypassrls'));
finds('a worker that is aictl', qr/ngxai_worker is a member of ngxai_admin/,
    sql('grant ngxai_admin to ngxai_worker'),
    sql('revoke ngxai_admin from ngxai_worker'));
finds('no row level security', qr/not forced on ngxai\.users/,
    sql('alter table ngxai.users no force row level security'),
    sql('alter table ngxai.users force row level security'));
finds('another owner', qr/ngxai\.users is not owned by ngxai_owner/,
    sql('alter table ngxai.users owner to postgres'),
    sql('alter table ngxai.users owner to ngxai_owner'));
finds('a function for everybody', qr/function ngxai\.key_lookup may be run/,
    sql('grant execute on function ngxai.key_lookup(bytea) to public'),
    sql('revoke execute on function ngxai.key_lookup(bytea) from public'));
finds('a function with any search_path', qr/make_partitions may be run/,
    sql('alter function ngxai.make_partitions() reset search_path'),
    sql('alter function ngxai.make_partitions() set search_path to
        pg_catalog, pg_temp'));
my $next = $pg->value("select 'ledger_' || to_char(date_trunc('month', now())
    + interval '1 month', 'YYYYMM')");
finds('no partition', qr/ledger has no partition for \d{4}-\d\d/,
    sql("drop table ngxai.$next"),
    sql('select ngxai.make_partitions()', 'ngxai_worker'));
finds('dead letters', qr/would not take: 1 \(the last: too odd\)/,
    sql("insert into ngxai.dead_letters (entry, record, error)
        values ('1-1', 'x', 'too odd')", 'ngxai_ledger'),
    sql('delete from ngxai.dead_letters', 'ngxai_admin'));
finds('a migration to do', qr/^problem postgres: 1 migration is not applied/,
    sub {
        my $dir = $t->subdir('migrations');
        system('cp', '-r', $t->root . '/migrations/.', $dir);
        system("echo 'select 1' > $dir/9999_new.sql");
        @args = ('--dir', $dir);
    }, sub { @args = ('--dir', $t->root . '/migrations') });

# Both say different things of a key.
my $hex = sha256_hex($key);
finds('a key that Redis has otherwise', qr/^problem keys: Redis has an old/,
    sql("update ngxai.api_keys set revoked_at = now()", 'ngxai_admin'),
    sub { $t->aictl('key', 'sync') });
is($redis->cmd('HGET', "ai1:key:$hex", 'state'), 'revoked',
    'key sync healed it');

# An empty database.
$pg->psql('postgres', 'drop database ngxai');
$pg->psql('postgres', 'create database ngxai owner ngxai_owner');
($code, @found) = doctor();
is($code, 1, 'a database without a schema');
ok((grep { /aictl migrate/ } @found), 'needs aictl migrate')
    or diag(join "\n", @found);

done_testing();
