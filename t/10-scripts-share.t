#!/usr/bin/perl

# Kept answers and joined calls in the scripts: HIT, JOIN, keep, purge, hits;
# byte bounds, repeats, tenants, and a leave that crosses a join.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $etag = 'e' x 32;
my $row = "done\t200\tp\tm\t-\tstop\t0\t0\t0\t0\t0\t0\t0\t-\t-\t0\t0\tcache";
my $n = 0;

sub sha { return sprintf '%064x', $_[0] }

# share as an edge sends it.
sub share {
    my ($sha, $flags, %o) = @_;
    return join ' ', $sha, $flags, $o{shape} || 'o',
        defined $o{age} ? $o{age} : '-', $o{ttl} || 60000, $o{one} || 100000,
        $o{all} || 1000000;
}

sub admit {
    my ($job, $share, %o) = @_;
    return $s->admit($job, $o{tenant} || 't', flags => '', %o,
        more => [$share]);
}

sub keep {
    my ($job, %o) = @_;
    return $s->run('keep', $job, $o{attempt} || 1, $o{worker} || 'w1',
        $o{model} || 'm', $row, 'head', $o{log} || '', $o{logged} || 0,
        defined $o{o} ? $o{o} : $etag . 'object', $o{s} || '', $o{v} || '');
}

# A job of this hash, run and kept.
sub kept {
    my ($sha, %o) = @_;
    my $id = $s->id;
    admit($id, share($sha, 'cs', %o), %o);
    my $got = keep($id, %o);
    $s->settle($id, 1, 1, tenant => $o{tenant} || 't');
    return $got;
}

sub sum { return $s->cmd('HGET', $s->key('cache_sum'), 'bytes') || 0 }
sub members { return @{ $s->cmd('ZRANGE', $s->key('cached'), 0, -1) } }
sub hit { my ($sha, %o) = @_;
    return admit($s->id, share($sha, 'c', %o), %o) }
sub causes {
    my %n;
    $n{ (split /\t/, { @{ $_->[1] } }->{u})[17] }++
        for @{ $s->cmd('XRANGE', $s->key('outbox'), '-', '+') };
    return \%n;
}

# Kept, found, by its tenant, in its shape, young enough.
$s->fresh(w1 => 50);
is(kept(sha(1)), 'OK', 'kept');
my @hit = $s->call('admit', $s->id, 't', 1, 'interactive', '', 0, 0, 'e1',
    'spec', 'body', "key:1\t-\tchat\topenai\tm", 10, 1000, 4, '', '', '',
    share(sha(1), 'c'));
is("@hit[0, 1]", 'HIT 0', 'found');
like($hit[2], qr/^5\d{4}$/, 'how long it lives');
is_deeply([@hit[3 .. 6]], [$row, 'head', $etag . 'object', ''], 'all of it');
like(hit(sha(1), tenant => 'u'), qr/^OK/, 'not by another tenant');
like(hit(sha(1), shape => 's'), qr/^OK/, 'not in another shape');
like(hit(sha(2)), qr/^OK/, 'not by another hash');
like(admit($s->id, share(sha(1), 's')), qr/^OK/, 'not by who does not look');
like(hit(sha(1), age => 0), qr/^HIT/, 'young enough');
$s->cmd('HINCRBY', $s->key('cache:' . sha(1)), 'at', -5e6);
like(hit(sha(1), age => 4), qr/^OK/, 'too old');
like(hit(sha(1), age => 6), qr/^HIT 5/, 'old enough');

# A repeat is the same, with one record.
$s->fresh(w1 => 50);
kept(sha(1));
my $id = $s->id;
like(admit($id, share(sha(1), 'c')), qr/^HIT/, 'a hit') for 1 .. 3;
is(causes()->{cache}, 1, 'one record for three tries of one');
is(admit($s->id, "x c o - 1 1 1"), 'ERR share', 'no hash');
is(admit($s->id, share(sha(1), 'q')), 'ERR share', 'no flags');

# What may not be kept.
$s->fresh(w1 => 50);
is(keep($s->id), 'NO', 'of no job');
$id = $s->id;
admit($id, share(sha(1), 'c'));
is(keep($id), 'NO', 'of one that is not to be kept');
$id = $s->id;
admit($id, share(sha(1), 'cs'));
is(keep($id, worker => 'w2'), 'NO', 'by another worker');
is(keep($id, attempt => 2), 'NO', 'of another attempt');
is(keep($id, o => 'x' x 100001), 'NO', 'too large');
is(keep($id), 'OK', 'kept');
$s->settle($id, 1, 1, tenant => 't');
is(keep($id), 'NO', 'of one that has ended');

# The bound of all, healed of what expired by itself.
$s->fresh(w1 => 50);
my $one = 512 + 4 + length($row) + 32 + 1000;
for my $k (1 .. 5) {
    is(kept(sha($k), o => $etag . 'x' x 1000, all => 3 * $one,
        ttl => 60000 + $k), 'OK', "kept $k");
    cmp_ok(sum(), '<=', 3 * $one, 'bytes within the bound');
}
is(sum(), 3 * $one, 'three are left');
is(join(' ', map { (split / /)[0] } members()), join(' ', map { sha($_) } 3 .. 5),
    'the last ones');
like(hit(sha(1)), qr/^OK/, 'the first has gone');
like(hit(sha(5)), qr/^HIT/, 'the last is there');
is(kept(sha(6), o => 'x' x 5000, all => 3000), 'NO', 'larger than all');
$s->cmd('DEL', $s->key('cache:' . sha(4)));
$s->cmd('ZADD', $s->key('cached'), 1, (grep { /4 \d+$/ } members())[0]);
is(kept(sha(7), o => $etag . 'x' x 1000, all => 3 * $one), 'OK', 'kept 7');
is(sum(), 3 * $one, 'what expired is not counted');
like(hit(sha($_)), qr/^HIT/, "$_ stays") for 3, 5, 7;
kept(sha(3), o => $etag . 'y' x 1000, all => 3 * $one);
is(sum(), 3 * $one, 'in place of the old one');
is(scalar(members()), 3, 'once');

# A large one lies in its log, which lives as long.
$s->fresh(w1 => 50);
$id = $s->id;
admit($id, share(sha(1), 'cs', one => 200000));
is(keep($id, o => '', log => "o $etag", logged => 100000), 'OK', 'in its log');
$s->settle($id, 1, 1, tenant => 't', ttl => 60000, events => [h => 'h',
    (s => 'z' x 60000, c => 'z' x 40000), e => $row]);
is($s->job($id)->{state}, 'done', 'ended');
cmp_ok($s->cmd('PTTL', $s->key("ev:$id")), '>', 50000, 'it lives as long');
@hit = split / /, hit(sha(1));
is("$hit[-2] $hit[-1]", "$etag $id", 'and is found there');
like(hit(sha(1), shape => 's'), qr/^OK/, 'in its shape only');
$s->cmd('DEL', $s->key("ev:$id"));
like(hit(sha(1)), qr/^OK/, 'not without it');

# Until its job is done nobody knows how that log ends.
$s->fresh(w1 => 50);
my @log = (h => 'h', (s => 'z' x 60000, c => 'z' x 40000));
$id = $s->id;
admit($id, share(sha(1), 'cs', one => 200000));
$s->run('emit', $id, 1, 'w1', 1, 65536, @log);
keep($id, o => '', log => "o $etag", logged => 100000);
like(hit(sha(1)), qr/^OK/, 'not while it runs');
$s->settle($id, 1, 4, tenant => 't', state => 'failed', ttl => 60000,
    events => [x => "cause 4\nlost\n"]);
like(hit(sha(1)), qr/^OK/, 'nor when it failed');

# A log that is not kept after all lives as any other.
for my $why (['too large', one => 1000],
    ['purged', one => 200000, sub { $s->run('purge', '', '', '', 0, 9) }])
{
    my ($name, @o) = @$why;
    my $purge = ref $o[-1] ? pop @o : sub { };
    $s->fresh(w1 => 50);
    $id = $s->id;
    admit($id, share(sha(1), 'cs', @o));
    keep($id, o => '', log => "o $etag", logged => 100000);
    $purge->();
    $s->settle($id, 1, 1, tenant => 't', ttl => 600000, events => [@log,
        e => $row]);
    cmp_ok($s->cmd('PTTL', $s->key($_)), '<=', 60000, "$name: $_")
        for "ev:$id", "job:$id";
}

# One that expired is counted once when it is kept again.
$s->fresh(w1 => 50);
kept(sha($_)) for 1 .. 20;
$n = sum();
for my $m (members()) {
    $s->cmd('ZADD', $s->key('cached'), 1000, $m);
    $s->cmd('DEL', $s->key('cache:' . (split / /, $m)[0]));
}
kept(sha(20));
kept(sha($_)) for 1 .. 20;
is(sum(), $n, 'all of them again, as many bytes');
is(scalar(members()), 20, 'of as many');

# Purges.
$s->fresh(w1 => 50);
kept(sha(1));
kept(sha(2), model => 'x');
kept(sha(3), tenant => 'u');
my $step = $s->run('purge', '', 'x', '', 0, 2);
like($step, qr/^OK 1 [1-9]\d+$/, 'a step, by model');
is($s->run('purge', '', 'x', '', (split / /, $step)[2], 2), 'OK 0 0',
    'the last step');
like(hit(sha(2)), qr/^OK/, 'has gone');
is($s->run('purge', 'u', '', '', 0, 100), 'OK 1 0', 'by tenant');
like(hit(sha(1)), qr/^HIT/, 'others stay');
is($s->run('purge', 'u', '', sha(1), 0, 100), 'OK 0 0',
    'a hash of another tenant');
is($s->run('purge', 't', '', sha(1), 0, 100), 'OK 1 0', 'a hash');
is(sum(), 0, 'nothing is counted');
$id = $s->id;
admit($id, share(sha(1), 'cs'));
$s->run('purge', '', '', '', 0, 100);
is(keep($id), 'NO', 'what was asked for before a purge is not kept');
is($s->run('purge', '', '', 'x', 0, 100), 'ERR arguments', 'no hash');

# What goes meanwhile hides nothing from the steps that follow.
$s->fresh(w1 => 50);
kept(sha($_), ttl => 60000 + 100 * $_) for 1 .. 5;
$step = $s->run('purge', 'u', '', '', 0, 2);
$s->run('purge', 't', '', sha($_), 0, 1) for 1, 2;
$s->run('purge', 't', '', '', (split / /, $step)[2], 100);
like(hit(sha($_)), qr/^OK/, "$_ has gone") for 3 .. 5;
$s->fresh(w1 => 50);
kept(sha($_)) for 1 .. 5;
$s->cmd('ZADD', $s->key('cached'), 9e12, $_) for members();
is($s->run('purge', 't', '', '', 0, 2), 'OK 5 9000000000000',
    'those that end at once go at once');
is($s->run('purge', 't', '', '', 9e12, 2), 'OK 0 0', 'and are all');

# Joining.
$s->fresh(w1 => 50);
my ($leader, $own) = ($s->id, $s->id);
admit($leader, share(sha(1), 'j'));
is(admit($own, share(sha(1), 'j'), edge => 'e2'), "JOIN $leader 1", 'joined');
is(admit($own, share(sha(1), 'j'), edge => 'e2'), "JOIN $leader 1",
    'a repeat is the same');
is(causes()->{join}, 1, 'with one record');
is($s->job($leader)->{lst}, 'e1 e2', 'both edges listen');
is(admit($s->id, share(sha(1), 'j'), edge => 'e2'), "JOIN $leader 2",
    'another of the same edge');
is($s->job($leader)->{lst}, 'e1 e2', 'which listens once');
like(admit($s->id, share(sha(1), 'j'), edge => 'e2', tenant => 'u'), qr/^OK/,
    'not of another tenant');
$s->cmd('SET', $s->key('flight:' . sha(1) . 'o'), $leader);
$s->cmd('SET', $s->key('flight:' . sha(9) . 'o'), $leader);
like(admit($s->id, share(sha(9), 'j'), edge => 'e2', tenant => 'u'), qr/^OK/,
    'not even by a flight that names it');
like(admit($s->id, share(sha(1), 'j', shape => 's')), qr/^OK/,
    'not in another shape');
like(admit($s->id, share(sha(1), 'c'), edge => 'e2'), qr/^OK/,
    'not by who does not want it');

# A leave that crosses a join takes nothing away.
is($s->run('leave', $leader, 'e2', 1), 'OK 1 none', 'it knows of one of two');
is($s->job($leader)->{lst}, 'e1 e2', 'and stays');
is($s->run('leave', $leader, 'e2', 2), 'OK 1 none', 'it knows of both');
is($s->job($leader)->{lst}, 'e1', 'and goes');
is($s->run('leave', $own, 'e2'), "JOINED $leader 1",
    'who had no reply is told what it has joined');
is($s->run('leave', $leader, 'e1', 0), 'OK 0 cancelling', 'the last goes');
is($s->cmd('EXISTS', $s->key('flight:' . sha(1) . 'o')), 0,
    'and with it the flight');
like(admit($s->id, share(sha(1), 'j')), qr/^OK/, 'joined no more');

# Nor when it has ended, in whatever way.
for my $end (sub { $s->settle($_[0], 1, 1, tenant => 't') },
    sub { $s->run('cancel', $_[0], 't', 'client', 'now', 'cancelled', '') })
{
    $s->fresh(w1 => 50);
    $leader = $s->id;
    admit($leader, share(sha(1), 'j'));
    $end->($leader);
    like(admit($s->id, share(sha(1), 'j')), qr/^OK/, 'an end');
}

# Who waited too long ends the job only where nobody else listens.
sub give_up { my ($edge, $mode) = @_; return $s->run('cancel', $leader, 't',
    'timeout', $mode || 'unstarted', 'queue_timeout', $edge) }
$s->fresh(w1 => 1);
admit($s->id, '');
$leader = $s->id;
admit($leader, share(sha(1), 'j'));
is($s->job($leader)->{state}, 'waiting', 'a job that waits');
is(give_up('e1', 'shared'), 'SHARED', 'others of the edge listen');
admit($s->id, share(sha(1), 'j'), edge => 'e2');
is(give_up($_), 'SHARED', "$_ is not alone") for 'e1', 'e2';
is($s->run('leave', $leader, 'e1', 0), 'OK 1 none', 'the first goes');
like(admit($s->id, share(sha(1), 'j'), edge => 'e3'), qr/^JOIN $leader/,
    'it can be joined yet');
is($s->run('leave', $leader, 'e3', 1), 'OK 1 none', 'another goes');
is(give_up('e2'), 'CANCELLED', 'the last one ends it');
is($s->job($leader)->{state}, 'cancelled', 'for good');

# At most sixteen edges.
$s->fresh(w1 => 50);
$leader = $s->id;
admit($leader, share(sha(1), 'j'));
like(admit($s->id, share(sha(1), 'j'), edge => "x$_"), qr/^JOIN/, "edge $_")
    for 2 .. 16;
like(admit($s->id, share(sha(1), 'j'), edge => 'x17'), qr/^OK/,
    'the next calls for itself');

# Limits count a hit and a join as requests of no tokens; a refusal joins
# nothing and writes nothing.
sub limited {
    my ($id, $share) = @_;
    return $s->run('admit', $id, 't', 1, 'interactive', '', 0, 0, 'e2', 'spec',
        'body', "key:1\t-\tchat\topenai\tm", 10, 1000, 4, '', '',
        AiScripts::policy("100 100 0 0 m\nr h 2 - tenant\nt h 10 - tenant\n"
            . "c - 0 - tenant\n"), $share);
}
$s->fresh(w1 => 50);
kept(sha(1));
$leader = $s->id;
admit($leader, share(sha(2), 'j'));
like(limited($s->id, share(sha(1), 'c')), qr/^HIT .* 1 \d+ 10 0 0 -/,
    'a hit needs no tokens and no place');
$own = $s->id;
like(limited($own, share(sha(2), 'j')), qr/^JOIN $leader 1 0 \d+ 10 0 0 -/,
    'nor does a join');
is(limited($own, share(sha(2), 'j')), "JOIN $leader 1", 'a repeat is free');
my $outbox = causes();
like(limited($s->id, share(sha(2), 'j')), qr/^LIMIT \d+ 0/, 'one too many');
like(limited($s->id, share(sha(1), 'c')), qr/^LIMIT \d+ 0/, 'of either');
is_deeply(causes(), $outbox, 'leaves no record');
is($s->job($leader)->{'joins:e2'}, 1, 'and joins nothing');

# Records of an edge's own hits.
$s->fresh(w1 => 50);
my @who = ('t', "key:1\t-\tchat\topenai\tm", $row);
my @rows = map { ($s->id, 1000 + $_, @who, '', $_) } 1 .. 3;
is($s->run('hits', @rows), 'OK', 'records of hits');
is(causes()->{cache}, 3, 'are in the outbox');
is_deeply([map { $_->{r} } $s->outbox], [1, 2, 3], 'with how many they are');
my $limit = AiScripts::policy("1 1 0 0 m\nr h 9 - tenant\n");
sub used { my ($key) = @{ $s->cmd('KEYS', $s->key("lim:t:$_[0]:*")) };
    return $key ? (split / /, $s->cmd('GET', $key))[1] : undef }
@rows = map { ($s->id, 1000, @who, $limit, $_) } 1 .. 3;
is($s->run('hits', @rows), 'OK', 'with limits') for 1 .. 3;
is(used('rh'), 6, 'a repeat counts once, and each request of a record');
is($s->run('hits', $s->id, 1000, @who, $limit, 5), 'OK', 'more than fit');
is(used('rh'), 9, 'as many are counted as one after the other would be');
is($s->run('hits', $s->id, 1000, @who, $limit, 5), 'OK', 'none fits');
is(used('rh'), 9, 'none is counted');
is($s->run('hits', 'x', @rows[1 .. 6]), 'ERR record', 'no job');
is($s->run('hits', @rows[0 .. 5], $_), 'ERR record', "'$_' requests")
    for 0, -1, 1.5, 1000001, 'x', '';
is($s->run('hits', @rows[0 .. 5]), 'ERR number of arguments', 'too few');
is($s->run('hits', (@rows[0 .. 6]) x 129), 'ERR number of arguments', 'too many');

# All limits of requests that apply, or none; a dry run and others hold nobody.
$s->fresh(w1 => 50);
$limit = AiScripts::policy("1 1 0 0 m\nr h 9 - tenant\nr s 4 - tenant\n"
    . "r m 1 n tenant\nt h 1 - tenant\nc - 1 - tenant\n");
is($s->run('hits', $s->id, 1000, @who, $limit, 7), 'OK', 'several limits');
is(join(' ', map { used($_) // '-' } qw(rh rs rm th)), '4 4 4 -',
    'the tightest says how many');
is($s->cmd('EXISTS', $s->key('lim:t:c-:tenant')), 0, 'no place is taken');

# The ledger gets their records: what it said before is not all any more.
sub ticket {
    $s->cmd('XTRIM', $s->key('outbox'), 'MAXLEN', 0);
    my @look = $s->call('seed', 't');
    return sub { $s->run('seed', 't', @look[1 .. 3], 0, 'rd:tenant', 3) };
}
$s->fresh(w1 => 50);
kept(sha(1));
admit($s->id, share(sha(2), 'j'));
my $set = ticket();
$s->run('hits', @rows);
is($set->(), 'AGAIN', 'what an edge gave');
$set = ticket();
hit(sha(1));
is($set->(), 'AGAIN', 'what Redis gave');
$set = ticket();
admit($s->id, share(sha(2), 'j'), edge => 'e2');
is($set->(), 'AGAIN', 'a join');
is(ticket()->(), 'OK', 'nothing since');

done_testing();
