#!/usr/bin/perl
# aictl: every command, its output, its exit code, and what it leaves in
# Postgres and Redis.
use AiTest;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new;
my $redis = $t->redis;
my $pg = $t->pg;

sub run { my ($code, $out) = $t->try_aictl(@_); return ($code, $out) }

sub json {
    my ($code, $out) = run('--json', @_);
    is($code, 0, "@_: exit 0") or diag($out);
    return decode_json($out);
}

sub code {
    my ($want, $like, $name, @args) = @_;
    my ($code, $out) = run(@args);
    is($code, $want, "$name: exit $want");
    like($out, $like, "$name: says so");
}

sub column { my ($name, @rows) = @_; return [map { $_->{$name} } @rows] }


# Usage.
code(0, qr/^Usage: aictl .*\n  tenant create NAME .*\n  doctor /s, '--help',
    '--help');
code(2, qr/command is missing/, 'nothing');
code(2, qr/unknown command/, 'nonsense', 'dance');
code(2, qr/unknown command/, 'half a command', 'tenant');
code(2, qr/unknown option/, 'an unknown option', 'queue', '--fast');
code(2, qr/does not take name/, 'another\'s option', 'queue', '--name', 'x');
code(2, qr/value is missing/, 'an option without its value', 'usage',
    '--since');
code(2, qr/missing argument: NAME/, 'no name', 'tenant', 'create');
code(2, qr/too many arguments/, 'two names', 'tenant', 'create', 'a', 'b');
code(2, qr/missing option: tenant/, 'no tenant', 'key', 'create');
for my $command (['migrate'], ['tenant', 'create'], ['tenant', 'list'],
    ['tenant', 'set'], ['tenant', 'disable'], ['tenant', 'enable'],
    ['user', 'list'], ['user', 'disable'], ['user', 'enable'],
    ['key', 'create'], ['key', 'list'], ['key', 'revoke'], ['key', 'sync'],
    ['usage'], ['jobs'], ['queue'], ['doctor'])
{
    my ($code, $out) = run(@$command, '--help');
    ok($code == 0 && $out =~ /^Usage: aictl @$command\b.*Exit codes/s,
        "@$command --help");
}

# Tenants.
is(json('tenant', 'create', 'acme', '--plan', 'free', '--weight', '4')
    ->{weight}, 4, 'a tenant');
json('tenant', 'create', 'beta');
code(1, qr/acme exists already/, 'a second one', 'tenant', 'create', 'acme');
code(2, qr/no name of a tenant/, 'a bad name', 'tenant', 'create', 'A/b');
code(2, qr/1 to 1000/, 'a bad weight', 'tenant', 'create', 'c', '--weight',
    '0');
my $list = json('tenant', 'list');
is_deeply(column('tenant', @$list), ['acme', 'beta'], 'tenants');
like((run('tenant', 'list'))[1], qr/^TENANT +STATE .*\nacme +active +free +4/,
    'as a table');

# Keys.
my $key = json('key', 'create', '--tenant', 'acme', '--name', 'ci',
    '--user', 'bob', '--models', 'gpt-4o  echo/echo', '--expires', '30');
like($key->{key}, qr/^ngx-[A-Za-z0-9_-]{43}$/, 'a key');
my $hex = sha256_hex($key->{key});
is($pg->value("select encode(hash, 'hex') from api_keys
    where id = '$key->{id}'"), $hex, 'its SHA-256 is stored');
is($pg->value("select count(*) from api_keys where prefix = '"
    . substr($key->{key}, 0, 10) . "'"), 1, 'and its beginning');
my $hash = $redis->hash('HGETALL', "ai1:key:$hex");
is($hash->{state}, 'active', 'Redis has it at once');
is($hash->{models}, 'gpt-4o echo/echo', 'with its models');
is($hash->{plan}, 'free', 'and its tenant\'s plan');
is($redis->cmd('GET', $t->prefix . "pv:$key->{id}"), $hash->{v},
    'and the version edges are checked against');
my $second = json('key', 'create', '--tenant', 'acme');
json('key', 'create', '--tenant', 'beta');
code(3, qr/no tenant nobody/, 'no such tenant', 'key', 'create', '--tenant',
    'nobody');
code(2, qr/1 to 36500/, 'no such day', 'key', 'create', '--tenant', 'acme',
    '--expires', 'soon');
my ($code, $out) = run('key', 'create', '--tenant', 'acme');
like($out, qr/^key: +ngx-\S{43}$/m, 'a key, for people');
like($out, qr/not shown again/, 'who are told to keep it');
is(scalar(@{ json('key', 'list') }), 4, 'all keys');
$list = json('key', 'list', '--tenant', 'acme');
is_deeply(column('tenant', @$list), [('acme') x 3], 'a tenant\'s keys');
is($list->[0]{user}, 'bob', 'with their user');
unlike(JSON::PP::encode_json($list), qr/\Q$key->{key}\E|$hex/,
    'without key or hash');

# Revoking.
my $bells = $redis->subscribe('ai1:keys');
is(json('key', 'revoke', $key->{id})->{state}, 'revoked', 'a key is revoked');
my $message = $bells->message(10);
like($message->[1], qr/^K$hex \d+$/, 'edges are told');
$hash = $redis->hash('HGETALL', "ai1:key:$hex");
is($hash->{state}, 'revoked', 'Redis has a tombstone');
is($message->[1], "K$hex $hash->{v}", 'of that version');
is($redis->cmd('GET', $t->prefix . "pv:$key->{id}"), $hash->{v},
    'which edges are checked against');
my $ttl = $redis->cmd('TTL', $t->prefix . "pv:$key->{id}");
ok($ttl > 89_000 && $ttl <= 90_000, 'for 25 hours');
is(json('key', 'revoke', $key->{id})->{state}, 'revoked', 'twice is no error');
code(3, qr/no key key_x/, 'a key that is not there', 'key', 'revoke', 'key_x');

# Tenants and users that are refused.
my $sha2 = sha256_hex($second->{key});
my $v = $redis->cmd('HGET', "ai1:key:$sha2", 'v');
is(json('tenant', 'disable', 'acme')->{keys_written}, 2,
    'a tenant is disabled with its keys');
is($redis->cmd('HGET', "ai1:key:$sha2", 'tenant_state'), 'disabled',
    'Redis has it');
cmp_ok($redis->cmd('HGET', "ai1:key:$sha2", 'v'), '>', $v, 'a version higher');
is($redis->cmd('HGET', "ai1:key:$hex", 'state'), 'revoked',
    'a revoked key stays as it is');
is(json('tenant', 'enable', 'acme')->{state}, 'active', 'and enabled');
is($redis->cmd('HGET', "ai1:key:$sha2", 'tenant_state'), 'active', 'in Redis');
json('tenant', 'set', 'acme', '--plan', 'pro');
is($redis->cmd('HGET', "ai1:key:$sha2", 'plan'), 'pro', 'another plan');
code(2, qr/--plan or --weight/, 'no change', 'tenant', 'set', 'acme');
code(3, qr/no tenant nobody/, 'nobody', 'tenant', 'disable', 'nobody');
my $bob = json('key', 'create', '--tenant', 'acme', '--user', 'bob');
json('user', 'disable', 'bob', '--tenant', 'acme');
is($redis->cmd('HGET', 'ai1:key:' . sha256_hex($bob->{key}), 'state'),
    'revoked', 'a disabled user\'s key');
json('user', 'enable', 'bob', '--tenant', 'acme');
is($redis->cmd('HGET', 'ai1:key:' . sha256_hex($bob->{key}), 'state'),
    'active', 'and enabled again');
is_deeply(column('user', @{ json('user', 'list', '--tenant', 'acme') }),
    ['bob'], 'users');
code(3, qr/no user eve/, 'no such user', 'user', 'disable', 'eve',
    '--tenant', 'acme');

# Postgres has it, Redis does not: said, and healed.
$redis->stop;
($code, $out) = run('key', 'revoke', $second->{id});
is($code, 4, 'Redis is away: exit 4');
like($out, qr/the database has the change.*aictl key sync/, 'and what heals it');
is($pg->value("select count(*) from api_keys where id = '$second->{id}' and
    revoked_at is not null"), 1, 'the key is revoked');
code(4, qr/Redis at .* cannot be used/, 'jobs', 'jobs');
code(4, qr/cannot be used/, 'queue', 'queue');
code(4, qr/cannot be used/, 'sync', 'key', 'sync');
($code, $out) = run('--json', 'key', 'create', '--tenant', 'acme');
is($code, 4, 'a key is made all the same');
like($out, qr/"key": "ngx-/, 'and shown');
$redis->start;
cmp_ok(json('key', 'sync')->{keys_written}, '>=', 4, 'key sync');
is($redis->cmd('HGET', "ai1:key:$sha2", 'state'), 'revoked',
    'Redis has the tombstone');
is($redis->cmd('GET', $t->prefix . "pv:$second->{id}"),
    $pg->value("select version from api_keys where id = '$second->{id}'"),
    'and its version');
is(json('key', 'sync', '--tenant', 'beta')->{keys_written}, 1,
    'of one tenant');

# A Postgres restored from an older backup has lower versions than Redis.
my $third = json('key', 'create', '--tenant', 'beta');
my $sha3 = sha256_hex($third->{key});
$redis->cmd('HSET', "ai1:key:$sha3", v => 5000);
json('key', 'revoke', $third->{id});
is($redis->cmd('HGET', "ai1:key:$sha3", 'state'), 'revoked',
    'a revocation wins over a higher version of the past');
cmp_ok($redis->cmd('HGET', "ai1:key:$sha3", 'v'), '>', 5000,
    'with one above it');

# Usage.
$pg->psql('ngxai', q{insert into ngxai.ledger (job, attempt, call, at, tenant,
    principal, model, provider, state, input, output, cached_read, cost)
    select 'job' || i / 2, 1, i % 2, now() - i * interval '1 hour',
    case when i % 4 < 2 then 'acme' else 'beta' end, 'key:k', 'm' || i % 2,
    'echo', case when i = 0 then 'failed' else 'done' end, 10, 20, 5, 1500000
    from generate_series(0, 39) i}, 'ngxai_ledger');
my $usage = json('usage', '--by', 'tenant');
is_deeply([map { [@$_{qw(tenant jobs calls failed input cached output cost
    cost_usd)}] } @$usage],
    [['acme', 10, 20, 1, 200, 100, 400, 30_000_000, '0.03'],
     ['beta', 10, 20, 0, 200, 100, 400, 30_000_000, '0.03']],
    'usage by tenant');
is(scalar(@{ json('usage') }), 4, 'by tenant and model');
is_deeply(column('model', @{ json('usage', '--by', 'model', '--tenant',
    'acme', '--since', '90m') }), ['m0', 'm1'], 'of one tenant, since');
is(json('usage', '--by', 'provider', '--since', '2020-01-01', '--until',
    '10h')->[0]{calls}, 30, 'until');
is(scalar(@{ json('usage', '--since', '2001-01-01', '--until',
    '2002-01-01') }), 0, 'of a time without any');
cmp_ok(scalar(@{ json('usage', '--by', 'day,month,user,key') }), '>=', 2,
    'by everything else');
like((run('usage', '--by', 'tenant'))[1],
    qr/^total +20 +40 +1 +400 +200 +800 +0\.06$/m, 'with a total');
$pg->psql('ngxai', q{insert into ngxai.ledger (job, attempt, call, at, tenant,
    state, input, requests) select 'many' || i, 1, 0, now(), 'many', 'done', 0,
    100 * i from generate_series(1, 3) i}, 'ngxai_ledger');
is_deeply([map { [@$_{qw(jobs calls failed)}] } @{ json('usage', '--by',
    'tenant', '--tenant', 'many') }], [[600, 600, 0]],
    'a row of many requests is many');
$pg->psql('ngxai', "set session_replication_role = replica; delete from
    ngxai.ledger where tenant = 'many'");
code(2, qr/--since reads/, 'no time', 'usage', '--since', "1'; drop");
code(2, qr/no column "cost"/, 'no column', 'usage', '--by', 'cost');

# Jobs and the queue, as the keys of docs/wire.md have them.
my $p = $t->prefix;
my ($run, $wait) = map { sprintf 'job_%032x', $_ } 1, 2;
my $now = int(time() * 1000);
$redis->cmd('HSET', "${p}capacity", 'host-1-1', 16);
$redis->cmd('SADD', "${p}held:host-1-1", "$run acme");
$redis->cmd('SADD', "${p}running:acme", $run);
$redis->cmd('ZADD', "${p}waiting", 1, 'beta');
$redis->cmd('RPUSH', "${p}backlog:beta", $wait);
$redis->cmd('ZADD', "${p}waiting:batch", 1, 'acme');
$redis->cmd('RPUSH', "${p}backlog:batch:acme", map { sprintf 'job_%032x', $_ }
    3, 4);
$redis->cmd('HSET', "${p}job:$run", state => 'running', class => 'interactive',
    owner => 'host-1-1', attempt => 2, at => ($now - 5000) * 1000, spec =>
    "v 1\n1\nmodel 9\necho/echo\n");
$redis->cmd('EXPIRE', "${p}job:$run", 100);
is_deeply([sort { $a->{tenant} cmp $b->{tenant} } @{ json('jobs') }],
    [{ tenant => 'acme', running => 1, waiting => 0, waiting_batch => 2 },
     { tenant => 'beta', running => 0, waiting => 1, waiting_batch => 0 }],
    'jobs by tenant');
my $jobs = json('jobs', '--tenant', 'acme');
is(scalar(@$jobs), 1, 'a tenant\'s jobs');
is_deeply([@{ $jobs->[0] }{qw(job state model worker attempt)}],
    [$run, 'running', 'echo/echo', 'host-1-1', '2'], 'each with its worker');
cmp_ok($jobs->[0]{age_ms}, '>=', 5000, 'and its age');
code(2, qr/1 to/, 'a bad limit', 'jobs', '--limit', '0');
code(2, qr/no name of a tenant/, 'a bad name', 'jobs', '--tenant', '*');
$redis->cmd('ZADD', "${p}alive", $now + 60000, 'w:host-1-1', $now + 60000,
    'e:host-2-2', $now - 60000, 'w:host-3-3');
$redis->cmd('HSET', "${p}sweep", slots => 16, pressure => 0);
my $queue = json('queue')->[0];
is_deeply({ map { $_ => $queue->{$_} } qw(shard workers edges slots running
    outbox waiting_tenants waiting_tenants_batch pressure) },
    { shard => 0, workers => 1, edges => 1, slots => 16, running => 1,
      outbox => 0, waiting_tenants => 1,
      waiting_tenants_batch => 1, pressure => 0 }, 'the queue');
like((run('queue'))[1], qr/^SHARD .*\n +0 /, 'as a table');
$redis->cmd('SET', 'ai1:shards', 3);
is(scalar(@{ json('queue') }), 3, 'each shard has a line');
json('tenant', 'disable', 'beta');
$redis->cmd('DEL', 'ai1:shards', map { "$p$_" } 'capacity', 'held:host-1-1',
    'running:acme',
    'waiting', 'backlog:beta', 'waiting:batch', 'backlog:batch:acme', 'alive');

# What comes from outside does not reach the terminal as it is.
$pg->psql('ngxai', "insert into ngxai.ledger (job, attempt, call, at, tenant,
    model, state) values ('evil', 1, 0, now(), 'evil', E'\\033]0;x\\007',
    'done')", 'ngxai_ledger');
unlike((run('usage', '--tenant', 'evil'))[1], qr/\e/, 'no escape sequences');

# Costs that saturate, as ai_usage_cost() does: no sum overflows.
$pg->psql('ngxai', "insert into ngxai.ledger (job, attempt, call, at, tenant,
    model, state, input, cost) select 'big' || i, 1, 0, now(), 'big',
    'm' || i % 2, 'done', 9223372036854775807, 9223372036854775807
    from generate_series(1, 4) i", 'ngxai_ledger');
is(json('usage', '--by', 'tenant', '--tenant', 'big')->[0]{cost} . '',
    '9223372036854775807', 'a sum past the largest number is that');
like((run('usage', '--by', 'model', '--tenant', 'big'))[1],
    qr/^total +4 .* 9223372036\.854775807$/m, 'and the total of such');
$pg->psql('ngxai', "set session_replication_role = replica; delete from
    ngxai.ledger where tenant = 'big'");

# A tenant that is not there, wherever one is named.
code(3, qr/no tenant nobody/, "@$_: no such tenant", @$_, '--tenant', 'nobody')
    for ['user', 'list'], ['key', 'list'], ['key', 'sync'], ['key', 'create'];

# Text from outside is data.
my $evil = "x'; drop table ngxai.users; --";
json('key', 'create', '--tenant', 'acme', '--user', $evil, '--name', $evil,
    '--models', "a';--", '--role', 'viewer');
is_deeply([grep { $_->{name} eq $evil } @{ json('key', 'list', '--tenant',
    'acme') }]->[0]{user}, $evil, 'quotes in names are text');
code(0, qr/./, 'a tenant of quotes', 'usage', '--tenant', $evil);
code(3, qr/no user x'/, 'a user of quotes', 'user', 'disable', "x' or '1'='1",
    '--tenant', 'acme');

# With --json what stands on stdout is one document or nothing, also when
# something fails; with nothing the exit code is no 0.
sub stdout {
    my (@args) = @_;
    open my $fh, '-|', 'sh', '-c', 'AI_REDIS=$1 AI_POSTGRES=$2 AI_MIGRATIONS=$3
        export AI_REDIS AI_POSTGRES AI_MIGRATIONS; shift 3
        exec "$@" 2>/dev/null', 'sh', $redis->url, $pg->conninfo('ngxai_admin'),
        $t->root . '/migrations', $t->built('aictl'), '--json', @args;
    local $/;
    my $out = <$fh>;
    close $fh;
    return ($? >> 8, $out // '');
}

sub one_document {
    my ($when) = @_;
    for my $args (['migrate', '--check'], ['tenant', 'create', 'new'],
        ['tenant', 'list'], ['tenant', 'set', 'new', '--plan', 'p'],
        ['tenant', 'disable', 'new'], ['tenant', 'enable', 'new'],
        ['user', 'list', '--tenant', 'acme'],
        ['user', 'disable', 'bob', '--tenant', 'acme'],
        ['user', 'enable', 'bob', '--tenant', 'acme'],
        ['key', 'create', '--tenant', 'acme'], ['key', 'list'],
        ['key', 'revoke', 'key_x'], ['key', 'sync'], ['usage'], ['jobs'],
        ['jobs', '--tenant', 'acme'], ['queue'], ['doctor'], ['dance'],
        ['queue', '--fast'], ['usage', '--since', 'never'])
    {
        my ($code, $out) = stdout(@$args);
        ok(length $out ? eval { decode_json($out) } : $code,
            "$when: --json @$args") or diag("exit $code: $out");
    }
}

one_document('all well');
$redis->stop;
one_document('no Redis');
$pg->stop;
one_document('nothing there');
$pg->start;
one_document('no Redis again');
$redis->start;

# The man page has the commands and options of --help, and no others.
{
    my $man = slurp($t->root . '/docs/aictl.1');
    $man =~ s/\\f[BIRP]//g;
    $man =~ s/\\-/-/g;
    $man =~ s/^\.\w+ //gm;
    my $help = (run('--help'))[1];
    my @commands = $help =~ /^  ([a-z-]+(?: [a-z]+)?)(?= [A-Z]| {2,})/gm;
    my %options;
    for my $command (@commands) {
        my $text = (run(split(/ /, $command), '--help'))[1];
        $options{$_}++ for $text =~ /^  --([a-z-]+)/gm;
        like($man, qr/^"?\Q$command\E\b/m, "the man page has $command");
    }
    cmp_ok(scalar(@commands), '>=', 17, 'all commands');
    is(join(' ', sort keys %{ { map { $_ => 1 } $man =~ /--([a-z-]*[a-z])/g } }),
        join(' ', sort keys %options), 'and all options, no others');
}

# Postgres is away.
$pg->stop;
code(4, qr/Postgres cannot be reached/, 'tenant list', 'tenant', 'list');
code(4, qr/Postgres cannot be reached/, 'migrate', 'migrate', '--dir',
    $t->root . '/migrations');
$pg->start;

# A login that is not aictl's.
my ($status) = AiProc->spawn(cmd => [$t->built('aictl'), 'tenant', 'list'],
    out => "$t->{dir}/out", cwd => $t->{dir}, env => { $t->san_env, AI_POSTGRES
    => $pg->conninfo('ngxai_worker') })->wait(30);
is($status >> 8, 1, 'as the worker\'s role: refused');
like(slurp("$t->{dir}/out"), qr/cannot act as ngxai_admin/, 'in words');
$status = AiProc->spawn(cmd => [$t->built('aictl'), '--postgres',
    $pg->conninfo('postgres'), 'tenant', 'list'], out => "$t->{dir}/out",
    cwd => $t->{dir}, env => { $t->san_env })->wait(30);
is($status, 0, 'a superuser acts as ngxai_admin');

# A full disk is not success.
is(system("AI_POSTGRES='" . $pg->conninfo('ngxai_admin') . "' "
    . $t->built('aictl') . ' tenant list > /dev/full 2>/dev/null') >> 8, 1,
    'what cannot be written is no success');

$bells->close if $bells->can('close');
done_testing();
