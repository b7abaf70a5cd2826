#!/usr/bin/perl

# beat and sweep: who is dead, what becomes of their jobs, attempts, zombies.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $ring;

sub bells {
    my @got;
    while (my $m = $ring->message(0.05)) {
        push @got, ($m->[0] =~ /([^:]+)$/)[0] . " $m->[1]";
    }
    return sort @got;
}

sub begin {
    my (%o) = @_;
    $s->fresh(w1 => 2, w2 => 2);
    my $id = $s->id;
    $s->admit($id, 't', %o);
    return $id;
}

# w dies; the sweep that follows.
sub dies {
    my ($w, %o) = @_;
    $s->silent("w:$w", 5000);
    return $s->sweep(%o);
}

sub consumers {
    my ($queue) = @_;
    return join ' ', sort map { my %h = @$_; $h{name} }
        @{ $s->cmd('XINFO', 'CONSUMERS', $s->key($queue || 'jobs'),
            'workers') };
}

$s->fresh;
$ring = $s->r->subscribe(map { $s->key($_) } qw(edge:e1 edge:e2 worker:w1));

# beat

is($s->run('beat', 'w', 'w1', 8, 'up'), 'OK 8 0', 'one worker');
is($s->run('beat', 'w', 'w2', 4, 'up'), 'OK 12 0', 'two');
is($s->run('beat', 'w', 'w2', 4, 'up'), 'OK 12 0', 'again');
is($s->run('beat', 'e', 'e9', 0, 'up'), 'OK 12 0', 'an edge has no slots');
my $score = $s->cmd('ZSCORE', $s->key('alive'), 'e:e9');
cmp_ok(abs($score - $s->now_ms), '<', 5000, 'its time');
is($s->run('beat', 'w', 'w1', 8, 'drain'), 'OK 4 0', 'a worker that drains');
is($s->run('beat', 'w', 'w1', 8, 'up'), 'OK 12 0', 'and comes back');
is($s->run('beat', 'w', 'w2', 4, 'bye'), 'OK 8 0', 'one that goes');
is($s->run('beat', 'w', 'w2', 4, 'bye'), 'OK 8 0', 'again');
is($s->run('beat', 'e', 'e9', 0, 'bye'), 'OK 8 0', 'an edge that goes');
is_deeply($s->cmd('ZRANGE', $s->key('alive'), 0, -1), ['e:e1', 'w:w1'],
    'who is left');
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 2500);
is($s->run('beat', 'w', 'w1', 8, 'up'), 'OK 8 1', 'no sweep for 2 s: grace');
$s->cmd('DEL', $s->key('sweep'));
is($s->run('beat', 'e', 'e1', 0, 'up'), 'OK 0 1', 'no sweep ever');
for (['kind', 'x', 'w1', 1, 'up'], ['id', 'w', 'a b', 1, 'up'],
    ['no id', 'w', '', 1, 'up'], ['capacity', 'w', 'w1', '', 'up'],
    ['huge', 'w', 'w1', 100001, 'up'], ['word', 'w', 'w1', 1, 'x'],
    ['count', 'w', 'w1', 1])
{
    my ($name, @args) = @$_;
    like($s->run('beat', @args), qr/^ERR /, "wrong beat: $name");
}
for (['max', 1, 1, 0, 90], ['max', 1, 1, 1001, 90], ['number', 'x', 1, 1, 90],
    ['percent', 1, 1, 1, 101], ['count', 1, 1, 1])
{
    my ($name, @args) = @$_;
    like($s->run('sweep', 'w1', @args), qr/^ERR /, "wrong sweep: $name");
}

# The clocks.

$s->cmd('FLUSHALL');
is($s->run('sweep', 'w1', 3000, 10000, 100, 90), 'OK 1 0 0 0 0 0 0 0',
    'a sweep of nothing');
my $h = $s->r->hash('HGETALL', $s->key('sweep'));
is($h->{grace_until}, $h->{last} + 10000, 'the first begins a grace');
like($s->run('sweep', 'w1', 3000, 10000, 100, 90), qr/^OK 0 /,
    'the next comes too early');

my $a = begin();
$s->next_job('w1');
$s->silent('w:w1', 60000);
$s->silent('e:e1', 60000);
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 2001);
is($s->sweep(as_is => 1), 'OK 1 0 0 0 4 0 1 0',
    'after a pause nobody is dead');
is($s->job($a)->{state}, 'running', 'nothing is touched');
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 600);
is($s->sweep(as_is => 1), 'OK 1 0 0 0 4 0 1 0', 'nor later in the grace');
$s->silent('w:w1', 100);
is($s->sweep, 'OK 1 0 1 1 4 0 1 0', 'after it the edge is, not the worker');

# A worker dies; its job had not emitted.

$a = begin();
my ($b) = (AiScripts->id);
$s->admit($b, 't');
my ($id, $entry) = $s->next_job('w1');
$s->take('w1');
is($id, $a, 'claimed by w1, b only delivered to it');
my $entry_b = $s->job($b)->{entry};
is(dies('w1'), 'OK 1 2 0 1 2 0 2 0', 'both go back');
my $job = $s->job($a);
is("$job->{state} $job->{lost} [$job->{owner}] $job->{attempt}",
    'queued 1 [] 1', 'a is lost');
isnt($job->{entry}, $entry, 'under a new entry');
ok(!exists $s->job($b)->{lost}, 'b is not: it had not begun');
is($s->len('XLEN', 'jobs'), 2, 'two entries');
is($s->cmd('XPENDING', $s->key('jobs'), 'workers')->[0], 0, 'none pending');
is(consumers(), '', 'the consumer is gone');
is_deeply($s->cmd('HKEYS', $s->key('capacity')), ['w2'], 'and its capacity');
is($s->cmd('ZSCORE', $s->key('alive'), 'w:w1'), undef, 'and its heartbeat');
is($s->sweep, 'OK 1 0 0 0 2 0 2 0', 'once');
is($s->held('t'), 'leases 2 entries 2 t 2+0', 'slots are held on');
is($s->run('claim', $a, 'w1', $entry, 'jobs'), 'GONE', 'a stale entry');
is($s->run('claim', $b, 'w1', $entry_b, 'jobs'), 'GONE', 'another');
bells();
my @got = $s->next_job('w2');
is(join(' ', @got[0, 2, 3]), "$a RUN 2", 'w2 takes a, attempt 2');
is_deeply($s->log($a), ['2-0 a '], 'marked in the log');
is_deeply([bells()], ["e1 E$a\n2-0 a 0\n"], 'and rung');
is($s->job($a)->{tip}, '2-0', 'tip');
is_deeply([$s->call('claim', $a, 'w2', $got[1], 'jobs')], [@got[2 .. 9]],
    'claimed again');
is_deeply([bells()], [], 'without a bell');
is(scalar @{ $s->log($a) }, 1, 'or a marker');
@got = $s->next_job('w2');
is(join(' ', @got[0, 2, 3]), "$b RUN 1", 'b, attempt 1');

# The zombie.

is($s->emit($a, 1, 1, 's', 'x'), 'FENCED 2', "the zombie's emit");
is($s->settle($a, 1, 1), 'FENCED 2', "the zombie's settle");
is(scalar($s->outbox), 0, 'is not in the ledger');
is($s->emit($a, 2, 1, 's', 'y'), 'OK 2-1 ', 'w2 emits');
is($s->settle($a, 2, 2, worker => 'w2'), 'OK 2-2', 'and settles');
is_deeply([map { "$_->{j} $_->{a}" } $s->outbox], ["$a 2"], 'one record');
is($s->settle($a, 1, 1), 'FENCED 2', 'the zombie once more');
is($s->emit($a, 1, 1, 's', 'x'), 'FENCED 2', 'and once more');

# A zombie that settles before the next claim has done the work.

$a = begin();
$s->next_job('w1');
dies('w1');
is($s->emit($a, 1, 1, 's', 'x'), 'OK 1-1 ', 'not fenced before the claim');
is($s->settle($a, 1, 2), 'OK 1-2', 'it settles');
is($s->held('t'), 'leases 0 entries 0 t 0+0', 'the new entry is gone');
is_deeply([$s->next_job('w2')], [], 'and not delivered');

# One that settles when the entry is delivered, before the claim.

$a = begin();
$s->next_job('w1');
dies('w1');
my ($e) = $s->take('w2');
is($s->settle($a, 1, 1), 'OK 1-1', 'settled between delivery and claim');
is($s->run('claim', $a, 'w2', $e->[0], 'jobs'), 'GONE', 'the claim');
is($s->cmd('XPENDING', $s->key('jobs'), 'workers')->[0], 0, 'nothing pending');

# A job that had emitted.

$a = begin();
$s->next_job('w1');
$s->emit($a, 1, 1, 'h', 'x', 's', 'y');
dies('w1');
bells();
@got = $s->next_job('w2');
is(join(' ', @got[0, 2 .. 5]), "$a END 2 2-0 lost", 'is not run again');
is($got[6], "spec of $a", 'spec, for who settles it');
is_deeply([bells()], ["e1 E$a\n2-0 a 0\n"], 'the attempt is rung');
is_deeply([$s->call('claim', $a, 'w2', $got[1], 'jobs')], [@got[2 .. 8]],
    'claimed again');
is_deeply([bells()], [], 'no second marker');
is($s->emit($a, 1, 3, 's', 'z'), 'FENCED 2', 'the zombie is fenced');
dies('w2');
$s->run('beat', 'w', 'w3', 2, 'up');
@got = $s->next_job('w3');
is(join(' ', @got[0, 2 .. 5]), "$a END 3 3-0 lost",
    'nor when who was to end it died');
is($s->settle($a, 2, 1, worker => 'w2'), 'FENCED 3', 'a late settle of that');
is($s->settle($a, 3, 1, worker => 'w3', state => 'failed',
    events => ['x', 'r']), 'OK 3-1', 'ended');
is_deeply($s->log($a), ['1-1 h x', '1-2 s y', '2-0 a ', '3-0 a ', '3-1 x r'],
    'the log');
is_deeply([map { "$_->{j} $_->{a}" } $s->outbox], ["$a 3"], 'one record');

# Three attempts.

$a = begin();
for my $n (1 .. 3) {
    $s->run('beat', 'w', "w$n", 2, 'up');
    @got = $s->next_job("w$n");
    is(join(' ', @got[2, 3]), "RUN $n", "attempt $n");
    dies("w$n");
}
$s->run('beat', 'w', 'w4', 2, 'up');
@got = $s->next_job('w4');
is(join(' ', @got[2 .. 5]), 'END 4 4-0 attempts', 'then no more');
is($s->settle($a, 4, 1, worker => 'w4', state => 'failed',
    events => ['x', 'r']), 'OK 4-1', 'ended');
is_deeply($s->log($a), ['2-0 a ', '3-0 a ', '4-0 a ', '4-1 x r'], 'the log');

# Cancelled, and its worker dies.

$a = begin();
$s->next_job('w1');
$s->run('cancel', $a, 't', 'client', 'now', 'cancelled', '');
dies('w1');
@got = $s->next_job('w2');
is(join(' ', @got[2 .. 5]), 'END 2 2-0 cancelled', 'END cancelled');
is($s->settle($a, 2, 1, worker => 'w2', state => 'cancelled'), 'OK 2-1', 'ok');

# Requeued, then cancelled.

$a = begin();
$s->next_job('w1');
dies('w1');
is($s->run('cancel', $a, 't', 'client', 'now', 'cancelled', ''), 'CANCELLED',
    'one that waits for its second attempt');
is_deeply([map { /^(\S+ \w)/ } @{ $s->log($a) }], ['2-0 a', '2-1 x'], 'log');
is(join(' ', map { "$_->{a} $_->{c}" } $s->outbox), '2 0', 'one record');
is($s->emit($a, 1, 1, 's', 'x'), 'FENCED 2', 'its zombie is fenced');
is($s->held('t'), 'leases 0 entries 0 t 0+0', 'all free');

$a = begin();
$s->next_job('w1');
$s->emit($a, 1, 1, 's', 'x');
dies('w1');
is($s->run('cancel', $a, 't', 'client', 'unstarted', 'queue_timeout', ''),
    'RUNNING', 'one that had emitted had started');
is($s->run('leave', $a, 'e1'), 'OK 0 cancelling', 'its client leaves');
@got = $s->next_job('w2');
is(join(' ', @got[2 .. 5]), 'END 2 2-0 cancelled', 'its next worker ends it');

# bye.

$a = begin();
$b = $s->id;
$s->admit($b, 't', class => 'batch');
$s->next_job('w1');
$s->next_job('w1', 'jobs:batch');
is($s->run('beat', 'w', 'w1', 2, 'bye'), 'OK 2 0', 'bye');
is($s->job($a)->{state} . $s->job($b)->{state}, 'queuedqueued',
    'its jobs go on at once');
is(consumers() . consumers('jobs:batch'), '', 'it is no consumer');
is(join(' ', (($s->next_job('w2'))[0, 3]),
    ($s->next_job('w2', 'jobs:batch'))[0, 3]), "$a 2 $b 2", 'elsewhere');

# More than a sweep may take.

$s->fresh(w1 => 10);
my @ids = map { $s->id } 1 .. 10;
$s->admit($_, "t$_") for @ids;
$s->next_job('w1') for @ids;
$s->run('beat', 'w', 'w2', 10, 'up');
like(dies('w1', max => 4), qr/^OK 1 [4-8] 0 1 10 /, 'at most max of a kind');
my $n = 1;
$n++ while $n < 20 && $s->sweep(max => 4) !~ /^OK 1 0 0 0 /;
cmp_ok($n, '<', 20, 'the rest in the next ones');
is(scalar(grep { $s->job($_)->{state} eq 'queued' } @ids), 10, 'all are back');
is($s->len('XLEN', 'jobs'), 10, 'each once');
is(consumers(), '', 'w1 is gone');

# A pass does what it may and no more, of all kinds together.

$s->fresh(w1 => 20, w2 => 20);
@ids = map { $s->id } 1 .. 60;
$s->admit($_, 't', max_jobs => 100) for @ids;
$s->take('w1', 40);
$s->silent('w:w1', 5000);
$s->silent('e:e1', 5000);
my ($did, $passes) = (0, 0);
while ($passes++ < 40) {
    my @got = split / /, $s->sweep(max => 8);
    cmp_ok($got[2] + $got[3], '<=', 8, 'bounded as a whole')
        if $got[2] + $got[3] > 8 || $passes == 1;
    $did += $got[2] + $got[3];
    last unless $got[2] + $got[3];
}
cmp_ok($passes, '<', 40, 'and it comes to an end');
is(consumers(), '', 'the dead worker is gone');
is(scalar(grep { $s->job($_)->{state} eq 'waiting' } @ids), 0,
    'nobody waits for a dead edge');

# A live worker keeps its job when its entry was handed out again.

$s->fresh(w1 => 2, w2 => 2);
my $again = $s->id;
$s->admit($again, 't');
(undef, $entry) = $s->next_job('w1');
$s->cmd('XCLAIM', $s->key('jobs'), 'workers', 'w2', 0, $entry, 'JUSTID');
dies('w2');
$job = $s->job($again);
is("$job->{state} $job->{owner} $job->{entry}", "running w1 $entry",
    'a job that runs elsewhere is left alone');
is(consumers(), 'w1', 'its entry is with its owner');
is($s->settle($again, 1, 1), 'OK 1-1', 'who ends it');
is($s->held('t'), 'leases 0 entries 0 t 0+0', 'without a rest');

# Edges.

$s->fresh(w1 => 1);
my ($run, $wait, $kept, $two) = map { $s->id } 1 .. 4;
$s->admit($run, 't');
$s->admit($wait, 't');
$s->admit($kept, 't', flags => 'c');
$s->admit($two, 't');
$s->run('beat', 'e', 'e2', 0, 'up');
$s->run('join', $two, 't', 'e2');
$s->next_job('w1');
$s->silent('e:e1', 5000);
bells();
is($s->sweep, 'OK 1 0 2 1 1 2 1 1', 'an edge dies: what only it heard ends');
is(join(' ', map { $s->job($_)->{state} } $run, $wait, $kept, $two),
    'running cancelled waiting waiting', 'the waiting here');
is($s->job($run)->{cancel}, 'disconnect', 'the running by its worker');
is_deeply([grep { /^w1/ } bells()], ["w1 X$run disconnect"], 'which is rung');
is($s->cmd('ZSCORE', $s->key('alive'), 'e:e1'), undef, 'the edge is removed');
is($s->sweep, 'OK 1 0 0 0 1 2 1 1', 'once');

for my $flags ('r', 'b', 'c') {
    $a = begin(flags => $flags, resume => 1000, result => 1000);
    $s->silent('e:e1', 5000);
    is((($s->next_job('w1'))[2]), 'RUN', "flag $flags runs for dead edges");
    is($s->sweep, 'OK 1 0 0 1 4 0 1 0', 'and is left alone');
}

$a = begin();
$s->silent('e:e1', 2000);
is((($s->next_job('w1'))[2]), 'RUN', 'silent for 2 s is not dead');

$a = begin(base => 'b');
$s->silent('e:e1', 4000);
my ($young) = $s->take('w1');
is($s->run('claim', $young->[1], 'w1', $young->[0], 'jobs') =~ /^(\w+)/ && $1,
    'RUN', 'an edge that admitted within 3 s is not dead');

$a = begin(base => 'b');
$s->silent('e:e1', 4000);
$s->cmd('HINCRBY', $s->key("job:$a"), 'at', -4000000);
is((($s->next_job('w1'))[2]), 'GONE', 'claim does not run for the dead');
is($s->job($a)->{state}, 'cancelled', 'but ends it');
is(scalar($s->outbox), 1, 'with a ledger record');
is($s->held('t'), 'leases 0 entries 0 t 0+0', 'and frees its slot');
is($s->cmd('XPENDING', $s->key('jobs'), 'workers')->[0], 0, 'acknowledged');

$a = begin();
$s->silent('e:e1', 4000);
$s->cmd('HSET', $s->key('sweep'), 'grace_until', $s->now_ms + 5000);
is((($s->next_job('w1'))[2]), 'RUN', 'in a grace it runs');
$a = begin();
$s->silent('e:e1', 4000);
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 2500);
is((($s->next_job('w1'))[2]), 'RUN', 'without sweeps, too');

# What is mended.

$a = begin();
$s->next_job('w1');
$s->cmd('DEL', $s->key("job:$a"));
is($s->sweep, 'OK 1 0 0 0 4 0 0 0', 'the lease of a lost job');
is($s->len('EXISTS', 'running:t'), 0, "and its tenant's");

$a = begin();
$s->next_job('w1');
$s->settle($a, 1, 1);
$s->cmd('ZADD', $s->key('leases'), 1, "$a t");
$s->cmd('SADD', $s->key('running:t'), $a);
$s->sweep;
is($s->held('t'), 'leases 0 entries 0 t 0+0', 'the lease of an ended job');

$a = begin();
$s->cmd('XTRIM', $s->key('jobs'), 'MAXLEN', 0);
is($s->sweep, 'OK 1 1 0 0 4 0 1 0', 'a dispatch entry that is lost');
is((($s->next_job('w1'))[2]), 'RUN', 'is made again');

$a = begin();
$s->next_job('w1');
$s->cmd('XGROUP', 'DESTROY', $s->key($_), 'workers') for 'jobs', 'jobs:batch';
is($s->sweep, 'OK 1 0 0 0 4 0 1 0', 'no group: nothing happens');
is($s->settle($a, 1, 1), 'OK 1-1', 'settle without a group');
$a = $s->id;
$s->admit($a, 't');
$s->cmd('XGROUP', 'CREATE', $s->key($_), 'workers', '0') for 'jobs',
    'jobs:batch';
my ($got, $first) = $s->next_job('w1');
is($got, $a, 'a group made again delivers');
$s->cmd('XGROUP', 'DESTROY', $s->key('jobs'), 'workers');
$s->cmd('XGROUP', 'CREATE', $s->key('jobs'), 'workers', '0');
is(join(' ', ($s->next_job('w2'))[0, 2]), "$a GONE", 'twice: only one runs it');
is(dies('w1'), 'OK 1 1 0 1 2 0 1 1', 'when that one dies, though not pending');
is(join(' ', ($s->next_job('w2'))[0, 2, 3]), "$a RUN 2", 'the next runs it');

$s->fresh;
$a = $s->id;
$s->admit($a, 't');
$s->admit($s->id, 't');
$s->cmd('DEL', $s->key("job:$a"));
is($s->sweep, 'OK 1 0 0 0 0 1 0 0', 'a lost job in the backlog');
is($s->len('LLEN', 'backlog:t'), 1, 'is dropped');
$s->cmd('DEL', $s->key('job:' . $s->cmd('LINDEX', $s->key('backlog:t'), 0)));
is($s->run('beat', 'w', 'w1', 1, 'up'), 'OK 1 0', 'one the pump meets');
is($s->cmd('EXISTS', map { $s->key($_) } qw(waiting backlog:t backlog_bytes
    leases running:t)), 0, 'is dropped, too');

$s->fresh;
$s->admit($s->id, 't', bytes => 0) for 1 .. 2;
is($s->run('beat', 'w', 'w1', 1, 'up'), 'OK 1 0', 'bodies of no bytes');
is($s->held('t'), 'leases 1 entries 1 t 1+1', 'are counted as such');

# A capacity without a heartbeat; slots; lost wake-ups.

$s->fresh(w1 => 2);
$s->cmd('HSET', $s->key('capacity'), 'w9', 7);
is($s->sweep, 'OK 1 0 0 0 2 0 0 0', 'a capacity nobody beats for');
$s->cmd('HSET', $s->key('sweep'), 'slots', 0);
$s->admit($s->id, 't') for 1 .. 3;
is($s->held('t'), 'leases 0 entries 0 t 0+3', 'no slots');
is($s->sweep, 'OK 1 0 0 0 2 1 2 0', 'a sweep counts them, and pumps');

# More tenants and jobs than a pass looks at.

$s->fresh;
for my $tenant (qw(a b c)) {
    $s->admit($s->id, $tenant) for 1 .. 5;
}
$s->silent('e:e1', 5000);
$n = 0;
$n++ while $n < 60 && $s->sweep(max => 2) !~ /^OK 1 0 \d 0 0 0 0 15$/;
cmp_ok($n, '<', 60, 'all that wait for a dead edge are found');
is(scalar($s->outbox), 15, 'a ledger record each');

# Memory.

$s->fresh(w1 => 1);
$s->sweep;
my $pressure = sub { $s->cmd('HGET', $s->key('sweep'), 'pressure') };
is($pressure->(), 0, 'no maxmemory, no pressure');
my ($used) = $s->cmd('INFO', 'memory') =~ /\nused_memory:(\d+)/;
$s->cmd('CONFIG', 'SET', 'maxmemory', int($used * 1.2));
$s->sweep(memory => 50);
is($pressure->(), 1, 'over the percentage');
like($s->admit($s->id, 't'), qr/^PRESSURE/, 'admit refuses');
$s->cmd('CONFIG', 'SET', 'maxmemory', int($used * 10));
$s->sweep(memory => 50);
is($pressure->(), 0, 'under it');

# What ends a job works without memory.

$a = begin();
my ($entry_a) = ($s->next_job('w1'))[1];
$b = $s->id;
$s->admit($b, 't');
my ($eb) = $s->take('w1');
$s->silent('w:w2', 5000);
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 600);
$s->cmd('CONFIG', 'SET', 'maxmemory', 1);
like($s->admit($s->id, 't'), qr/^OOM/, 'admit is refused');
like($s->emit($a, 1, 1, 's', 'x'), qr/^OOM/, 'emit is refused');
is($s->sweep(as_is => 1), 'OK 1 0 0 1 2 0 2 0', 'sweep');
is((($s->call('claim', $b, 'w1', $eb->[0], 'jobs'))[0]), 'RUN', 'claim');
is($s->settle($a, 1, 1), 'OK 1-1', 'settle');
is($s->run('leave', $b, 'e1'), 'OK 0 cancelling', 'leave');
is($s->run('beat', 'w', 'w1', 2, 'up'), 'OK 2 0', 'beat');
is($s->run('cancel', $b, 't', 'client', 'now', 'cancelled', ''), 'CANCELLING',
    'cancel');
$s->cmd('CONFIG', 'SET', 'maxmemory', 0);

done_testing();
