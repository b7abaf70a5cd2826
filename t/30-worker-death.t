#!/usr/bin/perl
# Workers, edges and Redis die in the middle; jobs end once and well.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0, catalog => { providers => {
    slow => { api => 'echo', options => { word_delay => 100 } },
    echo => { api => 'echo', options => { word_delay => 0 } },
} });
my $yes = JSON::PP::true;
$t->allow_log(qr/on signal 9/);

sub body { return { model => $_[0], stream => $yes, messages => [
    { role => 'user', content => $_[1] }] } }
my $words = join ' ', 1 .. 30;

# One that waits for its answer at a provider that never gives one.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    -e $t->dir . '/answer' ? AiProvider::openai()->($req, $out) : $out->stall;
});
$w->catalog({ providers => {
    slow => { api => 'echo', options => { word_delay => 100 } },
    echo => { api => 'echo', options => { word_delay => 0 } },
    wait => { api => 'openai', url => [$p->url('/v1')], key => [] },
} });
sub answer_now { open my $fh, '>', $t->dir . '/answer' or die $! }
sub answer_not { unlink $t->dir . '/answer' }


# kill -9 of a worker process: what had not emitted is run again elsewhere,
# what had ends as lost; others go on.

my $proc = $w->start(n => 2);
my ($one, $two) = $t->worker_pids;
my %of = map { my $id = $_; map { index($id, "-$_-") > 0 ? ($_ => $id) : () }
    $one, $two } map { s/^w://r } grep { /^w:/ }
    @{ $t->redis->cmd('ZRANGE', "$w->{p}alive", 0, -1) };
is(scalar keys %of, 2, 'two worker processes');

sub owner { $t->redis->cmd('HGET', "$w->{p}job:$_[0]", 'owner') || '' }

# When it beat last.
sub beat {
    my %who = @{ $t->redis->cmd('ZRANGE', "$w->{p}alive", 0,
        -1, 'WITHSCORES') };
    my ($name) = grep { /-$_[0]-/ } keys %who;
    return $name ? $who{$name} : 0;
}

# Jobs until each process has one.
sub on_both {
    my ($make) = @_;
    my %job;

    for (1 .. 50) {
        my $job = $make->();
        wait_for(sub { owner($job) }, 10, 'a claim');
        $job{ owner($job) } ||= $job;
        last if keys %job == 2;
    }
    return @job{ @of{$one, $two} };
}

my ($waits, $other) = on_both(sub { $w->job(body => body('wait/m', 'x')) });
my ($streams, $survives) = on_both(sub { $w->job(body => body('slow/m',
    $words)) });
$w->begun($_, 3) for $streams, $survives;
answer_now();
my $began = time;
kill KILL => $one;

my $got = $w->answer($streams);
is($got->{error}, 'lost', 'a stream that had begun ends as lost');
is("@{$got->{end}}{qw(state status)}", 'failed 502', 'its usage');
$got = $w->answer($waits);
is($got->{end}{state}, 'done', 'one that had not is run again');
like($got->{body}, qr/Hello.*world/s, 'and answered');
is($got->{events}[0], '2-0a', 'as attempt 2');
cmp_ok(time - $began, '<', 3, 'without waiting for missed heartbeats');
is(scalar(my @rows = $w->outbox($waits)), 1, 'one ledger record');
$got = $w->answer($survives);
is($got->{end}{state}, 'done', 'the other process goes on');
is($got->{end}{output}, 30, 'with every word');
wait_for(sub { (my @p = $t->worker_pids) == 2 }, 30, 'a new process');
ok((grep { $_ == $two } $t->worker_pids), 'beside the old one');
$w->script('cancel', $other, 't', 'client', 'now', 'cancelled', '');
wait_for(sub { !$w->leases }, 10, 'no lease');
answer_not();


# The supervisor is killed: its processes go with it.

my @pids = $t->worker_pids;
$proc->{expected} = 1;
$proc->stop('KILL');
wait_for(sub { !grep { kill 0, $_ } @pids }, 10, 'the processes to end');
pass('a killed supervisor leaves no process');


# A zombie: stopped, taken for dead, then awake again: it is fenced.

$proc = $w->start(name => 'workers-zombie');
my ($zombie) = AiProc::children_of($proc->pid);
my $job = $w->job(body => body('wait/m', 'x'));
wait_for(sub { (my @r = $p->requests) >= 2 && owner($job) }, 10, 'a call');
kill STOP => $zombie;
my $fresh = $w->start(name => 'workers-fresh');
answer_now();
$got = $w->answer($job, 60);
is($got->{end}{state}, 'done', 'a stopped worker loses its job to another');
my @log = $w->log($job);
kill CONT => $zombie;
wait_for(sub { $w->alive >= 2 }, 20, 'the zombie to beat again');
my $again = $w->job(body => body('echo/m', 'still here'));
is($w->answer($again)->{end}{state}, 'done', 'jobs go on');
is_deeply([$w->log($job)], \@log, 'the zombie added nothing');
is(scalar(@rows = $w->outbox($job)), 1, 'nor to the ledger');

# What it was handed while it slept, and another has done, it does not begin.
my $calls = () = $p->requests;
$fresh->stop;
answer_not();
my $beat = beat($zombie);       # a young one: jobs go to who has beaten lately
wait_for(sub { beat($zombie) != $beat }, 20, 'a beat');
kill STOP => $zombie;
$job = $w->job(body => body('wait/m', 'x'));
like(owner($job), qr/-$zombie-/, 'handed to who has just fallen asleep');
$fresh = $w->start(name => 'workers-fresh3');
answer_now();
$got = $w->answer($job, 60);
is("$got->{end}{state} $got->{events}[0]", 'done 2-0a', 'another does it');
kill CONT => $zombie;
$again = $w->job(body => body('echo/m', 'x')) for 1 .. 4;
wait_for(sub { $w->alive >= 2 && !$w->leases }, 20, 'the zombie, awake');
$p->request($calls + 1);
sleep 1;
is(scalar(@rows = $p->requests), $calls + 1, 'and nobody again');

# The same with a stream: what the zombie emits after it is fenced is refused.
$proc->stop;
$fresh->stop;
$proc = $w->start(name => 'workers-zombie2');
($zombie) = AiProc::children_of($proc->pid);
$job = $w->job(body => body('slow/m', $words));
$w->begun($job, 3);
kill STOP => $zombie;
$fresh = $w->start(name => 'workers-fresh2');
$got = $w->answer($job, 60);
is($got->{error}, 'lost', 'a stream of a stopped worker ends as lost');
@log = $w->log($job);
kill CONT => $zombie;
wait_for(sub { $t->worker_log('workers-zombie2') =~ /another worker has it/ },
    30, 'the zombie to see that it is fenced');
is_deeply([$w->log($job)], \@log, 'it added nothing');
$proc->stop;


# Redis goes away and comes back: nothing is lost, no event comes twice.

$job = $w->job(body => body('slow/m', $words));
$w->begun($job, 3);
$t->redis->freeze;
sleep 1;
$t->redis->thaw;
$got = $w->answer($job);
is($got->{end}{state}, 'done', 'a stalled Redis');
my $text = join '', map { /^data: (\{.*)/m ? decode_json($1)->{choices}[0]{delta}
    {content} || '' : () } split /\n\n/, $got->{body};
is($text, $words, 'every word once');

$job = $w->job(body => body('slow/m', $words));
$w->begun($job, 3);
$t->redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$t->redis->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes');
$w->{bell} = $t->redis->subscribe("$w->{p}edge:$w->{edge}");
$got = $w->answer($job);
is($got->{end}{state}, 'done', 'connections cut');
$text = join '', map { /^data: (\{.*)/m ? decode_json($1)->{choices}[0]{delta}
    {content} || '' : () } split /\n\n/, $got->{body};
is($text, $words, 'every word once');

# A cancel that nobody heard is found after the reconnect.
$job = $w->job(body => body('slow/m', join ' ', 1 .. 600));
$w->begun($job, 3);
$t->redis->cmd('HSET', "$w->{p}job:$job", 'cancel', 'client');
$got = $w->answer($job);
is($got->{error}, 'cancelled', 'a cancel whose bell was lost');


# An edge dies: its job has no listener and ends.

my $dying = $w->beater('edge-2-2');
wait_for(sub { grep { $_ eq 'e:edge-2-2' }
    @{ $t->redis->cmd('ZRANGE', "$w->{p}alive", 0, -1) } }, 10, 'edge 2');
$job = $w->job(edge => 'edge-2-2', body => body('slow/m', join ' ', 1 .. 600));
my $kept = $w->job(edge => 'edge-2-2', flags => 'c', body => body('slow/m',
    join ' ', 1 .. 100));
$w->begun($_, 2) for $job, $kept;
$dying->stop('KILL');
wait_for(sub { $w->state($job) eq 'cancelled' }, 30, 'the job to be dropped');
pass('the job of a dead edge is dropped');
is($w->state($kept), 'running', 'one that goes on goes on');
wait_for(sub { $w->state($kept) eq 'done' }, 30, 'it to end');


# SIGTERM: no new jobs, running ones end; their time over, they are ended.

my $late = $w->job(body => body('slow/m', $words));
$w->begun($late, 2);
$fresh->signal('TERM');
$got = $w->answer($late);
is($got->{end}{state}, 'done', 'a drain lets running jobs end');
is($fresh->wait(30), 0, 'then the workers end');
is($w->alive, 0, 'with a bye');

$proc = $w->start(name => 'workers-short', args => ['--drain-timeout', 1]);
$late = $w->job(body => body('slow/m', join ' ', 1 .. 600));
answer_not();
$waits = $w->job(body => body('wait/m', 'x'));
$w->begun($late, 2);
wait_for(sub { owner($waits) }, 10, 'a claim');
$proc->signal('TERM');
is($w->answer($late)->{error}, 'lost', 'a drain ends what takes too long');
is($proc->wait(30), 0, 'and the workers end');
is($w->state($waits), 'waiting', 'what had not begun waits for others');
answer_now();
$proc = $w->start(name => 'workers-last');
is($w->answer($waits)->{end}{state}, 'done', 'and is run by them');

$w->close;
done_testing();
