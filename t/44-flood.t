#!/usr/bin/perl
# A flood of different keys that nobody has: it reaches Postgres at a bounded
# rate, and no good key notices, be it warm, cold, or never seen before.
use AiTest;
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time);

my $seconds = 3;
my $most = 10_000 * $seconds;       # or as many as this machine makes
my $t = AiTest->new(allow_log => [qr/keys are being looked up/]);

$t->start(workers => { n => 1 });
my $redis = $t->redis;
my ($warm, $cold, $new, $late) = map { $t->key("t$_") } 1 .. 4;
my $models = '/v1/models';
my $port = $t->edge->port;

sub get { my ($key, $addr) = @_; return from($addr || '127.0.0.1', $key) }

# By an address of its own; loopback has many.
sub from {
    my ($addr, $key) = @_;
    my $sock = IO::Socket::INET->new(LocalAddr => $addr,
        PeerAddr => '127.0.0.1', PeerPort => $port) or return 0;
    print $sock "GET $models HTTP/1.0\r\nAuthorization: Bearer $key\r\n\r\n";
    local $/;
    return (<$sock> || '') =~ /^HTTP\S+ (\d+)/ ? $1 : 0;
}

is(get($warm), 200, 'a good key');
my $unknowns = sub { scalar grep { ($redis->cmd('HGET', $_, 'state') || '')
    eq 'unknown' } @{ $redis->cmd('KEYS', 'ai1:key:*') } };

# The attacker: pipelined requests on kept connections, each with another key.
my $pid = fork;
die "fork: $!" unless defined $pid;
if ($pid == 0) {
    my ($n, $sent, %open) = (0, 0);
    my $until = time + $seconds;
    my $select = IO::Select->new;
    my $more = sub {
        my ($sock) = @_;
        my $text = '';
        $text .= sprintf "GET $models HTTP/1.1\r\nHost: x\r\nX-Api-Key: "
            . "ngx-%043d\r\n\r\n", $sent++ for 1 .. 16;
        syswrite $sock, $text;
        $open{$sock} = 16;
    };
    for (1 .. 32) {
        my $sock = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            PeerAddr => '127.0.0.1', PeerPort => $port) or next;
        $select->add($sock);
        $more->($sock);
    }
    while (time < $until && $sent < $most && $select->count) {
        for my $sock ($select->can_read(0.5)) {
            my $got = sysread $sock, my $buf, 65536;
            if (!$got) { $select->remove($sock); close $sock;
                $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                    PeerPort => $port) or next;
                $select->add($sock); $more->($sock); next }
            my $answers = () = $buf =~ /HTTP\/1\.1 \d\d\d /g;
            $n += $answers;
            $open{$sock} -= $answers;
            $more->($sock) if $open{$sock} <= 0;
        }
    }
    open my $fh, '>', $t->dir . '/flood' or die;
    print $fh "$sent $n\n";
    close $fh;
    POSIX::_exit(0);
}

# Meanwhile: the warm one, from where the flood comes from.
my (%status, $n);
$redis->cmd('DEL', 'ai1:key:' . sha256_hex($_)) for $cold, $new;
my ($first, $second);
while (waitpid($pid, 1) == 0) {
    $status{get($warm)}++;
    $n++;
    if ($n == 20) { $first = get($cold, '127.0.0.2') }
    if ($n == 40) { $second = get($new, '127.0.0.3') }
}
$first = get($cold, '127.0.0.2') unless defined $first;
$second = get($new, '127.0.0.3') unless defined $second;

my ($sent, $answered) = split ' ', slurp($t->dir . '/flood');
cmp_ok($answered, '>', 1000, "a flood: $answered of $sent in ${seconds} s");
is_deeply([sort keys %status], [200], 'a good key is served meanwhile')
    or diag(explain(\%status));
is($first, 200, 'one that Redis had forgotten, of another address');
is($second, 200, 'and another');

# An address has 100 questions at once and 10 a second.
my $bound = 100 + 10 * ($seconds + 5);
my $asked = $unknowns->();
cmp_ok($asked, '<=', $bound, "$asked keys reached Postgres, of $answered");
cmp_ok($asked, '>', 0, 'but some did');
my $metrics = AiHttp->get($port, '/metrics')->body;
like($metrics, qr/^ngx_ai_lookups_refused_total [1-9]/m, 'the rest is counted');
is(get($warm), 200, 'the good key was not pushed out');

# Edges of many addresses at once, this test being one: a worker asks Postgres
# at a bounded rate, and keeps a part of it for who has not asked in vain.
my $edge = 'test-1-1';
my $bells = $redis->subscribe($t->prefix . "edge:$edge");
my $hex = sha256_hex($late);
$redis->cmd('DEL', "ai1:key:$hex");
my $from = time;
my $client = $redis->client;
$client->send('XADD', 'ai1:lookup', '*', k => sha256_hex("many $_"),
    e => $edge, c => 0) for 1 .. 3000;
$client->send('XADD', 'ai1:lookup', '*', k => $hex, e => $edge, c => 1);
my %said;
for (1 .. 3001) {
    my $got = $bells->message(20) or last;
    my ($name, $word) = $got->[1] =~ /^K(\w+) (\w+)/;
    $name eq $hex ? $said{good} = $word : $said{$word}++;
}
my $took = time - $from;
is($said{none} + $said{down}, 3000, 'all are answered');
cmp_ok($said{none}, '<=', 200 + 200 * ($took + 1),
    "$said{none} of 3000 by Postgres in $took s");
cmp_ok($said{none}, '>=', 100, 'as many as may be');
is($said{good}, 'ok', 'and the one of a quiet address');
undef $bells;

done_testing();
