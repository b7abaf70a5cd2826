#!/usr/bin/perl
# Redis restarts, drops connections, loses its scripts or refuses to work, while
# streams and calls run: what runs ends well, and all comes back by itself.
use AiTest;
use AiLoad;

my $t = AiTest->new;
my $p = AiLoad->provider($t);
$t->start(workers => { n => 2 }, edge => { workers => 1,
    ai => AiLoad->conf($p), location => 'ai_queue_timeout 5s;' });
my $load = AiLoad->new($t, $p);
my $redis = $t->redis;

sub whole { my $n = $load->count(@_); return ($n->{whole} || 0) == @_ }

$load->while_running('a crash', sub { $redis->kill9; sleep 0.7; $redis->start });
$load->while_running('a restart', sub { $redis->restart });

ok(whole($load->while_running('connections cut', sub {
    my $c = $redis->client;
    $c->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $c->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
})), 'connections cut: nobody notices');

ok(whole($load->while_running('NOSCRIPT', sub {
    for (1 .. 5) {
        $redis->cmd('SCRIPT', 'FLUSH');
        sleep 0.1;
    }
})), 'NOSCRIPT: nobody notices');

$t->baseline;
done_testing();
