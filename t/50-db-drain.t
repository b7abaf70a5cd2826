#!/usr/bin/perl
# A worker that drains answers the questions that it has taken: of a key, and of
# what the ledger has.  This test is the edge.
use AiTest;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new(allow_log => [qr/Postgres is away/]);
my $redis = $t->redis;
my $pg = $t->pg;
my $edge = 'test-1-1';

my $proc = $t->start_workers;
my $bells = $redis->subscribe($t->prefix . "edge:$edge");
my @hex = map { sha256_hex($t->key("tenant-$_")) } 1 .. 3;
$redis->cmd('DEL', map { "ai1:key:$_" } @hex);

sub ask { $redis->cmd('XADD', 'ai1:lookup', '*', @_, e => $edge) }

sub taken {
    my ($n) = @_;
    wait_for(sub {
        my $p = eval { $redis->cmd('XPENDING', 'ai1:lookup', 'workers') };
        return $p && $p->[0] == $n;
    }, 10, "$n taken");
}

# The ledger's connection is made by its first question.
my $question = join '', map { my ($n, $v) = @$_;
    "$n " . length($v) . "\n$v\n" } ['tenant', 'tenant-1'],
    ['counter', 'bM:tenant'], ['value', ''];
ask(k => $hex[0]);
ask(s => $question);
my %said = map { (split ' ', $bells->message(20)->[-1])[0, 1] } 1 .. 2;
is_deeply(\%said, { "K$hex[0]" => 'ok', 'S' . sha256_hex($question) => 'ok' },
    'a key and a sum');
taken(0);

# Postgres takes its time.  What comes then ends the wait for more.
$pg->freeze;
ask(k => $hex[1]);
taken(1);
$proc->signal('TERM');
wait_for(sub { $t->worker_log =~ /draining/ }, 10, 'a drain');
$redis->cmd('MULTI');
ask(k => $hex[2]);
ask(s => $question =~ s/bM/bd/r);
$redis->cmd('EXEC');
taken(3);
sleep 0.4;
$pg->thaw;

# On a busy machine they are told that it takes too long.
my @said = sort map { my $b = eval { $bells->message(5) };
    $b ? (split ' ', $b->[-1])[0] : 'nothing' } 1 .. 3;
is_deeply(\@said, [sort "K$hex[1]", "K$hex[2]",
    'S' . sha256_hex($question =~ s/bM/bd/r)], 'all are answered');
is($proc->wait(30), 0, 'then it ends');
taken(0);

done_testing();
