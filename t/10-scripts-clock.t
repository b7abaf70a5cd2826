#!/usr/bin/perl

# Redis' clock is set back (a machine that began with a wrong one): no time is
# negative, nobody who is dead lives on in the future, no grace lasts for hours.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $HOUR = 3600 * 1000;

my $t = AiTest->new;
my $s = AiScripts->new($t);

# A time that Redis wrote before it was set back by an hour.
sub later {
    my ($job, @fields) = @_;
    my $h = $s->job($job);
    $s->cmd('HSET', $s->key("job:$job"), map { ($_, $h->{$_} + $HOUR * 1000) }
        @fields);
}

# A job that was admitted in what is the future now.

$s->fresh;
my $a = $s->id;
$s->admit($a, 't');
later($a, 'at');
$s->run('beat', 'w', 'w1', 1, 'up');
my ($d) = eval { $s->take('w1') };
is($d && "$d->{job} $d->{queue}", "$a 0", 'it is handed over') or diag($@);
is((eval { $s->claim($a, 'w1') })[5], 0, 'told again') or diag($@);

# One whose worker asks for it that Redis does not know to have it.

$s->fresh(w1 => 1);
$a = $s->id;
$s->admit($a, 't');
later($a, 'at');
is((eval { $s->claim($a, 'w1', 2) })[5], 0, 'an attempt that was lost')
    or diag($@);

# One that ends while it waits.

$s->fresh;
$a = $s->id;
$s->admit($a, 't');
later($a, 'at');
is($s->run('cancel', $a, 't', 'client', 'now', 'cancelled', ''), 'CANCELLED',
    'cancelled');
my ($row) = $s->outbox;
is((split /\t/, $row->{u})[15], 0, 'its row says that it waited for nothing');

# A worker died in the future.

$s->fresh(w1 => 1);
$a = $s->id;
$s->admit($a, 't');
$s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms + $HOUR, 'grace_until',
    $s->now_ms + $HOUR + 5000);
$s->silent("w:w1", -$HOUR);
$s->silent("e:e1", -$HOUR);
$s->run('beat', 'w', 'w2', 1, 'up');
$s->silent("w:w2", 0);
like($s->sweep(as_is => 1, grace_ms => 7000), qr/^OK 1 0 0 0 /,
    'all clocks begin again');
my $grace = $s->cmd('HGET', $s->key('sweep'), 'grace_until') - $s->now_ms;
ok($grace > 0 && $grace <= 7000, 'with a grace of now') or diag($grace);
for my $who (qw(w:w1 e:e1 w:w2)) {
    my $ahead = $s->cmd('ZSCORE', $s->key('alive'), $who) - $s->now_ms;
    ok($ahead <= 0, "$who has not beaten in the future") or diag($ahead);
}
$s->silent("w:w1", 5000);
$s->silent("e:e1", 0);
$s->silent("w:w2", 0);
like($s->sweep, qr/^OK 1 1 0 1 /, 'then the dead is found');
is($s->job($a)->{owner}, 'w2', 'and its job goes on');

# Tenants that wait had their last turn in the future: who gets one now, which
# is earlier, does not get all that follow.

for my $lane (['interactive', 'waiting'], ['batch', 'waiting:batch']) {
    my ($class, $zset) = @$lane;
    my (%tenant, @served);

    $s->fresh(w1 => 2);
    for my $n (1 .. 4) {
        for my $who (qw(first a b c d)) {
            next if $who eq 'first' && $n > 1;
            my $id = $s->id;
            $tenant{$id} = $who;
            $s->admit($id, $who, class => $class);
        }
    }
    my %score = @{ $s->cmd('ZRANGE', $s->key($zset), 0, -1, 'WITHSCORES') };
    is(scalar(keys %score), 4, "$class: four wait");
    $s->cmd('ZADD', $s->key($zset), $score{$_} + $HOUR / 4, $_) for keys %score;
    $s->sweep;
    my $take = sub { return map { $_->{job} } $s->take('w1', 9) };
    my @runs = $take->();
    while (@served < 9) {
        my $job = shift @runs or last;
        push @served, $tenant{$job};
        is($s->settle($job, 1, 1, tenant => $tenant{$job}), 'OK 1-1', 'ends');
        sleep 0.01;
        $s->sweep;
        push @runs, $take->();
    }
    my %got;
    $got{$_}++ for @served;
    cmp_ok($got{$_} || 0, '>=', 1, "$class: $_ is served")
        or diag("@served") for qw(a b c d);
}

done_testing();
