#!/usr/bin/perl
# USR2, WINCH, QUIT under open streams: those of the old binary and those of the
# new one byte for byte, and a job given to either is heard there.
use AiTest;
use AiCrowd;

AiTest::skip_all('no 2048 descriptors') unless AiCrowd::descriptors(2048);

my $t = AiTest->new;
my $p = AiCrowd::Provider->new(dir => $t->dir, pace => 0.5);
my $dir = "$t->{dir}/nginx";
my $module = $t->built('ngx_http_ai_module.so');
my $user = $> == 0 ? 'user root;' : '';

$t->redis(aof => 1);
$t->pg;
$t->start_workers(n => 2);
my $edge = $t->edge(ai => 'ai_provider p { api openai; url ' . $p->url . '; }',
    vars => { GLOBALS => <<"CONF" });
load_module $module;
$user
worker_processes 2;
env ASAN_OPTIONS;
pid $dir/nginx.pid;
error_log $dir/error.log info;
CONF
$edge->write_conf;
%ENV = (%ENV, $t->san_env);
$ENV{ASAN_OPTIONS} .= ':detect_leaks=0';
is(system($edge->command), 0, 'a daemon');
$t->{key} = $t->key('demo');
wait_for(sub { eval { $t->get('/health/ready')->status == 200 } }, 30, 'it');

sub master {
    my ($was) = @_;
    wait_for(sub { slurp("$dir/nginx.pid") =~ /^(\d+)/ && $1 != $was }, 30,
        'a master');
    my ($pid) = slurp("$dir/nginx.pid") =~ /(\d+)/;
    wait_for(sub { workers($pid) == 2 }, 30, 'its processes');
    return $pid;
}

sub workers {
    return grep { slurp("/proc/$_/cmdline") =~ /^nginx: worker/ }
        AiProc::children_of($_[0]);
}

sub gone {
    my ($name, @pids) = @_;
    ok(eval { wait_for(sub { !grep { -d "/proc/$_" } @pids }, 60) },
        "$name: they have left");
}

my $n = 0;
my $master = master(0);
for my $round (1 .. 3) {
    $p->hold;
    my $crowd = AiCrowd->new(port => $edge->port, key => $t->{key});
    $crowd->stream('p/s' . ++$n) for 1 .. 150;
    ok($crowd->run(60, sub { $crowd->heard(1) == 150 }), 'streams');

    my @old = workers($master);
    kill 'USR2', $master;
    my $new = master($master);
    $crowd->stream('p/s' . ++$n) for 1 .. 50;
    kill 'WINCH', $master;
    $crowd->stream('p/s' . ++$n) for 1 .. 50;
    ok($crowd->run(60, sub { $crowd->heard(1) == 250 }),
        'those of the time in between') or diag($crowd->heard(1));
    # One that was given no stream may leave.
    cmp_ok((grep { -d "/proc/$_" } @old), '>=', 1, 'old processes are there');
    $p->finish;
    ok($crowd->run(60), 'all end');
    my @wrong = $crowd->wrong;
    is("@wrong[0 .. ($#wrong > 2 ? 2 : $#wrong)]", '', 'byte for byte');
    gone('old workers', @old);
    kill 'QUIT', $master;
    gone('old master', $master);
    $master = $new;
}

is($p->stats->{requests}, $n, 'a call each');
wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger') >= $n }, 60,
    'the ledger');
is($t->pg->value("select count(*) from ngxai.ledger where state = 'done'"), $n,
    'a row each, done');
my @last = workers($master);
kill 'QUIT', $master;
gone('the last', $master, @last);
unlike($edge->log, qr/\[alert\]|\[emerg\]|exited on signal|open socket/,
    'without an alert');

$p->stop;
done_testing();
