#!/usr/bin/perl

# Random interleavings of everything against a small model: whatever the
# order, slots, queues, logs and ledger agree.  AI_T_SEED repeats a run,
# AI_T_STEPS makes it longer (20000; 100000 with AI_T_FULL).

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $seed = $ENV{AI_T_SEED} || (time ^ $$);
my $steps = $ENV{AI_T_STEPS} || ($ENV{AI_T_FULL} ? 100_000 : 20_000);
srand $seed;
diag("AI_T_SEED=$seed, $steps steps");

my @tenants = qw(ta tb tc);
my @edges = qw(e1 e2 e3);
my %job;                # id => what the model knows
my @live;               # ids that may still change, and some that ended
my (%worker, %ended, %ended_at, %records, $names);
my @stale;              # [worker, job] of deliveries, for ever
my $lasts = 0;         # last attempts that were given
my $trail = '';

$s->fresh;
$s->run('beat', 'e', $_, 0, 'up') for @edges;
new_worker(5) for 1 .. 3;
$trail = '';

sub pick { return $_[rand @_] }

sub bad {
    my ($what) = @_;
    fail("$what (AI_T_SEED=$seed)");
    diag($trail);
    $s->cmd('CONFIG', 'SET', 'maxmemory', 0);
    done_testing();
    exit 1;
}

sub run {
    my @got = $s->call(@_);
    $trail .= join(' ', map { my $x = substr $_, 0, 60; $x =~ s/\s+/ /g; $x }
        @_, '->', map { defined $_ ? $_ : '' } @got) . "\n";
    substr $trail, 0, length($trail) - 6000, '' if length $trail > 12000;
    bad("error: $got[0]") if $got[0] =~ /^(?:ERR|WRONG|OOM)/;
    return @got;
}

sub new_worker {
    my ($slots) = @_;
    my $name = 'w' . ++$names;
    $worker{$name} = { slots => $slots };
    run('beat', 'w', $name, $slots, 'up');
}

sub ended {
    my ($id, $how) = @_;
    $ended{$id} ||= $how;
    $ended_at{$id} ||= time;
}

# An ended job expires after 30 s: this test asks nothing of it long before.
sub fresh_enough {
    my ($id) = @_;
    return !$ended_at{$id} || time - $ended_at{$id} < 5;
}

# Whether a job has ended, also where a script did that by itself.
sub has_ended {
    my ($id) = @_;
    ended($id, 'here') if $s->job($id)->{state} =~ /^(?:done|cancelled)$/;
    return $ended{$id};
}

sub live { return pick(grep { fresh_enough($_) } @live) }

sub seq_of { return ($_[0] =~ /-(\d+)$/)[0] }

# What each step may do.

sub do_admit {
    my $id = $s->id;
    my $flags = pick('s', 's', 's', 'rs', 'c', 'b');
    my $tenant = pick(@tenants);
    my $class = rand() < 0.2 ? 'batch' : 'interactive';
    my $large = rand() < 0.1;
    my $edge = $flags eq 'b' ? '' : pick(@edges);

    $s->cmd('SET', $s->key("body:$id"), 'x', 'PX', 600000) if $large;
    my $bytes = int rand 30;
    my @args = ('admit', $id, $tenant, 1, $class, $flags, 60000, 60000, $edge,
        "spec of $id", $large ? '@' : '{}', "base of $id", 12, 300,
        $bytes, '', '', '');
    # Its worker may hear of it before this test hears the reply.
    $job{$id} = { id => $id, tenant => $tenant, large => $large,
        bytes => $bytes, attempt => 0 };
    my @got = run(@args);
    if ($got[0] eq 'OK') {
        @{ $job{$id} }{qw(at flags args)} = ($got[2], $flags, \@args);
        push @live, $id;
        shift @live if @live > 60;
    } else {
        delete $job{$id};
        bad("admit said @got") if $got[0] ne 'FULL';
    }
}

sub do_admit_again {
    my $id = live() or return;
    my $j = $job{$id};
    return if $j->{args}[9] eq '@';
    my @got = run(@{ $j->{args} });
    bad("admit changed its mind: @got") if $got[0] ne 'OK'
        || $got[2] ne $j->{at};
}

# A run of a job: the model's idea of an attempt, also of the dead.
my @runs;

# What was said to workers is heard at once, or lost.
sub hear_all {
    for my $w (sort keys %worker) {
        for my $d (map { AiScripts::delivery($_) } grep { /^J/ } $s->heard($w)) {
            my $j = $job{ $d->{job} };
            bad("delivery of an ended job: $d->{job}") if $ended{ $d->{job} };
            bad("attempt $d->{attempt} of $d->{job} after $j->{attempt}")
                if $d->{attempt} <= $j->{attempt};
            bad("run after events: $d->{job}") if $d->{cause} eq '-'
                && $j->{emitted};
            charge($w, $j, $d);
            $j->{attempt} = $d->{attempt};
            push @stale, [$w, $d->{job}];
            shift @stale if @stale > 40;
            given($w, $d) unless rand() < 0.05;
        }
    }
}

# Three attempts are charged.  The last of them is had by one job a worker at a
# time, or 3 s later; when that worker dies one is charged: the youngest, or one
# before it where that had spoken or ended.
my (%suspect, %had, %blamed, %bye);

sub charge {
    my ($w, $j, $d) = @_;
    my $last = $j->{last} || '';
    my $mine = $suspect{$last} && $suspect{$last}{id} eq $j->{id}
        && !$bye{$last};
    if ($d->{cause} eq 'attempts') {
        bad("$j->{id} had fewer than three: $d->{attempt}")
            if ($j->{charged} || 0) < 3;
        if (($j->{spared} || 0) < 3) {
            bad("$j->{id} is charged with what it did not do")
                if !$had{$last}{ $j->{id} } || $bye{$last};
            $blamed{$last} ||= $j->{id};
            bad("$j->{id} is charged with ${last}'s death, as $blamed{$last}")
                if $blamed{$last} ne $j->{id};
        }
    }
    return if $d->{cause} ne '-';
    if (($j->{charged} || 0) < 3) {
        $j->{charged}++;
    } else {
        bad("$j->{id} has one more after three") if $mine;
        bad("$j->{id} is spared for ever") if ++$j->{spared} > 3;
    }
    bad("$d->{attempt} of $j->{id} is not $j->{charged} and "
        . ($j->{spared} || 0))
        if $d->{attempt} != $j->{charged} + ($j->{spared} || 0);
    return if $j->{charged} < 3;
    my $old = $suspect{$w};
    if ($old && time - $old->{at} < 2) {
        my $h = $s->job($old->{id});
        bad("$w has $old->{id} and $j->{id}") if $h->{state} eq 'running'
            && $h->{owner} eq $w && !$job{ $old->{id} }{emitted};
    }
    $suspect{$w} = { id => $j->{id}, at => time };
    $had{$w}{ $j->{id} } = 1;
    $j->{last} = $w;
    $lasts++;
}

# A worker knows that it has this: told, or it asked.
sub given {
    my ($w, $d) = @_;
    my ($id, $attempt) = @$d{qw(job attempt)};
    my $j = $job{$id};
    my $key = "$id $attempt";
    my $end = $d->{cause} ne '-' ? 1 : 0;

    bad("two workers in one attempt: $key")
        if $j->{runs}{$attempt} && $j->{runs}{$attempt}{w} ne $w;
    bad("run beyond six: $key") if !$end && $attempt > 6;
    bad("not all of it: $key") if $d->{spec} ne "spec of $id"
        || $d->{bytes} != $j->{bytes}
        || $d->{body} ne ($end || $j->{large} ? '' : '{}');
    bad("now it ends, now it runs: $key") if $j->{runs}{$attempt}
        && $j->{runs}{$attempt}{end} != $end && $d->{cause} ne 'cancelled'
        && !$j->{told};
    $j->{told} = 1 if $d->{cause} eq 'cancelled';   # who has it may still ask
    return if $j->{runs}{$attempt};
    $j->{runs}{$attempt} = { w => $w, attempt => $attempt, seq => 0,
        job => $id, end => $end };
    push @runs, $j->{runs}{$attempt};
    shift @runs if @runs > 80;
}

sub claim {
    my ($w, $id, $attempt) = @_;
    my ($word, $text) = run('claim', $id, $w, $attempt);

    return if $word eq 'GONE';
    my $d = AiScripts::delivery($text);
    bad("claim of an ended job: $id") if $ended{$id};
    if ($d->{attempt} != $job{$id}{attempt}) {
        bad("claim of $id by $attempt: $d->{attempt} $d->{cause}")
            if $attempt || !$job{$id}{emitted} || $d->{cause} eq '-'
            || $d->{attempt} != $job{$id}{attempt} + 1;
        $job{$id}{attempt} = $d->{attempt};
    }
    given($w, $d);
}

# Any worker asks for what it has, or had, or never had.
sub do_claim_again {
    my $stale = pick(grep { fresh_enough($_->[1]) } @stale) or return;
    my ($w, $id) = @$stale;
    return unless $worker{$w};
    my $h = $s->job($id);
    my $own = $h->{state} eq 'running' && $h->{owner} eq $w;
    claim($w, $id, $own && rand() < 0.7 ? $h->{attempt} : 0);
}

# A worker looks at what it holds, and asks for what it does not know.
sub do_look {
    my ($w) = @_;
    $w ||= pick(grep { !$worker{$_}{dead} } sort keys %worker) or return;
    for my $member (@{ $s->cmd('SMEMBERS', $s->key("held:$w")) }) {
        my ($id) = split / /, $member;
        my $attempt = $s->job($id)->{attempt};
        claim($w, $id, 0) unless $job{$id}{runs}{$attempt};
    }
}

# Its ears are cut off for a while: nothing is handed to it.
sub do_deaf {
    my $w = pick(sort keys %worker) or return;
    $s->deaf($w);
    select undef, undef, undef, 0.001
        while $s->cmd('PUBSUB', 'NUMSUB', $s->key("worker:$w"))->[1];
}

sub do_hear { $s->ear($_) for keys %worker }

sub do_emit {
    my $r = pick(grep { fresh_enough($_->{job}) } @runs) or return;
    return if $r->{end};
    my $j = $job{ $r->{job} };
    my $back = int rand 3;
    my $from = $r->{seq} + 1 - ($back < $r->{seq} ? $back : 0);
    my $n = 1 + int rand 3;
    my @events = map { ('s', "$r->{attempt}/" . ($from + $_)) } 0 .. $n - 1;
    my @got = run('emit', $r->{job}, $r->{attempt}, $r->{w}, $from,
        pick(65536, 4), @events);
    if ($got[0] eq 'OK') {
        bad('an emit of an ended job') if $ended{ $r->{job} }
            && $from + $n - 1 > seq_of($got[1]);
        return if $ended{ $r->{job} };
        bad('an emit of a lower attempt') if $r->{attempt} != $j->{attempt};
        $r->{seq} = $from + $n - 1 if $from + $n - 1 > $r->{seq};
        bad("tip is $got[1], not $r->{attempt}-$r->{seq}")
            if $got[1] ne "$r->{attempt}-$r->{seq}";
        $j->{emitted} = 1;
    } elsif ($got[0] eq 'FENCED') {
        bad('fenced without a reason') if $r->{attempt} >= $j->{attempt}
            && !has_ended($r->{job});
    } else {
        bad("emit said @got");
    }
}

sub do_settle {
    my @may = grep { fresh_enough($_->{job}) } @runs;
    my @open = rand() < 0.3 ? grep { !$ended{ $_->{job} } } @may : ();
    my $r = pick(@open ? @open : @may) or return;
    my $j = $job{ $r->{job} };
    my $usage = $s->usage('done', 1);
    my @got = run('settle', $r->{job}, $r->{attempt}, $r->{w}, $r->{seq} + 1,
        65536, 'done', '', $j->{tenant}, "base of $r->{job}", $j->{at}, $usage,
        's', "$r->{attempt}/" . ($r->{seq} + 1), 'e', $usage);
    if ($got[0] eq 'OK') {
        bad('settled twice') if $ended{ $r->{job} };
        bad('settled by a lower attempt') if $r->{attempt} < $j->{attempt};
        ended($r->{job}, 'settled');
    } elsif ($got[0] eq 'DUP') {
        bad('DUP of a job that lives') unless $ended{ $r->{job} };
    } elsif ($got[0] eq 'FENCED') {
        bad('settle fenced without a reason')
            if $r->{attempt} >= $j->{attempt} && !has_ended($r->{job});
    } else {
        bad("settle said @got");
    }
}

sub do_cancel {
    my $id = live() or return;
    my @got = run('cancel', $id, $job{$id}{tenant}, pick('client', 'timeout'),
        pick('now', 'unstarted'), pick('cancelled', 'queue_timeout'),
        pick('', @edges));
    ended($id, 'here') if $got[0] eq 'CANCELLED';
    bad('cancel of the unknown') if $got[0] eq 'GONE';
    bad("DONE, but it lives") if $got[0] eq 'DONE'
        && $s->job($id)->{state} !~ /^(?:done|cancelled)$/;
}

sub do_leave {
    my $id = live() or return;
    my @got = run('leave', $id, pick(@edges));
    ended($id, 'here') if $got[2] eq 'cancelled';
}

sub do_join {
    my $id = live() or return;
    my @got = run('join', $id, $job{$id}{tenant}, pick('', @edges));
    bad('join of the unknown') if $got[0] ne 'OK';
}

sub do_sweep {
    my @dead = grep { $worker{$_}{dead} } keys %worker;
    $s->cmd('HSET', $s->key('sweep'), 'last', $s->now_ms - 600, 'grace_until',
        rand() < 0.1 ? $s->now_ms + 300 : 0);
    $s->silent("w:$_", 5000) for @dead;
    $s->run('beat', 'e', $_, 0, 'up') for grep { rand() < 0.98 } @edges;
    $s->silent('e:' . pick(@edges), 5000) if rand() < 0.03;
    run('sweep', 'w1', 3000, 10000, pick(1, 3, 100), 90);
    for my $w (@dead) {
        next if $s->cmd('HEXISTS', $s->key('capacity'), $w);
        $s->deaf($w);
        delete $worker{$w};
    }
}

sub do_beat {
    my $w = pick(grep { !$worker{$_}{dead} } sort keys %worker) or return;
    run('beat', 'w', $w, $worker{$w}{slots}, 'up');
}

sub do_die {
    my @up = grep { !$worker{$_}{dead} } sort keys %worker;
    return if @up < 2;
    my $w = pick(@up);
    if (rand() < 0.5) {
        if (rand() < 0.5) {
            $bye{$w} = 1;
            run('beat', 'w', $w, 5, 'drain');
        }
        run('beat', 'w', $w, 0, 'bye');
        $s->deaf($w);
        delete $worker{$w};
    } else {
        $worker{$w}{dead} = 1;
    }
    new_worker(3 + int rand 4);
}

sub do_grace {
    my $id = $s->cmd('ZRANGE', $s->key('grace'), 0, 0)->[0] or return;
    $s->cmd('ZADD', $s->key('grace'), 1, $id);
}

# What must always hold.
sub check {
    my %lease;
    for my $key (keys %{ $s->r->keys($s->key('held:*')) }) {
        my ($w) = $key =~ /held:(.+)/;
        $lease{"$w $_"} = 1 for @{ $s->cmd('SMEMBERS', $key) };
    }
    my (%running, %waits, %bytes);
    my $held = 0;

    for my $id (grep { $job{$_} && !$job{$_}{done} } keys %job) {
        my $h = $s->job($id);
        my $j = $job{$id};
        my $state = $h->{state} || '';
        bad("$id is in attempt $h->{attempt}, not $j->{attempt}")
            if ($h->{attempt} || 0) != $j->{attempt}
            && $state =~ /^(?:running|waiting)$/;
        if ($state eq 'running') {
            $held++;
            bad("$id runs, and $h->{owner} does not hold it")
                unless delete $lease{"$h->{owner} $id $j->{tenant}"};
            $running{ $j->{tenant} }{$id} = 1;
            bad("$id ended, yet is $state") if $ended{$id};
        } elsif ($state eq 'waiting') {
            my $field = ($h->{class} eq 'interactive' ? '' : "$h->{class}:")
                . $j->{tenant};
            $waits{$field}{$id} = 1;
            $bytes{$field} += $h->{bytes};
            bad("$id ended, yet is $state") if $ended{$id};
        } elsif ($state !~ /^(?:done|cancelled)$/) {
            bad("$id is gone");
        } else {
            ended($id, 'here');
            $j->{done} = 1;
            my $ttl = $s->cmd('PTTL', $s->key("job:$id"));
            bad("$id ended and stays: $ttl") if $ttl > 60000 || $ttl < 0;
            check_log($id, $h);
            bad("$id ended with a body") if $h->{body}
                || $s->cmd('EXISTS', $s->key("body:$id"));
            bad("$id ended in grace")
                if $s->cmd('ZSCORE', $s->key('grace'), $id);
        }
    }
    bad('leases of nothing: ' . join ' ', keys %lease) if %lease;

    for my $tenant (@tenants) {
        my $got = join ' ', sort @{ $s->cmd('SMEMBERS',
            $s->key("running:$tenant")) };
        my $want = join ' ', sort keys %{ $running{$tenant} || {} };
        bad("running of $tenant: $got, not $want") if $got ne $want;
        for my $class ('', 'batch:', 'last:') {
            my $field = "$class$tenant";
            my $got = join ' ', sort @{ $s->cmd('LRANGE',
                $s->key("backlog:$field"), 0, -1) };
            my $want = join ' ', sort keys %{ $waits{$field} || {} };
            bad("backlog of $field: $got, not $want") if $got ne $want;
            my $b = $s->cmd('HGET', $s->key('backlog_bytes'), $field) || 0;
            bad("bytes of $field: $b, not " . ($bytes{$field} || 0))
                if $b != ($bytes{$field} || 0);
            my $zset = $class ? 'waiting:' . substr $class, 0, -1 : 'waiting';
            my $score = $s->cmd('ZSCORE', $s->key($zset), $tenant);
            bad("$tenant in $zset: " . (defined $score ? $score : 'no'))
                if defined $score != !!$waits{$field};
            bad("score of $tenant in $zset: $score") if defined $score
                && $class ne 'last:'
                && int($score / 2 ** 36)
                    != 16 * keys %{ $running{$tenant} || {} };
        }
    }

    return $held;
}

# A log: no gap within an attempt, attempts rise, one end, which is the last.
sub check_log {
    my ($id, $h) = @_;
    my ($attempt, $seq) = (1, 0);
    my @log = @{ $s->log($id) };

    for my $i (0 .. $#log) {
        my ($a, $n, $type, $what) = $log[$i] =~ /^(\d+)-(\d+) (\S) ?(.*)/s;
        if ($type eq 'a') {
            bad("log of $id: marker $a-$n after $attempt")
                if $a <= $attempt || $n != 0;
            ($attempt, $seq) = ($a, 0);
            next;
        }
        bad("log of $id: $a-$n after $attempt-$seq")
            if $a != $attempt || $n != $seq + 1;
        $seq = $n;
        bad("log of $id: $a-$n is of $what") if $type eq 's'
            && $what ne "$a/$n";
        bad("log of $id: $type at $i of $#log")
            if ($type =~ /[ex]/) != ($i == $#log);
    }
    bad("tip of $id: $h->{tip}, log $attempt-$seq")
        if $h->{tip} ne "$attempt-$seq";
}

my @do = ((\&do_admit) x 10, (\&do_admit_again) x 1, (\&do_claim_again) x 3,
    (\&do_look) x 2, (\&do_emit) x 14, (\&do_settle) x 9, (\&do_cancel) x 2,
    (\&do_leave) x 2, (\&do_join) x 2, (\&do_sweep) x 7, (\&do_beat) x 3,
    (\&do_die) x 3, (\&do_grace) x 1, (\&do_deaf) x 1, (\&do_hear) x 1);
my ($checks, $most) = (0, 0);
my (%holds, %has, %live, $slots, $there);

sub share {
    my ($most) = sort { $b <=> $a } map { $_ || 0 } @_;
    $most = int(($most * 9 + 9) / 10);
    return $most > 1 ? $most : 1;
}

# Nobody is given more than it takes, no tenant more than its share: of the
# slots and what workers hold that give none, and of the slots alone.
sub bounds {
    my ($now, $list) = @{ $s->cmd('HMGET', $s->key('sweep'), 'slots',
        'workers') };
    my %takes = map { $_ => 1 } $list =~ /^(\S+) \d+$/mg;
    my ($all, $left, %now_live) = (0, 0);
    for my $w (keys %worker) {
        my @members = @{ $s->cmd('SMEMBERS', $s->key("held:$w")) };
        my $n = @members;
        bad("$w holds $n of $worker{$w}{slots}")
            if $n > $worker{$w}{slots} && $n > ($holds{$w} || 0);
        $holds{$w} = $n;
        $all += $n;
        $left += $n unless $takes{$w};
        next unless $takes{$w};
        $now_live{ (split / /)[1] }++ for @members;
    }
    my ($most, $most_live) = (share($now + $left, $there), share($now, $slots));
    for my $tenant (@tenants) {
        my $n = $s->cmd('SCARD', $s->key("running:$tenant"));
        bad("$tenant has $n of $most") if $n > ($has{$tenant} || 0)
            && $n > $most;
        $has{$tenant} = $n;
        $n = $now_live{$tenant} || 0;
        bad("$tenant has $n of $most_live of those that take jobs")
            if $n > ($live{$tenant} || 0) && $n > $most_live;
        $live{$tenant} = $n;
    }
    ($slots, $there) = ($now, $now + $left);
    return $all;
}

for my $step (1 .. $steps) {
    pick(@do)->();
    hear_all();
    my $after = bounds();
    $most = $after if $after > $most;
    check() if $step % 25 == 0 && ++$checks;

    next if $step % 2000;
    my %n;
    $n{ $_->{j} }++ for $s->outbox;
    $records{$_} += $n{$_} for keys %n;
    $s->cmd('XTRIM', $s->key('outbox'), 'MAXLEN', 0);
}

# All workers but one die, everybody leaves; what is left ends.

for my $w (keys %worker) {
    run('beat', 'w', $w, 0, 'bye');
    $s->deaf($w);
}
%worker = ();
new_worker(50);
my ($w) = keys %worker;
for (1 .. 60) {
    do_sweep();
    $s->run('beat', 'w', $w, 50, 'up');
    hear_all();
    do_look($w);
    for my $member (@{ $s->cmd('SMEMBERS', $s->key("held:$w")) }) {
        my ($id) = split / /, $member;
        my ($j, $h) = ($job{$id}, $s->job($id));
        my $usage = $s->usage('done', 1);
        run('settle', $id, $h->{attempt}, $w, seq_of($h->{tip} || '1-0') + 1,
            65536, 'done', '', $j->{tenant}, "base of $id", $j->{at}, $usage,
            'e', $usage);
    }
    hear_all();
    last if !check() && !$s->cmd('EXISTS', map { $s->key($_) } 'waiting',
        'waiting:batch', 'waiting:last');
}

is($s->held(@tenants), 'held 0 ta 0+0 tb 0+0 tc 0+0', 'everything ends');
$records{ $_->{j} }++ for $s->outbox;
is(scalar(grep { ($records{$_} || 0) != 1 } keys %job), 0,
    'each job has one ledger record');
is(scalar(keys %records), scalar(keys %job), 'and nothing else has one');
is($s->cmd('EXISTS', map { $s->key($_) } "held:$w", 'waiting', 'waiting:batch',
    'waiting:last', 'suspects', 'backlog_bytes', map { ("running:$_",
    "backlog:$_", "backlog:batch:$_", "backlog:last:$_") } @tenants), 0,
    'no trace of a queue');
cmp_ok($checks, '>=', int($steps / 25), 'checked');
note(scalar(keys %job) . " jobs, at most $most leases, $lasts last attempts");

done_testing();
