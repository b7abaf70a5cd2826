#!/usr/bin/perl

# admit: what it accepts, where the job goes, what it refuses and leaves behind.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);

# A free slot: handed over.

$s->fresh(w1 => 2);
my $a = $s->id;
my $before = $s->now_ms;
like($s->admit($a, 't'), qr/^OK running \d{16}$/, 'a free slot');
my $job = $s->job($a);
is($job->{spec}, "spec of $a", 'spec is kept');
is($job->{body}, '{"a":1}', 'body is kept');
is(join(' ', map { $job->{$_} } qw(tenant class flags state lst)),
    't interactive s running e1', 'fields of the job');
cmp_ok(int($job->{at} / 1000), '>=', $before, 'at is the clock of Redis');
is(join(' ', map { $job->{$_} } qw(owner attempt started)), "w1 1 $job->{at}",
    'who has it, and since when');
is_deeply([$s->take('w1', 9)], [{ job => $a, attempt => 1, cause => '-',
    at => $job->{at}, queue => 0, bytes => 7, pieces => 0,
    spec => "spec of $a", body => '{"a":1}' }], 'its worker has all of it');
is($s->held('t'), 'held 1 t 1+0', 'it holds a slot');
is_deeply($s->cmd('SMEMBERS', $s->key('held:w1')), ["$a t"], 'its lease');
cmp_ok($s->cmd('PTTL', $s->key("job:$a")), '>', 47 * 3600 * 1000, 'expiry');

# Again.

my $reply = $s->admit($a, 't');
is($reply, "OK running $job->{at}", 'a repeat gives the decision');
is_deeply($s->job($a), $job, 'and changes nothing');
is($s->held('t'), 'held 1 t 1+0', 'nor takes a slot');
is(scalar($s->take('w1', 9)), undef, 'nor hands it over again');
is($s->admit($a, 't', max_jobs => 0, key_id => 'k', key_version => 1), $reply,
    'whatever the limits are by now');

# No slot: backlog.

$s->admit($s->id, 't');
my $b = $s->id;
like($s->admit($b, 't', bytes => 100), qr/^OK waiting \d{16}$/, 'no slot');
is($s->held('t'), 'held 2 t 2+1', 'it waits');
is($s->cmd('HGET', $s->key('backlog_bytes'), 't'), 100, 'bytes of the backlog');
my $score = $s->cmd('ZSCORE', $s->key('waiting'), 't');
is(int($score / 2 ** 36), 2 * 16, 'occupancy is the score');
ok(!exists $s->job($b)->{owner}, 'nobody has it');
is($s->job($b)->{bytes}, 100, 'its bytes');
is($s->job($b)->{decision}, 'waiting', 'the decision');
like($s->admit($b, 't'), qr/^OK waiting/, 'a repeat waits');
is($s->held('t'), 'held 2 t 2+1', 'once');
is($s->cmd('HGET', $s->key('backlog_bytes'), 't'), 100, 'bytes once');

# Bounds of the backlog.

like($s->admit($s->id, 't', max_jobs => 1), qr/^FULL \d+$/, 'jobs bound');
like($s->admit($s->id, 't', max_bytes => 106), qr/^FULL \d+$/, 'bytes bound');
like($s->admit($s->id, 't', max_bytes => 107), qr/^OK waiting/, 'to the byte');
like($s->admit($s->id, 'other', max_jobs => 1), qr/^OK waiting/,
    "another tenant's backlog");
like($s->admit($s->id, 't', max_jobs => 1, class => 'batch'),
    qr/^OK waiting/, 'the batch backlog is its own');
like($s->admit($s->id, 't', max_jobs => 1, class => 'batch'), qr/^FULL/,
    'and bounded');
is($s->cmd('HGET', $s->key('backlog_bytes'), 'batch:t'), 7, 'its bytes');
is($s->held('t'), 'held 2 t 2+3', 'a refusal leaves nothing');
my $keys = $s->r->keys('*job:*');
is(scalar(keys %$keys), 6, 'no job of a refusal');

# No worker alive.

$s->fresh;
like($s->admit($s->id, 't'), qr/^OK waiting/, 'no worker: it waits');
is($s->held('t'), 'held 0 t 0+1', 'in the backlog');
$s->run('beat', 'w', 'w1', 5, 'up');
is($s->held('t'), 'held 1 t 1+0', 'until one comes');
is($s->cmd('EXISTS', map { $s->key($_) } qw(waiting backlog_bytes backlog:t)),
    0, 'and nothing waits');

# A body of its own.

$s->fresh(w1 => 1);
my $body = sub { $s->key("body:$_[0]") };
$a = $s->id;
is($s->admit($a, 't', body => '@'), 'NOBODY', 'the body is missing');
is($s->cmd('EXISTS', $s->key("job:$a")), 0, 'no job');
$s->cmd('SET', $body->($a), 'x' x 10000, 'PX', 600000);
like($s->admit($a, 't', body => '@', bytes => 10000), qr/^OK running/, 'body');
cmp_ok($s->cmd('PTTL', $body->($a)), '>', 47 * 3600 * 1000,
    'the body lives as long as the job');
is($s->job($a)->{large}, 1, 'the job says so');
ok(!exists $s->job($a)->{body}, 'and has none');
$s->cmd('SET', $body->($a), 'x' x 10000, 'PX', 600000);
like($s->admit($a, 't', body => '@'), qr/^OK running/, 'repeated with its SET');
cmp_ok($s->cmd('PTTL', $body->($a)), '>', 47 * 3600 * 1000, 'lives on');
$s->settle($a, 1, 1);
is($s->cmd('EXISTS', $body->($a)), 0, 'deleted at the end');
$s->cmd('SET', $body->($a), 'x', 'PX', 600000);
like($s->admit($a, 't', body => '@'), qr/^OK running/, 'repeated after its end');
is($s->cmd('EXISTS', $body->($a)), 0, 'its body is deleted again');

# A body in pieces.

$a = $s->id;
is($s->run('body', $a), 'OK', 'begun');
is($s->cmd('LLEN', $body->($a)), 1, 'a list that holds nothing yet');
cmp_ok($s->cmd('PTTL', $body->($a)), '>', 500 * 1000, 'that expires');
cmp_ok($s->cmd('PTTL', $body->($a)), '<=', 600 * 1000, 'soon');
$s->cmd('RPUSHX', $body->($a), $_) for qw(one two);
is($s->run('body', $a), 'OK', 'begun again');
is($s->cmd('LLEN', $body->($a)), 1, 'from its start');
$s->cmd('RPUSHX', $body->($a), $_) for qw(one two three);
my %three = (body => '@3', bytes => 11);
like($s->admit($a, 't', %three), qr/^OK running/, 'admitted');
is($s->job($a)->{pieces}, 3, 'the job says how many');
is($s->job($a)->{large}, 1, 'and that they are a key of their own');
cmp_ok($s->cmd('PTTL', $body->($a)), '>', 47 * 3600 * 1000,
    'they live as long as the job');
is($s->run('body', $a), 'ADMITTED', 'not begun again under a job');
is_deeply($s->cmd('LRANGE', $body->($a), 0, -1), ['', qw(one two three)],
    'it still has them');
like($s->admit($a, 't', %three), qr/^OK running/, 'admit repeated');
$s->settle($a, 1, 1);
is($s->cmd('EXISTS', $body->($a)), 0, 'they go with the end');

for my $n (1, 3) {
    $a = $s->id;
    $s->run('body', $a);
    $s->cmd('RPUSHX', $body->($a), $_) for qw(one two);
    is($s->admit($a, 't', body => "\@$n", bytes => 6), 'NOBODY',
        "2 pieces are not $n");
    is($s->cmd('EXISTS', $body->($a), $s->key("job:$a")), 0,
        'nothing is left');
}
like($s->run('body', 'job_x'), qr/^ERR /, 'wrong: job');

# Refusals delete the body.

my $refused = sub {
    my ($name, $like, %o) = @_;
    my $id = $s->id;
    $s->cmd('SET', $body->($id), 'x', 'PX', 600000);
    like($s->admit($id, 't', body => '@', %o), $like, $name);
    is($s->cmd('EXISTS', $body->($id), $s->key("job:$id")), 0,
        "$name: no body, no job");
};

$s->admit($s->id, 't');
$refused->('full', qr/^FULL \d+$/, max_jobs => 0);
$s->cmd('SET', $s->key('pv:k1'), 7, 'PX', 1000000);
$refused->('stale', qr/^STALE$/, key_id => 'k1', key_version => 6);
like($s->admit($s->id, 't', key_id => 'k1', key_version => 7), qr/^OK/,
    'the version that is known');
like($s->admit($s->id, 't', key_id => 'k1', key_version => 8), qr/^OK/,
    'a newer one');
like($s->admit($s->id, 't', key_id => 'k2', key_version => 1), qr/^OK/,
    'a principal that did not change');
$s->cmd('SET', $s->key('pv:k3'), 10, 'PX', 1000000);
$refused->('by number', qr/^STALE$/, key_id => 'k3', key_version => 9);
$s->cmd('HSET', $s->key('sweep'), 'pressure', 1);
$refused->('pressure', qr/^PRESSURE \d+$/);

# Whom it is handed to.

sub given {
    my ($n, @workers) = @_;
    my %got;
    $s->admit($s->id, "t$_") for 1 .. $n;
    $got{$_} = scalar(my @all = $s->take($_, 99)) for @workers;
    return join ' ', map { "$_:$got{$_}" } sort keys %got;
}

$s->fresh(w1 => 2, w2 => 6);
is(given(1, 'w1', 'w2'), 'w1:0 w2:1', 'the one with most free slots');
is(given(7, 'w1', 'w2'), 'w1:2 w2:5', 'none gets more than it takes');
is(given(1, 'w1', 'w2'), 'w1:0 w2:0', 'then it waits');

$s->fresh(w1 => 9, w2 => 3);
$s->deaf('w1');
is(given(2, 'w1', 'w2'), 'w1:0 w2:2', 'who does not listen gets none');
$s->deaf('w2');
like($s->admit($s->id, 't'), qr/^OK waiting/, 'nobody listens: it waits');
is($s->len('SCARD', 'held:w1') + $s->len('SCARD', 'held:w2'), 2,
    'and nobody holds it');
$s->ear('w1');
is($s->sweep, 'OK 1 0 0 0 12 0 3 0', 'a sweep hands it over when one does');
is(scalar(my @now = $s->take('w1', 9)), 1, 'to that one');

$s->fresh(map { ("w$_" => 3) } 10 .. 39);
is($s->cmd('HGET', $s->key('sweep'), 'slots'), 90, 'thirty workers');
$s->admit($s->id, 't' . $_ % 7) for 1 .. 90;
is(join(' ', map { $s->len('SCARD', "held:w$_") } 10 .. 39),
    join(' ', (3) x 30), 'each slot of theirs is found');
like($s->admit($s->id, 'one more'  =~ s/ .*//r), qr/^OK waiting/, 'not one more');

$s->fresh(map { ("w$_" => 2) } 100 .. 169);
is($s->cmd('HGET', $s->key('sweep'), 'slots'), 128, 'at most 64 are listed');

# Who has not beaten lately is not listed, long before it is dead.

$s->fresh(w1 => 9, w2 => 3);
$s->silent('w:w1', 1300);
$s->cmd('HSET', $s->key('sweep'), 'listed', 0);
is($s->run('beat', 'e', 'e1', 0, 'up'), 'OK 3 0 0', 'its slots are not counted');
is(given(2, 'w1', 'w2'), 'w1:0 w2:2', 'and it gets nothing');
is($s->run('beat', 'w', 'w1', 9, 'up'), 'OK 12 0 0', 'until it beats');
is(given(1, 'w1', 'w2'), 'w1:1 w2:0', 'again');

# Shares.

$s->fresh(w1 => 20);
my @state = map { (split ' ', $s->admit($s->id, 'a'))[1] } 1 .. 20;
is(join(' ', @state), join(' ', ('running') x 18, ('waiting') x 2),
    'a tenant gets 90 %');
is(join(' ', map { (split ' ', $s->admit($s->id, 'b'))[1] } 1 .. 3),
    'running running waiting', 'the rest is for others');
is($s->held('a', 'b'), 'held 20 a 18+2 b 2+1', 'all slots');

$s->fresh(w1 => 1);
like($s->admit($s->id, 'a'), qr/running/, 'of one slot a tenant gets it');

$s->fresh(w1 => 20);
@state = map { (split ' ', $s->admit($s->id, "b$_", class => 'batch'))[1] }
    1 .. 20;
is(join(' ', @state), join(' ', ('running') x 18, ('waiting') x 2),
    'batch starts below 90 %');
like($s->admit($s->id, 'a'), qr/running/, 'the reserve is for interactive');
is($s->len('LLEN', 'backlog:batch:b20'), 1, 'batch backlog');

# Who comes does not pass who waits.

$s->fresh(w1 => 1);
$s->admit($s->id, 'a') for 1 .. 3;
$s->admit($s->id, 'b');
is($s->held('a', 'b'), 'held 1 a 1+2 b 0+1', 'both wait');
$s->cmd('HSET', $s->key('sweep'), 'slots', 2, 'workers', "1\nw1 2\n");
like($s->admit($s->id, 'c'), qr/waiting/,
    'of those with nothing, who waits longest goes first');
is($s->held('a', 'b', 'c'), 'held 2 a 1+2 b 1+0 c 0+1',
    'lost wake-ups are made good by who comes');

# Wrong calls change nothing.

$s->fresh(w1 => 10);
my $had = $s->r->keys;
my $wrong = sub {
    my ($name, $tenant, %o) = @_;
    like($s->admit($o{id} || $s->id, $tenant, %o), qr/^ERR /, "wrong: $name");
};
$wrong->('job', 't', id => 'job_1');
$wrong->('job with a space', 't', id => 'job_' . ('0' x 31) . ' ');
$wrong->('tenant', 'T');
$wrong->('long tenant', 't' x 64);
$wrong->('empty tenant', '');
$wrong->('class', 't', class => 'x');
$wrong->('flags', 't', flags => 'z');
$wrong->('edge', 't', edge => 'a b');
$wrong->('number', 't', bytes => 'x');
$wrong->('negative', 't', bytes => -1);
$wrong->('fraction', 't', bytes => '1.5');
$wrong->('infinity', 't', max_jobs => 'inf');
$wrong->('key version', 't', key_id => 'k', key_version => '');
$wrong->('more arguments', 't', more => ['x']);
like($s->run('admit', $s->id), qr/^ERR /, 'wrong: one argument');
like($s->run('admit'), qr/^ERR /, 'wrong: none');
is_deeply([sort keys %{ $s->r->keys }], [sort keys %$had], 'nothing written');

done_testing();
