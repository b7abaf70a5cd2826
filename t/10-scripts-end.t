#!/usr/bin/perl

# cancel, leave, join and principal; the end of a job that no worker has.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $ring;

my $base = "key:1\t-\tmessages\tanthropic\tm";

sub bells {
    my @got;
    while (my $m = $ring->message(0.05)) {
        next if $m->[1] =~ /^J/;
        push @got, ($m->[0] =~ /([^:]+)$/)[0] . " $m->[1]";
    }
    return sort @got;
}

sub begin {
    my ($slots, %o) = @_;
    $s->fresh($slots ? (w1 => $slots) : ());
    my $id = $s->id;
    $s->admit($id, 't', base => $base, %o);
    return $id;
}

sub cancel {
    my ($id, %o) = @_;
    return $s->run('cancel', $id, $o{tenant} || 't', $o{reason} || 'client',
        $o{mode} || 'now', $o{cause} || 'cancelled', $o{edge} || '');
}

# A job that was ended without a worker: log, ledger, slot, expiry.
sub ended_here {
    my ($name, $id, %o) = @_;
    my $cause = $o{cause} || 'cancelled';
    my $job = $s->job($id);
    my $attempt = $o{attempt} || 1;
    my $tries = $attempt - 1;
    my @log = @{ $s->log($id) };
    my @usage = split /\t/, $job->{usage};

    is("$job->{state} $job->{tip} $job->{attempt} [$job->{body}]",
        "cancelled $attempt-1 $attempt []", "$name: state");
    is(scalar @usage, 18, "$name: usage has its columns");
    is(join(' ', @usage[0, 1, 11, 12, 16, 17]),
        "cancelled " . ($o{status} || 499) . " 0 0 $tries $cause",
        "$name: usage");
    cmp_ok($usage[15], '<=', $job->{fin} - $job->{at}, "$name: queue time");
    my $x = pop @log;
    my ($message) = $x =~ /\nmessage \d+\n([^\n]+)\n/;
    my $u = $job->{usage};
    is($x, "$attempt-1 x cause " . length($cause) . "\n$cause\nmessage "
        . length($message) . "\n$message\nusage " . length($u) . "\n$u\n",
        "$name: event x");
    is_deeply([$s->outbox], [{ j => $id, a => $attempt, c => 0,
        t => $job->{at}, n => 't', b => $base, u => $u }],
        "$name: one ledger record");
    is($s->held('t'), 'held 0 t 0+0', "$name: queue")
        unless $o{others};
    for my $key ("job:$id", "ev:$id") {
        my $ttl = $s->cmd('PTTL', $s->key($key));
        ok($ttl > 0 && $ttl <= 30000, "$name: expiry") or diag($ttl);
    }
}

$s->fresh;
$ring = $s->r->subscribe(map { $s->key($_) } qw(edge:e1 edge:e2 worker:w1));
$ring->{timeout} = 5;

# cancel

my $a = begin(0);
is(cancel($a, tenant => 'other'), 'GONE', "another tenant's");
is($s->job($a)->{state}, 'waiting', 'is untouched');
is(cancel($a), 'CANCELLED', 'a waiting job');
ended_here('waiting', $a);
my @bells = bells();
is(scalar @bells, 1, 'its edge is rung');
like($bells[0], qr/^e1 E$a\n1-1 x \d+\ncause 9\ncancelled\n/, 'with the event');
is(cancel($a), 'DONE cancelled', 'again');
is(scalar($s->outbox), 1, 'no second record');

$a = begin(0);
is(cancel($a, mode => 'unstarted', cause => 'queue_timeout',
    reason => 'timeout', edge => 'e1'), 'CANCELLED', 'one that waits too long');
ended_here('timeout', $a, cause => 'queue_timeout', status => 503);
is(join(' ', bells()), '', 'who asked is not rung');
is($s->cmd('EXISTS', map { $s->key($_) } qw(waiting backlog:t backlog_bytes)),
    0, 'no trace in the backlog');

$a = begin(0, class => 'batch', edge => '', flags => 'b');
is(cancel($a), 'CANCELLED', 'a waiting batch job');
is($s->cmd('EXISTS', map { $s->key($_) } qw(waiting:batch backlog:batch:t
    backlog_bytes)), 0, 'no trace in its backlog');

$a = begin(1);
$s->next_job('w1');
is(cancel($a, mode => 'unstarted'), 'RUNNING', 'one that runs is left alone');
ok(!exists $s->job($a)->{cancel}, 'and not marked');
is(cancel($a, reason => 'admin'), 'CANCELLING', 'or is cancelled');
is(cancel($a), 'CANCELLING', 'again');
is($s->job($a)->{cancel}, 'admin', 'the first reason stays');
is_deeply([bells()], ["w1 X$a admin", "w1 X$a client"], 'its worker is rung');
is($s->settle($a, 1, 1, state => 'cancelled'), 'OK 1-1', 'which settles it');
is(cancel($a), 'DONE cancelled', 'then it is over');

# Its worker has died, and no other takes jobs: as if it still waited.

sub forsake {
    my ($ms) = @_;
    $s->cmd('ZADD', $s->key('alive'), $s->now_ms - $ms, 'w:w1');
    $s->cmd('HSET', $s->key('sweep'), 'listed', 0);
    $s->run('beat', 'e', 'e1', 0, 'up');
}
my @unstarted = (mode => 'unstarted', cause => 'queue_timeout',
    reason => 'timeout', edge => 'e1');
$a = begin(1);
forsake(1500);
is($s->cmd('HGET', $s->key('sweep'), 'slots'), 0, 'nobody takes jobs');
is(cancel($a, @unstarted), 'RUNNING', 'one whose worker may live');
forsake(10000);
is(cancel($a, @unstarted), 'CANCELLED', 'one whose worker does not');
ended_here('forsaken', $a, cause => 'queue_timeout', status => 503,
    attempt => 2);
is($s->cmd('EXISTS', map { $s->key($_) } qw(waiting backlog:t backlog_bytes
    held:w1 running:t)), 0, 'no trace of it');
$a = begin(1);
$s->emit($a, 1, 1, 's', 'x');
forsake(10000);
is(cancel($a, @unstarted), 'RUNNING', 'one that has said something');
$a = begin(1);
$s->run('beat', 'w', 'w2', 1, 'up');
forsake(10000);
is(cancel($a, @unstarted), 'RUNNING', 'or that another can have');

# The slot of a cancelled job starts the next; one in the middle of a backlog.

$s->fresh(w1 => 1);
my @ids = map { $s->id } 0 .. 4;
$s->admit($_, 't') for @ids;
is(cancel($ids[2]), 'CANCELLED', 'from the middle');
is(cancel($ids[0]), 'CANCELLING', 'the one with the slot');
my @order;
while (my ($id) = $s->next_job('w1')) {
    push @order, $id;
    $s->settle($id, 1, 1);
}
is_deeply(\@order, [@ids[0, 1, 3, 4]], 'the others run in order');
is(scalar($s->outbox), 5, 'one ledger record each');

# leave

$a = begin(0);
is($s->run('leave', $a, 'e2'), 'OK 1 none', 'who did not listen');
$s->run('join', $a, 't', 'e2');
is($s->run('leave', $a, 'e1'), 'OK 1 none', 'one of two');
is($s->job($a)->{lst}, 'e2', 'the other listens');
is($s->run('leave', $a, 'e2'), 'OK 0 cancelled', 'the last');
ended_here('left', $a);
is($s->run('leave', $a, 'e2'), 'OK 0 done', 'again');

$a = begin(1);
$s->next_job('w1');
bells();
is($s->run('leave', $a, 'e1'), 'OK 0 cancelling', 'the last of a running job');
is_deeply([bells()], ["w1 X$a disconnect"], 'its worker is rung');
is($s->job($a)->{cancel}, 'disconnect', 'the reason');
is($s->run('leave', $a, 'e1'), 'OK 0 cancelling', 'again');
is($s->emit($a, 1, 1, 's', 'x'), 'OK 1-1 disconnect', 'emit tells');

for my $flags ('b', 'cs') {
    $a = begin(1, flags => $flags);
    is($s->run('leave', $a, 'e1'), 'OK 0 continue', "flags $flags");
    is($s->job($a)->{state}, 'running', 'it goes on');
    $a = begin(0, flags => $flags);
    $s->run('leave', $a, 'e1');
    $s->run('beat', 'w', 'w1', 1, 'up');
    is((($s->next_job('w1'))[1]), 'RUN', 'and is run for nobody');
}

$a = begin(1, flags => 'rs', resume => 60000);
my $now = $s->now_ms;
is($s->run('leave', $a, 'e1'), 'OK 0 grace', 'a resumable one waits');
my $until = $s->cmd('ZSCORE', $s->key('grace'), $a);
ok($until >= $now + 60000 && $until < $now + 90000, 'for its grace');
sleep 0.01;
is($s->run('leave', $a, 'e1'), 'OK 0 grace', 'again');
is($s->cmd('ZSCORE', $s->key('grace'), $a), $until, 'does not extend it');
is((($s->next_job('w1'))[1]), 'RUN', 'it runs meanwhile');
is($s->sweep, 'OK 1 0 0 0 1 0 1 0', 'a sweep leaves it');
like($s->run('join', $a, 't', 'e2'), qr/^OK running/, 'someone comes back');
is($s->cmd('EXISTS', $s->key('grace')), 0, 'the grace is over');

# The grace ends: running, dispatched.

bells();
$s->run('leave', $a, 'e2');
$s->cmd('ZADD', $s->key('grace'), $now - 1, $a);
is($s->sweep, 'OK 1 0 1 0 1 0 1 0', 'nobody came: cancelled');
is_deeply([bells()], ["w1 X$a disconnect"], 'its worker is rung');
is($s->job($a)->{cancel}, 'disconnect', 'marked');
is($s->cmd('EXISTS', $s->key('grace')), 0, 'out of grace');
is($s->sweep, 'OK 1 0 0 0 1 0 1 0', 'once');

$a = begin(0, flags => 'r', resume => 1);
$s->run('leave', $a, 'e1');
$s->cmd('ZADD', $s->key('grace'), $now - 1, $a);
$s->cmd('ZADD', $s->key('grace'), $now - 1, 'job_gone');
is($s->sweep, 'OK 1 0 1 0 0 0 0 1', 'one that waits');
ended_here('grace', $a);

$a = begin(1, flags => 'rs', resume => 60000);
$s->next_job('w1');
$s->run('leave', $a, 'e1');
$s->settle($a, 1, 1);
is($s->cmd('EXISTS', $s->key('grace')), 0, 'an end ends the grace');

# join

$a = begin(0);
is($s->run('join', $a, 'other', 'e2'), 'GONE', "another tenant's");
my $at = $s->job($a)->{at};
is($s->run('join', $a, 't', ''), "OK waiting 0-0 0 s  $at 1 anthropic", 'to look only');
is($s->job($a)->{lst}, 'e1', 'does not listen');
is($s->run('join', $a, 't', "f$_"), "OK waiting 0-0 0 s  $at "
    . ($_ + 1) . ' anthropic',
    "listener $_") for 1 .. 15;
is($s->run('join', $a, 't', 'f16'), 'FULL', 'one too many');
is($s->run('join', $a, 't', 'f15'), "OK waiting 0-0 0 s  $at 16 anthropic", 'repeated');
is($s->run('join', $a, 't', ''), "OK waiting 0-0 0 s  $at 16 anthropic", 'look');
is(scalar(split ' ', $s->job($a)->{lst}), 16, 'sixteen listen');
cancel($a);
@bells = bells();
is(scalar @bells, 1, 'e1 is among those rung');
my $usage = $s->job($a)->{usage};
is($s->run('join', $a, 't', 'f17'), "OK cancelled 1-1 1 s $usage $at 16 anthropic",
    'after its end anyone may look');
is(scalar(split ' ', $s->job($a)->{lst}), 16, 'without listening');

for (['mode', 'now', 'x'], ['reason', 'x', 'now']) {
    my ($name, $reason, $mode) = @$_;
    like($s->run('cancel', $a, 't', $reason, $mode, 'cancelled', ''),
        qr/^ERR /, "wrong cancel: $name");
}
like($s->run('cancel', $a, 't', 'client', 'now', "a\nb", ''), qr/^ERR /,
    'wrong cancel: cause');
like($s->run('join', $a, 't', 'a b'), qr/^ERR /, 'wrong join: edge');
like($s->run('leave', $a, ''), qr/^ERR /, 'wrong leave: edge');
like($s->run('leave', $a), qr/^ERR /, 'wrong leave: count');

# principal

my $sha = 'ab' x 32;
my $keys = $s->r->subscribe('ai1:keys');
my $hash = sub { $s->r->hash('HGETALL', "ai1:key:$sha") };
is($s->run('principal', $sha, 3, 60000, 'tenant', 't', 'state', 'active',
    'models', ''), 'OK', 'principal');
is_deeply($hash->(), { v => 3, tenant => 't', state => 'active',
    models => '' }, 'is written');
is($keys->message(5)->[1], "K$sha 3", 'and published');
my $ttl = $s->cmd('PTTL', "ai1:key:$sha");
ok($ttl > 50000 && $ttl <= 60000, 'expires');
is($s->run('principal', $sha, 2, 60000, 'state', 'x'), 'OLD', 'an older one');
is($hash->()->{state}, 'active', 'is not written');
is($s->run('principal', $sha, 3, 60000, 'state', 'active'), 'OK', 'the same');
is($keys->message(0.1), undef, 'is no change');
is($s->run('principal', $sha, 10, 90000, 'state', 'revoked'), 'OK', 'a newer');
is_deeply($hash->(), { v => 10, state => 'revoked' }, 'replaces all fields');
is($keys->message(5)->[1], "K$sha 10", 'and published');
for (['sha', 'g' x 64, 1, 1, 'a', 'b'], ['tenant', 'A b', 1, 1, 'a', 'b'],
    ['version', $sha, 'x', 1, 'a', 'b'],
    ['ttl', $sha, 11, 0, 'a', 'b'], ['odd', $sha, 11, 1, 'a'],
    ['none', $sha, 11, 1], ['field', $sha, 11, 1, 'A B', 'b'],
    ['value', $sha, 11, 1, 'a', 'x' x 16385],
    ['33', $sha, 11, 1, ('a', 'b') x 33])
{
    my ($name, @args) = @$_;
    like($s->run('principal', @args), qr/^ERR /, "wrong principal: $name");
}
is($hash->()->{v}, 10, 'write nothing');

# A counter that is asked for again, of a tenant that is never quiet: what has
# ended since the sum was asked for stays counted.
$s->fresh(w1 => 10);
$s->run('seed', 't', ($s->call('seed', 't'))[1 .. 3], 0, 'td:user:b', 0);
my $late = $s->id;
$s->admit($late, 't', policy => "1 1 0 0 m\nt d 100 - user:b\n");
$s->cmd('SET', $s->key('lim:t:epoch'), 5, 'PX', 60000);
my @asked = $s->call('seed', 't');
$s->settle($late, 1, 1);
is($s->run('seed', 't', @asked[1 .. 3], 0, 'td:user:b', 0), 'AGAIN', 'not all');
is($s->run('seed', 't', @asked[1 .. 3], 1, 'td:user:b', 0), 'OK', 'by force');
is($s->cmd('GET', $s->key('lim:t:td:user:b')), "$asked[2] 3 0 5",
    'what ended meanwhile is counted');

done_testing();
