#!/usr/bin/perl

# Limits: random interleavings of admits, ends, lost data and time against a
# model that only knows the jobs there were.  At every admit the decision, what
# remains and when to come back are the model's, so what is settled and reserved
# together is never over a limit.  AI_T_SEED repeats a run, AI_T_STEPS makes it
# longer.  Time is this test's: the scripts read it from a key.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;
use AiRedis;
use Digest::SHA qw(sha1_hex);
use POSIX qw(ceil floor);
use Time::Local qw(timegm);

my $t = AiTest->new(allow_keys => [qr/^now$/]);
my $s = AiScripts->new($t);
my $seed = $ENV{AI_T_SEED} || (time ^ $$);
my $steps = $ENV{AI_T_STEPS} || ($ENV{AI_T_FULL} ? 40_000 : 2_500);
srand $seed;
diag("AI_T_SEED=$seed, $steps steps");

my $scripts = AiRedis->scripts;
for my $script (values %$scripts) {
    $script->{text} =~ s/call\('TIME'\)/call('HMGET', 'now', 's', 'us')/g;
    # Keys expire by Redis' own.
    my $text = \$script->{text};
    $$text =~ s/\bs = '2000', m = '120000'/s = '7200000', m = '7200000'/g;
    $$text =~ s/\bSEEDING_MS, COUNTERS_MAX = 10000,/SEEDING_MS, COUNTERS_MAX = 7200000,/;
    die "what goes while a slow machine is at it\n"
        if $$text =~ /\bs = '2000'|\bm = '120000'|SEEDING_MS\b.* 10000\b/;
    $script->{sha} = sha1_hex($script->{text});
}

my $now = timegm(0, 0, 12, 27, 1, 2028) * 1_000_000;    # a leap year's February
my (@jobs, %known, %after);     # of the tenants' counters; records since a look
my ($admits, $refused, $seeds) = (0, 0, 0);
my %width = (s => 1e6, m => 60e6, h => 3600e6);

sub set_time {
    $s->cmd('HMSET', 'now', 's', floor($now / 1e6), 'us', $now % 1_000_000);
}

sub pick { return $_[rand @_] }

sub bad {
    fail("$_[0] (AI_T_SEED=$seed, step $_[1])");
    done_testing();
    exit 1;
}

# Number and end of a window, without the scripts' arithmetic.
sub window {
    my ($w, $at) = @_;
    return (floor($at / $width{$w}), (floor($at / $width{$w}) + 1) * $width{$w})
        if $width{$w};
    my @d = gmtime(floor($at / 1e6));
    return ("$d[5]-$d[7]", timegm(0, 0, 0, @d[3, 4, 5]) * 1e6 + 86400e6)
        if $w eq 'd';
    my ($y, $m) = ($d[5], $d[4] + 1);
    ($y, $m) = ($y + 1, 0) if $m == 12;
    return ("$d[5]-$d[4]", timegm(0, 0, 0, 1, $m, $y + 1900) * 1e6);
}

# What a job counts for.
sub amount {
    my ($j, $kind) = @_;
    return 1 if $kind eq 'r';
    my $k = $kind eq 't' ? 'tokens' : 'cost';
    return defined $j->{ended} ? $j->{ended}{$k} : $j->{$k};
}

sub used {
    my ($tenant, $what, $at) = @_;
    my ($kind, $w) = split //, $what;
    my @of = grep { $_->{tenant} eq $tenant && $_->{what}{$what} } @jobs;

    return scalar grep { !$_->{ended} && !$_->{lost} } @of if $kind eq 'c';
    my ($i, $end) = window($w, $at);
    my $sum = 0;
    if (!$width{$w}) {
        for (@of) {
            next if (window($w, $_->{at}))[0] ne $i;
            $sum += amount($_, $kind) if $_->{ended} || !$_->{lost};
        }
        return $sum;
    }
    my $prev = 0;
    for (grep { !$_->{lost} } @of) {
        my $n = floor($_->{at} / $width{$w});
        $sum += amount($_, $kind) if $n == $i;
        $prev += amount($_, $kind) if $n == $i - 1;
    }
    # In ms, as the scripts promise, and exact.
    my $left = $width{$w} / 1e3 - floor($at / 1e3) % ($width{$w} / 1e3);
    return $sum + ceil($prev * $left / ($width{$w} / 1e3));
}

sub over {
    my ($j, $line, $at) = @_;
    my ($kind) = split //, $line->[0];
    my $want = $kind eq 't' ? $j->{tokens} : $kind eq 'b' ? $j->{cost} : 1;
    my $used = used($j->{tenant}, $line->[0], $at);
    return ($used + $want > $line->[1], $line->[1] - $used, $want);
}

sub admit {
    my ($step) = @_;
    my ($tenant, $user) = (pick(qw(ta tb)), pick(qw(u1 u2)));
    my @lines = (['bd:tenant', 6_000_000], ["bM:user:$user", 25_000_000],
        ['rd:tenant', 150], ['tM:tenant', 700_000]);
    for (['rs:tenant', 4], ['rm:tenant', 14], ['tm:tenant', 9_000],
        ["th:user:$user", 60_000], ["c-:user:$user", 3], ['c-:tenant', 5],
        ['rh:tenant', 40, 'n'], ['rm:tenant', 11], ['tm:model:m', 7_000],
        ['bh:endpoint:chat', 900_000])
    {
        splice @lines, rand(@lines + 1), 0, $_ if rand() < 0.6;
    }
    my ($input, $output) = (floor(rand 400), floor(rand 900));
    $output = 20_000 if rand() < 0.02;
    my ($in_cost, $price) = (floor(rand 30_000), floor(rand 90_000_000));
    my $j = { id => $s->id, tenant => $tenant, at => $now,
        tokens => $input + $output,
        cost => $in_cost + ceil($output * $price / 1_000_000),
        what => { map { $_->[0] => 1 } @lines } };
    my $policy = "$input $output $in_cost $price m\n" . join '', map {
        my ($kind, $w, $subject) = $_->[0] =~ /^(.)(.):(.*)/;
        "$kind $w $_->[1] " . ($_->[2] || '-') . " $subject\n" } @lines;
    my @got = split ' ', $s->admit($j->{id}, $tenant, policy => $policy);
    my $trail = "@got";

    my @missing = grep { $lines[$_][0] =~ /^.[dM]/
        && !$known{$tenant}{ $lines[$_][0] } } 0 .. $#lines;
    if (@missing) {
        bad("SEED @missing, not $trail", $step) if $trail ne "SEED @missing";
        seed($step, $tenant, map { $lines[$_][0] } @missing);
        return;
    }
    my @state = map { [over($j, $_, $now)] } @lines;
    my @refusing = grep { $state[$_][0] && !$lines[$_][2] } 0 .. $#lines;
    my ($would) = grep { $state[$_][0] && $lines[$_][2] } 0 .. $#lines;
    $admits++;

    if (!@refusing) {
        bad("OK, not $trail\n$policy", $step) if $got[0] ne 'OK';
        my @left = map { my $n = $_->[1] - $_->[2]; $n < 0 ? 0 : $n } @state;
        my @said = splice @got, 3, 2 * @lines;
        bad("@left remain, not $trail", $step)
            if "@left" ne join ' ', @said[map { 2 * $_ } 0 .. $#lines];
        bad("the dry run: $trail", $step)
            if ($would // '') ne ($got[3] // '');
        push @jobs, $j;
        return;
    }

    $refused++;
    bad("LIMIT, not $trail\n$policy", $step) if $got[0] ne 'LIMIT';
    bad("which limit: $trail, of @refusing", $step)
        if !grep { $_ == $got[2] } @refusing;
    my @left = map { $_->[1] < 0 ? 0 : $_->[1] } @state;
    my @said = @got[3 .. $#got];
    bad("@left remain, not $trail", $step)
        if "@left" ne join ' ', @said[map { 2 * $_ } 0 .. $#lines];
    if (grep { $state[$_][2] > $lines[$_][1] } @refusing) {
        bad("never: $trail", $step) if $got[1] ne '-';
        return;
    }
    my @timed = grep { !$_->[2] && $_->[0] !~ /^c/ } @lines;
    my $at = $now + $got[1] * 1e6;
    bad("too soon: $trail\n$policy", $step)
        if grep { (over($j, $_, $at))[0] } @timed;
    bad("too late: $trail\n$policy", $step)
        if $got[1] > 1 && !grep { (over($j, $_, $at - 1_001_000))[0] } @timed;
}

sub seed {
    my ($step, $tenant, @what) = @_;
    my $again = rand() < 0.3;

    for my $try (1 .. 3) {
        my @look = $s->call('seed', $tenant);
        if ($look[0] eq 'WAIT') {
            bad('it waits for nothing', $step)
                if !$s->outbox;
            drain();
            next;
        }
        bad("seed: @look", $step) if $look[0] ne 'READY';
        bad('it did not wait', $step) if grep { $_->{n} eq $tenant } $s->outbox;
        my @sums = map { my $what = $_; ($what => ledger($tenant, $what)) } @what;
        $after{$tenant} = 0;
        finish($step) if $again;
        $again = 0;
        my ($got) = $s->call('seed', $tenant, @look[1 .. 3], 0, @sums);
        if ($after{$tenant}) {
            bad("AGAIN, not $got", $step) if $got ne 'AGAIN';
            next;
        }
        bad("seed: $got", $step) if $got ne 'OK';
        $known{$tenant}{$_} = 1 for @what;
        $seeds++;
        return;
    }
}

# The ledger has all that the outbox had.
sub drain {
    $s->cmd('XTRIM', $s->key('outbox'), 'MAXLEN', 0);
}

sub ledger {
    my ($tenant, $what) = @_;
    my ($kind, $w) = split //, $what;
    my ($i, $sum) = ((window($w, $now))[0], 0);
    for (grep { $_->{tenant} eq $tenant && $_->{ended} && $_->{what}{$what} }
        @jobs)
    {
        $sum += amount($_, $kind) if (window($w, $_->{at}))[0] eq $i;
    }
    return $sum;
}

sub line {
    my ($in, $out, $cost) = @_;
    return join "\t", 'done', 200, 'p', 'm', 'r', 'stop', $in, $out, ('-') x 3,
        $cost, 0, ('-') x 3, 1, '-';
}

# A job ends, in one of the ways there are.
sub finish {
    my ($step) = @_;
    my @open = grep { !$_->{ended} } @jobs or return;
    my $j = pick(@open);
    my ($in, $out, $cost) = (floor(rand 500), floor(rand 1000),
        floor(rand 120_000));

    if (!$j->{lost} && $s->job($j->{id})->{state} eq 'waiting') {
        my $got = $s->run('cancel', $j->{id}, $j->{tenant}, 'client', 'now',
            'cancelled', 'e1');
        bad("cancel: $got", $step) if $got ne 'CANCELLED';
        $j->{ended} = { tokens => 0, cost => 0 };
    } else {
        my ($lines, @calls) = (line($in, $out, $cost));
        $j->{ended} = { tokens => $in + $out, cost => $cost };
        if (rand() < 0.2) {
            $lines = join "\n", line($in, 5, 7), line($in, $out, $cost),
                line(3, '-', '-'), line('-', 4, 5);
            $j->{ended} = { tokens => $in + $out + 7, cost => $cost + 5 };
        }
        my $got = $s->run('settle', $j->{id}, 1, $j->{lost} ? 'w1'
            : $s->owner($j->{id}), 1, 65536, 'done', '', $j->{tenant},
            "key:1\tu\tchat\topenai\tm", $j->{at}, $lines, 'e', 'x');
        my $want = $j->{lost} ? 'GONE' : 'OK 1-1';
        bad("settle: $got", $step) if $got ne $want;
        delete $known{ $j->{tenant} } if $j->{lost};
    }
    $after{ $j->{tenant} } = 1;
}

sub lose {
    drain();
    $s->cmd('FLUSHALL');
    set_time();
    delete $s->{ear}{w1};
    workers();
    $_->{lost} = 1 for @jobs;
    %known = ();
}

sub workers {
    $s->cmd('ZADD', $s->key('alive'), floor($now / 1e3), 'e:e1');
    $s->run('beat', 'w', 'w1', 6, 'up');
    $s->cmd('HSET', $s->key('sweep'), 'last', floor($now / 1e3), 'grace_until',
        0);
}

set_time();
$s->cmd('FLUSHALL');
set_time();
workers();

for my $step (1 .. $steps) {
    my $r = rand();
    if ($r < 0.55) {
        admit($step);
    } elsif ($r < 0.85) {
        finish($step);
    } elsif ($r < 0.9) {
        drain();
    } elsif ($r < 0.901) {
        lose();
    } else {
        my $d = rand();
        $now += 1000 * floor($d < 0.5 ? rand 900 : $d < 0.9 ? rand 40_000
            : $d < 0.97 ? rand 900_000 : $d < 0.995 ? rand 20_000_000
            : rand 1_800_000_000);
        set_time();
        workers();
        # What is older than any window can reach.
        @jobs = grep { !$_->{ended} || $_->{at} > $now - 40 * 86400e6 } @jobs;
    }
}
pass("$admits decisions, $refused of them refusals, $seeds seeds: as the model");
cmp_ok($refused, '>', $admits / 20, 'there were refusals');
cmp_ok($admits - $refused, '>', $admits / 20, 'and others');

# Places of jobs that have gone: four are looked at a refusal, and who is still
# refused then is so for good, whatever else would be found.
for my $gone (1 .. 12) {
    lose();
    my $ghosts = $s->key('lim:ta:c-:tenant');
    $s->cmd('SADD', $ghosts, map { sprintf 'job_%032x', 1e9 + $_ } 1 .. $gone);
    my $tries = ceil($gone / 4);
    is(join(' | ', map { $s->admit($s->id, 'ta',
            policy => "1 1 0 0 m\nc - 1 - tenant\n") =~ s/ \d{10,}//r }
        1 .. $tries + 1), join(' | ', ('LIMIT 1 0 0 -') x ($tries - 1),
        'OK running 0 -', 'LIMIT 1 0 0 -'), "$gone places of jobs that have gone");
}

done_testing();
