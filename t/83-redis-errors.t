#!/usr/bin/perl
# A Redis that answers, but only with errors, while streams and calls run: out of
# memory, a replica, unable to save, busy, loading, and one that lost its data.
use AiTest;
use AiLoad;

my $t = AiTest->new;
my $p = AiLoad->provider($t);
$t->start(workers => { n => 2 }, edge => { workers => 1,
    ai => AiLoad->conf($p), location => 'ai_queue_timeout 5s;' });
my $load = AiLoad->new($t, $p);
my $redis = $t->redis;

sub config { $redis->cmd('CONFIG', 'SET', @_) }

$load->while_running('OOM', sub { config('maxmemory', 1) },
    sub { config('maxmemory', 0) });

$load->while_running('READONLY', sub { $redis->cmd('REPLICAOF', '127.0.0.1', 1) },
    sub { $redis->cmd('REPLICAOF', 'NO', 'ONE') });

# It cannot put its file where a folder lies.
my $rdb = "$redis->{dir}/dump.rdb";
unlink $rdb;
mkdir $_ or die "$_: $!" for $rdb, "$rdb/x";
$load->while_running('MISCONF', sub {
    config('save', '3600 1000000');
    $redis->cmd('BGSAVE');
    wait_for(sub {
        $redis->cmd('INFO', 'persistence') =~ /last_bgsave_status:err/
    }, 10, 'a save that fails');
}, sub {
    rmdir $_ for "$rdb/x", $rdb;
    config('save', '');
    $redis->cmd('BGSAVE');
    wait_for(sub {
        $redis->cmd('INFO', 'persistence') =~ /last_bgsave_status:ok/
    }, 10, 'a save');
});

config('busy-reply-threshold', 50);
$load->while_running('BUSY', sub {
    $redis->client->send('EVAL', 'while true do end', 0);
    wait_for(sub { !eval { $redis->cmd('PING') } }, 10, 'it to be busy');
}, sub { eval { $redis->cmd('SCRIPT', 'KILL') } or die $@ });

# Loading takes 2 s and more.
$redis->cmd('EVAL', q{for i = 1, 20000 do
    redis.call('SET', 'ballast', i, 'EX', 3600) end}, 0);
push @{ $redis->{args} }, '--key-load-delay', 100;
my $said = '';
$load->while_running('LOADING', sub {
    $redis->kill9;
    $redis->spawn;
    wait_for(sub {
        my $c = eval { $redis->client } or return 0;
        eval { $c->cmd('PING') };
        $said = $@;
        return $said =~ /LOADING/;
    }, 20, 'it to load');
}, sub {
    wait_for(sub { eval { $redis->cmd('PING') } }, 30, 'it to have loaded');
});
like($said, qr/LOADING/, 'it did load');

# What it had forgotten is paid for all the same: the rows come from the workers.
$load->while_running('FLUSHALL', sub { $redis->cmd('FLUSHALL') });
$_->stop for @{ delete $t->{workers} };
$t->start_workers(n => 1, name => 'workers-new');
$load->mixed;
is_deeply($load->count($load->finish), { whole => 5 },
    'FLUSHALL: workers that know nothing find their catalog');

$t->baseline;
done_testing();
