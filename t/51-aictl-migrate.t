#!/usr/bin/perl
# aictl migrate: from nothing, again, at the same time, and what it refuses.
use AiTest;
use File::Copy qw(copy);

my $t = AiTest->new;
my $pg = $t->pg(bare => 1);
my $aictl = $t->built('aictl');
my @files = map { s{.*/}{}r } sort glob $t->root . '/migrations/*.sql';

sub migrate {
    my ($db, @args) = @_;
    my $conn = $pg->conninfo($db eq 'super' ? 'postgres' : 'ngxai_owner',
        $db eq 'super' ? 'ngxai' : $db);
    my $out = "$t->{dir}/migrate-$$-" . int(rand 1e9);
    my $status = AiProc->spawn(cmd => [$aictl, 'migrate', @args], out => $out,
        cwd => $t->root, env => { $t->san_env, AI_POSTGRES_OWNER => $conn })
        ->wait(60);
    return ($status >> 8 || $status, slurp($out));
}

sub folder {
    my $dir = $t->subdir("m$_[0]");
    copy($t->root . "/migrations/$_", "$dir/$_") for @files;
    return $dir;
}

sub write_file {
    open my $fh, '>', $_[0] or die;
    print $fh $_[1];
    close $fh;
}

sub database {
    $pg->psql('postgres', "create database $_[0] owner ngxai_owner");
    return $_[0];
}

my ($code, $out) = migrate('ngxai', '--check');
is($code, 1, '--check says that something is to be done');
like($out, qr/0001_roles\.sql\s+pending/, 'and what');
($code, $out) = migrate('ngxai', '--json');
is($code, 0, 'from nothing');
is_deeply([map { $_->{state} } @{ decode_json($out) }],
    [('applied') x @files], 'all are applied');
is($pg->value('select count(*) from ngxai.migrations'), scalar(@files),
    'and recorded');
($code, $out) = migrate('ngxai');
is($code, 0, 'again');
unlike($out, qr/applied|pending/, 'nothing is to be done');
is((migrate('ngxai', '--check'))[0], 0, '--check agrees');
is($pg->value("select count(*) from pg_class where relname ~ '^ledger_\\d+'
    and relkind = 'r'"), 3, 'three months have a partition');

# Several at once.
my $db = database('race');
my @pids;
for (1 .. 4) {
    my $pid = fork;
    if (!$pid) {
        require POSIX;
        POSIX::_exit((migrate($db))[0]);
    }
    push @pids, $pid;
}
my @codes = map { waitpid $_, 0; $? } @pids;
is_deeply(\@codes, [0, 0, 0, 0], 'four at once: each ends well');
is($pg->psql($db, 'select count(*) from ngxai.migrations') + 0,
    scalar(@files), 'each file was applied once');

# What it refuses.
my $dir = folder('changed');
write_file("$dir/$files[-1]", slurp("$dir/$files[-1]") . "-- more\n");
($code, $out) = migrate('ngxai', '--dir', $dir);
is($code, 1, 'a changed file');
like($out, qr/\Q$files[-1]\E was changed after it had been applied/, 'why');

$dir = folder('newer');
unlink "$dir/$files[-1]";
($code, $out) = migrate('ngxai', '--dir', $dir);
is($code, 1, 'a database newer than the folder');
like($out, qr/newer than this folder: it has \Q$files[-1]\E/, 'why');

$dir = folder('between');
write_file("$dir/0001_zz.sql", 'select 1');
($code, $out) = migrate('ngxai', '--dir', $dir);
is($code, 1, 'a file between old ones');
like($out, qr/a new migration needs a higher number/, 'why');

$dir = folder('broken');
write_file("$dir/8000_good.sql", "set local role ngxai_owner;\n"
    . "create table ngxai.good ();\n");
write_file("$dir/9000_bad.sql", "set local role ngxai_owner;\n"
    . "create table ngxai.half ();\nselect nonsense;\n");
($code, $out) = migrate('ngxai', '--dir', $dir, '--json');
is($code, 1, 'a broken one');
like($out, qr/9000_bad\.sql: ERROR:.*nonsense/, 'why');
is($pg->value("select to_regclass('ngxai.half')"), undef, 'leaves no half');
is($pg->value("select to_regclass('ngxai.good')"), 'good',
    'what was before it stays');

write_file("$dir/9000_bad.sql", "commit;\n");
($code, $out) = migrate('ngxai', '--dir', $dir);
is($code, 1, 'one that ends its transaction');
like($out, qr/must not end its transaction/, 'why');

($code, $out) = migrate('ngxai', '--dir', '/nonexistent');
is($code, 1, 'no folder');
like($out, qr{/nonexistent: No such file}, 'why');
($code, $out) = migrate('nowhere');
is($code, 4, 'no database');

# By a superuser, whose tables would be nobody's.
$db = database('super');
$pg->psql('postgres', 'drop database ngxai');
$pg->psql('postgres', 'create database ngxai');
is((migrate('super'))[0], 0, 'as a superuser');
is($pg->value("select string_agg(distinct tableowner, ',') from pg_tables
    where schemaname = 'ngxai'"), 'ngxai_owner', 'all belongs to ngxai_owner');
is((migrate('super'))[0], 0, 'and again');

# Roles that could get round it.
$pg->psql('postgres', 'alter role ngxai_worker bypassrls');
($code, $out) = migrate(database('bypass'));
is($code, 1, 'a worker that bypasses row level security');
like($out, qr/ngxai_worker exists and could get round/, 'why');

done_testing();
