#!/usr/bin/perl
# Sentinel fails over while streams and calls run: edge, workers and aictl follow
# the master, whether the old one died or has become a replica.
use AiTest;
use AiLoad;

my $t = AiTest->new;
my $p = AiLoad->provider($t);
my @port = map { free_port() } 1 .. 7;    # three Redis, three Sentinels

sub text {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!";
    print $fh $text;
    close $fh;
    return $path;
}
my $password = text("$t->{dir}/password", "secret 1\n");
my $asking = text("$t->{dir}/asking", "secret 2\n");

# As docs/operations.md wants them: who has no replica takes nothing.
sub user {
    $_[0]->cmd('ACL', 'SETUSER', 'ai', 'on', '>secret 1', '~*', '&*', '+@all');
}
my @server = map {
    my $r = AiRedis->new(dir => $t->subdir("redis$_"), aof => 1,
        tcp => $port[$_], args => ['--repl-diskless-sync-delay', 0,
            '--min-replicas-to-write', 1, '--min-replicas-max-lag', 8]);
    user($r);
    $r;
} 0 .. 2;
$_->cmd('REPLICAOF', '127.0.0.1', $port[0]) for @server[1, 2];

# And an address where no Sentinel is.
my @asked = @port[6, 3, 4, 5];
my @sentinel = map {
    my $dir = $t->subdir("sentinel$_");
    text("$dir/conf", "port $port[$_]\nbind 127.0.0.1\ndir $dir\n"
        . "sentinel monitor m 127.0.0.1 $port[0] 2\n"
        . "sentinel down-after-milliseconds m 4000\n"
        . "sentinel failover-timeout m 10000\n"
        . "requirepass \"secret 2\"\nsentinel sentinel-pass \"secret 2\"\n");
    AiProc->spawn(name => 'sentinel', out => "$dir/log", cwd => $dir,
        cmd => ['redis-server', "$dir/conf", '--sentinel']);
} 3 .. 5;

my $ask;
sub sentinel {
    my @words = @_;
    return wait_for(sub {
        $ask ||= eval {
            my $c = AiRedis::Client->new(port => $port[4]);
            $c->cmd('AUTH', 'secret 2');
            $c;
        } or return 0;
        my $got = eval { $ask->cmd('SENTINEL', @words) };
        undef $ask if $@;
        return $got;
    }, 20, "SENTINEL @words");
}

# What is said of them, in pairs.
sub fields { return map { { @$_ } } @{ sentinel(@_) } }

sub settled {
    wait_for(sub {
        sleep 0.2;
        return 2 == (grep { $_->{flags} eq 'slave'
            && $_->{'master-link-status'} eq 'ok' } fields('REPLICAS', 'm'))
            && 2 == fields('SENTINELS', 'm');
    }, 60, 'Sentinels that know all');
}
settled();

# Waits until Sentinel names another than this one, and it says so, too.
sub moved {
    my ($from) = @_;
    my $to;
    wait_for(sub {
        sleep 0.1;
        my $port = sentinel('GET-MASTER-ADDR-BY-NAME', 'm')->[1];
        ($to) = grep { $port[$_] == $port } 0 .. 2;
        return $to != $from
            && (eval { $server[$to]->cmd('ROLE')->[0] } || '') eq 'master';
    }, 60, 'the failover');
    $t->{redis} = $server[$to];
    return $to;
}

$t->{redis} = $server[0];
my $list = join ',', map { "127.0.0.1:$_" } @asked;
my $url = "sentinel://ai\@$list/m/0";
my @args = ('--redis-password-file', $password,
    '--redis-sentinel-password-file', $asking);
$t->start(workers => { n => 2, redis => $url, args => \@args },
    edge => { redis => 'redis:// master=m user=ai ' . join(' ',
            "password=file:$password", "sentinel_password=file:$asking",
            map { "sentinel=127.0.0.1:$_" } @asked),
        ai => AiLoad->conf($p), location => 'ai_queue_timeout 5s;' });
my $load = AiLoad->new($t, $p);

sub clients {
    my ($n) = @_;
    return scalar grep { /user=ai / && !/name=aictl/ }
        split /\n/, $server[$n]->client->cmd('CLIENT', 'LIST');
}

sub aictl {
    my ($code, $out) = $t->try_aictl('queue', '--redis', $url, @args);
    diag($out) if $code;
    return $code;
}
is(aictl(), 0, 'aictl asks, too');

my $master = 0;
$load->while_running('the master dies', sub { $server[0]->kill9 },
    sub { $master = moved(0) });
is(aictl(), 0, 'aictl goes to the new one');

# It comes back as a replica, and a failover is made where nobody has died.
push @{ $server[0]{args} }, '--replicaof', "127.0.0.1 $port[$master]";
$server[0]->start;
user($server[0]);
settled();
my ($former, $all) = ($master, clients($master));
$load->while_running('a planned failover', sub { sentinel('FAILOVER', 'm') },
    sub { $master = moved($former) });
wait_for(sub { clients($master) >= $all }, 10, 'all connections at the master');
is(clients($former), 0, 'nobody is left at the former master');
like($t->worker_log, qr/the master is 127\.0\.0\.1:$port[$master]/,
    'the log says so');
unlike($t->worker_log . $t->edge->log, qr/secret/, 'and no password');

$_->stop for @sentinel;
$_->stop for grep { $_ != $server[$master] } @server;
$t->baseline;
done_testing();
