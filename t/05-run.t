#!/usr/bin/perl
# make run: starts, answers, ends, starts again; and what it says when it cannot.
use AiTest;

my $t = AiTest->new;
my $dir = $t->dir;
our $run = "$dir/run";
my $n = 0;
my $out;


sub run {
    my (%env) = @_;

    $out = "$dir/out-" . ++$n;
    return AiProc->spawn(name => 'make run', out => $out, cwd => $t->root,
        env => { RUN_DIR => $run, PORT => free_port(), WORKERS => 1, CONF => '',
            MAKEFLAGS => undef, MAKELEVEL => undef, %env },
        cmd => ["@{[$t->root]}/tools/run.sh"]);
}


sub ready {
    my ($proc) = @_;

    wait_for(sub {
        die "make run: " . slurp($out) unless $proc->alive;
        return slurp($out) =~ /^ngx-ai ready: (\S+)$/m;
    }, 300, 'ngx-ai ready');
    my ($url) = slurp($out) =~ /^ngx-ai ready: (\S+)$/m;
    return $url;
}


sub left { join "\n", map { "@$_" } AiProc::processes_in($run) }


# It must have ended by itself, unwell, with one line that says this.
sub failed {
    my ($proc, $re, $what) = @_;

    my $status = $proc->wait(300);
    isnt($status, 0, "$what: fails");
    my @lines = grep { !/^run: (?:building|ending |the user postgres)/ }
        split /\n/, slurp($out);
    is(@lines, 1, "$what: one line") or diag(slurp($out));
    like($lines[0], $re, "$what: that says what to do");
    is(left(), '', "$what: nothing left running");
}


sub redis { `redis-cli -s $run/redis.sock @_` }


# A first start.
my $proc = run();
my $url = ready($proc);
my ($port) = $url =~ /(\d+)$/;
my ($curl) = slurp($out) =~ /^(curl .*?\}')$/ms;
ok($curl, 'prints a curl line');
my $said = `$curl 2>/dev/null`;
is($?, 0, 'which works as pasted');
like($said, qr/^data: \{.*^data: \[DONE\]$/ms, 'and streams');

my $key = slurp("$run/demo.key");
like($key, qr/^ngx-[\w-]{43}$/, 'a key of tenant demo');
is((stat "$run/demo.key")[2] & 0777, 0600, 'that only its owner reads');
is((split /\n/, redis(qw(CONFIG GET port)))[1], 0, 'Redis has no port');
is((split /\n/, redis(qw(CONFIG GET maxmemory-policy)))[1], 'noeviction',
    'and evicts nothing');
redis(qw(SET kept 1));

{
    my $second = run();
    isnt($second->wait(60), 0, 'a second one beside it fails');
    like(slurp($out), qr/^run: another make run uses \Q$run\E: stop it \(pid /,
        'and says why');
}
is(AiHttp->get($port, '/health/live')->status, 200, 'the first goes on');

is($proc->stop('TERM', 60), 0, 'TERM ends it well');
is(left(), '', 'and leaves nothing running');

# Again, with the data of the first, then killed as hard as can be.
$proc = run();
($port) = ready($proc) =~ /(\d+)$/;
is(redis(qw(GET kept)), "1\n", 'a second start keeps the data');
is(slurp("$run/demo.key"), $key, 'and the key');
is(AiHttp->get($port, '/v1/models', key => $key =~ s/\n//r)->status, 200,
    'which still opens');
my ($master) = slurp("$run/nginx.pid") =~ /(\d+)/;
my ($redis) = grep { $_->[1] =~ /redis-server/ } AiProc::processes_in($run);
kill 'STOP', $redis->[0];
$proc->signal('KILL');
kill 'KILL', $master;
$proc->wait;
isnt(left(), '', 'a kill -9 leaves something');

$proc = run(PORT => $port);
ready($proc);
is(redis(qw(GET kept)), "1\n", 'a start after kill -9 keeps the data');
like(slurp($out), qr/ending redis-server \(pid $redis->[0]\)/,
    'and ends what was left');

like(slurp("$run/logs/access.log"),
    qr{"uri":"/v1/models","status":200}, 'the log tells what was asked for');

# A part that dies.
my ($server) = redis(qw(INFO server)) =~ /process_id:(\d+)/;
kill 'KILL', $server;
failed_after($proc, qr/^run: redis ended/, 'a part that dies');


sub failed_after {
    my ($proc, $re, $what) = @_;

    isnt($proc->wait(60), 0, "$what: fails");
    my ($said) = slurp($out) =~ /^curl .*?\}'\n\n(.*)/ms;
    my @lines = split /\n/, $said;
    is(@lines, 1, "$what: one line") or diag($said);
    like($lines[-1], $re, "$what: named");
    is(left(), '', "$what: nothing left running");
}


# What cannot work.
my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
failed(run(PORT => $socket->sockport),
    qr/^run: port \d+ is in use: .*PORT=/, 'a port in use');
{
    local $run = "$dir/others";
    mkdir $run;
    open my $fh, '>', "$run/file";
    close $fh;
    failed(run(), qr/^run: \Q$run\E is not empty and not of make run: set RUN_DIR/,
        'a folder of something else');
    ok(!-e "$run/lock", 'in which nothing was made');
}
failed(run(PORT => 'x'), qr/^run: PORT=x is not a port/, 'a bad port');

open my $fh, '>', "$dir/broken.conf";
print $fh "events {\n}\nhttp {\n    no_such_thing on;\n}\n";
close $fh;
failed(run(CONF => "$dir/broken.conf"),
    qr/unknown directive "no_such_thing" in \Q$dir\E\/broken\.conf:4/,
    'a broken nginx.conf');
failed(run(CONF => "$dir/none.conf"), qr/none\.conf cannot be read/,
    'a missing nginx.conf');

mkdir "$dir/bin";
for (['dpkg-query', 'echo not-installed'], ['id', 'echo 1000']) {
    open my $bin, '>', "$dir/bin/$_->[0]";
    print $bin "#!/bin/sh\n$_->[1]\n";
    close $bin;
    chmod 0755, "$dir/bin/$_->[0]";
}
# Every program but sudo.
for my $path (map { glob "$_/*" } split /:/, $ENV{PATH}) {
    my ($name) = $path =~ m{([^/]+)$};
    symlink $path, "$dir/bin/$name" unless $name eq 'sudo';
}
failed(run(PATH => "$dir/bin"),
    qr/^packages: not root and no sudo; as root run: apt-get install /,
    'a package that cannot be installed');

# Places where sockets, or Postgres' own user, cannot go.
my $deep = "$dir/private/" . 'long-name-' x 10;
mkdir "$dir/private";
chmod 0700, "$dir/private";
$run = $deep;
$proc = run();
$url = ready($proc);
($curl) = slurp($out) =~ /^(curl .*?\}')$/ms;
like(`$curl 2>/dev/null`, qr/^data: \[DONE\]$/m,
    'a long path below a private folder');
my ($elsewhere) = slurp($out) =~ /Postgres lives in (\S+)/;
ok($> != 0 || $elsewhere, 'Postgres goes elsewhere, and that is said');
my $short = readlink "$run/sockets";
ok(-S "$short/redis.sock", 'sockets are in a short folder');

# Ctrl-C reaches a whole group of processes.
is($proc->stop('INT', 60), 0, 'INT ends it well');
is(left(), '', 'and leaves nothing running');
ok(!-e $short, 'nor the short folder');
if ($elsewhere) {
    is_deeply([AiProc::processes_in($elsewhere)], [], 'nor Postgres');
    system 'rm', '-rf', $elsewhere;
    rmdir '/var/lib/ngx-ai-run';
}

done_testing();
