#!/usr/bin/perl
# What Redis refuses for a while is said again; what can never be read ends.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $r = $t->redis;
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $wait = ($req->{json} || {})->{wait} || 0;

    $out->head(200, 'Content-Type' => 'text/event-stream');
    for (1 .. 200) {
        $out->chunk("data: {\"choices\":[{\"index\":0,\"delta\":"
            . "{\"content\":\"tick\"},\"finish_reason\":null}]}\n\n");
        $out->wait($wait) if $wait;
    }
    $out->chunk("data: {\"choices\":[{\"index\":0,\"delta\":{},"
        . "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    $out->end;
});
$w->catalog({ providers => { p => { api => 'openai', key => [],
    url => [$p->url('/v1')] } } });
my $proc = $w->start;
my ($pid) = $t->worker_pids;

sub body { return { model => 'echo/echo', messages => [{ role => 'user',
    content => 'hi' }], @_ } }
sub leases { return scalar(my @all = $w->leases) }


my ($me) = map { /^w:(.+)/ } @{ $r->cmd('ZRANGE', "$w->{p}alive", 0, -1) };


# A job is handed over while the worker's ears are cut off: when it has new
# ones it asks for what it holds, and again where that meets -BUSY.

kill STOP => $pid;
$r->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
$w->{bell} = $r->subscribe("$w->{p}edge:$w->{edge}");
my $instead = $r->subscribe("$w->{p}worker:$me");
my $job = $w->job(body => body(), flags => 'b');
is($w->state($job), 'running', 'handed over');
like($instead->message(10)->[1], qr/^J$job 1 - /, 'to nobody');
undef $instead;
$r->cmd('CONFIG', 'SET', 'busy-reply-threshold', 100);
my $busy = $r->client;
$busy->send('EVAL', 'while true do end', 0);
wait_for(sub { !eval { $r->client->cmd('PING') } && $@ =~ /BUSY/ }, 20,
    'a busy Redis');
kill CONT => $pid;
sleep 1;
$r->client->cmd('SCRIPT', 'KILL');
is($w->answer($job, 20)->{end}{state}, 'done', 'a lost bell');
like($t->worker_log, qr/held, and not heard of/, 'is made good');

# The same without the worker's noticing: its beats tell it.

$w->script('beat', 'w', 'nobody', 1, 'up');
my $ear = $r->subscribe("$w->{p}worker:nobody");
$r->cmd('HSET', "$w->{p}sweep", 'workers', "1\nnobody 1\n", 'listed', 2 ** 50);
$job = $w->job(body => body(), flags => 'b');
like($ear->message(10)->[1], qr/^J$job 1 - /, 'with another');
$r->cmd('HSET', "$w->{p}job:$job", 'owner', $me);
$r->cmd('SMOVE', "$w->{p}held:nobody", "$w->{p}held:$me", "$job t");
is($w->answer($job, 20)->{end}{state}, 'done', 'a bell lost in silence');
is($r->cmd('HGET', "$w->{p}job:$job", 'attempt'), 1, 'is its first attempt');
$w->script('beat', 'w', 'nobody', 0, 'bye');
wait_for(sub { $r->cmd('HGET', "$w->{p}sweep", 'workers') =~ /\Q$me\E/ }, 10,
    'the list of workers');

# Redis has forgotten that it gave a job, and refuses for a while to say whose it
# is: what has been said of it is kept.

$job = $w->job(body => body(model => 'p/m', stream => \1, wait => 0.02),
    flags => 'b');
$w->begun($job, 5);
$r->cmd('HDEL', "$w->{p}job:$job", 'attempt', 'tenant');
wait_for(sub { $t->worker_log =~ /$job.*"claim: ERR/ }, 20, 'a refused claim');
$r->cmd('HSET', "$w->{p}job:$job", 'tenant', 't');
my $kept = $w->answer($job, 30);
is($kept->{end}{state}, 'done', 'it goes on');
is(() = $kept->{body} =~ /tick/g, 200, 'with all of it');

# A bell that comes a second time, when all is over.

$instead = $r->subscribe("$w->{p}worker:$me");
$job = $w->job(body => body(model => 'p/m', stream => \1), flags => 'b');
is($w->answer($job, 20)->{end}{state}, 'done', 'a job');
my $bell = $instead->message(10)->[1];
undef $instead;
my $calls = () = $p->requests;
$r->cmd('PUBLISH', "$w->{p}worker:$me", $bell);
is($w->answer($w->job(body => body(), flags => 'b'), 20)->{end}{state}, 'done',
    'another, behind its late bell');
sleep 1;
is(scalar(my @calls = $p->requests), $calls, 'which calls nobody');

# A hundred lost at once, more than a page of what is held.

kill STOP => $pid;
$r->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
$w->{bell} = $r->subscribe("$w->{p}edge:$w->{edge}");
$instead = $r->subscribe("$w->{p}worker:$me");
my @lost = map { $w->job(body => body(), flags => 'b') } 1 .. 250;
undef $instead;
kill CONT => $pid;
wait_for(sub { !leases() }, 30, 'all of them to end');
is(scalar(grep { $w->state($_) eq 'done' } @lost), 250, 'many lost bells');


# A job that a worker cannot read ends, and its slot is free.

my %spec = (noise => sub { "\0noise" },
    dialect => sub { $_[0] =~ s/dialect 6\nopenai/dialect 6\nlatera/r },
    id => sub { $_[0] =~ s/\njob_\S+\n/\njob_@{[ '0' x 32 ]}\n/r });
my %odd = map { ($_ => $w->job(body => body(), tenant => "t-$_",
    spec => $spec{$_})) } sort keys %spec;
for my $name (sort keys %odd) {
    my $got = $w->answer($odd{$name}, 20);
    is("$got->{error} $got->{end}{state}", 'internal failed', "$name: ends");
    is(join(' ', map { $_->{n} } $w->outbox($odd{$name})), "t-$name",
        "$name: one ledger record, of its tenant");
}
is(leases(), 0, 'no slot is held');


# A zombie that is fenced is handed the job again, where no other worker is
# left: its own attempt of it ends.

$job = $w->job(body => body(model => 'p/m', stream => \1, wait => 0.01),
    flags => 'b');
$p->request(1);
kill STOP => $pid;
$w->script('beat', 'w', $me, 0, 'bye');
is($w->state($job), 'waiting', 'its worker is called dead');
$ear = $r->subscribe("$w->{p}worker:other-1-1");
$w->script('beat', 'w', 'other-1-1', 9, 'up');
like($ear->message(10)->[1], $w->log($job) > 1 ? qr/^J$job 2 lost /
    : qr/^J$job 2 - /, 'another one has it');
$w->script('beat', 'w', 'other-1-1', 0, 'bye');
kill CONT => $pid;
my $again = $w->answer($job, 30);
is($again->{events}[-1] =~ /^3-/ ? 3 : $again->{events}[-1], 3,
    'the third attempt ends it');


# Memory that runs out in mid-stream: emits are refused for long.  What fits
# goes with the settle; what does not fit ends as lost, with its usage.

my ($short, $long) = map { $w->job(body => body(model => 'p/m', stream => \1,
    wait => 0.05), flags => $_) } '', 'r';
$w->begun($_, 2) for $short, $long;
$r->cmd('CONFIG', 'SET', 'maxmemory', 1);
wait_for(sub { 2 <= (() = $t->worker_log =~ /refused: OOM/g) }, 20,
    'refused events');
my $got = $w->answer($short, 60);
is($got->{end}{state}, 'done', 'an answer that fits ends well');
is(scalar(() = $got->{body} =~ /tick/g), 200, 'and is whole');
$got = $w->answer($long, 60);
is("$got->{error} $got->{end}{state}", 'lost failed', 'one that does not ends');
is($got->{end}{output}, 200, 'with the usage of all that the provider said');
is(scalar(my @rows = $w->outbox($long)), 1, 'one ledger record');
$r->cmd('CONFIG', 'SET', 'maxmemory', 0);
is(leases(), 0, 'no slot is held');
wait_for(sub { $r->cmd('HGET', "$w->{p}sweep", 'pressure') eq '0' }, 20,
    'the pressure to go');


# A settle is never given up while its worker lives.

$job = $w->job(body => body(model => 'p/m', stream => \1, wait => 0.005));
$w->begun($job, 2);
$r->cmd('CONFIG', 'SET', 'min-replicas-to-write', 1);
sleep 34;
is($w->state($job), 'running', 'refused for half a minute');
$r->cmd('CONFIG', 'SET', 'min-replicas-to-write', 0);
my @said = grep { /NOREPLICAS/ } split /\n/, $t->worker_log;
for my $part (qw(heartbeat queue)) {
    my @of = grep { /"part":"$part"/ && !/"message":"sweep/ } @said;
    cmp_ok(scalar(@of), '>=', 3, "$part says so");
    cmp_ok(scalar(@of), '<=', 5, '... now and then')
        or diag(join "\n", @of[0 .. 9]);
    like($of[2] // '', qr/"repeated":[1-9]\d*}$/, '... and how often it was');
}
$got = $w->answer($job, 20);
is($got->{end}{state}, 'done', 'and then settled');
is(scalar(() = $got->{body} =~ /tick/g), 200, 'as a whole');

$w->close;
done_testing();
