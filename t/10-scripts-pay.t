#!/usr/bin/perl
# What a failed call costs is kept with its job, and billed when that ends,
# whoever ends it.
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $base = "key:1\t-\tchat\topenai\tm";

sub failed { my ($cost) = @_;
    return AiScripts::usage('failed', $cost) }
sub rows { my ($job) = @_;
    return map { join ' ', @$_{qw(a c)}, (split /\t/, $_->{u})[0, 11] }
        grep { $_->{j} eq $job } $s->outbox }
sub pay { my ($job, $attempt, $worker, $n, $cost) = @_;
    return $s->run('pay', $job, $attempt, $worker, $n, failed($cost)) }

$s->fresh(w1 => 1);
my $job = AiScripts::id();
$s->admit($job, 't');
$s->take('w1');
is(pay($job, 1, 'w1', 0, 7), 'OK', 'a call is paid');
is(pay($job, 1, 'w1', 0, 7), 'OK', 'the same once more');
is(pay($job, 1, 'w1', 1, 8), 'OK', 'the next');
is($s->job($job)->{paid}, "\n1 0 " . failed(7) . "\n1 1 " . failed(8),
    'each is kept once');
is(pay($job, 1, 'w2', 2, 9), 'GONE', 'not of who does not have it');
is(pay($job, 2, 'w1', 2, 9), 'GONE', 'nor of an attempt to come');
is(pay('job_' . 'f' x 32, 1, 'w1', 0, 9), 'GONE', 'nor of no job');
like($s->run('pay', $job, 1, 'w1', @$_), qr/^ERR/, 'wrong') for [2, "a\nb\tc"],
    [2, 'x'], ['x', failed(1)], [2, failed(1), 1], [2, 'a' x 2049];

# The worker dies, and the job is cancelled while it waits.
$s->run('beat', 'w', 'w1', 0, 'bye');
is($s->job($job)->{state}, 'waiting', 'its worker has gone');
$s->run('cancel', $job, 't', 'client', 'now', 'cancelled', '');
is_deeply([rows($job)], ['1 0 failed 7', '1 1 failed 8', '2 0 cancelled 0'],
    'what it took is billed');
is(pay($job, 1, 'w1', 2, 9), 'GONE', 'one that has ended');

# One that a later attempt ends names them.
$job = AiScripts::id();
$s->run('beat', 'w', 'w2', 1, 'up');
$s->admit($job, 't');
$s->take('w2');
is($s->settle($job, 1, 1, usage => join("\n", AiScripts::usage('done', 27),
    '1 3 ' . failed(7), failed(8), AiScripts::usage('done', 12))) =~ /^OK/, 1,
    'a settle of an earlier attempt\'s calls');
is_deeply([rows($job)], ['1 3 failed 7', '1 4 failed 8', '1 5 done 12'],
    'each under its own attempt and call');

# A worker that forgot what it had emitted ends it under that attempt, whose
# calls are in the ledger by number.
$job = AiScripts::id();
$s->admit($job, 't');
$s->take('w2');
pay($job, 1, 'w2', 0, 7);
$s->emit($job, 1, 1, 's', 'x');
is(join(' ', ($s->claim($job, 'w2'))[0 .. 2]), 'END 2 lost', 'it has forgotten');
like($s->settle($job, 2, 1, state => 'failed', usage => join("\n",
    AiScripts::usage('failed', 19), '1 0 ' . failed(7), failed(12))), qr/^OK/,
    'and ends it');
is_deeply([rows($job)], ['1 0 failed 7', '1 1 failed 12'],
    'no call has the number of another');

# A bound.
$job = AiScripts::id();
$s->admit($job, 't');
my $worker = $s->owner($job);
is(pay($job, 1, $worker, $_, 1), 'OK', "call $_") for 0 .. 31;
is(pay($job, 1, $worker, 32, 1), 'FULL', 'enough');

done_testing();
