#!/usr/bin/perl

# The last attempt: who shared a killer's deaths gets it with no other such job
# beside it, so that the one that kills is found and nobody else is charged.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);

# `next` is there when `w` dies.
sub dies {
    my ($w, $next, $slots) = @_;

    $s->run('beat', 'w', $next, $slots || 40, 'up') if $next;
    $s->silent("w:$w", 5000);
    $s->deaf($w);
    $s->sweep;
}

# Jobs that two workers died with, and now w3 is there.
sub orphans {
    my ($n, %o) = @_;

    $s->fresh(w1 => 40);
    my @ids = map { $s->id } 1 .. $n;
    $s->admit($_, 't', bytes => 10, max_jobs => 100, %o) for @ids;
    dies('w1', 'w2');
    dies('w2', 'w3');
    return @ids;
}

sub of { return join ' ', map { "$_->{attempt} $_->{cause}" } @_ }
sub lane { return $s->len('LLEN', 'backlog:last:t') }
sub marks { return $s->r->hash('HGETALL', $s->key('suspects')) }

sub expire_marks {
    my $m = marks();
    $s->cmd('HSET', $s->key('suspects'), $_, $m->{$_} =~ s/ \d+/ 1/r)
        for keys %$m;
}


# One at a time.

my @ids = orphans(5);
my ($a, @more) = $s->take('w3', 9);
is(of($a), '3 -', 'one has its last attempt');
is(scalar(@more), 0, 'and no other');
is(lane(), 4, 'they wait');
is($s->len('LLEN', 'backlog:t'), 0, 'not among the others');
is($s->cmd('HGET', $s->key('backlog_bytes'), 'last:t'), 40, 'with their bytes');
is(join(' ', %{ marks() }) =~ /^w3 $a->{job} \d+$/, 1, 'it is watched');
is($s->cmd('PTTL', $s->key('suspects')), -1, 'for as long as it is there');
$s->sweep;
$s->run('beat', 'w', 'w3', 40, 'up');
is(scalar(@more = $s->take('w3', 9)), 0, 'nothing that pumps changes that');

my $fresh = $s->id;
$s->admit($fresh, 't');
my ($d) = $s->take('w3');
is($d->{job}, $fresh, 'others do not wait behind them');
$s->run('beat', 'w', 'w4', 40, 'up');
my ($b) = $s->take('w4', 9);
is(of($b), '3 -', 'another worker takes one');
is(lane(), 3, 'one');

is($s->settle($fresh, 1, 1), 'OK 1-1', 'another job ends');
is(lane(), 3, 'which is not that of whom they wait for');
is($s->emit($a->{job}, 3, 1, 's', 'x'), 'OK 3-1 ', 'it says something');
my ($c) = $s->take('w3', 9);
is(of($c), '3 -', 'the next one');
isnt($c->{job}, $a->{job}, 'another');
is($s->emit($a->{job}, 3, 2, 's', 'y'), 'OK 3-2 ', 'it goes on');
is(lane(), 2, 'and that is no reason');
is($s->settle($c->{job}, 3, 1), 'OK 3-1', 'one ends');
($c) = $s->take('w3', 9);
is(of($c), '3 -', 'the next one');
is(lane(), 1, 'one is left');

# The killer among them.

dies('w3', 'w5');
my %got = map { $_->{job} => of($_) } map { $s->take($_, 9) } 'w4', 'w5';
is($got{ $a->{job} }, '4 lost', 'who had spoken is lost');
is($got{ $c->{job} }, '4 attempts', 'who had not has had three attempts');
is(scalar(keys %got), 3, 'the last one has its own');
is((grep { /^3 -$/ } values %got), 1, 'its third');
is(lane(), 0, 'nobody waits');
is($s->settle($b->{job}, 3, 1), 'OK 3-1', 'the one on w4 is unharmed');
for my $id (grep { $_ ne $b->{job} } @ids) {
    my $job = $s->job($id);
    next if $job->{state} ne 'running';
    $s->settle($id, $job->{attempt}, 1);
}
is(join(' ', sort keys %{ marks() }), '', 'no mark is left');
is($s->held('t'), 'held 0 t 0+0', 'nor anything');

# Who lives on makes room; when its worker dies, the younger one is charged.

@ids = orphans(4);
($a) = $s->take('w3', 9);
expire_marks();
$s->run('beat', 'w', 'w3', 40, 'up');
($b) = $s->take('w3', 9);
is(of($b), '3 -', 'after a while there is another');
is(lane(), 2, 'one');
dies('w3', 'w4');
%got = map { $_->{job} => of($_) } $s->take('w4', 9);
is($got{ $b->{job} }, '4 attempts', 'the younger was to be watched');
is(scalar(keys %got), 2, 'and one of the others has its turn');
is(lane(), 2, 'the rest waits');
is($s->job($a->{job})->{spared}, 1, 'the older is spared');
my %left = map { $_ => 1 } grep { $_ ne $b->{job} } @ids;
is($s->settle($b->{job}, 4, 1, state => 'failed', events => ['x', 'r']),
    'OK 4-1', 'the killer ends');
for (1 .. 3) {
    my ($job, $mark) = map { /(\S+) (\d+)/ } values %{ marks() };
    my $h = $s->job($job);
    my $us = $mark - $h->{started};
    is($us, $job eq $a->{job} ? 12e6 : 3e6,
        'watched for 3 s, one that was spared for 12 s');
    is($h->{attempt}, $job eq $a->{job} ? 4 : 3, 'its attempt');
    is($s->settle($job, $h->{attempt}, 1), "OK $h->{attempt}-1", 'ends');
    delete $left{$job};
}
is(scalar(keys %left), 0, 'all of them');
is(scalar(my @records = $s->outbox), 4, 'a record each');

# Who lives on while younger ones speak or end is charged, and he alone.

@ids = orphans(5);
my @had;
for my $n (1 .. 4) {
    my ($d) = $s->take('w3', 9);
    is(of($d), '3 -', "suspect $n");
    push @had, $d->{job};
    expire_marks();
    $s->run('beat', 'w', 'w3', 40, 'up');
}
push @had, map { $_->{job} } $s->take('w3', 9);
like(marks()->{w3}, qr/^$had[4] \d+ $had[3] $had[2] $had[1] $had[0]$/,
    'the youngest, and who was there before');
is($s->emit($had[4], 3, 1, 's', 'x'), 'OK 3-1 ', 'the youngest speaks');
is(marks()->{w3}, "$had[3] 0 @had[2, 1, 0]", 'the one before is watched again');
is($s->settle($had[2], 3, 1), 'OK 3-1', 'an older one ends');
is(marks()->{w3}, "$had[3] 0 @had[1, 0]", 'and is not watched any more');
$s->cmd('HSET', $s->key("job:$had[3]"), 'state', 'done');
$s->sweep;
is(marks()->{w3}, "$had[1] 0 $had[0]", 'nor one that went astray');
dies('w3', 'w4');
%got = map { $_->{job} => of($_) } $s->take('w4', 9);
is($got{ $had[1] }, '4 attempts', 'the youngest that is silent is charged');
is($got{ $had[4] }, '4 lost', 'who had spoken is lost');
is($got{ $had[0] }, '4 -', 'the oldest is spared');
@ids = orphans(2);
($a) = $s->take('w3', 9);
expire_marks();
$s->run('beat', 'w', 'w3', 40, 'up');
($b) = $s->take('w3', 9);
is($s->settle($b->{job}, 3, 1), 'OK 3-1', 'the younger ends');
dies('w3', 'w4');
is(of($s->take('w4')), '4 attempts', 'slow to kill, and alone again');

# No worker is known to have killed it: spared, but not for ever.

@ids = orphans(1);
for my $n (3 .. 5) {
    my ($d) = $s->take("w$n");
    is(of($d), "$n -", "attempt $n");
    $s->run('beat', 'w', 'w' . ($n + 1), 40, 'up');
    $s->run('beat', 'w', "w$n", 40, 'drain');
    $s->run('beat', 'w', "w$n", 0, 'bye');
}
is(of($s->take('w6')), '6 -', 'three workers went in order');
is(join(' ', keys %{ marks() }), 'w6', 'their marks went with them');
$s->cmd('DEL', $s->key('suspects'));
dies('w6', 'w7');
is(of($s->take('w7')), '7 attempts', 'that is enough');
is($s->settle($ids[0], 7, 1), 'OK 7-1', 'ended');

# A bye that its supervisor says for it is a death.

@ids = orphans(1);
$s->run('beat', 'w', 'w4', 40, 'up');
$s->run('beat', 'w', 'w3', 0, 'bye');
is(of($s->take('w4')), '4 attempts', 'a bye without a drain before it');
@ids = orphans(1);
$s->run('beat', 'w', 'w4', 40, 'up');
$s->run('beat', 'w', 'w3', 0, $_) for qw(dead bye);
is(of($s->take('w4')), '4 attempts', 'one that follows a dead, too');

# Alone and slow to kill.

@ids = orphans(1);
expire_marks();
$s->sweep;
is(join(' ', keys %{ marks() }), 'w3', 'its mark stays');
dies('w3', 'w4');
is(of($s->take('w4')), '4 attempts', 'it was the only one');

# Cancelled where they wait.

@ids = orphans(3);
($a) = $s->take('w3', 9);
for my $id (grep { $_ ne $a->{job} } @ids) {
    is($s->run('cancel', $id, 't', 'client', 'now', 'cancelled', ''),
        'CANCELLED', 'cancelled');
}
is($s->held('t'), 'held 1 t 1+0', 'gone');
is($s->cmd('EXISTS', map { $s->key($_) } qw(waiting:last backlog:last:t
    backlog_bytes)), 0, 'without a trace');

# Cancelled at its worker, which dies: ended at once, beside any other.

@ids = orphans(2);
($a) = $s->take('w3', 9);
$s->run('cancel', $a->{job}, 't', 'client', 'now', 'cancelled', '');
dies('w3', 'w4');
%got = map { $_->{job} => of($_) } $s->take('w4', 9);
is($got{ $a->{job} }, '4 cancelled', 'one is ended');
is(scalar(grep { $_ eq '3 -' } values %got), 1, 'the other runs');

# Batch work, too; and nobody listens any more.

@ids = orphans(3, class => 'batch');
is(lane(), 2, 'batch work waits with them');
$s->silent('e:e1', 5000);
$s->sweep;
is(lane(), 0, 'nobody hears it: it is cancelled where it waits');

# What went astray.

@ids = orphans(2);
($a) = $s->take('w3', 9);
$s->cmd('HSET', $s->key('job:' . $a->{job}), 'state', 'done');
$s->sweep;
unlike(join(' ', values %{ marks() }), qr/$a->{job}/,
    'a mark of an ended job goes');
is(lane(), 0, 'and another has its turn');

# Second attempts do not all follow each other.

$s->fresh(w1 => 100);
@ids = map { sprintf 'job_%026x%06x', 1, $_ * 7919 } 1 .. 60;
$s->admit($_, 't', max_jobs => 100) for @ids;
$s->run('beat', 'w', 'w2', 100, 'up');
$s->run('beat', 'w', 'w3', 400, 'up');
dies('w1');
for my $w ('w2', 'w3') {
    cmp_ok($s->len('SCARD', "held:$w"), '>', 10, "$w has some");
}

done_testing();
