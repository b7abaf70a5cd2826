#!/usr/bin/perl

# Who gets the slots, with edge, workers and ledger: what t/10-scripts-fair.t
# says exactly, as a client sees it.  A job is one timer of its worker, so slots
# come free by the clock and not by how fast this machine is.  Long jobs are of
# 3 s and short ones of 0.1 s; with AI_T_FULL of 30 s and 1 s.

use AiTest;

my $slots = 20;
my $scale = $ENV{AI_T_FULL} ? 10 : 1;
my $t = AiTest->new->start(
    edge => { location => 'ai_backlog jobs=40000 bytes=64m;', ai => join ' ',
        map { "ai_provider $_->[0] { api echo; option word_delay=$_->[1]; }" }
            ['long', 3000 * $scale], ['short', 100 * $scale],
            ['brief', 100], ['now', 1] },
    workers => { args => ['--jobs', $slots] });
my $r = $t->redis;
my $chat = '/v1/chat/completions';
my %key = map { $_ => $t->key($_) } qw(long short heavy light crowd crowd2 one
    bulk solo);
my $asked = 0;

sub key { return $t->prefix . $_[0] }
sub running { return map { $r->cmd('SCARD', key("running:$_")) } @_ }
sub waiting { return map { $r->cmd('LLEN', key("backlog:$_")) } @_ }

sub ask {
    my ($model) = @_;
    return { model => "$model/m", messages => [{ role => 'user',
        content => 'word' }] };
}

# n jobs in the background.
sub push_jobs {
    my ($who, $model, $n, $prefer) = @_;
    my ($http, $text);
    $asked += $n;
    for my $i (0 .. $n - 1) {
        if ($i % 400 == 0) {
            $http->close if $http;
            $http = AiHttp->new(port => $t->edge->port);
            $http->{method} = 'POST';
            $text = $http->format_request(path => $chat, json => ask($model),
                key => $key{$who}, headers => { Prefer => 'respond-async'
                . ($prefer || '') });
        }
        if ($i % 20 == 0) {
            $http->write($text x ($n - $i < 20 ? $n - $i : 20));
        }
        my $res = $http->response;
        die 'background: ' . $res->status . ' ' . $res->body . "\n"
            if $res->status != 202;
    }
    $http->close;
}

# How many slots each holds on average, looked at for so long.
sub average {
    my ($seconds, @who) = @_;
    my ($n, @sum) = 0;
    my $until = time + $seconds;
    while (time < $until) {
        my @now = running(@who);
        $sum[$_] += $now[$_] for 0 .. $#who;
        $n++;
        sleep 0.02;
    }
    return map { $_ / $n } @sum;
}

sub metric {
    my ($name) = @_;
    my ($value) = $t->get('/metrics')->body =~ /^\Q$name\E (\S+)$/m;
    return $value;
}

# What waits is of no more use: many slots for a while, and all of it ends.
sub flush {
    my @who = sort keys %key;
    my $more = $t->start_workers(name => 'workers-more',
        args => ['--jobs', 3000]);
    wait_for(sub { !grep { $_ } running(@who), waiting(@who),
        map { $r->cmd('LLEN', key("backlog:batch:$_")) } @who }, 300,
        'all to end');
    $more->stop('TERM', 60);
    wait_for(sub { $r->cmd('HGET', key('sweep'), 'slots') == $slots }, 30,
        'the slots of before');
}

# Equal weights, long jobs and short ones: equal slots.

push_jobs('short', 'short', $slots);
push_jobs('long', 'long', 2 * $slots);
push_jobs('short', 'short', 120 * $slots);
wait_for(sub { (running('long'))[0] >= $slots / 2 }, 20 * $scale,
    'the long jobs to have their half');
my ($long, $short) = average(6 * $scale, qw(long short));
cmp_ok($long / $short, '>', 0.9, 'long jobs have no fewer slots')
    or diag("$long $short");
cmp_ok($long / $short, '<', 1.1, 'nor more') or diag("$long $short");
cmp_ok(metric('ngx_ai_fairness_jain'), '>', 0.8, 'as the metrics say')
    or diag(metric('ngx_ai_fairness_jain'));
is(metric('ngx_ai_waiting_tenants{class="interactive"}'), 2,
    'two tenants wait');
flush();

# Weights.

$t->aictl('tenant', 'set', 'heavy', '--weight', 3);
push_jobs($_, 'brief', 3000) for qw(heavy light);
wait_for(sub { (running('light'))[0] >= $slots / 4 }, 20, 'its quarter');
my ($heavy, $light) = average(4, qw(heavy light));
cmp_ok(abs($heavy / $light - 3), '<', 0.3, 'weight 3 has three times the slots')
    or diag("$heavy $light");

# Batch work of another has nothing while these take all there is.

push_jobs('bulk', 'brief', 100, '; priority=batch');
my ($bulk) = average(1, 'bulk');
is($bulk, 0, 'batch work waits');
cmp_ok(metric('ngx_ai_waiting_jobs{class="batch"}'), '==', 100, 'all of it')
    if wait_for(sub { metric('ngx_ai_waiting_jobs{class="batch"}') }, 20,
        'the sweep');
is($t->pg->value("select count(*) from ngxai.ledger where tenant = 'bulk'"), 0,
    'none has run');
flush();
push_jobs('bulk', 'brief', 400, '; priority=batch');
($bulk) = average(1, 'bulk');
cmp_ok($bulk, '<=', 0.9 * $slots, 'alone it leaves the reserve')
    or diag($bulk);
cmp_ok($bulk, '>', 0.7 * $slots, 'and has the rest') or diag($bulk);
flush();

# 10,000 jobs of one tenant wait.  It has 90 % of the slots and no more, so a
# single request of another is handed over in its own admit.  Then two tenants
# have all slots: it waits for the next of 20 that comes free, each within 0.1 s.

my $used = sub { ($r->cmd('INFO', 'memory') =~ /^used_memory:(\d+)/m)[0] };
my $before = $used->();
push_jobs('crowd', 'brief', 12_000);
my ($deep) = waiting('crowd');
cmp_ok($deep, '>=', 10_000, 'ten thousand wait');
my $each = ($used->() - $before) / 12_000;
cmp_ok($each, '<', 4096, 'bytes of Redis each, what has ended too')
    or diag($each);

# Queue time of single requests, one after the other, on Redis' clock.
sub singles {
    my ($n) = @_;
    my %mine;
    for (1 .. $n) {
        my $res = $t->post($chat, ask('now'), key => $key{one});
        die 'single: ' . $res->status . "\n" if $res->status != 200;
        $mine{ $res->header('x-ai-job') } = 1;
    }
    $asked += $n;
    my @queue;
    wait_for(sub {
        @queue = sort { $a <=> $b } map { $_->[1] } grep { $mine{ $_->[0] } }
            $t->pg->query("select job, queue from ngxai.ledger where tenant = 'one'");
        return @queue == $n;
    }, 60, 'the ledger');
    return @queue;
}

my @queue = singles(200);
cmp_ok($queue[-3], '==', 0, 'p99 of the queue time of single requests: none')
    or diag("@queue[-5 .. -1]");
cmp_ok((running('crowd'))[0], '<=', 0.9 * $slots, 'for the crowd has its share');

push_jobs('crowd2', 'brief', 2_000);
wait_for(sub { my ($n) = running('crowd2'); $n >= $slots / 2 - 1 }, 20, 'its half');
@queue = singles(300);
cmp_ok($queue[-4], '<', 250_000, 'among two crowds: p99 of the queue time')
    or diag("@queue[-10 .. -1]");
note("p50 $queue[150], p99 $queue[-4], most $queue[-1] us");
flush();

# A rolling restart with one busy tenant: the new worker is at work long before
# the old one has ended its jobs.

push_jobs('solo', 'long', 3 * $slots);
my ($old) = $r->cmd('HKEYS', key('capacity'))->[0];
is($r->cmd('SCARD', key("held:$old")), 0.9 * $slots, 'the old worker is full');
$t->{workers}[0]->signal('TERM');
$t->start_workers(name => 'workers-new', args => ['--jobs', $slots]);
my @seen;
wait_for(sub {
    my ($new) = grep { $_ ne $old } @{ $r->cmd('HKEYS', key('capacity')) };
    @seen = map { $r->cmd('SCARD', key("held:$_")) } $new || 'none', $old;
    return $seen[0] >= 0.8 * $slots || !$seen[1];
}, 60, 'the new worker');
cmp_ok($seen[0], '>=', 0.8 * $slots, 'the new worker is at work')
    or diag("@seen");
cmp_ok($seen[1], '>', 0, 'while the old one ends its jobs') or diag("@seen");
$t->{workers}[0]{expected} = 1;
flush();

wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger') == $asked },
    120, 'the ledger');
is($t->pg->value("select count(*) from ngxai.ledger where state <> 'done'"), 0,
    'all jobs are done, and once');
$t->baseline;

done_testing();
