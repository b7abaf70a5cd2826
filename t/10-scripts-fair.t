#!/usr/bin/perl

# Who gets the slots.  Jobs last a virtual time: the clock of this test jumps
# to the next job that ends, so no figure here depends on the machine.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);

my ($now, @runs, %tenant, %lasts, %held, %busy, @started, %weight, @workers);

# A worker of so many slots, or several: name => slots.
sub world {
    my %slots = @_ == 1 ? (w1 => @_) : @_;
    $s->fresh(%slots);
    @workers = sort keys %slots;
    ($now, @runs) = (0);
    (%tenant, %lasts, %held, %busy, @started, %weight) = ();
}

# n jobs of a tenant that last that long; what admit said of the last.
sub ask {
    my ($who, $n, $last, %o) = @_;
    my $said;
    for (1 .. $n) {
        my $id = $s->id;
        $tenant{$id} = $who;
        $lasts{$id} = $last;
        $said = $s->admit($id, $who, weight => $weight{$who} || 1, %o);
    }
    start();
    return (split / /, $said)[1];
}

# Workers take what they are handed.
sub start {
    for my $d (map { $s->take($_, 1e9) } @workers) {
        my $id = $d->{job};
        push @runs, [$now + $lasts{$id}, $id];
        push @started, $tenant{$id};
        $held{ $tenant{$id} }++;
    }
    @runs = sort { $a->[0] <=> $b->[0] || $a->[1] cmp $b->[1] } @runs;
}

# The next job ends; its tenant.
sub step {
    my $next = shift @runs or return;
    $busy{$_} += $held{$_} * ($next->[0] - $now) for keys %held;
    $now = $next->[0];
    my $who = $tenant{ $next->[1] };
    $held{$who}--;
    my $reply = $s->settle($next->[1], 1, 1, tenant => $who);
    die "settle: $reply\n" unless $reply eq 'OK 1-1';
    start();
    return $who;
}

# Until then, each tenant asking again as its jobs end.
sub go_on {
    my ($until, %last) = @_;
    while (@runs && $runs[0][0] <= $until) {
        my $who = step();
        ask($who, 1, $last{$who}) if $last{$who};
    }
}

# 30 s jobs against 1 s jobs: equal slots.

world(10);
my %last = (long => 30, short => 1);
ask('long', 40, 30);
ask('short', 40, 1);
is("$held{long} $held{short}", '9 1', 'the first gets 90 %, then the rest');
go_on(60, %last);
is("$held{long} $held{short}", '5 5', 'then they share');
%busy = ();
go_on(300, %last);
my $share = $busy{long} / ($busy{long} + $busy{short});
cmp_ok(abs($share - 0.5), '<', 0.02, 'equal slots')
    or diag("the long jobs have $share");

# Who is new gets the next slot that comes free, and its share soon.

my $before = @started;
ask('new', 20, 1);
is(scalar @started, $before, 'no slot was free');
step();
is($started[-1], 'new', 'the next slot is its');
go_on($now + 31, %last, new => 1);
is(join(' ', map { $held{$_} } qw(long short new)), '4 3 3', 'then a third')
    or diag(join ' ', %held);

# Nobody is at rest while somebody could run.

my $all = 0;
$all += $_ for values %held;
is($all, 10, 'no slot is idle');

# The last of many tenants is not passed over for ever: more tenants than slots.

world(1);
my @names = map { chr(ord('a') + $_) . 'x' } 0 .. 7;
ask($_, 3, 1) for @names;
for (1 .. 23) {
    sleep 0.01;
    step();
}
for my $round (0 .. 1) {
    my @round = @started[1 + 8 * $round .. 8 + 8 * $round];
    is(join(' ', sort @round), "@names", "each has a turn in round $round")
        or diag("@round");
}
is(scalar @started, 24, 'all are served');

# Weights.

world(12);
%weight = (heavy => 3);
ask('heavy', 60, 1);
ask('light', 60, 1);
go_on(20, heavy => 1, light => 1);
is("$held{heavy} $held{light}", '9 3', 'weight 3 against 1');
%busy = ();
go_on(60, heavy => 1, light => 1);
$share = $busy{heavy} / ($busy{heavy} + $busy{light});
cmp_ok(abs($share - 0.75), '<', 0.02, 'over time') or diag($share);
is_deeply($s->r->hash('HGETALL', $s->key('weights')), { heavy => 3 },
    'only the weight that is not 1 is kept');
%weight = ();
go_on(80, heavy => 1, light => 1);
is("$held{heavy} $held{light}", '6 6', 'a weight that is taken back');

# One tenant alone, however heavy, leaves a tenth.

world(20);
%weight = (heavy => 1000);
ask('heavy', 60, 1);
is($held{heavy}, 18, '90 %');
ask('light', 60, 1);
go_on(30, heavy => 1, light => 1);
is("$held{heavy} $held{light}", '18 2', 'others get the rest');

# Batch.

world(10);
ask('bulk', 30, 1, class => 'batch');
is($held{bulk}, 9, 'batch below the reserve');
ask('chat', 5, 3);
is("$held{bulk} $held{chat}", '9 1', 'the reserve is for interactive work');
step() for 1 .. 4;
is("$held{bulk} $held{chat}", '5 5', 'which goes first');
go_on(100);
is(scalar(@started), 35, 'and all are served');
is($s->held('bulk', 'chat'), 'held 0 bulk 0+0 chat 0+0', 'empty');

# A tenant at its share does not stop others, nor batch work of others.

world(10);
ask('big', 20, 5);
is($held{big}, 9, 'at its share');
ask('bulk', 3, 1, class => 'batch');
is($held{bulk} || 0, 0, 'batch waits for the reserve');
ask('small', 2, 1);
is($held{small}, 1, 'another tenant does not');
step();
is("$held{big} $held{small}", '9 1', 'nor its second');

# Fewer slots than are held, and more again.

world(4);
ask('a', 8, 1);
$s->run('beat', 'w', 'w1', 2, 'up');
step() for 1 .. 2;
is(scalar(@runs), 2, 'capacity shrank: nothing starts above it');
step();
is(scalar(@runs), 2, 'and then one for one');
$s->run('beat', 'w', 'w1', 10, 'up');
start();
is($s->held('a'), 'held 5 a 5+0', 'capacity grew: all start');

# Weights of many.

world(20);
%weight = (a1 => 1, a2 => 2, a3 => 3, a4 => 4);
ask($_, 60, 1) for sort keys %weight;
go_on(40, map { ($_ => 1) } keys %weight);
is(join(' ', map { $held{$_} } sort keys %weight), '2 4 6 8', 'by weight');

# 10,000 jobs of one tenant wait, a million bytes; another's single requests do
# not, for nobody has more than 90 %.  Of two such tenants nobody leaves a slot:
# then the next that comes free is the single request's, so that it waits no
# longer than the shortest rest of what runs.

my $many = $ENV{AI_T_FULL} ? 40_000 : 10_000;
my %deep = (max_jobs => $many, max_bytes => 1e9);
sub used { return ($s->cmd("INFO", "memory") =~ /^used_memory:(\d+)/m)[0] }

world(20);
my $before_all = used();
ask('crowd', $many + 18, 0.2, %deep);
is($s->held('crowd'), "held 18 crowd 18+$many", "$many wait");
my $each = (used() - $before_all) / $many;
cmp_ok($each, '<', 2048, 'bytes of Redis a job that waits') or diag($each);
my %said;
for (1 .. 300) {
    $said{ ask('one', 1, 0.01) }++;
    step() while $held{one};
}
is_deeply(\%said, { running => 300 }, 'a single request never waits');
is($held{crowd}, 18, 'the crowd has its share all the time');

ask('crowd2', 9000, 0.2, %deep);
step() while $held{crowd} + ($held{crowd2} || 0) < 20 || $held{crowd} > 10;
my ($releases, $wait) = (0, 0);
for (1 .. 300) {
    my ($at, $n) = ($now, scalar @started);
    is(ask('one', 1, 0.01), 'waiting', 'no slot') if $_ == 1;
    ask('one', 1, 0.01) if $_ > 1;
    my $m = 0;
    while (!$held{one}) {
        step();
        $m++;
    }
    $releases = $m if $m > $releases;
    $wait = $now - $at if $now - $at > $wait;
    step() while $held{one};
}
is($releases, 1, 'the next slot that comes free');
cmp_ok($wait, '<=', 0.2, 'which is no longer than a job lasts');

# Newcomers: each has its first slot before any has its second.

my @new = map { "new$_" } 1 .. 5;
ask($_, 10, 0.2) for @new;
my $from = @started;
step() for @new;
is(join(' ', sort @started[$from .. $#started]), "@new",
    'as many releases as newcomers');

# Batch: nothing while interactive work takes all there is, then all but the
# reserve, and what is asked meanwhile goes first.

world(10);
ask('chat1', 10, 1);
ask('chat2', 10, 1);
ask('bulk', 50, 1, class => 'batch');
go_on(20, chat1 => 1, chat2 => 1);
is($held{bulk} || 0, 0, 'nothing is left for batch');
go_on(24);
is("$held{bulk} $held{chat1} $held{chat2}", '9 0 0', 'then it has 90 %');
is(ask('chat1', 1, 1), 'running', 'and takes nothing from who comes');
step();
is("$held{bulk} $held{chat1}", '8 1', 'which counts below the reserve')
    or diag("$held{bulk} $held{chat1}");

# A rolling restart while one tenant is busy: what it holds on the worker that
# leaves does not keep it from the new one, whose reserve stays free.

sub left { return $s->len('SCARD', 'held:w0') }
sub fresh_one { return $s->len('SCARD', 'held:w1') }

for my $how ('leaves', 'hangs') {
    world(w0 => 10);
    ask('busy', 60, 1 + $_ / 100) for 1 .. 2;
    is($held{busy}, 9, "a worker that $how: 90 % of the old");
    if ($how eq 'leaves') {
        $s->run('beat', 'w', 'w0', 10, 'drain');
    } else {
        $s->silent('w:w0', 2000);
    }
    $s->run('beat', 'w', 'w1', 10, 'up');
    push @workers, 'w1';
    start();
    is(left() . ' ' . fresh_one(), '9 9', 'and of the new');
    is(ask('late', 1, 5), 'running', 'the reserve is for others');
    is(ask('late', 1, 5), 'waiting', 'and is one');
    step();
    my $over = 0;
    while (left()) {
        $over++ if $held{busy} > int(((10 + left()) * 9 + 9) / 10)
            || fresh_one() > 10;
        step();
    }
    is($over, 0, 'never more than 90 % of what there is');
    step() for 1 .. 10;
    is(fresh_one() . " $held{late}", '10 2', 'all of the new one works');
}

world(w0 => 10);
ask('one', 20, 5);
ask('two', 20, 5);
ask('bulk', 20, 5, class => 'batch');
is("$held{one} $held{two}", '9 1', 'two tenants');
$s->run('beat', 'w', 'w0', 10, 'drain');
$s->run('beat', 'w', 'w1', 10, 'up');
push @workers, 'w1';
start();
is("$held{one} $held{two} " . ($held{bulk} || 0), '10 9 0',
    'what both hold of both counts, and the reserve of the new is for others');
is(ask('three', 1, 5), 'running', 'who gets it');

world(w0 => 10);
ask('bulk', 30, 5, class => 'batch');
$s->run('beat', 'w', 'w0', 10, 'drain');
$s->run('beat', 'w', 'w1', 10, 'up');
is(left() . ' ' . fresh_one(), '9 9', 'batch goes on, too');

# Tenants of much weight that hold much of a worker that leaves do not stand
# before others where only the reserve is left.
world(w0 => 40, w1 => 0);
my @heavy = map { "heavy$_" } 1 .. 3;
$weight{$_} = 1000 for @heavy;
ask($_, 10, 9) for @heavy;
$s->run('beat', 'w', 'w0', 40, 'drain');
$s->run('beat', 'w', 'w1', 10, 'up');
ask('other', 9, 9);
is($s->held(@heavy, 'other'), 'held 39 heavy1 10+0 heavy2 10+0 heavy3 10+0 other 9+0',
    'one slot is free');
ask($_, 1, 9) for @heavy;
ask('light', 2, 9);
is($s->held(@heavy, 'light'), 'held 40 heavy1 10+1 heavy2 10+1 heavy3 10+1 light 1+1',
    'it is the light one\'s');

# Jain's index, of what was had by what was due.

sub jain {
    $s->cmd('DEL', $s->key('fair')) if $_[0];
    $s->sweep;
    return $s->cmd('HGET', $s->key('sweep'), 'jain') / 1e6;
}

sub near {
    my ($got, $want, $what) = @_;
    cmp_ok(abs($got - $want), '<', 0.002, $what) or diag("$got, not $want");
}

world(10);
%weight = ();
near(jain(1), 1, 'nobody wants any');
is($s->cmd('EXISTS', $s->key('fair')), 0, 'and nothing is kept');
ask('long', 40, 30);
near(jain(1), 1, 'one alone');
ask('short', 40, 1);
is("$held{long} $held{short}", '9 1', 'nine against one');
near(jain(1), 4 / (2 * (1.8 ** 2 + 0.2 ** 2)), 'is uneven');
go_on(31, %last);
is("$held{long} $held{short}", '5 5', 'five against five');
near(jain(1), 1, 'is even');
is($s->len('HLEN', 'fair'), 2, 'two are kept');
my $ttl = $s->len('PTTL', 'fair');
cmp_ok($ttl, '>', 0, 'for a while');

# It fades: uneven for a minute, then even, half of which is gone after 15 s.
$s->cmd('HSET', $s->key('fair'), 'long', '90000 50000', 'short', '10000 50000');
my $uneven = jain();
my $later;
$later = jain() for 1 .. 100;
cmp_ok($uneven, '<', 0.65, 'what was counts');
cmp_ok($later, '>', 0.97, 'and fades') or diag($later);
$s->cmd('HSET', $s->key('fair'), 'gone', '4000 4000');
jain() for 1 .. 100;
is(join(' ', sort @{ $s->cmd('HKEYS', $s->key('fair')) }), 'long short',
    'who wants nothing is forgotten');

world(12);
%weight = (heavy => 3);
ask('heavy', 60, 1);
ask('light', 60, 1);
go_on(20, heavy => 1, light => 1);
near(jain(1), 1, 'nine against three by weight');
world(10);
%weight = ();
ask('big', 40, 1);
ask('small', 1, 1);
near(jain(1), 1, 'who has all it wants has its due');
world(10);
ask('bulk', 40, 1, class => 'batch');
ask('chat', 1, 1);
near(jain(1), 1, 'batch work that waits claims nothing');
world(10);
%weight = (huge => 1000);
ask('huge', 40, 1);
ask('tiny', 40, 1);
near(jain(1), 1, 'nobody is due more than it may hold');
world(40);
ask("t$_", 1, 1) for 100 .. 300;
near(jain(1), 16 / 64, 'a sample of many');
is($s->len('HLEN', 'fair'), 64, 'of whom 64 are kept');

# What waits, by class.

sub waits {
    return join ' ', @{ $s->cmd('HMGET', $s->key('sweep'), map {
        ("${_}_jobs", "${_}_tenants") } qw(interactive batch last)) };
}

world(1);
ask('a', 3, 1);
ask('b', 2, 1);
ask('c', 4, 1, class => 'batch');
$s->sweep;
is(waits(), '4 2 4 1 0 0', 'jobs and tenants that wait');
$s->run('beat', 'w', 'w1', 100, 'up');
$s->sweep;
is(waits(), '0 0 0 0 0 0', 'none');

done_testing();
