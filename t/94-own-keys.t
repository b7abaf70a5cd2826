#!/usr/bin/perl
# Tenants' own keys of providers: whose key a call is made with, what follows
# when it is changed, refused, moved, not to be opened or not to be known, and
# where it can be read.
use AiTest;
use AiWork;

my $t = AiTest->new(allow_log => [qr/Postgres is away/, qr/cannot be opened/,
    qr/connection/]);
my $pg = $t->pg;
my $w = AiWork->new($t, start => 0);
my $dir = $t->dir;
my %secret = (acme => 'sk-acme-1f0e0c73', beta => 'sk-beta-88ab45d2',
    gamma => 'sk-gamma-9d0a7711');
my $platform = 'sk-platform-0b6e';

sub put { my ($name, $text) = @_;
    open my $fh, '>', "$dir/$name" or die $!; print $fh $text; close $fh;
    return "$dir/$name" }

# Says of a key what the file of its name says.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my ($key) = ($req->{headers}{authorization} // '') =~ /(\S+)$/;
    if ($key && -e "$dir/says-$key") {
        open my $fh, '<', "$dir/says-$key" or die $!;
        return $out->answer(0 + <$fh>, { error => { message => 'key' } });
    }
    if ($req->{json}{model} eq 'half') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk('data: {"object":"chat.completion.chunk","choices":[{'
            . '"index":0,"delta":{"content":"Half"}}]}' . "\n\n");
        return $out->stall;
    }
    AiProvider::openai()->($req, $out);
});
my $good = $t->provider;
my %p = (api => 'openai', url => [$p->url('/v1')],
    key => ['env:PLATFORM_API_KEY']);
my %price = (input => 1_000_000_000, output => 2_000_000_000);
$w->catalog({
    models => { two => { retry => 0, routes => [{ provider => 'p',
        model => 'x', weight => 1 }], fallbacks => [{ provider => 'good',
        model => 'x', weight => 1 }] } },
    prices => { 'p/x' => \%price, 'good/x' => \%price },
    providers => { p => \%p,
        off => { %p, options => { tenant_keys => 'off' } },
        must => { %p, options => { tenant_keys => 'required' } },
        head => { %p, key => [], headers => ['authorization: Bearer sk-head',
            'X-More: yes'] },
        good => { %p, url => [$good->url('/v1')],
            options => { tenant_keys => 'off' } } },
});

my $master = put('master.key', 'a1' x 32);
my @master = ('--master-key', "file:$master");
my @conn = ('--postgres', $pg->conninfo('ngxai_worker'), '--ledger-postgres',
    $pg->conninfo('ngxai_ledger'));
my %env = (PLATFORM_API_KEY => $platform);

sub ask { my ($tenant, $model, %o) = @_;
    return $w->answer($w->job(tenant => $tenant, body => {
        model => $model || 'p/x', messages => [{ role => 'user',
        content => 'hello' }] }, %o)) }

# What came of it, and the key that the provider saw.
sub with { my ($tenant, $model, $provider) = @_;
    $provider ||= $p;
    my $n = $provider->requests;
    my $got = ask($tenant, $model);
    my @all = $provider->requests;
    return join ' ', $got->{error} || $got->{status}, map {
        ($_->{headers}{authorization} // '-') =~ /(\S+)$/ } @all[$n .. $#all] }

sub set { my ($tenant, $provider, $text, @more) = @_;
    put('secret', $text);
    return $t->try_aictl(@master, 'provider-key', 'set', $provider,
        '--tenant', $tenant, '--file', "$dir/secret", @more) }
sub soon { my ($want, $name, @ask) = @_;
    my $until = time + 1;
    my $got;
    while (1) {
        my $begun = time;
        $got = with(@ask);
        last if $got eq $want || $begun > $until;
    }
    is($got, $want, $name) }


# aictl.

$t->aictl('tenant', 'create', $_) for qw(acme beta gamma none);
my ($code, $out) = $t->try_aictl('provider-key', 'set', 'p', '--tenant',
    'acme', '--file', '/dev/null');
ok($code == 2 && $out =~ /--master-key/, 'without a master key there is none');
($code, $out) = set('acme', 'p', "  \n");
ok($code == 2 && $out =~ /no key/, 'an empty key is none');
($code, $out) = set('acme', 'p', "one two");
ok($code == 2 && $out !~ /one two/, 'nor is one with a blank');
($code, $out) = set('acme', 'p', 'x' x 8193);
is($code, 2, 'nor one that is too long');
($code, $out) = set('acme', 'p', '{"token_uri":"http://127.0.0.1:1/t"}');
ok($code == 2 && $out =~ /token_uri/, "nor one that has us call whom it likes");
($code, $out) = set('acme', 'p/x', 'x');
is($code, 2, 'a provider has no slash');
($code, $out) = set('nobody', 'p', 'x');
is($code, 3, 'nobody is no tenant');
is($pg->value('select count(*) from ngxai.provider_keys'), 0, 'none of these');

($code, $out) = set('acme', 'p', "$secret{acme}\n");
is($code, 0, 'a key') or diag $out;
unlike($out, qr/sk-/, 'is not shown');
($code, $out) = set('acme', 'off', $secret{acme});
($code, $out) = set('acme', 'must', "{\n \"json\": \"$secret{acme}\"\n}");
is($code, 0, 'a JSON text is a key') or diag $out;
set('acme', 'must', $secret{acme});
put('in', "$secret{beta}\n");
my $in = "$dir/stdin.out";
is(AiProc->spawn(out => $in, cwd => $dir, env => { $t->san_env,
    AI_REDIS => $t->redis->url, AI_MASTER_KEY => "file:$master",
    AI_POSTGRES => $pg->conninfo('ngxai_admin') }, cmd => ['sh', '-c',
    'exec "$0" provider-key set p --tenant beta < in', $t->built('aictl')])
    ->wait(30), 0, 'from standard input') or diag slurp($in);
my $rows = decode_json($t->aictl('--json', 'provider-key', 'list'));
is(join(' ', map { "$_->{tenant}/$_->{provider}" } @$rows),
    'acme/must acme/off acme/p beta/p', 'the list');
is(scalar(grep { $_->{id} =~ /^pk_[0-9a-f]{16}$/
    && $_->{data_key} =~ /^dk_[0-9a-f]{16}$/
    && $_->{master} =~ /^key:[0-9a-f]{16}$/ } @$rows), 4,
    'says by what each is sealed');
isnt($rows->[0]{data_key}, $rows->[3]{data_key}, 'each tenant by its own');
is($pg->value('select count(distinct substring(sealed for 12)) from
    ngxai.provider_keys'), 4, 'no nonce twice');
($code, $out) = $t->try_aictl('provider-key', 'remove', 'x', '--tenant',
    'acme');
is($code, 3, 'what is not there is not removed');
($code, $out) = $t->try_aictl(@master, 'provider-key', 'check');
is($code, 0, 'all of them open') or diag $out;


# Whose key.

$w->start(n => 2, env => \%env, args => [@conn, @master, '--jobs', 4]);
is(with('acme'), "200 $secret{acme}", 'a tenant with a key of its own') for 1, 2;
is(with('beta'), "200 $secret{beta}", 'another one, at the same provider');
is(with('none'), "200 $platform", "one without has the platform's");
is(with('acme', 'off/x'), "200 $platform", 'tenant_keys=off');
is(with('acme', 'must/x'), "200 $secret{acme}", 'tenant_keys=required');
is(with('beta', 'must/x'), 'no_key', 'with required, none is none');
like(ask('beta', 'must/x')->{message}, qr/the tenant has none/, 'it says so');
my @got = map { $w->answer($_) } map { $w->job(tenant => $_, body => {
    model => 'p/x', stream => \1, messages => [] }) } (qw(acme beta none)) x 8;
is(scalar(grep { $_->{status} == 200 } @got), 24, 'many at a time');
my %seen;
$seen{ ($_->{headers}{authorization} =~ /(\S+)$/)[0] }++
    for ($p->requests)[-24 .. -1];
is_deeply(\%seen, { $secret{acme} => 8, $secret{beta} => 8, $platform => 8 },
    'each with its own key');


# Changes, within a second.

($code, $out) = set('gamma', 'p', $secret{gamma});
soon("200 $secret{gamma}", 'a new key', 'gamma');
set('gamma', 'p', 'sk-gamma-second');
soon('200 sk-gamma-second', 'another one in its place', 'gamma');
$t->aictl('provider-key', 'remove', 'p', '--tenant', 'gamma');
soon("200 $platform", 'none any more', 'gamma');
is($pg->value("select count(*) from ngxai.data_keys where tenant = 'gamma'"),
    0, 'and no data key');
set('gamma', 'p', $secret{gamma});
soon("200 $secret{gamma}", 'and one again', 'gamma');
is(with('none', 'head/x'), '200 sk-head', "a header with the platform's key");
set('beta', 'head', 'sk-beta-head');
soon('200 sk-beta-head', 'is not sent beside, or before, a tenant\'s own',
    'beta', 'head/x');
is(($p->requests)[-1]{headers}{'x-more'}, 'yes', 'others are');
$t->aictl('provider-key', 'remove', 'head', '--tenant', 'beta');


# More of them than there may be: none is taken for none.

$t->aictl('tenant', 'create', 'many');
set('many', 'p', 'sk-many');
$pg->psql('ngxai', "insert into ngxai.provider_keys (tenant, provider, id,
    data_key, sealed) select tenant, 'a' || i, 'pk_' || lpad(i::text, 16, '0'),
    data_key, set_byte(sealed, 0, get_byte(sealed, 0) # i)
    from ngxai.provider_keys, generate_series(1, 64) i where tenant = 'many'");
$t->redis->cmd('PUBLISH', 'ai1:own', 'Omany');
soon('no_key', 'a key beyond the last that is read', 'many');
($code, $out) = set('many', 'q', 'sk-q');
ok($code == 1 && $out =~ /at most 64/, 'nor is one more set') or diag $out;
$pg->psql('ngxai', "delete from ngxai.provider_keys where provider ~ '^a'");
$t->redis->cmd('PUBLISH', 'ai1:own', 'Omany');
soon('200 sk-many', 'where there are fewer it is', 'many');


# A worker that dies in such a call: who settles it knows whose key it was.

my $half = $w->job(tenant => 'acme', body => { model => 'p/half',
    stream => \1, messages => [] });
$w->begun($half, 2);
kill 'KILL', $t->worker_pids;
is($w->answer($half)->{error}, 'lost', 'a call whose worker died');
is($w->answer($w->job(tenant => 'none', body => { model => 'p/x',
    messages => [] }))->{status}, 200, 'others live');


# One that the provider refuses.

put("says-$secret{gamma}", 401);
is(with('gamma'), "401 $secret{gamma}", "the provider's word") for 1 .. 15;
is(with('gamma', 'two'), '200', 'it is benched: another target is asked');
is(with('none', 'two'), "200 $platform", "the platform's is not");
is(with('acme', 'two'), "200 $secret{acme}", 'nor is another tenant\'s');
put("says-$platform", 401);
ask('none', 'p/x');
is(with('none', 'two'), '200', "where the platform's is benched");
is(with('acme', 'two'), "200 $secret{acme}", "a tenant's own is not");
my @names = @{ $t->redis->cmd('HKEYS', 'ai1:breakers') };
my $id = $pg->value("select id from ngxai.provider_keys
    where tenant = 'gamma'");
is(scalar(grep { /^k p#\Q$id\E@/ } @names), 1, 'Redis has it by its id');
is(scalar(grep { /^[pm] / } @names), 0, 'no provider and no model');
set('gamma', 'p', 'sk-gamma-third');
soon('200 sk-gamma-third', 'a new one is not benched', 'gamma', 'two');
unlink "$dir/says-$platform";


# What it costs.

my $cost = ask('acme')->{end}{cost};
cmp_ok($cost, '>', 0, 'it has a price');
wait_for(sub { $t->redis->cmd('XLEN', $w->{p} . 'outbox') == 0 }, 20,
    'the ledger');
is($pg->value("select bool_and(own_key and cost > 0) from ngxai.ledger
    where tenant = 'acme' and provider = 'p' and state = 'done'"), 't',
    'the ledger has cost and mark');
is($pg->value("select own_key from ngxai.ledger where tenant = 'acme' and
    cause = 'lost'"), 't', 'also of one whose worker died');
is($pg->value("select count(own_key) from ngxai.ledger where tenant = 'none'"),
    0, "and none with the platform's key");
$rows = decode_json($t->aictl('--json', 'usage', '--tenant', 'acme', '--by',
    'own,provider'));
is(join(' ', map { ($_->{own} ? 'own ' : '') . $_->{provider} } @$rows),
    'off own must own p', 'aictl usage tells them apart');


# What does not open.

sub shut { my ($name, $tenant, $sql, $back) = @_;
    $pg->psql('ngxai', $sql);
    $t->redis->cmd('PUBLISH', 'ai1:own', "O$tenant");
    my $got;
    wait_for(sub { $got = ask($tenant); ($got->{error} // '') eq 'no_key' },
        20, $name);
    like($got->{message}, qr/cannot be opened/, $name);
    is(with($tenant), 'no_key', 'no key is tried in its place');
    ($code, $out) = $t->try_aictl('--json', @master, 'provider-key', 'check');
    is($code, 1, 'aictl finds it');
    is(scalar(grep { $_->{tenant} eq $tenant && $_->{state} ne 'ok' }
        @{ decode_json($out) }), 1, 'it alone');
    $pg->psql('ngxai', $back);
    $t->redis->cmd('PUBLISH', 'ai1:own', "O$tenant");
}
my %beta = map { $_ => $pg->value("select $_ from ngxai.provider_keys
    join ngxai.data_keys d using (tenant) where tenant = 'beta'") }
    qw(sealed wrapped);
my $theirs = $pg->value("select sealed from ngxai.provider_keys
    where tenant = 'acme' and provider = 'p'");
my $back = "update ngxai.provider_keys set sealed = '$beta{sealed}'
    where tenant = 'beta'";
shut('one that was changed', 'beta', "update ngxai.provider_keys
    set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)
    where tenant = 'beta'", $back);
wait_for(sub { with('beta') eq "200 $secret{beta}" }, 20, 'all put right');
shut("another tenant's, moved", 'beta', "update ngxai.provider_keys
    set sealed = '$theirs' where tenant = 'beta'", $back);
shut("the same with its data key", 'beta', "update ngxai.data_keys b
    set wrapped = a.wrapped from ngxai.data_keys a
    where b.tenant = 'beta' and a.tenant = 'acme'; update
    ngxai.provider_keys set sealed = '$theirs' where tenant = 'beta'",
    "update ngxai.data_keys set wrapped = '$beta{wrapped}'
    where tenant = 'beta'; $back");
wait_for(sub { with('beta') eq "200 $secret{beta}" }, 20, 'all put right');


# The workers' role sees one tenant's, and aictl's moves none.

is($pg->value('select count(*) from ngxai.provider_keys', 'ngxai_worker'), 0,
    'no tenant, no key');
is($pg->value("begin; set local app.current_tenant_id = 'beta';
    select count(*) from ngxai.provider_keys k, ngxai.data_keys d; commit",
    'ngxai_worker'), 1, "one tenant's");
is($pg->value("select count(*) from ngxai.own_keys('acme')",
    'ngxai_worker'), 3, 'by the function');
for my $sql ("update ngxai.provider_keys set sealed = sealed",
    "delete from ngxai.data_keys", "insert into ngxai.own_tenants values
    ('none', 1, 1)")
{
    ok(!eval { $pg->psql('ngxai', $sql, 'ngxai_worker'); 1 },
        "a worker does not $sql");
}
ok(!eval { $pg->psql('ngxai', "update ngxai.provider_keys
    set tenant = 'none'", 'ngxai_admin'); 1 }, 'aictl moves no key');


# Postgres is away.

is(with('acme'), "200 $secret{acme}", 'before');
ask('gamma', 'p/x') for 1 .. 4;
my $early = $w->start(name => 'early', env => \%env, args => [@conn, @master]);
$t->{workers}[0]->stop;
is(with('acme'), "200 $secret{acme}", 'a worker that knows of one tenant');
$pg->stop;
is(with('acme'), "200 $secret{acme}", 'without Postgres it goes on');
is(with('none'), "200 $platform", 'and so do those that have none');
my $calls = $p->requests;
my $away = ask('beta');
is($away->{error}, 'unavailable', 'a key that is not known');
is(scalar(my @now = $p->requests), $calls, 'is not replaced');
like($away->{message}, qr/not known just now/, 'it says so');
is(with('beta', 'off/x'), "200 $platform", 'tenant_keys=off asks nobody');
is(with('beta', 'two', $good), "200 $platform", 'another target is asked');
my $cold = $w->start(name => 'cold', env => \%env, args => [@conn, @master]);
$early->stop;
is(with('none'), 'unavailable', 'a worker that knows nothing is careful');
is(with('none', 'off/x'), "200 $platform", 'but where there is nothing to '
    . 'know');
$pg->start;
wait_for(sub { with('beta') eq "200 $secret{beta}" }, 30, 'Postgres');
pass('it is back');
is(with('none'), "200 $platform", 'for all');


# Another master key; none.

my $other = put('other.key', 'b2' x 32);
my $wrong = $w->start(name => 'wrong', env => \%env, args => [@conn,
    '--master-key', "file:$other"]);
$cold->stop;
is(with('acme'), 'no_key', 'with another master key nothing opens');
like(slurp("$dir/wrong.log"), qr/tenant[ ]acme[ ]cannot[ ]be[ ]opened:[ ]it[ ]was[ ]wrapped[ ]by
    [ ]the[ ]master[ ]key[ ]key:[0-9a-f]{16},[ ]not[ ]by[ ]key:/x,
    'the log says which');
is(with('none'), "200 $platform", 'who has none has no trouble');
my $bare = $w->start(name => 'bare', env => \%env, args => \@conn);
$wrong->stop;
wait_for(sub { with('acme') eq 'no_key' }, 20, 'no key without a master key');
is(with('acme'), 'no_key', 'without one either');
like(slurp("$dir/bare.log"), qr/there is no --master-key/, 'said, too');
is(with('none'), "200 $platform", 'and who has none');
for (['--master-key', 'env:PLATFORM_API_KEY'],
    ['--master-key', 'file:' . $t->subdir('secrets') . '/m'],
    ['--master-key', 'file:/nowhere'], ['--old-master-key', "file:$master"],
    ['--master-key', 'a1' x 32])
{
    put('secrets/m', 'a1' x 32);
    my $said = "$dir/refused.out";
    unlink $said;
    isnt(AiProc->spawn(out => $said, env => { $t->san_env,
        PLATFORM_API_KEY => 'a1' x 32 }, cmd => [$t->built('ai-workers'),
        '--redis', $t->redis->url, @conn, '--secrets-dir',
        $t->subdir('secrets'), @$_])->wait(20), 0, "@$_[0] is refused: "
        . ($_->[1] =~ s/\Q$dir\E//r =~ s/^a1.*/a key/r));
    unlike(slurp($said), qr/a1a1/, 'without a word of it');
}


# Where they can be read: nowhere.

my $all = join "\n", values %secret, $platform, 'a1' x 32;
my $found = sub { my ($name, $text) = @_;
    my @in = grep { index($text, $_) >= 0 } split /\n/, $all;
    is(scalar @in, 0, "no key in $name") };
$found->('the log', join '', map { slurp($_) }
    glob "$dir/{workers,early,cold,wrong,bare}.{log,out}");
$t->redis->cmd('BGREWRITEAOF');
my $values = '';
for my $key (keys %{ $t->redis->keys }) {
    my $type = $t->redis->cmd('TYPE', $key);
    my $of = $type eq 'hash' ? $t->redis->cmd('HGETALL', $key)
        : $type eq 'string' ? [$t->redis->cmd('GET', $key)]
        : $type eq 'stream' ? [map { @{ $_->[1] } } @{ $t->redis->cmd(
            'XRANGE', $key, '-', '+') }] : [];
    $values .= join "\n", $key, @$of, '';
}
cmp_ok(length $values, '>', 10000, 'Redis has something');
$found->('Redis', $values);
$found->('Postgres', join "\n", map { $_->[0] } map { $pg->query("select
    encode(t::text::bytea, 'escape') from ngxai.$_ t") } qw(provider_keys
    data_keys own_tenants ledger));

$w->close;
done_testing();
