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

my ($now, @runs, %tenant, %lasts, %held, %busy, @started, %weight);

sub world {
    my ($slots) = @_;
    $s->fresh(w1 => $slots);
    ($now, @runs) = (0);
    (%tenant, %lasts, %held, %busy, @started, %weight) = ();
}

# n jobs of a tenant that last that long.
sub ask {
    my ($who, $n, $last, %o) = @_;
    for (1 .. $n) {
        my $id = $s->id;
        $tenant{$id} = $who;
        $lasts{$id} = $last;
        $s->admit($id, $who, weight => $weight{$who} || 1, %o);
    }
    start();
}

# Workers take what they are handed.
sub start {
    while (my ($d) = $s->take('w1')) {
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

# Tenants of much weight that are at their share, on a worker that leaves, do
# not stand before others.
$s->fresh(w0 => 8);
my @heavy = map { my $who = $_; map { [$who, $s->id] } 1 .. 4 } qw(heavy-a heavy-b);
$s->admit($_->[1], $_->[0], weight => 100) for @heavy;
is($s->held('heavy-a', 'heavy-b'), 'held 8 heavy-a 4+0 heavy-b 4+0', 'they run');
$s->run('beat', 'w', 'w0', 8, 'drain');
$s->run('beat', 'w', 'w1', 4, 'up');
$s->admit($s->id, $_, weight => 100) for qw(heavy-a heavy-b);
$s->admit($s->id, 'light') for 1 .. 4;
$s->run('beat', 'w', 'w1', 4, 'up');
is($s->held('heavy-a', 'heavy-b', 'light'), 'held 12 heavy-a 4+1 heavy-b 4+1 light 4+0',
    'the light one has the slots that are free');

done_testing();
