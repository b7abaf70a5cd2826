#!/usr/bin/perl
# The supervisor and its processes: signals, crashes, the log, odd starts.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $dir = $t->dir;
$t->allow_log(qr/on signal/);

my $p = $t->provider;
sub secret {
    open my $fh, '>', $t->subdir('secrets') . '/key' or die $!;
    print $fh $_[0];
    close $fh;
}

secret('sk-one');
$w->catalog({ providers => { p => { api => 'openai', key => ['file:key'],
    url => [$p->url('/v1')] } } });
my $proc = $w->start(n => 2, args => ['--pid-file', "$dir/workers.pid",
    '--metrics-interval', 1]);
sub ask { return $w->answer($w->job(body => { model => 'p/m',
    messages => [] })) }

is(slurp("$dir/workers.pid"), $proc->pid . "\n", 'the pid file');
is(scalar(my @pids = $t->worker_pids), 2, 'two processes');


# SIGHUP: secrets are read again.

is(ask()->{end}{state}, 'done', 'answered') for 1 .. 4;
like(($p->requests)[-1]{headers}{authorization}, qr/sk-one$/, 'the first key');
secret('sk-two');
$proc->signal('HUP');
wait_for(sub { 2 <= (() = $t->worker_log =~ /secrets are read again/g) }, 10,
    'both to hear it');
ask() for 1 .. 4;
like($_->{headers}{authorization}, qr/sk-two$/, 'the new key')
    for ($p->requests)[-4 .. -1];


# SIGUSR1: the log is opened again.

rename "$dir/workers.log", "$dir/old.log";
$proc->signal('USR1');
wait_for(sub { -e "$dir/workers.log" }, 10, 'the new log');
kill KILL => $pids[0];
wait_for(sub { $t->worker_log =~ /process $pids[0] ended/ }, 10, 'an entry');
my @lines = split /\n/, slurp("$dir/old.log") . $t->worker_log;
my @bad = grep { !eval { decode_json($_)->{message} } } @lines;
is("@bad", '', 'each line of the log is JSON');


# A crash hurts no other, and is made good; one that keeps crashing waits.

wait_for(sub { (@pids = $t->worker_pids) == 2 && $w->alive == 2 }, 20,
    'a new process');
my $began = time;
for (1 .. 3) {
    my ($new) = sort { $b <=> $a } $t->worker_pids;
    kill KILL => $new;
    wait_for(sub { my @n = $t->worker_pids; @n == 2 && !grep { $_ == $new } @n },
        30, 'another one');
}
cmp_ok(time - $began, '>', 0.2 + 0.4, 'with growing pauses');
is(ask()->{end}{state}, 'done', 'jobs go on');


# Its counters.

my $record;
wait_for(sub {
    my ($key) = sort keys %{ $t->redis->keys('ai1:metrics:*') } or return;
    $record = AiWork::fields($t->redis->cmd('GET', $key) || '');
    return grep { ($_->{jobs_done_total}[0] || 0) >= 1 } map {
        AiWork::fields($t->redis->cmd('GET', $_) || '')
    } keys %{ $t->redis->keys('ai1:metrics:*') };
}, 20, 'metrics');
ok(!grep({ $_->[0] !~ /^-?\d+$/ } values %$record), 'counters are numbers');
cmp_ok($record->{memory_bytes}[0], '>', 1e6, 'memory');


# Odd starts.

sub run {
    my (@args) = @_;
    my $out = "$dir/run.txt";

    unlink $out;
    my $status = AiProc->spawn(cmd => [$t->built('ai-workers'), @args],
        out => $out, cwd => $dir, env => { $t->san_env })->wait(30);
    return ($status >> 8, slurp($out));
}

my ($code, $said) = run('--pid-file', "$dir/workers.pid");
is($code, 1, 'a second one with the same pid file');
like($said, qr/another one runs/, 'says why');
($code, $said) = run('--workers', 'many');
is($code, 2, 'a bad option');
like($said, qr/bad value for --workers: many/, 'is named');
($code, $said) = run('--log', "$dir/no/such/dir/log");
is($code, 2, 'a log that cannot be opened');
like($said, qr/No such file/, 'is named');
($code, $said) = run('--help');
is($code, 0, '--help');
like($said, qr/--drain-timeout/, 'lists the options');


# Without Redis it waits, and says so once; a password that is wrong is said.

my $early = AiProc->spawn(name => 'workers-early', cwd => $dir,
    out => "$dir/workers-early.out", env => { $t->san_env },
    cmd => [$t->built('ai-workers'), '--redis', "unix:$dir/late.sock",
        '--workers', 1, '--log', "$dir/workers-early.log"]);
push @{ $t->{workers} }, $early;
wait_for(sub { $t->worker_log('workers-early') =~ /commands: not connected/ },
    20, 'an entry');
my $before = $w->alive;
my $late = AiRedis::Fake->new(dir => $dir, name => 'late',
    upstream => $t->redis->path);
wait_for(sub { $w->alive > $before }, 30, 'it to find Redis');
is(scalar(() = $t->worker_log('workers-early') =~ /commands: not connected/g),
    1, 'it waits for Redis and says so once');
$early->signal('INT');
is($early->wait(20), 0, 'Ctrl-C ends it');
$late->stop;

is(ask()->{end}{state}, 'done', 'jobs go on');


# A reload or a rotation that comes with the start is no end.

my $ended = 0;
for my $n (1 .. 5) {
    my $file = "$dir/hasty-$n.pid";
    my $hasty = AiProc->spawn(name => 'hasty', cwd => $dir,
        out => "$dir/hasty.out", env => { $t->san_env },
        cmd => [$t->built('ai-workers'), '--redis', "unix:$dir/none.sock",
            '--workers', 1, '--log', "$dir/hasty.log", '--pid-file', $file]);
    1 until -e $file || !$hasty->alive;
    kill $_ => $hasty->pid for qw(HUP USR1);
    sleep 0.2;
    $ended += !$hasty->alive;
    $hasty->stop;
}
is($ended, 0, 'signals at the start');

$w->close;
done_testing();
