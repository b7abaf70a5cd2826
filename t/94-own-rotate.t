#!/usr/bin/perl
# Rotation of data keys and of the master key, killed in between, while calls go
# on; a KMS program that hangs, fails and talks nonsense.
use AiTest;
use AiWork;

my $t = AiTest->new(allow_log => [qr/cannot be opened/]);
my $pg = $t->pg;
my $w = AiWork->new($t, start => 0);
my $dir = $t->dir;
my @tenants = qw(a b c d e f);

sub put { my ($name, $text) = @_;
    open my $fh, '>', "$dir/$name.new" or die $!; print $fh $text; close $fh;
    chmod 0755, "$dir/$name.new";
    rename "$dir/$name.new", "$dir/$name" or die $!;
    return "$dir/$name" }

# The file "mode", or that of a tenant, says what it does; each call is a line of
# kms.log.
put('mode', 'good');
my $kms = put('kms', <<'END' =~ s/DIR/$dir/gr);
#!/bin/sh
read -r of
read -r text
of_tenant=${of#tenant=}
mode=$(cat DIR/mode-${of_tenant%% *} 2> /dev/null || cat DIR/mode)
echo "$2 $of $mode $$" >> DIR/kms.log
test "$2-$mode" != wrap-third || test $(grep -c ^wrap DIR/kms.log) -lt 3 \
    || mode=hang-wrap
test "$mode" != "hang-$2" || { echo "hangs $$" >> DIR/kms.log; sleep 600 & wait; }
case $mode-$2 in
fail-*) exit 7;;
garbage-*) echo 'Error: denied'; exit 0;;
short-*) echo AAAA; exit 0;;
*-wrap) printf 'by %s: %s' "$1" "$text" | base64 -w0;;
*-unwrap) printf %s "$text" | base64 -d | sed "s/^by $1: //";;
esac
END
my $file = put('master', 'a1' x 32);
my @old = ('--master-key', "file:$file");
my @new = ('--master-key', "kms:two=$kms key-2");
my @both = (@new, '--old-master-key', "file:$file");

my $p = $t->provider;
$w->catalog({ providers => { p => { api => 'openai', url => [$p->url('/v1')],
    key => ['env:PLATFORM_API_KEY'] } } });
sub start { my ($name, @args) = @_;
    my $is = $w->start(name => $name, env => { PLATFORM_API_KEY => 'platform' },
        args => ['--postgres', $pg->conninfo('ngxai_worker'), @args]);
    $_->stop for grep { $_ != $is && $_->alive } @{ $t->{workers} };
    return $is }
sub ask { my ($tenant) = @_;
    return $w->answer($w->job(tenant => $tenant, body => { model => 'p/x',
        messages => [] })) }
sub with { my ($tenant) = @_;
    my $n = $p->requests;
    my $got = ask($tenant);
    my @all = $p->requests;
    return join ' ', $got->{error} || $got->{status}, map {
        ($_->{headers}{authorization} // '-') =~ /(\S+)$/ } @all[$n .. $#all] }
sub all_work { my ($name) = @_;
    is(join(' ', map { with($_) } @tenants),
        join(' ', map { "200 sk-$_" } @tenants), $name) }
sub check { my ($name, @master) = @_;
    my ($code, $out) = $t->try_aictl('provider-key', 'check', @master);
    is($code, 0, $name) or diag $out }
sub aictl { my (@args) = @_;
    return AiProc->spawn(out => "$dir/rotate.out", cwd => $dir, env => {
        $t->san_env, AI_REDIS => $t->redis->url,
        AI_POSTGRES => $pg->conninfo('ngxai_admin') },
        cmd => [$t->built('aictl'), 'provider-key', @args]) }
sub lines { my ($like) = @_;
    my $n = () = (-e "$dir/kms.log" ? slurp("$dir/kms.log") : '') =~ /$like/g;
    return $n }

for (@tenants) {
    $t->aictl('tenant', 'create', $_);
    put('secret', "sk-$_");
    $t->aictl('provider-key', 'set', 'p', '--tenant', $_, '--file',
        "$dir/secret", @old);
}
start('one', @old);
all_work('before');


# Data keys, killed in between; of what it did some is done, and all works.

sub data_keys { return { map { @$_ } $pg->query(
    'select tenant, data_key from ngxai.provider_keys') } }
my $before = data_keys();
$t->aictl('provider-key', 'rotate', '--tenant', 'a', @old);
my $then = data_keys();
isnt($then->{a}, $before->{a}, "one tenant's data key");
is(join(' ', map { $then->{$_} eq $before->{$_} ? $_ : () } @tenants),
    'b c d e f', 'alone');
all_work('with the same worker');

# Its KMS stops answering at the third tenant.
sub killed { my ($name, $at, @args) = @_;
    unlink "$dir/kms.log";
    put('mode', 'third');
    my $proc = aictl(@args);
    wait_for(sub { lines(qr/^hangs /m) }, 20, "$name to be half done");
    $proc->stop('KILL');
    kill 'KILL', -$_ for slurp("$dir/kms.log") =~ /^hangs (\d+)/mg;
    put('mode', 'good');
    is($at->(), 2, "$name is killed with two done") }

$before = data_keys();
killed('rotation', sub { my $now = data_keys();
    return scalar grep { $now->{$_} ne $before->{$_} } @tenants }, 'rotate',
    @both);
check('what it left opens', @both);
is($pg->value('select count(*) from ngxai.data_keys d where not exists (select
    from ngxai.provider_keys k where k.data_key = d.id)'), 0,
    'and no data key is left over');
start('both', @both);
all_work('with both master keys');
my $out = $t->aictl('--json', 'provider-key', 'rotate', @both);
is(decode_json($out)->{keys}, 6, 'once more, to its end');
my $now = data_keys();
is(scalar(grep { $now->{$_} eq $before->{$_} } @tenants), 0, 'all are new');
all_work('and work');


# The master key: back to the file, and to the KMS again.

my @back = ('--master-key', "file:$file", '--old-master-key',
    "kms:two=$kms key-2");
$out = decode_json($t->aictl('--json', 'provider-key', 'rewrap', @back));
is($out->{rewrapped}, 6, 'all are wrapped by the other master key');
check('which opens them alone', @old);
killed('rewrapping', sub { $pg->value("select count(*) from ngxai.data_keys
    where master = 'kms:two'") }, 'rewrap', @both);
check('what it left opens', @both);
my ($code, $said) = $t->try_aictl('provider-key', 'check', @new);
is($code, 1, 'not without the old one');
like($said, qr/key:[0-9a-f]{16}, not by kms:two/, 'which it names');
start('half', @both);
all_work('workers with both serve all');
my $left = $pg->value("select count(*) from ngxai.data_keys
    where master <> 'kms:two'");
$out = decode_json($t->aictl('--json', 'provider-key', 'rewrap', @both));
is($out->{rewrapped}, $left, 'once more: what was left');
is($out->{left}, 0, 'nothing is left');
$out = decode_json($t->aictl('--json', 'provider-key', 'rewrap', @both));
is($out->{rewrapped}, 0, 'and once more nothing');
check('the old one is not needed', @new);
is($pg->value('select count(distinct data_key) from ngxai.provider_keys'), 6,
    'data keys are what they were');


# A KMS that does not do what it should, for those who wrap,

put('secret', 'sk-x');
for (['fail', qr/exit code 7/], ['garbage', qr/one line of base64/],
    ['short', qr/no data key/])
{
    my ($mode, $why) = @$_;
    put('mode', $mode);
    ($code, $said) = $t->try_aictl('provider-key', 'set', 'p', '--tenant',
        'a', '--file', "$dir/secret", @new);
    is($code, 1, "$mode: no key is set");
    like($said, $why, 'why');
    unlike($said, qr/denied|sk-x|AAAA/, 'and not what it said');
}
put('mode', 'good');
put('mode-a', 'hang-unwrap');
put('mode-b', 'garbage');
my $slow = aictl('set', 'p', '--tenant', 'a', '--file', "$dir/secret", @new);


# and for workers, who serve the others meanwhile.

unlink "$dir/kms.log";
start('new', @new);
my $job = $w->job(tenant => 'a', body => { model => 'p/x', messages => [] });
wait_for(sub { lines(qr/^unwrap tenant=a .*hang/m) >= 1 }, 10, 'the KMS');
is(with('b'), 'no_key', 'nonsense opens nothing');
is(with('c'), '200 sk-c', 'who has another key does not wait');
is(with('nobody'), '200 platform', 'nor who has none') for 1 .. 5;
is($w->state($job), 'running', 'for one who has');
my $got = $w->answer($job, 20);
is($got->{error}, 'no_key', 'that one fails, within a time');
like(slurp("$dir/new.log"), qr/tenant b cannot.*one line of base64/,
    "the log says why, of the first");
is($slow->wait(20) >> 8, 1, 'so does aictl');
like(slurp("$dir/rotate.out"), qr/did not answer within 5 s/, 'in its words');
my @pids = slurp("$dir/kms.log") =~ /^hangs (\d+)/mg;
wait_for(sub { !grep { kill 0, -$_ } @pids }, 5, 'what it had started to go');
pass('nothing of the program is left');
is(scalar(grep { ($_->{headers}{authorization} // '') =~ /platform|sk-x/ }
    ($p->requests)[-1]), 1, 'no call was made for it');

unlink "$dir/mode-a", "$dir/mode-b";
wait_for(sub { with('b') eq '200 sk-b' }, 20, 'the KMS to be asked again');
$t->redis->cmd('PUBLISH', 'ai1:own', 'Oa');
all_work('when it is back all work');
put('mode', 'fail');
$t->redis->cmd('PUBLISH', 'ai1:own', "O$_") for @tenants;
all_work('what is open stays so without it');
put('mode', 'good');


# The master key's file is read again.

start('file', @back);
$t->aictl('provider-key', 'rewrap', @back);
all_work('wrapped by the file');
my $third = put('third', 'c3' x 32);
$out = decode_json($t->aictl('--json', 'provider-key', 'rewrap',
    '--master-key', "file:$third", '--old-master-key', "file:$file"));
is($out->{rewrapped}, 6, 'a third master key');
put('master', 'c3' x 32);
kill 'HUP', $_ for $t->worker_pids;
wait_for(sub { slurp("$dir/file.log") =~ /read again/ }, 10, 'SIGHUP');
put('secret', 'sk-a');
$t->aictl('provider-key', 'set', 'p', '--tenant', 'a', '--file',
    "$dir/secret", @old);
is(with('a'), '200 sk-a', 'is used from then on');
put('master', 'nonsense');
kill 'HUP', $_ for $t->worker_pids;
wait_for(sub { slurp("$dir/file.log") =~ /stays what it was/ }, 10, 'SIGHUP');
pass('a file that is none changes nothing');
unlike(slurp("$dir/file.log"), qr/nonsense|c3c3/, 'and is not shown');

$w->close;
done_testing();
