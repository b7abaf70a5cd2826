#!/usr/bin/perl
# nginx -s reload under 1,000 open streams, and many reloads one after the other:
# each stream byte for byte, old processes gone, no memory or descriptor left.
# AI_T_FULL: a hundred more, in five minutes.
use AiTest;
use AiCrowd;

AiTest::skip_all('no 4096 descriptors') unless AiCrowd::descriptors(4096);

my $n = 1000;
my $t = AiTest->new;
my $p = AiCrowd::Provider->new(dir => $t->dir, pace => 1);
$t->start(workers => { n => 2 }, edge => { workers => 2, conf => <<'CONF',
%%GLOBALS%%
worker_rlimit_nofile 4096;
events { worker_connections 4000; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_zone principals 4m;
    ai_provider p { api openai; url %%URL%%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        ai_auth key;
        location /v1/ { ai_pass; }
        location /health { ai_health; }
    }
}
CONF
    # Longer than twenty reloads with a pause: old processes serve until their
    # streams end.
    vars => { URL => $p->url, SHUTDOWN => '10m' } });
my $edge = $t->edge;

# Memory of its own, in KB, and descriptors.
sub private {
    my $sum = 0;
    $sum += $_ for slurp("/proc/$_[0]/smaps_rollup")
        =~ /^Private_(?:Dirty|Clean):\s+(\d+)/mg;
    return $sum;
}

sub crowd {
    my ($from, $to) = @_;
    my $crowd = AiCrowd->new(port => $edge->port, key => $t->{key});

    $crowd->stream("p/s$_", resumable => $_ % 4 == 0) for $from .. $to;
    ok($crowd->run(120, sub { $crowd->heard(1) == $crowd->clients }),
        $crowd->clients . ' streams')
        or diag($crowd->talking . ' talk, ' . $crowd->ended . ' ended');
    return $crowd;
}

sub rest {
    my ($crowd, $name) = @_;

    $p->finish;
    ok($crowd->run(180), 'all end') or diag($crowd->ended . ' did');
    my @wrong = $crowd->wrong;
    is(scalar(@wrong), 0, "$name: each stream byte for byte")
        or diag(join "\n", splice @wrong, 0, 5);
    is((grep { $_->{back} } $crowd->clients), 0, 'no connection was cut');
    $p->hold;
}

sub only {
    my @gone = @_;
    wait_for(sub { !grep { -d "/proc/$_" } @gone }, 90, 'old ones to leave');
    # Until its master has heard of its end it keeps a channel to each.
    wait_for(sub { 2 == grep { slurp("$_/stat") =~ /\) \w @{[$edge->pid]} / }
        glob '/proc/[0-9]*' }, 30, 'two to be left');
}

# Two reloads with all of them open.
my @first = $edge->workers;
my $crowd = crowd(1, $n);
$edge->reload;
my @second = $edge->workers;
my $late = crowd($n + 1, $n + 100);
$edge->reload;
is((grep { -d "/proc/$_" } @first), 2, 'the first processes are still there');
# One of these may have been given none of the hundred.
cmp_ok((grep { -d "/proc/$_" } @second), '>=', 1, 'so are the second');
my $had = $crowd->heard(1);
my %at = map { $_ => $_->{came} } $crowd->clients;
ok($crowd->run(60, sub { !grep { $_->{came} <= $at{$_} } $crowd->clients }),
    'they go on');
$p->finish;
$late->run(60);
rest($crowd, 'two reloads');
is_deeply([$late->wrong], [], 'those in between');
only(@first, @second);
pass('old processes have left');
is($p->stats->{requests}, $n + 100, 'a call each');
wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger') >= $n + 100 },
    60, 'the ledger');
is($t->pg->value("select count(*) from ngxai.ledger where state = 'done'"),
    $n + 100, 'a row each, done');

# Many, each with streams open that outlive several.
my $master = $edge->pid;
my $some = 40;
my $next = $n + 101;

sub reloads {
    my ($count, $pause) = @_;
    my $crowd = crowd($next, $next + $some - 1);
    $next += $some;

    for (1 .. $count) {
        my $began = time;
        $edge->reload;
        $crowd->stream('p/s' . $next++) for 1 .. 5;
        my $wait = $began + $pause - time;
        $crowd->run($wait > 0 ? $wait : 0, sub { 0 });
    }
    rest($crowd, "$count reloads");
    only();
}

sub state_of {
    my @workers = map { private($_) } $edge->workers;
    return (private($master), fd_count($master), @workers);
}

$t->baseline;
reloads(6, 0);
my @base = state_of();
reloads(12, 0);
my @now = state_of();
diag("master $base[0] KB, then $now[0]; workers @base[2, 3], then @now[2, 3]");
cmp_ok($now[0] - $base[0], '<', 600, 'memory of the master, in KB, after 12');
is($now[1], $base[1], 'its descriptors');
cmp_ok($now[$_] - $base[2], '<', 2048, 'memory of a worker, in KB')
    for 2, 3;

if ($ENV{AI_T_FULL}) {
    reloads(20, 3) for 1 .. 5;
    @now = state_of();
    diag("after 100 more: @now");
    cmp_ok($now[0] - $base[0], '<', 1024, 'memory of the master after 100');
    is($now[1], $base[1], 'its descriptors');
}

$p->stop;
$t->{pooled} = 1100;    # the workers keep connections to the provider
done_testing();
