#!/usr/bin/perl

# Delivery, claim, emit and settle: the way of a job that a worker runs, each
# call repeated at each point, refused where it comes too late.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $ring;

# What was published since the last look, on all channels.
sub bells {
    my @got;
    while (my $m = $ring->message(0.05)) {
        push @got, $m->[1] unless $m->[1] =~ /^J/;
    }
    return @got;
}

sub begin {
    my (%o) = @_;
    $s->fresh(w1 => 4);
    my $id = $s->id;
    $s->admit($id, 't', %o);
    return $id;
}

$s->fresh;
$ring = $s->r->subscribe(map { $s->key($_) } qw(edge:e1 edge:e2 worker:w1
    worker:w2));

# delivery and claim

my $a = begin();
my ($d) = $s->take('w1');
is("$d->{job} $d->{attempt} $d->{cause} $d->{spec} $d->{body}",
    "$a 1 - spec of $a {\"a\":1}", 'handed over');
my $job = $s->job($a);
is($d->{at}, $job->{at}, 'its admit time');
is("$job->{state} $job->{attempt} $job->{owner}", 'running 1 w1', 'it runs');
is($d->{queue}, $job->{started} - $job->{at}, 'from admit to start');
my @run = ('RUN', @$d{qw(attempt spec body at queue bytes pieces)});
is_deeply([$s->claim($a, 'w1')], \@run, 'its worker did not hear it');
is_deeply([$s->claim($a, 'w1')], \@run, 'nor the answer');
is_deeply([$s->claim($a, 'w1', 1)], \@run, 'or is not sure');
is_deeply($s->job($a), $job, 'changes nothing');
is($s->claim($a, 'w2'), 'GONE', 'another worker');
is($s->claim($a, 'w2', 1), 'GONE', 'even one that says it has it');
is($s->held('t'), 'held 1 t 1+0', 'still runs');
is_deeply($s->log($a), [], 'attempt 1 has no marker');
is(join(' ', bells()), '', 'and no bell');

# emit

is($s->emit($a, 1, 1, 'h', 'head'), 'OK 1-1 ', 'emit');
is_deeply([bells()], ["E$a\n1-1 h 4\nhead"], 'rings with the event');
cmp_ok($s->cmd('PTTL', $s->key("ev:$a")), '>', 47 * 3600 * 1000,
    'the log expires');
is($s->emit($a, 1, 1, 'h', 'head'), 'OK 1-1 ', 'repeated');
is(join(' ', bells()), '', 'without a bell');
is($s->emit($a, 1, 2, 's', "b\0\r\n", 'c', ''), 'OK 1-3 ', 'two, one empty');
is_deeply([bells()], ["E$a\n1-2 s 4\nb\0\r\n1-3 c 0\n"], 'in one message');
is($s->emit($a, 1, 3, 'c', '', 's', 'd'), 'OK 1-4 ', 'half repeated');
is_deeply([bells()], ["E$a\n1-4 s 1\nd"], 'only the new one rings');
is_deeply($s->log($a), ['1-1 h head', "1-2 s b\0\r\n", '1-3 c ', '1-4 s d'],
    'the log has each once');
is($s->emit($a, 1, 6, 's', 'x'), 'GAP 1-4', 'a gap');
is($s->emit($a, 2, 1, 's', 'x'), 'GONE', 'an attempt that is not reached');
is($s->run('emit', $a, 1, 'w1', 5, 3, 's', 'ab', 's', 'cd'), 'OK 1-6 ', 'over 3');
is_deeply([bells()], ["E$a\n1-6 ! 0\n"], 'the bell says: read the log');
is($s->run('emit', $a, 1, 'w1', 7, 4, 's', 'ab', 's', 'cd'), 'OK 1-8 ', 'just 4');
is_deeply([bells()], ["E$a\n1-7 s 2\nab1-8 s 2\ncd"], 'is inline');
is($s->run('emit', $a, 1, 'w1', 9, 1, 's', 'ab'), 'OK 1-9 ', 'one over 1');
is_deeply([bells()], ["E$a\n1-9 ! 0\n"], 'is not');
is(($s->claim($a, 'w1', 1))[0], 'RUN', 'who has it may ask');
is($s->claim($a, 'w2'), 'GONE', 'nobody else');

like($s->run('join', $a, 't', 'e2'), qr/^OK running 1-9 1 s  \d+ 2 openai$/,
    'joined');
$s->emit($a, 1, 10, 's', 'z');
is_deeply([bells()], [("E$a\n1-10 s 1\nz") x 2], 'each listener is rung');
is($s->run('cancel', $a, 't', 'client', 'now', 'cancelled', 'e1'),
    'CANCELLING', 'cancelled');
is_deeply([bells()], ["X$a client"], 'its worker is rung');
is($s->emit($a, 1, 11, 's', 'z'), 'OK 1-11 client', 'emit says so');
bells();

my $log = $s->log($a);
for (['type', 'e', 'x'], ['long type', 'ss', 'x'], ['no type', '', 'x'],
    ['no payload', 's'], ['none'], ['over 64 KB', 's', 'x' x 65537],
    ['65 events', ('s', 'x') x 65], ['over 1 MB', ('s', 'x' x 65536) x 17])
{
    my ($name, @events) = @$_;
    like($s->emit($a, 1, 12, @events), qr/^ERR /, "wrong: $name");
}
for (['attempt', 'x', 'w1', 12, 9], ['seq 0', 1, 'w1', 0, 9],
    ['seq', 1, 'w1', '', 9], ['limit', 1, 'w1', 12, -1])
{
    my ($name, @args) = @$_;
    like($s->run('emit', $a, @args, 's', 'x'), qr/^ERR /, "wrong: $name");
}
is_deeply($s->log($a), $log, 'wrong calls write nothing');
is($s->emit($a, 1, 12, ('s', 'x' x 16384) x 64), 'OK 1-75 client', '64, 1 MB');
is_deeply([bells()], [("E$a\n1-75 ! 0\n") x 2], 'read the log');
is($s->emit($s->id, 1, 1, 's', 'x'), 'GONE', 'an unknown job');

# A job nobody listens to makes no noise.

$a = begin(edge => '', flags => 'b', result => 90000);
$s->next_job('w1');
$s->emit($a, 1, 1, 's', 'x');
is(join(' ', bells()), '', 'no listener, no bell');
is($s->settle($a, 1, 2), 'OK 1-2', 'settled');
my $ttl = $s->cmd('PTTL', $s->key("job:$a"));
ok($ttl > 80000 && $ttl <= 90000, 'a background result is kept');

# The log that vanished is made again, with an expiry.

$a = begin();
$s->next_job('w1');
$s->emit($a, 1, 1, 's', 'x');
$s->cmd('DEL', $s->key("ev:$a"));
is($s->emit($a, 1, 2, 's', 'y'), 'OK 1-2 ', 'emit after a lost log');
cmp_ok($s->cmd('PTTL', $s->key("ev:$a")), '>', 0, 'has an expiry');
bells();

# settle

$a = begin();
$s->next_job('w1');
$s->emit($a, 1, 1, 'h', 'head');
my $before = $s->job($a);
my $usage = $s->usage('done', 42);
my %base = (at => $before->{at}, base => "key:7\tu\tchat\topenai\tm",
    usage => $usage);
bells();
is($s->settle($a, 1, 3, %base), 'GAP 1-1', 'a gap');
is($s->settle($a, 1, 1, %base), 'GAP 1-1', 'an end the log has passed');
is($s->settle($a, 2, 1, %base, ), 'GONE', 'an attempt that is not reached');
is(scalar($s->outbox), 1, 'is in the ledger all the same');
$s->cmd('XTRIM', $s->key('outbox'), 'MAXLEN', 0);
like($s->settle($a, 1, 2, %base, tenant => 'other'), qr/^ERR /, 'tenant');
like($s->settle($a, 1, 2, %base, usage => join "\n", ('u') x 34), qr/^ERR /,
    'more calls than a job can have made');
is_deeply($s->job($a), $before, 'nothing of these touched the job');
is($s->settle($a, 1, 2, %base, events => ['s', 'all', 'e', $usage]),
    'OK 1-3', 'settled');
is_deeply([bells()], ["E$a\n1-2 s 3\nall1-3 e " . length($usage) . "\n$usage"],
    'rings');
$job = $s->job($a);
is("$job->{state} $job->{tip} $job->{usage} $job->{attempt}",
    "done 1-3 $usage 1", 'the job has ended');
cmp_ok($job->{fin}, '>=', $job->{started}, 'fin is the time of its end');
is($job->{body}, '', 'its body is gone');
is($s->held('t'), 'held 0 t 0+0', 'its slot is free');
is_deeply([$s->outbox], [{ j => $a, a => 1, c => 0, t => $before->{at},
    n => 't', b => $base{base}, u => $usage }], 'one ledger record');
for my $key ("job:$a", "ev:$a") {
    $ttl = $s->cmd('PTTL', $s->key($key));
    ok($ttl > 25000 && $ttl <= 30000, "$key stays for 30 s");
}
is($s->settle($a, 1, 2, %base, events => ['s', 'all', 'e', $usage]), 'DUP',
    'repeated');
is($s->settle($a, 1, 4, %base), 'DUP', 'with other events, too');
is(scalar($s->outbox), 1, 'no second record');
is(join(' ', bells()), '', 'no second bell');
is($s->emit($a, 1, 2, 's', 'all'), 'OK 1-3 ', 'an emit repeated after the end');
is($s->emit($a, 1, 4, 's', 'x'), 'FENCED 1', 'a new one is not taken');
is($s->claim($a, 'w1', 1), 'GONE', 'nor a claim');
is(scalar @{ $s->log($a) }, 3, 'the log is closed');
is($s->run('cancel', $a, 't', 'client', 'now', 'cancelled', ''), 'DONE done',
    'nor cancelled');

# Ledger records of several calls.

$a = begin();
$s->next_job('w1');
my @calls = map { $s->usage('failed', $_) } 1, 2;
is($s->settle($a, 1, 1, state => 'failed', events => ['x', 'record'],
    usage => join("\n", $s->usage('failed', 3), @calls)), 'OK 1-1',
    'two calls');
is_deeply([map { "$_->{c} $_->{u}" } $s->outbox],
    ["0 $calls[0]", "1 $calls[1]"], 'a record each');
is($s->job($a)->{usage}, $s->usage('failed', 3), "the job's own line is its");
is($s->job($a)->{state}, 'failed', 'state');

# Expiry.

my $expiry = sub {
    my ($name, $want, $ttl, %o) = @_;
    my $id = begin(%o);
    $s->next_job('w1');
    $s->settle($id, 1, 1, ttl => $ttl);
    my $got = $s->cmd('PTTL', $s->key("job:$id"));
    ok($got <= $want && $got > $want - 5000, "expiry: $name") or diag($got);
};
$expiry->('stated', 7000, 7000);
$expiry->('resumable', 120000, '', flags => 'rs', resume => 120000);
$expiry->('resumable for less', 30000, '', flags => 'r', resume => 1000);
$expiry->('background', 200000, '', flags => 'b', result => 200000);
$expiry->('both', 300000, '', flags => 'rb', result => 200000,
    resume => 300000);
$expiry->('times without flags', 30000, '', result => 200000,
    resume => 300000);

# Wrong settles.

$a = begin();
$s->next_job('w1');
like($s->settle($a, 1, 1, state => 'running'), qr/^ERR /, 'wrong: state');
like($s->settle($a, 1, 1, events => ['s', 'x']), qr/^ERR /, 'wrong: no end');
like($s->settle($a, 1, 1, events => ['e', 'x', 'e', 'x']), qr/^ERR /,
    'wrong: two ends');
like($s->settle($a, 1, 1, events => ['x']), qr/^ERR /, 'wrong: no payload');
like($s->settle($a, 1, 1, usage => 'x' x 65537), qr/^ERR /, 'wrong: usage');
like($s->settle($a, 1, 1, at => '12x'), qr/^ERR /, 'wrong: at');
like($s->settle($a, 1, 1, ttl => 'x'), qr/^ERR /, 'wrong: ttl');
like($s->settle($a, 1, 0), qr/^ERR /, 'wrong: seq');
is($s->held('t'), 'held 1 t 1+0', 'write nothing');

# The body that stands alone.

$a = begin();
$a = $s->id;
$s->cmd('SET', $s->key("body:$a"), 'x' x 9000, 'PX', 600000);
$s->next_job('w1');
$s->admit($a, 't', body => '@');
my ($id, @reply) = $s->next_job('w1');
is("$id $reply[0] $reply[1] [$reply[3]]", "$a RUN 1 []", 'a large body');
$s->settle($a, 1, 1);
is($s->cmd('EXISTS', $s->key("body:$a")), 0, 'goes with the end');

$a = $s->id;
$s->run('body', $a);
$s->cmd('RPUSHX', $s->key("body:$a"), $_) for qw(one two);
$s->admit($a, 't', body => '@2', bytes => 6);
(undef, @reply) = $s->next_job('w1');
is("$reply[0] [$reply[3]] @reply[6, 7]", 'RUN [] 6 2', 'one in pieces');
$s->settle($a, 1, 1);
is($s->cmd('EXISTS', $s->key("body:$a")), 0, 'goes with the end, too');

# The end of one starts the next.

$s->fresh(w1 => 1);
my @ids = map { $s->id } 1 .. 3;
$s->admit($_, 't') for @ids;
for my $n (0 .. 2) {
    my ($got) = $s->next_job('w1');
    is($got, $ids[$n], "job $n in order");
    is(scalar(my @more = $s->take('w1', 9)), 0, 'and no other');
    $s->settle($got, 1, 1);
}
is($s->cmd('EXISTS', map { $s->key($_) } qw(waiting backlog:t backlog_bytes
    held:w1 running:t)), 0, 'no trace of a queue');

# FLUSHALL in the middle.

$s->fresh(w1 => 1);
$a = $s->id;
$s->admit($a, 't');
$s->next_job('w1');
$s->emit($a, 1, 1, 's', 'x');
$s->cmd('FLUSHALL');
is($s->emit($a, 1, 2, 's', 'y'), 'GONE', 'emit after FLUSHALL');
is($s->claim($a, 'w1', 1), 'GONE', 'claim');
is($s->run('cancel', $a, 't', 'client', 'now', 'cancelled', ''), 'GONE',
    'cancel');
is($s->run('leave', $a, 'e1'), 'GONE', 'leave');
is($s->run('join', $a, 't', 'e1'), 'GONE', 'join');
is($s->settle($a, 1, 3), 'GONE', 'settle');
is(join(' ', map { $_->{j} } $s->outbox), $a, 'is in the ledger');
is(join(' ', sort grep { !/lim:t:epoch$/ } keys %{ $s->r->keys }), $s->key('outbox'),
    'and nothing else is there');
like($s->sweep, qr/^OK 1 0 0 0 0 0 0 1$/, 'sweep');
is($s->run('beat', 'w', 'w1', 3, 'up'), 'OK 3 0 0', 'beat');
like($s->admit($s->id, 't'), qr/^OK running/, 'and on it goes');

# A job whose hash is lost.

$s->fresh(w1 => 1);
$a = $s->id;
$s->admit($a, 't');
$s->cmd('DEL', $s->key("job:$a"));
is($s->claim($a, 'w1'), 'GONE', 'a job without spec');
is($s->settle($a, 1, 1), 'GONE', 'settled all the same');
is($s->held('t'), 'held 0 t 0+0', 'frees its slot');

for (['attempt', $a, 'w1', 'x'], ['worker', $a, 'w 1', 1], ['count', $a, 'w1'])
{
    my ($name, @args) = @$_;
    like($s->run('claim', @args), qr/^ERR /, "wrong claim: $name");
}

# A bell was lost, and the bell of its cancel, too: it is not run for nobody.

$a = begin();
$s->next_job('w1');
is($s->run('leave', $a, 'e1'), 'OK 0 cancelling', 'its client goes');
@run = $s->claim($a, 'w1');
is("@run[0 .. 2]", 'END 1 cancelled', 'its worker did not hear of it');
is(($s->claim($a, 'w1', 1))[0], 'RUN', 'who has it hears that from emit');
is($s->settle($a, 1, 1, state => 'cancelled', events => ['x', 'r']), 'OK 1-1',
    'and ends it');
bells();

# What a worker has emitted and forgotten is only settled.

$a = begin();
$s->next_job('w1');
$s->emit($a, 1, 1, 's', 'x');
bells();
@run = $s->claim($a, 'w1');
is("@run[0 .. 2]", 'END 2 lost', 'what it has emitted is not run again');
is_deeply([bells()], ["E$a\n2-0 a 0\n"], 'the attempt is rung');
is_deeply([$s->claim($a, 'w1')], \@run, 'claimed again');
is_deeply([bells()], [], 'without a bell');
is_deeply($s->log($a), ['1-1 s x', '2-0 a '], 'or a marker');
is($s->held('t'), 'held 1 t 1+0', 'it holds its slot');
is($s->emit($a, 1, 2, 's', 'y'), 'FENCED 2', 'what it said before is over');

# Redis lost its last seconds, and with them what it gave: the job waits, or is
# with somebody who had it before, or is not there.

$s->fresh;
$a = $s->id;
my $b = $s->id;
$s->admit($_, 't', bytes => 5) for $a, $b;
is($s->emit($a, 1, 1, 's', 'x'), 'GONE', 'it has not reached attempt 1');
@run = $s->claim($a, 'w1', 1);
is("@run[0, 1]", 'RUN 1', 'its worker says it has it');
is(join(' ', map { $s->job($a)->{$_} } qw(state owner attempt)), 'running w1 1',
    'so it is');
is($s->held('t'), 'held 1 t 1+1', 'not in the backlog');
is($s->cmd('HGET', $s->key('backlog_bytes'), 't'), 5, 'nor its bytes');
is(int($s->cmd('ZSCORE', $s->key('waiting'), 't') / 2 ** 36), 16, 'the score');
is($s->emit($a, 1, 1, 's', 'x'), 'OK 1-1 ', 'it goes on');
@run = $s->claim($a, 'w2', 3);
is("@run[0, 1]", 'RUN 3', 'one that had it later');
is(join(' ', map { $s->job($a)->{$_} } qw(owner attempt tip)), 'w2 3 3-0',
    'has it');
is_deeply($s->cmd('SMEMBERS', $s->key('held:w2')), ["$a t"], 'holds it');
is($s->cmd('EXISTS', $s->key('held:w1')), 0, 'alone');
is($s->emit($a, 1, 2, 's', 'x'), 'FENCED 3', 'the other is fenced');
is($s->claim($a, 'w1', 1), 'GONE', 'and told so');
is($s->settle($a, 3, 1, worker => 'w2'), 'OK 3-1', 'settled');
is($s->held('t'), 'held 0 t 0+1', 'free');

# What Redis has forgotten went to a second worker before the first asked for
# it: both are in the same attempt, and one of them has the job.

$s->fresh(w1 => 2);
$a = $s->id;
$s->admit($a, 't');
$s->take('w1');
$s->cmd('DEL', $s->key("job:$a"), $s->key('held:w1'), $s->key('running:t'));
$s->run('beat', 'w', 'w1', 0, 'drain');
$s->run('beat', 'w', 'w2', 2, 'up');
$s->admit($a, 't');
is(join(' ', map { "$_->{job} $_->{attempt}" } $s->take('w2')), "$a 1",
    'a second worker has attempt 1');
is($s->run('emit', $a, 1, 'w1', 1, 65536, 's', 'x'), 'FENCED 1',
    'the first is refused');
is($s->settle($a, 1, 1, worker => 'w1'), 'FENCED 1', 'and its end');
is($s->claim($a, 'w1', 1), 'GONE', 'and told so');
is(scalar(@{ $s->log($a) }) + $s->outbox, 0, 'it has written nothing');
is($s->run('emit', $a, 1, 'w2', 1, 65536, 's', 'y'), 'OK 1-1 ',
    'the second goes on');
is($s->run('emit', $a, 1, 'w1', 1, 65536, 's', 'x'), 'FENCED 1',
    'a repeat of the first, too');
is($s->settle($a, 1, 2, worker => 'w2'), 'OK 1-2', 'and ends it');
is_deeply([map { (split)[2] } @{ $s->log($a) }[0]], ['y'], 'with what it said');

# What it was forgotten to have ended is paid for once: under the attempt that
# its first record has.

$s->fresh(w1 => 1);
$a = $s->id;
$s->admit($a, 't');
$s->emit($a, 1, 1, 's', 'x');
@run = $s->claim($a, 'w1');
is("@run[0 .. 2]", 'END 2 lost', 'a settle that Redis has lost');
$s->silent('w:w1', 5000);
$s->deaf('w1');
$s->run('beat', 'w', 'w2', 1, 'up');
$s->sweep;
is(join(' ', map { "$_->{attempt} $_->{cause}" } $s->take('w2')), '3 lost',
    'and so is who was to repeat it');
is($s->settle($a, 3, 1, state => 'failed', events => ['x', 'r']), 'OK 3-1',
    'it ends');
is(join(' ', map { "$_->{j} $_->{a} $_->{c}" } $s->outbox), "$a 1 0",
    "its record has the first one's key");

# A time to live that Lua reads as a number and Redis would not.

for my $ttl ('1e3', '0x3e8', ' 1000') {
    $s->fresh(w1 => 1);
    my $id = $s->id;
    $s->admit($id, 't');
    $s->next_job('w1');
    is($s->settle($id, 1, 1, ttl => $ttl), 'OK 1-1', "ttl '$ttl'");
    my $left = $s->cmd('PTTL', $s->key("job:$id"));
    ok($left > 0 && $left <= 1000, 'is a second') or diag($left);
    is($s->held('t') . ' ' . $s->outbox,
        'held 0 t 0+0 1', 'nothing is half done');
}

# Events of a call share an entry of the log while they fit.

$s->fresh(w1 => 1);
my $merged = $s->id;
$s->admit($merged, 't');
$s->next_job('w1');
my @large = map { chr(64 + $_) x 40000 } 1 .. 3;
is($s->emit($merged, 1, 1, 'h', 'head', 's', $large[0], 'c', $large[1],
    'c', $large[2], 's', 'z'), 'OK 1-5 ', 'five events');
is_deeply([map { "$_->[0] " . @{ $_->[1] } / 2 }
    @{ $s->cmd('XRANGE', $s->key("ev:$merged"), '-', '+') }],
    ['1-2 2', '1-3 1', '1-5 2'], 'entries of at most 64 KB');
is_deeply($s->log($merged), ['1-1 h head', "1-2 s $large[0]", "1-3 c $large[1]",
    "1-4 c $large[2]", '1-5 s z'], 'all in order');
is($s->settle($merged, 1, 6), 'OK 1-6', 'ended');

# An answer that ends with its first events lies in the job, as its bell, where
# it is short; else, and where there was a log before, in the Stream.

sub whole {
    my ($name, $stream, $size, @emitted) = @_;
    my $id = $s->id;
    my $n = @emitted / 2;
    $s->admit($id, 't', edge => 'e1');
    $s->next_job('w1');
    $s->emit($id, 1, 1, @emitted) if @emitted;
    bells();
    my $body = 'x' x ($size - 4);
    is($s->settle($id, 1, $n + 1, events => ['h', 'he', 's', $body, 'e', 'en']),
        'OK 1-' . ($n + 3), "$name: ended");
    is(($s->job($id)->{log} // 'none'), $stream ? 'none'
        : "E$id\n1-1 h 2\nhe1-2 s " . length($body) . "\n${body}1-3 e 2\nen",
        "$name: log of the job");
    is($s->cmd('EXISTS', $s->key("ev:$id")), $stream, "$name: Stream");
    is_deeply([@{ $s->log($id) }[-3 .. -1]], [
        '1-' . ($n + 1) . ' h he', '1-' . ($n + 2) . " s $body",
        '1-' . ($n + 3) . ' e en'], "$name: events");
    my $left = $s->cmd('PTTL', $s->key(($stream ? 'ev:' : 'job:') . $id));
    ok($left > 25000 && $left <= 30000, "$name: expires") or diag($left);
    is(scalar(bells()), 1, "$name: rings");
}

whole('short', 0, 16384);
whole('longer', 1, 16385);
whole('behind others', 1, 100, s => 'before');

done_testing();
