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
        next if $m->[1] =~ /^J/;
        push @got, ($m->[0] =~ /([^:]+)$/)[0] . " $m->[1]";
    }
    return sort @got;
}

sub begin {
    my (%o) = @_;
    $s->fresh(w1 => 2);
    my $id = $s->id;
    $s->admit($id, 't', %o);
    $s->run('beat', 'w', 'w2', 2, 'up');
    return $id;
}

# w dies; the sweep that follows.
sub dies {
    my ($w, %o) = @_;
    $s->silent("w:$w", 5000);
    return $s->sweep(%o);
}

# Whom Redis knows.
sub crew { return join ' ', sort @{ $s->cmd('HKEYS', $s->key('capacity')) } }

$s->fresh;
$ring = $s->r->subscribe(map { $s->key($_) } qw(edge:e1 edge:e2 worker:w1));

# beat

is($s->run('beat', 'w', 'w1', 8, 'up'), 'OK 8 0 0', 'one worker');
is($s->run('beat', 'w', 'w2', 4, 'up'), 'OK 12 0 0', 'two');
is($s->run('beat', 'w', 'w2', 4, 'up'), 'OK 12 0 0', 'again');
is($s->run('beat', 'e', 'e9', 0, 'up'), 'OK 12 0 0', 'an edge has no slots');
my $score = $s->cmd('ZSCORE', $s->key('alive'), 'e:e9');
cmp_ok(abs($score - $s->now_ms), '<', 5000, 'its time');
is($s->run('beat', 'w', 'w1', 8, 'drain'), 'OK 4 0 0', 'a worker that drains');
is($s->run('beat', 'w', 'w1', 8, 'up'), 'OK 12 0 0', 'and comes back');
is($s->run('beat', 'w', 'w2', 4, 'bye'), 'OK 8 0 0', 'one that goes');
is($s->run('beat', 'w', 'w2', 4, 'bye'), 'OK 8 0 0', 'again');
is($s->run('beat', 'e', 'e9', 0, 'bye'), 'OK 8 0 0', 'an edge that goes');
is_deeply($s->cmd('ZRANGE', $s->key('alive'), 0, -1), ['e:e1', 'w:w1'],
    'who is left');
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 2500);
is($s->run('beat', 'w', 'w1', 8, 'up'), 'OK 8 1 0', 'no sweep for 2 s: grace');
$s->cmd('DEL', $s->key('sweep'));
is($s->run('beat', 'e', 'e1', 0, 'up'), 'OK 8 1 0', 'no sweep ever');
$s->fresh(w1 => 3);
$s->admit($s->id, 't') for 1 .. 2;
is($s->run('beat', 'w', 'w1', 3, 'up'), 'OK 3 0 2', 'what it holds');
is($s->run('beat', 'w', 'w1', 0, 'drain'), 'OK 0 0 2', 'is its own in a drain');
like($s->admit($s->id, 't'), qr/^OK waiting/, 'but nothing more');

# Some that die together.

$s->fresh(w1 => 8, w2 => 4);
my $together = $s->id;
$s->admit($together, 't');
is($s->cmd('HGET', $s->key("job:$together"), 'owner'), 'w1', 'of two');
is($s->run('beat', 'w', 'w2', 0, 'dead'), 'OK 8 0 0', 'one is dead');
is($s->run('beat', 'w', 'w1', 0, 'dead'), 'OK 0 0 0', 'and the other');
is($s->cmd('HGET', $s->key("job:$together"), 'owner'), 'w1', 'has its job');
$s->run('beat', 'w', $_, 0, 'bye') for qw(w1 w2);
is(join(' ', @{ $s->cmd('HMGET', $s->key("job:$together"), 'state',
    'attempt') }), 'waiting 1', 'which no dead one is given');
$s->run('beat', 'w', 'w3', 1, 'up');
is($s->cmd('HGET', $s->key("job:$together"), 'owner'), 'w3', 'a live one is');
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
is($s->sweep(as_is => 1), 'OK 1 0 0 0 2 0 1 0',
    'after a pause nobody is dead');
is($s->job($a)->{state}, 'running', 'nothing is touched');
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 600);
is($s->sweep(as_is => 1), 'OK 1 0 0 0 2 0 1 0', 'nor later in the grace');
$s->silent('w:w1', 100);
is($s->sweep, 'OK 1 0 1 1 4 0 1 0', 'after it the edge is, not the worker');

# A worker dies; its jobs had not emitted.

$a = begin();
$s->next_job('w1');
bells();
is(dies('w1'), 'OK 1 1 0 1 2 0 1 0', 'its job goes back');
my $job = $s->job($a);
is("$job->{state} $job->{owner} $job->{attempt}", 'running w2 2',
    'and to another');
is(crew(), 'w2', 'its capacity is gone');
is($s->cmd('ZSCORE', $s->key('alive'), 'w:w1'), undef, 'and its heartbeat');
is($s->cmd('EXISTS', $s->key('held:w1')), 0, 'and what it held');
is_deeply($s->cmd('SMEMBERS', $s->key('held:w2')), ["$a t"], 'another has it');
is($s->sweep, 'OK 1 0 0 0 2 0 1 0', 'once');
is($s->claim($a, 'w1', 1), 'GONE', 'not its any more');
my ($d) = $s->take('w2');
is("$d->{job} $d->{attempt} $d->{cause} $d->{body}", "$a 2 - {\"a\":1}",
    'w2 has all of it');
is_deeply($s->log($a), ['2-0 a '], 'marked in the log');
is_deeply([bells()], ["e1 E$a\n2-0 a 0\n"], 'and rung');
is($s->job($a)->{tip}, '2-0', 'tip');
is(join(' ', ($s->claim($a, 'w2'))[0, 1]), 'RUN 2', 'claimed');
is_deeply([bells()], [], 'without a bell');
is(scalar @{ $s->log($a) }, 1, 'or a marker');

# Nobody has a slot for them: they wait, ahead of the others.

$s->fresh(w1 => 3);
my @jobs = map { $s->id } 0 .. 4;
$s->admit($_, 't', class => $_ eq $jobs[2] ? 'batch' : 'interactive',
    bytes => 10) for @jobs;
is(dies('w1'), 'OK 1 3 0 1 0 5 0 0', 'all wait');
is(join(' ', map { $s->job($_)->{state} . '/'
    . ($s->job($_)->{attempt} || 0) } @jobs),
    'waiting/1 waiting/1 waiting/1 waiting/0 waiting/0', 'which they say');
is($s->held('t'), 'held 0 t 0+5', 'no slot is held');
is($s->cmd('HGET', $s->key('backlog_bytes'), 't'), 40, 'bytes');
is($s->cmd('HGET', $s->key('backlog_bytes'), 'batch:t'), 10, 'of each class');
my %first = map { $_ => 1 } @{ $s->cmd('LRANGE', $s->key('backlog:t'), 0, 1) };
ok($first{ $jobs[0] } && $first{ $jobs[1] }, 'who had a turn is ahead');
is($s->settle($jobs[0], 1, 1), 'OK 1-1', 'a zombie settles one that waits');
is($s->held('t'), 'held 0 t 0+4', 'which waits no more');
is($s->cmd('HGET', $s->key('backlog_bytes'), 't'), 30, 'nor do its bytes');
is($s->emit($jobs[1], 1, 1, 's', 'x'), 'OK 1-1 ', 'it emits for another');
$s->run('beat', 'w', 'w2', 3, 'up');
is_deeply({ map { ("$_->{job}" => "$_->{attempt} $_->{cause}") }
    $s->take('w2', 9) }, { $jobs[1] => '2 lost', $jobs[3] => '1 -',
    $jobs[4] => '1 -' }, 'who comes gets them');
is($s->job($jobs[2])->{state}, 'waiting', 'batch work waits for the reserve');
is($s->emit($jobs[1], 1, 2, 's', 'y'), 'FENCED 2', 'the zombie is fenced');
$a = begin();
$s->next_job('w1');
dies('w1');
$s->take('w2');

# The zombie.

is($s->emit($a, 1, 1, 's', 'x'), 'FENCED 2', "the zombie's emit");
is($s->settle($a, 1, 1), 'FENCED 2', "the zombie's settle");
is(scalar($s->outbox), 0, 'is not in the ledger');
is($s->emit($a, 2, 1, 's', 'y'), 'OK 2-1 ', 'w2 emits');
is($s->settle($a, 2, 2, worker => 'w2'), 'OK 2-2', 'and settles');
is_deeply([map { "$_->{j} $_->{a}" } $s->outbox], ["$a 2"], 'one record');
is($s->settle($a, 1, 1), 'FENCED 2', 'the zombie once more');
is($s->emit($a, 1, 1, 's', 'x'), 'FENCED 2', 'and once more');

# A job that had emitted.

$a = begin();
$s->next_job('w1');
$s->emit($a, 1, 1, 'h', 'x', 's', 'y');
bells();
dies('w1');
my @got = $s->next_job('w2');
is(join(' ', @got[0 .. 4]), "$a END 2 lost spec of $a", 'is not run again');
is_deeply([bells()], ["e1 E$a\n2-0 a 0\n"], 'the attempt is rung');
is_deeply([$s->claim($a, 'w2')], [@got[1 .. 6]], 'claimed');
is_deeply([bells()], [], 'no second marker');
is($s->emit($a, 1, 3, 's', 'z'), 'FENCED 2', 'the zombie is fenced');
$s->run('beat', 'w', 'w3', 2, 'up');
dies('w2');
@got = $s->next_job('w3');
is(join(' ', @got[0 .. 3]), "$a END 3 lost",
    'nor when who was to end it died');
is($s->settle($a, 2, 1, worker => 'w2'), 'FENCED 3', 'a late settle of that');
is($s->settle($a, 3, 1, worker => 'w3', state => 'failed',
    events => ['x', 'r']), 'OK 3-1', 'ended');
is_deeply($s->log($a), ['1-1 h x', '1-2 s y', '2-0 a ', '3-0 a ', '3-1 x r'],
    'the log');
is_deeply([map { "$_->{j} $_->{a}" } $s->outbox], ["$a 3"], 'one record');

# Three attempts.

$s->fresh(w1 => 2);
$a = $s->id;
$s->admit($a, 't');
for my $n (1 .. 3) {
    @got = $s->next_job("w$n");
    is(join(' ', @got[1, 2]), "RUN $n", "attempt $n");
    $s->run('beat', 'w', 'w' . ($n + 1), 2, 'up');
    dies("w$n");
}
@got = $s->next_job('w4');
is(join(' ', @got[1 .. 3]), 'END 4 attempts', 'then no more');
is($s->settle($a, 4, 1, worker => 'w4', state => 'failed',
    events => ['x', 'r']), 'OK 4-1', 'ended');
is_deeply($s->log($a), ['2-0 a ', '3-0 a ', '4-0 a ', '4-1 x r'], 'the log');

# Cancelled, and its worker dies.

$a = begin();
$s->next_job('w1');
$s->run('cancel', $a, 't', 'client', 'now', 'cancelled', '');
dies('w1');
@got = $s->next_job('w2');
is(join(' ', @got[1 .. 3]), 'END 2 cancelled', 'END cancelled');
is($s->settle($a, 2, 1, worker => 'w2', state => 'cancelled'), 'OK 2-1', 'ok');

# Its worker dies, it waits, and is cancelled.

sub orphan {
    $s->fresh(w1 => 2);
    my $id = $s->id;
    $s->admit($id, 't');
    $s->next_job('w1');
    $_[0]->($id) if $_[0];
    dies('w1');
    return $id;
}

$a = orphan();
is($s->run('cancel', $a, 't', 'client', 'now', 'cancelled', ''), 'CANCELLED',
    'one that waits for its second attempt');
is_deeply([map { /^(\S+ \w)/ } @{ $s->log($a) }], ['2-0 a', '2-1 x'], 'log');
is(join(' ', map { "$_->{a} $_->{c}" } $s->outbox), '2 0', 'one record');
is($s->emit($a, 1, 1, 's', 'x'), 'FENCED 2', 'its zombie is fenced');
is($s->held('t'), 'held 0 t 0+0', 'all free');

$a = orphan(sub { $s->emit($_[0], 1, 1, 's', 'x') });
is($s->run('cancel', $a, 't', 'client', 'unstarted', 'queue_timeout', ''),
    'RUNNING', 'one that had emitted had started');
is($s->run('leave', $a, 'e1'), 'OK 0 cancelling', 'its client leaves');
is($s->sweep, 'OK 1 0 0 0 0 1 0 0', 'a sweep leaves it to a worker');
$s->run('beat', 'w', 'w2', 2, 'up');
@got = $s->next_job('w2');
is(join(' ', @got[1 .. 3]), 'END 2 cancelled', 'its next worker ends it');

# bye.

$s->fresh(w1 => 3);
$a = $s->id;
my $b = $s->id;
$s->admit($a, 't');
$s->admit($b, 't', class => 'batch');
$s->run('beat', 'w', 'w2', 3, 'up');
is($s->run('beat', 'w', 'w1', 3, 'bye'), 'OK 3 0 0', 'bye');
is(join(' ', map { "$_->{owner} $_->{attempt}" } map { $s->job($_) } $a, $b),
    'w2 2 w2 2', 'its jobs go on at once');
is(crew(), 'w2', 'it is gone');
is(scalar(my @both = $s->take('w2', 9)), 2, 'elsewhere');
$s->fresh(w1 => 200);
$s->admit($s->id, 't') for 1 .. 180;
is($s->run('beat', 'w', 'w1', 3, 'bye'), 'OK 0 0 0', 'with more than a bye may');
is($s->held('t'), 'held 52 t 52+128', 'some are left');
is($s->sweep, 'OK 1 52 0 0 0 180 0 0', 'for a sweep');
is(crew(), '', 'then it is gone');

# More than a sweep may take.

$s->fresh(w1 => 10);
my @ids = map { $s->id } 1 .. 10;
$s->admit($_, "t$_") for @ids;
$s->run('beat', 'w', 'w2', 20, 'up');
like(dies('w1', max => 4), qr/^OK 1 4 0 1 20 /, 'at most max of a kind');
my $n = 1;
$n++ while $n < 20 && $s->sweep(max => 4) !~ /^OK 1 0 0 0 /;
cmp_ok($n, '<', 20, 'the rest in the next ones');
is(scalar(grep { $s->job($_)->{owner} eq 'w2' } @ids), 10, 'all are elsewhere');
is(scalar(my @each = $s->take('w2', 99)), 10, 'each once');
is(crew(), 'w2', 'w1 is gone');

# A pass does what it may and no more, of all kinds together.

$s->fresh(w1 => 20);
@ids = map { $s->id } 1 .. 60;
$s->admit($_, 't', max_jobs => 100) for @ids;
$s->run('beat', 'w', 'w2', 20, 'up');
$s->silent('w:w1', 5000);
$s->silent('e:e1', 5000);
my ($did, $passes) = (0, 0);
while ($passes++ < 60) {
    my @got = split / /, $s->sweep(max => 8);
    cmp_ok($got[2] + $got[3], '<=', 8, 'bounded as a whole')
        if $got[2] + $got[3] > 8 || $passes == 1;
    $did += $got[2] + $got[3];
    last unless $got[2] + $got[3];
}
cmp_ok($passes, '<', 60, 'and it comes to an end');
is(crew(), 'w2', 'the dead worker is gone');
is(scalar(grep { ($s->job($_)->{state} || '') eq 'waiting'
    && !$s->job($_)->{cancel} } @ids), 0, 'nobody waits for a dead edge');

# What is held twice stays with its owner.

$s->fresh(w1 => 2);
my $again = $s->id;
$s->admit($again, 't');
$s->run('beat', 'w', 'w2', 2, 'up');
$s->cmd('SADD', $s->key('held:w2'), "$again t");
dies('w2');
$job = $s->job($again);
is("$job->{state} $job->{owner}", 'running w1', 'a dead one');
is($s->held('t'), 'held 1 t 1+0', 'has it no more');
$s->run('beat', 'w', 'w2', 2, 'up');
$s->cmd('SADD', $s->key('held:w2'), "$again t");
is($s->sweep, 'OK 1 0 0 0 4 0 1 0', 'nor one that lives');
is($s->settle($again, 1, 1), 'OK 1-1', 'who has it ends it');
is($s->held('t'), 'held 0 t 0+0', 'without a rest');

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

# They wait while their edge dies, and are pumped.
sub waits {
    my (%o) = @_;
    $s->fresh;
    my $id = $s->id;
    $s->admit($id, 't', base => 'b', resume => 1000, result => 1000, %o);
    $s->cmd('HINCRBY', $s->key("job:$id"), 'at', -($o{age} || 4000) * 1000);
    $s->silent('e:e1', $o{silent} || 4000);
    return $id;
}

sub comes { $s->run('beat', 'w', 'w1', 2, 'up'); return ($s->next_job('w1'))[1] }

for my $flags ('r', 'b', 'c') {
    $a = waits(flags => $flags);
    is(comes(), 'RUN', "flag $flags runs for dead edges");
    is($s->sweep, 'OK 1 0 0 1 2 0 1 0', 'and is left alone');
}

$a = waits(silent => 2000);
is(comes(), 'RUN', 'silent for 2 s is not dead');
$a = waits(age => 1);
is(comes(), 'RUN', 'an edge that admitted within 3 s is not dead');

$a = waits();
$b = $s->id;
$s->admit($b, 't');
is(join(' ', comes(), $s->job($b)->{state}), 'RUN running',
    'for the dead nothing is run');
is($s->job($a)->{state}, 'cancelled', 'but ended');
is(scalar($s->outbox), 1, 'with a ledger record');
is($s->held('t'), 'held 1 t 1+0', 'and no slot');

$a = waits();
$s->cmd('HSET', $s->key('sweep'), 'grace_until', $s->now_ms + 5000);
is(comes(), 'RUN', 'in a grace it runs');
$a = waits();
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 2500);
is(comes(), 'RUN', 'without sweeps, too');

# What is mended.

$a = begin();
$s->cmd('DEL', $s->key("job:$a"));
is($s->sweep, 'OK 1 0 0 0 4 0 0 0', 'the lease of a lost job');
is($s->len('EXISTS', 'running:t'), 0, "and its tenant's");

$a = begin();
$s->settle($a, 1, 1);
$s->cmd('SADD', $s->key('held:w1'), "$a t");
$s->cmd('SADD', $s->key('running:t'), $a);
$s->sweep;
is($s->held('t'), 'held 0 t 0+0', 'the lease of an ended job');

$s->fresh(w1 => 40, w2 => 40, w3 => 40);
@ids = map { $s->id } 1 .. 100;
$s->admit($_, 't') for @ids;
$s->cmd('DEL', map { $s->key("job:$_") } @ids[0 .. 98]);
$n = 0;
$n++ while $n < 99 && $s->sweep(max => 5) !~ / 1 0$/;
cmp_ok($n, '<', 60, 'a pass looks at some, the next goes on');
is($s->held('t'), 'held 1 t 1+0', 'what is well is left');

$s->fresh;
$a = $s->id;
$s->admit($a, 't');
$s->admit($s->id, 't');
$s->cmd('DEL', $s->key("job:$a"));
is($s->sweep, 'OK 1 0 0 0 0 1 0 0', 'a lost job in the backlog');
is($s->len('LLEN', 'backlog:t'), 1, 'is dropped');
$s->cmd('DEL', $s->key('job:' . $s->cmd('LINDEX', $s->key('backlog:t'), 0)));
is($s->run('beat', 'w', 'w1', 1, 'up'), 'OK 1 0 0', 'one the pump meets');
is($s->cmd('EXISTS', map { $s->key($_) } qw(waiting backlog:t backlog_bytes
    held:w1 running:t)), 0, 'is dropped, too');

$s->fresh;
$s->admit($s->id, 't', bytes => 0) for 1 .. 2;
is($s->run('beat', 'w', 'w1', 1, 'up'), 'OK 1 0 0', 'bodies of no bytes');
is($s->held('t'), 'held 1 t 1+1', 'are counted as such');

# A capacity without a heartbeat; slots; lost wake-ups.

$s->fresh(w1 => 2);
$s->cmd('HSET', $s->key('capacity'), 'w9', 7);
is($s->sweep, 'OK 1 0 0 0 2 0 0 0', 'a capacity nobody beats for');
$s->cmd('HSET', $s->key('sweep'), 'slots', 0);
$s->admit($s->id, 't') for 1 .. 3;
is($s->held('t'), 'held 0 t 0+3', 'no slots');
is($s->sweep, 'OK 1 0 0 0 2 1 2 0', 'a sweep counts them, and pumps');
is($s->cmd('HGET', $s->key('sweep'), 'held'), 2, 'and says what is held');

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

$s->fresh(w1 => 2);
($a, $b) = map { $s->id } 1 .. 2;
$s->admit($_, 't') for $a, $b;
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 600);
$s->cmd('CONFIG', 'SET', 'maxmemory', 1);
like($s->admit($s->id, 't'), qr/^OOM/, 'admit is refused');
like($s->emit($a, 1, 1, 's', 'x'), qr/^OOM/, 'emit is refused');
is($s->sweep(as_is => 1), 'OK 1 0 0 0 2 0 2 0', 'sweep');
is((($s->claim($b, 'w1'))[0]), 'RUN', 'claim');
is($s->settle($a, 1, 1), 'OK 1-1', 'settle');
is($s->run('leave', $b, 'e1'), 'OK 0 cancelling', 'leave');
is($s->run('beat', 'w', 'w1', 2, 'up'), 'OK 2 0 1', 'beat');
is($s->run('cancel', $b, 't', 'client', 'now', 'cancelled', ''), 'CANCELLING',
    'cancel');
$s->cmd('CONFIG', 'SET', 'maxmemory', 0);

done_testing();
