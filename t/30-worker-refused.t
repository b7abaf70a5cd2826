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


# A claim that meets -BUSY comes again.

kill STOP => $pid;
my $job = $w->job(body => body(), flags => 'b');
wait_for(sub { $w->state($job) eq 'queued' }, 10, 'its dispatch');
$r->cmd('CONFIG', 'SET', 'busy-reply-threshold', 100);
my $busy = $r->client;
$busy->send('EVAL', 'while true do end', 0);
wait_for(sub { !eval { $r->client->cmd('PING') } && $@ =~ /BUSY/ }, 20,
    'a busy Redis');
kill CONT => $pid;
wait_for(sub { $t->worker_log =~ /claim: BUSY/ }, 20, 'a refused claim');
$r->client->cmd('SCRIPT', 'KILL');
is($w->answer($job, 20)->{end}{state}, 'done', 'a refused claim comes again');


# A job that a worker cannot read ends, and its slot is free.

kill STOP => $pid;
my %odd = map { ($_ => $w->job(body => body(), tenant => "t-$_")) }
    qw(noise dialect id);
my $key = sub { "$w->{p}job:$odd{$_[0]}" };
my $spec = $r->cmd('HGET', $key->('dialect'), 'spec');
$r->cmd('HSET', $key->('noise'), 'spec', "\0noise");
(my $later = $spec) =~ s/dialect 6\nopenai/dialect 6\nlatera/ or die $spec;
$r->cmd('HSET', $key->('dialect'), 'spec', $later);
$r->cmd('HSET', $key->('id'), 'spec', $spec);
kill CONT => $pid;
for my $name (sort keys %odd) {
    my $got = $w->answer($odd{$name}, 20);
    is("$got->{error} $got->{end}{state}", 'internal failed', "$name: ends");
    is(join(' ', map { $_->{n} } $w->outbox($odd{$name})), "t-$name",
        "$name: one ledger record, of its tenant");
}
is(leases(), 0, 'no slot is held');


# A zombie that is fenced takes the job again under its newer entry, where no
# other worker is left.

my ($me) = map { /^w:(.+)/ } @{ $r->cmd('ZRANGE', "$w->{p}alive", 0, -1) };
$job = $w->job(body => body(model => 'p/m', stream => \1, wait => 0.01),
    flags => 'b');
$p->request(1);
kill STOP => $pid;
$w->script('beat', 'w', $me, 0, 'bye');
is($w->state($job), 'queued', 'its worker is called dead');
$w->script('beat', 'w', 'other-1-1', 9, 'up');
my $entry = $r->cmd('HGET', "$w->{p}job:$job", 'entry');
$r->cmd('XCLAIM', "$w->{p}jobs", 'workers', 'other-1-1', 0, $entry);
is($w->script('claim', $job, 'other-1-1', $entry, 'jobs')->[0], $w->log($job)
    ? 'END' : 'RUN', 'another one has it');
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
$got = $w->answer($job, 20);
is($got->{end}{state}, 'done', 'and then settled');
is(scalar(() = $got->{body} =~ /tick/g), 200, 'as a whole');

$w->close;
done_testing();
