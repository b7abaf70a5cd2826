#!/usr/bin/perl
# Replies of Redis that come late, behind what the bell has said: a proxy holds
# those of all connections but the subscription.
use AiTest;
use AiFake;
use Errno ();
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();

my $t = AiTest->new;
my $redis = $t->redis;
my $fake = AiFake->new($t);
my ($path) = $redis->url =~ /^unix:(.*)/ or die 'not a Unix socket';
my $port = free_port();
my $parent = $$;
my $proxy = fork;
defined $proxy or die "fork: $!";
if (!$proxy) { proxy(); POSIX::_exit(0) }
END { kill 'KILL', $proxy if $proxy && $$ == $parent }

# USR1 holds, USR2 lets go.
sub proxy {
    my $hold = 0;
    local $SIG{USR1} = sub { $hold = 1 };
    local $SIG{USR2} = sub { $hold = 0 };
    local $SIG{PIPE} = 'IGNORE';
    my $listen = IO::Socket::INET->new(Listen => 64, LocalPort => $port,
        LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
    my %pair;                           # by descriptor of either side

    while (getppid() == $parent) {
        my $sel = IO::Select->new($listen, map {
            my $p = $_;
            ($p->{client}, $hold && !$p->{sub} ? () : $p->{server})
        } values %{ { map { $_->{client} => $_ } values %pair } });

        for my $sock ($sel->can_read(0.02)) {
            if ($sock == $listen) {
                my $c = $listen->accept or next;
                my $s = IO::Socket::UNIX->new(Peer => $path) or next;
                $pair{ fileno $c } = $pair{ fileno $s }
                    = { client => $c, server => $s };
                next;
            }
            my $p = defined fileno $sock && $pair{ fileno $sock } or next;
            my $up = $sock == $p->{client};
            my $n = sysread $sock, my $data, 65536;
            next if !defined $n && $!{EINTR};
            if (!$n) {
                delete $pair{ fileno $_ } for $p->{client}, $p->{server};
                close $_ for $p->{client}, $p->{server};
                next;
            }
            $p->{sub} = 1 if $up && $data =~ /SUBSCRIBE/;
            my $to = $up ? $p->{server} : $p->{client};
            while (length $data) {
                my $w = syswrite $to, $data;
                next if !defined $w && $!{EINTR};
                last unless defined $w;
                substr $data, 0, $w, '';
            }
        }
    }
}

my $edge = $t->edge(redis => "redis://127.0.0.1:$port command_timeout=5s");
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => [], x => 'y' x 100_000);
# The key in shared memory, the script in Redis.
my $s = $t->stream($chat, \%ask);
$fake->job->answer('{}');
is($s->response->status, 200, 'through the proxy');
$s->close;
is($t->get('/v1/models')->status, 200, 'once more, the bell works by now');
my ($pid) = $edge->workers;

# The answer is rung for before the body's SET and the admit are answered.
for my $stays (1, 0) {
    sleep 0.3;
    kill 'USR1', $proxy;
    sleep 0.1;
    $s = $t->stream($chat, \%ask);
    my $job = $fake->job->head;
    my @piece = map { chr(96 + $_) x 60_000 } 1 .. 4;
    $job->emit(s => $piece[0], map { (c => $_) } @piece[1 .. 3]);
    $job->end;
    sleep 0.3;
    $s->close if !$stays;
    sleep 0.2;
    kill 'USR2', $proxy;
    if ($stays) {
        my $res = $s->response;
        is($res->status, 200, 'rung for before its admit is answered');
        ok($res->body eq join('', @piece), 'byte for byte');
        cmp_ok($res->{time}, '<', 5, 'at once');
        $s->close;
    }
    wait_for(sub {
        AiHttp->get($edge->port, '/metrics')->body =~ /active_jobs 0$/m
    }, 20, 'nothing to be open');
    is_deeply([$edge->workers], [$pid], $stays ? 'answered' : 'left');
}

done_testing();
