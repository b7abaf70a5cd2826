#!/usr/bin/perl
# Redis crashes and has lost its last second: what the workers hold of it they
# send again.  The loss is made by putting back an older append-only file.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $dir = $t->subdir('redis');
$t->redis(aof => 1);
my $w = AiWork->new($t, catalog => { providers => { slow => {
    api => 'echo', options => { word_delay => 100 } } } });
my $words = join ' ', 1 .. 40;
my ($pid) = $t->worker_pids;

sub stream { return $w->job(flags => 'b', body => { model => 'slow/m',
    stream => JSON::PP::true,
    messages => [{ role => 'user', content => $_[0] }] }) }
sub save { system("rm -rf $dir/old && cp -a $dir/appendonlydir $dir/old") == 0
    or die }
sub lose {
    $w->{beat}->stop('KILL');
    $t->redis->kill9;
    system("rm -rf $dir/appendonlydir && mv $dir/old $dir/appendonlydir") == 0
        or die;
    $t->redis->start;
    $w->{bell} = $t->redis->subscribe("$w->{p}edge:$w->{edge}");
    $w->{beat} = $w->beater($w->{edge});
}
sub said { return join '', map { /^data: (\{.*)/m
    ? decode_json($1)->{choices}[0]{delta}{content} || '' : () }
    split /\n\n/, $_[0]{body} }
sub ends {
    my ($job) = @_;

    wait_for(sub { $w->state($job) =~ /^(?:done|failed|cancelled)$/ }, 30,
        "the end of $job");
    return $w->read($job);
}
sub seqs { return join ' ', map { /^1-(\d+)/ } @{ $_[0]{events} } }


# Events of a stream.
my $job = stream($words);
$w->begun($job, 15);
save();
my $saved = () = $w->log($job);
$w->begun($job, $saved + 7);
kill STOP => $pid;      # or it may have sent them again before they are counted
lose();
my @left = $w->log($job);
kill CONT => $pid;
cmp_ok(scalar @left, '<', $saved + 7, 'Redis has lost events');
my $got = ends($job);
is(said($got), $words, 'a stream: every word once');
is(seqs($got), join(' ', 1 .. @{ $got->{events} }), 'no gap');
is(scalar(my @rows = $w->outbox($job)), 1, 'one ledger record');

# Those of one that says nothing more meanwhile: it does not wait for more.
$w->catalog({ providers => { slow => { api => 'echo',
    options => { word_delay => 4000 } } } });
$job = stream('one two');
$w->begun($job, 1);
kill STOP => $pid;
save();
kill CONT => $pid;
wait_for(sub { join('', map { $_->[2] } $w->log($job)) =~ /two/ }, 20, 'two');
lose();
wait_for(sub { join('', map { $_->[2] } $w->log($job)) =~ /two/ }, 3,
    'two, again');
is(said(ends($job)), 'one two', 'a silent stream');
$w->catalog({ providers => { slow => { api => 'echo',
    options => { word_delay => 100 } } } });

# The end of one.
$job = stream(join ' ', 1 .. 8);
$w->begun($job, 4);
save();
wait_for(sub { $w->state($job) eq 'done' }, 20, 'the end');
lose();
# Redis has forgotten its end, unless the worker has said it again already.
like($w->state($job), qr/^(?:running|done)$/, 'Redis has lost its end');
$got = ends($job);
is($got->{end}{state}, 'done', 'it is settled again');
is(said($got), '1 2 3 4 5 6 7 8', 'with every word');
is(scalar(@rows = $w->outbox($job)), 1, 'and its ledger record');

# One that ended longer ago than the worker keeps it: that Redis says it holds
# the job, which it does not know, is enough.
$job = stream(join ' ', 1 .. 8);
$w->begun($job, 4);
save();
wait_for(sub { $w->state($job) eq 'done' }, 20, 'the end');
my ($first) = $w->outbox($job);
sleep 4;
lose();
$got = ends($job);
is($got->{error}, 'lost', 'what nobody has any more is lost');
is($w->state($job), 'failed', 'and ends');
is(scalar(@rows = $w->outbox($job)), 1, 'with one ledger record');
is(join(' ', @{ $rows[0] }{qw(j a c t)}), join(' ', @$first{qw(j a c t)}),
    'which has the key of the first');
is(scalar(@rows = $w->leases), 0, 'its slot is free');

# Another, which had said nothing as far as Redis knows, is run again.
kill STOP => $pid;
$job = stream('one two');
is($w->state($job), 'running', 'handed over');
save();
kill CONT => $pid;
wait_for(sub { $w->state($job) eq 'done' }, 20, 'the end');
($first) = $w->outbox($job);
sleep 4;
lose();
$got = ends($job);
is(said($got), 'one two', 'who had said nothing is answered');
is(scalar(@rows = $w->outbox($job)), 1, 'one ledger record');
is(join(' ', @{ $rows[0] }{qw(j a c t)}), join(' ', @$first{qw(j a c t)}),
    'which has the key of the first');

# Without a new connection, its beats tell.
$job = stream(join ' ', 1 .. 8);
$w->begun($job, 4);
my %dump = map { $_ => $t->redis->cmd('DUMP', "$w->{p}$_") } "job:$job",
    "ev:$job";
my $held = $t->redis->cmd('HGET', "$w->{p}job:$job", 'owner');
wait_for(sub { $w->state($job) eq 'done' }, 20, 'the end');
sleep 4;
$t->redis->cmd('RESTORE', "$w->{p}$_", 600000, $dump{$_}, 'REPLACE')
    for keys %dump;
$t->redis->cmd('SADD', "$w->{p}held:$held", "$job t");
$t->redis->cmd('SADD', "$w->{p}running:t", $job);
$got = ends($job);
is($got->{error}, 'lost', 'lost, without a new connection');
is(scalar(@rows = $w->leases), 0, 'its slot is free');
is(join(' ', map { $_->{a} } $w->outbox($job)), '1 1', 'a record, repeated');

# Who had it, too: it waited, and its worker got it in the seconds that are lost.
kill STOP => $pid;
wait_for(sub { $t->redis->cmd('HGET', "$w->{p}sweep", 'workers') eq "0\n" }, 10,
    'no worker that beats');
$job = stream($words);
is($w->state($job), 'waiting', 'nobody to hand it to');
save();
kill CONT => $pid;
$w->begun($job, 4);
lose();
$got = ends($job);
is($got->{end}{state}, 'done', 'a lost delivery');
is(said($got), $words, 'every word once');
is(seqs($got), join(' ', 1 .. @{ $got->{events} }), 'no gap');

# What is said while it is claimed anew is said, too.
$w->catalog({ providers => { slow => { api => 'echo',
    options => { word_delay => 1 } } } });
for my $n (1 .. 4) {
    my $many = join ' ', 1 .. 1500;
    kill STOP => $pid;
    wait_for(sub { $t->redis->cmd('HGET', "$w->{p}sweep", 'workers') eq "0\n" },
        10, 'no worker that beats');
    $job = stream($many);
    save();
    kill CONT => $pid;
    $w->begun($job, 4);
    lose();
    $got = ends($job);
    is(said($got), $many, "every one of many words once, $n");
}

wait_for(sub { !$w->leases }, 20,
    'all slots to be free');
$w->close;
done_testing();
