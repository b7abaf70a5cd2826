#!/usr/bin/perl
# Tenant isolation is the database's: what the workers' roles try against it,
# as they would after somebody got at their connection.
use AiTest;

my $t = AiTest->new;
my $pg = $t->pg;
my @roles = qw(ngxai_worker ngxai_ledger ngxai_admin);

# Statements as a role, in one session: the last one's rows, or the error.
sub as {
    my ($role, @sql) = @_;
    my $got = eval { $pg->psql('ngxai', join('; ', @sql), $role) };
    return "error: $@" if $@;
    $got =~ s/\s+\z//;
    return $got eq '0E0' ? '' : $got;
}

my $refusal = join '|', 'permission denied', 'must be owner',
    'row-level security', 'must be able', 'must be member',
    'must be superuser', 'must have';

sub denied {
    my ($role, $name, @sql) = @_;
    like(as($role, @sql), qr/^error:.*(?:$refusal)/s, "$role: $name");
}

sub tenant { "select set_config('app.current_tenant_id', '$_[0]', false)" }

$pg->psql('ngxai', q{
    set role ngxai_admin;
    insert into ngxai.tenants (id) values ('acme'), ('other');
    insert into ngxai.users (tenant, name) values ('acme', 'ann'),
        ('other', 'otto');
    insert into ngxai.api_keys (id, hash, prefix, tenant, user_name)
        values ('key_0000000000000001', sha256('one'), 'ngx-one', 'acme', 'ann'),
               ('key_0000000000000002', sha256('two'), 'ngx-two', 'other', null)
});
$pg->psql('ngxai', "insert into ngxai.ledger (job, attempt, call, at, tenant,
    state, cost) values ('j1', 1, 0, now(), 'acme', 'done', 1),
    ('j2', 1, 0, now(), 'other', 'done', 2),
    ('j3', 1, 0, '2001-01-01', 'other', 'done', 3)", 'ngxai_ledger');

# The worker sees one tenant, or nothing.
my $w = 'ngxai_worker';
is(as($w, 'select count(*) from ledger'), 0, 'no tenant set: no row');
is(as($w, "set app.current_tenant_id = ''", 'select count(*) from ledger'), 0,
    'an empty one: no row');
is(as($w, tenant('acme'), "select string_agg(job, ',') from ledger"),
    "acme\nj1", 'its own rows of the ledger');
is(as($w, tenant('acme'), "select string_agg(job, ',') from ledger
    where tenant = 'other' or true"), "acme\nj1", 'whatever the condition');
is(as($w, tenant('acme'), 'select id from tenants'), "acme\nacme",
    'its own tenant');
is(as($w, tenant('acme'), 'select name from users'), "acme\nann",
    'its own users');
is(as($w, tenant("acme'' or true --"), 'select count(*) from ledger'),
    "acme' or true --\n0", 'a setting is no SQL');
is(as($w, tenant('%'), 'select count(*) from ledger'), "%\n0", 'nor a pattern');
is(as($w, 'begin', "set local app.current_tenant_id = 'acme'", 'commit',
    'select count(*) from ledger'), 0, 'SET LOCAL ends with its transaction');

# A function of its own that leaks what the policy is asked about.
like(as($w, tenant('acme'), 'create function pg_temp.leak(text) returns boolean
    language plpgsql cost 0.0001 as $$ begin raise notice \'saw %\', $1;
    return true; end $$', 'select count(*) from ledger
    where pg_temp.leak(tenant)'), qr/saw acme(?!.*saw other)/s,
    'a cheap function in the condition sees no other row');
unlike(as($w, tenant('acme'), "select count(*) from ledger where
    1 / (case when tenant = 'other' then 0 else 1 end) = 1"), qr/division/,
    'an error tells nothing of another row');

# It writes nothing.
denied($w, 'inserts no usage', tenant('acme'), "insert into ledger (job,
    attempt, call, at, tenant, state) values ('x', 1, 0, now(), 'acme',
    'done')");
denied($w, 'changes no usage', tenant('acme'), 'update ledger set cost = 0');
denied($w, 'deletes no usage', tenant('acme'), 'delete from ledger');
denied($w, 'truncates nothing', 'truncate ledger');
denied($w, 'makes no tenant', tenant('x'), "insert into tenants (id)
    values ('x')");
denied($w, 'changes no tenant', tenant('acme'), "update tenants
    set plan = 'best'");
denied($w, 'makes no user of another', tenant('acme'), "insert into users
    (tenant, name) values ('other', 'eve')");

# Not for want of privilege alone: the policy holds where one is given.
like(as('postgres', 'begin', 'grant insert, update on ngxai.users to
    ngxai_worker', 'set role ngxai_worker', tenant('acme'), "insert into
    ngxai.users (tenant, name) values ('other', 'eve')"),
    qr/row-level security/, 'with INSERT, the policy keeps other tenants out');
like(as('postgres', 'begin', 'grant insert, update on ngxai.users to
    ngxai_worker', 'set role ngxai_worker', tenant('acme'), "update
    ngxai.users set tenant = 'other' where name = 'ann'"),
    qr/row-level security/, 'with UPDATE, nobody moves to another tenant');
is(as('postgres', 'begin', 'grant select on ngxai.api_keys to ngxai_worker',
    'set role ngxai_worker', tenant('acme'), 'select id from ngxai.api_keys'),
    "acme\nkey_0000000000000001", 'with SELECT, it would see its own keys');
is(as('postgres', 'begin', 'set role ngxai_owner', 'select count(*) from
    ngxai.ledger'), 0, 'even the owner sees no usage');
is(as('postgres', 'begin', 'set role ngxai_owner', "update ngxai.tenants
    set plan = 'best' returning id"), '', 'and changes no tenant');

# Keys.
denied($w, 'reads no keys', tenant('acme'), 'select * from api_keys');
denied($w, 'nor their hashes', tenant('acme'), 'select hash from api_keys');
denied($w, 'revives no key', tenant('acme'), 'update api_keys
    set revoked_at = null');
is(as($w, "select id, tenant, state from key_lookup(sha256('two'))"),
    "key_0000000000000002\tother\tactive", 'it looks a key up by its hash');
is(as($w, "select count(*) from key_lookup(sha256('three'))"), 0,
    'and none that it has not seen');
is(as($w, 'select count(*) from key_lookup(null)'), 0, 'nor all of them');
unlike(as($w, "select k from key_lookup(sha256('two')) k"), qr/\\x/,
    'a hash does not come out');

# Other roles, other rules.
denied($w, "does not become $_", "set role $_")
    for qw(ngxai_owner ngxai_admin ngxai_ledger postgres);
denied($w, 'nor by SET SESSION AUTHORIZATION',
    'set session authorization ngxai_admin');
denied($w, 'grants itself nothing', "grant ngxai_admin to $w");
denied($w, 'bypasses nothing', "alter role $w bypassrls");
denied($w, 'is no superuser', "alter role $w superuser");
denied($w, 'creates no role', 'create role eve');
denied($w, 'turns no policy off', 'alter table ledger disable row level
    security');
denied($w, 'drops no policy', 'drop policy tenant on ledger');
denied($w, 'makes no policy', 'create policy mine on ledger using (true)');
like(as($w, 'set row_security = off', 'select count(*) from ledger'),
    qr/would be affected by row-level security/, 'row_security off is refused');
denied($w, 'reads no partition', "select * from ledger_default");
denied($w, 'reads no partition of a month', 'select * from '
    . $pg->value("select 'ngxai.ledger_' || to_char(now(), 'YYYYMM')"));
denied($w, 'reads no dead letters', 'select * from dead_letters');
denied($w, 'sees no migrations', 'select * from ngxai.migrations');
denied($w, 'makes no table here', 'create table ngxai.mine ()');
denied($w, 'makes no table in public', 'create table public.mine ()');
denied($w, 'replaces no function', 'create or replace function
    ngxai.make_partitions() returns integer language sql as $$ select 1 $$');
denied($w, 'reads no file', "select pg_read_file('/etc/passwd')");
denied($w, 'runs no program', "copy (select 1) to program 'true'");

# Names of its own in front of those that the definer's functions use.
is(as($w, 'create temp table tenants (id text, state text, weight int,
    plan text)', "insert into tenants values ('other', 'hacked', 9, 'x')",
    'create temp table api_keys as select 1', 'set search_path = pg_temp,
    pg_catalog', "select tenant_state from ngxai.key_lookup(sha256('two'))"),
    'active', 'temporary tables do not stand in for the real ones');
is(as($w, 'create function pg_temp.now() returns timestamptz language sql
    as $$ select timestamptz \'1999-01-01\' $$', 'set search_path = pg_temp,
    pg_catalog', 'select ngxai.make_partitions()'), 0,
    'nor functions: no partition of 1999');
is($pg->value("select count(*) from pg_class where relname ~ '^ledger_1999'"),
    0, 'there is none');

# What everybody may.
is($pg->value("select string_agg(p.proname, ',') from pg_proc p
    where pronamespace = 'ngxai'::regnamespace
    and has_function_privilege('public', p.oid, 'execute')"), undef,
    'PUBLIC runs no function') or diag('some');
is($pg->value("select string_agg(relname, ',') from pg_class
    where relnamespace = 'ngxai'::regnamespace and relkind in ('r', 'p')
    and not (relrowsecurity and relforcerowsecurity)"), 'migrations',
    'row level security is forced on every table with tenants in it');
is($pg->value("select string_agg(rolname, ',') from pg_roles where rolname in
    ('ngxai_worker', 'ngxai_ledger', 'ngxai_admin') and (rolsuper or
    rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)"), undef,
    'no role can get round it');

# The ledger's role inserts, nothing else.
my $l = 'ngxai_ledger';
denied($l, 'reads no usage', 'select * from ledger');
denied($l, 'reads none back', "insert into ledger (job, attempt, call, at,
    tenant, state) values ('j9', 1, 0, now(), 'acme', 'done') returning job");
denied($l, 'changes none', 'update ledger set cost = 0');
denied($l, 'learns of none', "insert into ledger (job, attempt, call, at,
    tenant, state) select job, attempt, call, at, tenant, state from ledger
    on conflict (job, attempt, call, at) do update set cost = 0");
denied($l, 'deletes none', 'delete from ledger');
denied($l, 'knows no tenants', 'select * from tenants');
denied($l, 'looks no key up', "select * from key_lookup(sha256('two'))");
denied($l, 'nor a tenant', "select * from tenant_lookup('two')");
denied($l, 'nor what changed', 'select * from records_changed(0, 9)');
is(as($w, "select count(*) from tenant_lookup('nobody')"), 0,
    'a worker asks for one tenant by its name');
is(as($w, 'select count(*) from tenant_lookup(null)'), 0, 'not for all');
denied($l, 'makes no partitions', 'select make_partitions()');
denied($l, 'reads no dead letters', 'select * from dead_letters');

# aictl's role sees all tenants by policies that name it, and no more.
my $a = 'ngxai_admin';
is(as($a, 'select count(*) from tenants'), 2, 'aictl sees all tenants');
is(as($a, 'select count(*) from ledger'), 3, 'and all usage');
denied($a, 'writes no usage', "insert into ledger (job, attempt, call, at,
    tenant, state) values ('x', 1, 0, now(), 'acme', 'done')");
denied($a, 'changes none', 'update ledger set cost = 0');
denied($a, 'moves no key', "update api_keys set tenant = 'acme'");
denied($a, 'changes no hash', "update api_keys set hash = sha256('x')");
denied($a, 'deletes no tenant', 'delete from tenants');
denied($a, 'turns no policy off', 'alter table tenants no force row level
    security');
as($a, "update api_keys set revoked_at = now()
    where id = 'key_0000000000000002'");
like(as($a, "update api_keys set revoked_at = null
    where id = 'key_0000000000000002'"), qr/is revoked/,
    'nobody revives a key');

# Versions rise with whatever changes a principal.
sub version { $pg->value("select version from api_keys where id = '$_[0]'") }
my $key = 'key_0000000000000001';
for (["update tenants set plan = 'pro' where id = 'acme'", 'its tenant'],
    ["update users set state = 'disabled' where name = 'ann'", 'its user'],
    ["update api_keys set models = '{a}' where id = '$key'", 'itself'])
{
    my ($sql, $what) = @$_;
    my $before = version($key);
    as($a, $sql);
    cmp_ok(version($key), '>', $before, "the version rises with $what");
}
is(as($w, "select state from key_lookup(sha256('one'))"), 'revoked',
    'a disabled user\'s key is not accepted');
my $before = version('key_0000000000000002');
as($a, "update tenants set state = 'disabled' where id = 'other'");
is(version('key_0000000000000002'), $before, 'a revoked key has had its last');

# Partitions: rows of a month move out of the default one.
my $next = $pg->value("select 'ledger_' ||
    to_char(now() + interval '1 month', 'YYYYMM')");
$pg->psql('ngxai', "drop table ngxai.$next");
$pg->psql('ngxai', "insert into ngxai.ledger (job, attempt, call, at, tenant,
    state) values ('next', 1, 0, date_trunc('month', now()) + interval
    '1 month', 'acme', 'done')", $l);
is($pg->value("select tableoid::regclass from ledger where job = 'next'"),
    'ledger_default', 'without its partition a row is in the default one');
is(as($w, 'select make_partitions()'), 1, 'a worker makes the partition');
is($pg->value("select tableoid::regclass from ledger where job = 'next'"),
    $next, 'and the row moves');
is($pg->value("select tableoid::regclass from ledger where job = 'j3'"),
    'ledger_default', 'one of another month stays');
is($pg->value("select count(*) from pg_class where relname = '$next'
    and relrowsecurity and relforcerowsecurity"), 1,
    'the new one has row level security');
denied($w, 'reads the new one neither', "select * from ngxai.$next");
is(as($w, 'select make_partitions()'), 0, 'once');
like(join("\n", map { $_->[0] } $pg->query("explain select * from ledger
    where tenant = 'acme' and at > now() and at < now() + interval '1 hour'")),
    qr/ledger_\d+(?!.*default)/s, 'a query of an hour reads one partition');

done_testing();
