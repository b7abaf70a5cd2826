#!/usr/bin/perl
# A thousand requests of eight tenants, one of them hostile, against providers
# that fail at random: every job ends once, calls have their bound, the ledger
# has them all, and what is clean is answered.  What is open is tried by one
# call at a time, whoever asks.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;
my $dir = $t->dir;
my $seed = $ENV{AI_T_SEED} || int(1e6 * Time::HiRes::time()) % 2**31;
diag("AI_T_SEED=$seed");
srand $seed;

my @status = (401, 403, 404, 408, 429, 500, 501, 502, 503, 504, 529);
my @error = ({ code => 403 }, { code => 404 }, { code => 429 }, { code => 503 },
    { type => 'overloaded_error' }, { type => 'rate_limit_error' }, {});

# A fault or none, as the request says: "<what>" or "<n> <what> …", one of them
# each call.
sub faulty { my ($req, $out) = @_;
    my $json = $req->{json} || {};
    my ($n, @what) = split ' ', $json->{messages}[0]{content} // '';
    my $what = $what[rand @what];

    return AiProvider::openai()->($req, $out) if $what eq 'ok';
    return $out->answer($what, '{"error":{"message":"x"}}',
        $what == 429 && rand() < 0.5 ? ('Retry-After' => 1) : ())
        if $what =~ /^\d+$/;
    return $out->cut(1) if $what eq 'reset';
    return $out->cut if $what eq 'closed';
    return $out->stall if $what eq 'stall';
    return $out->answer(200, '<html>', 'Content-Type' => 'text/html')
        if $what eq 'html';
    my $error = encode_json({ error => { message => 'x',
        %{ $error[rand @error] } } });
    return $out->answer(200, $error) unless $json->{stream};
    $out->head(200, 'Content-Type' => 'text/event-stream');
    if ($what eq 'hello') {
        $out->chunk('data: {"choices":[{"index":0,"delta":{"role":'
            . "\"assistant\"}}]}\n\n");
        return $out->cut(1) if rand() < 0.5;
    }
    $out->chunk("data: $error\n\n");
    $out->end;
}
# Says who is in it and when: "<model> <+ or -> <time>".
sub mark { my ($what) = @_;
    open my $fh, '>>', "$dir/half" or die $!;
    syswrite $fh, "$what " . Time::HiRes::time() . "\n" }
my $p = $t->provider(name => 'p', script => \&faulty);
my $q = $t->provider(name => 'q', script => \&faulty);
my $h = $t->provider(name => 'h', script => sub {
    my ($req, $out) = @_;
    mark('+');
    $out->wait(0.2);
    mark('-');
    return $out->answer(503, '{"error":{"message":"down"}}');
});
my $good = $t->provider(name => 'good');

my %p = (api => 'openai', key => ['env:A_API_KEY', 'env:B_API_KEY'],
    timeout => { connect => 20000, first => 600, idle => 20000,
        total => 60000 });
$w->catalog({
    models => {
        clean => { routes => [{ provider => 'p', model => 'x', weight => 1 },
            { provider => 'q', model => 'y', weight => 1 }], retry => 2,
            fallbacks => [{ provider => 'good', model => 'fine',
                weight => 1 }] },
        wild => { routes => [{ provider => 'p', model => 'x', weight => 1 }],
            fallbacks => [{ provider => 'q', model => 'y', weight => 1 }],
            hedge => 100, retry => 3 },
        half => { routes => [{ provider => 'h', model => 'half' }],
            retry => 0 },
    },
    providers => { p => { %p, url => [$p->url('/v1')] },
        q => { %p, url => [$q->url('/v1')] },
        h => { %p, url => [$h->url('/v1')] },
        good => { %p, key => [], url => [$good->url('/v1')], timeout => {
            %{ $p{timeout} }, first => 20000 } } },
});
$w->start(n => 2, args => ['--metrics-interval', 1], env => {
    A_API_KEY => 'key-a', B_API_KEY => 'key-b' });

my @bad = (qw(reset closed html hello error), @status);
my ($n, %number) = (0);
sub job { my ($tenant, $model, @what) = @_;
    my $job = $w->job(tenant => $tenant, timeout => 20000, body => {
        model => $model, rand() < 0.5 ? (stream => $yes) : (),
        messages => [{ role => 'user', content => join ' ', ++$n, @what }] });
    $number{$n} = $job;
    return $job }

my (%jobs, %clean);
for my $round (1 .. 4) {
    my @now;
    for (1 .. 250) {
        my $tenant = 't' . int rand 8;
        my $mean = $tenant eq 't0';
        my $clean = !$mean && rand() < 0.5;
        my @what = $mean ? (qw(403 400 stall 429 error 401)[rand 6])
            : $clean ? ('ok', @bad[rand @bad, rand @bad])
            : ('ok', 'ok', 400, @bad[rand @bad, rand @bad, rand @bad]);
        my $job = job($tenant, $clean ? 'clean' : 'wild', @what);
        $jobs{$job} = $tenant;
        $clean{$job} = 1 if $clean;
        push @now, $job;
    }
    $w->answer($_) for @now;
}

# What a provider was asked, by job: it sees at most what the job says, since a
# call that is late may be given up before it is there.
my %seen;
for my $provider ($p, $q, $good) {
    for ($provider->requests) {
        my ($of) = $_->{body} =~ /"content":"(\d+) /;
        $seen{ $number{$of} }{ $provider->port }++;
        $seen{ $number{$of} }{all}++;
    }
}
my %port = (p => $p->port, q => $q->port, good => $good->port);
my ($calls, %again, %state, @most, @more, @unclean, @unseen) = (0);
for my $job (keys %jobs) {
    my $got = $w->read($job);
    my $end = $got->{end};
    $state{ $end->{state} || 'none' }++;
    $calls += $end->{attempts};
    push @most, $job if $end->{attempts} > 8;
    push @unclean, join ' ', $got->{status} || $got->{error},
        @$end{qw(provider attempts)} if $clean{$job} && $end->{state} ne 'done';
    # Of a worker that was taken for dead its calls are not counted.
    $again{$job} = 1 if grep { !/^1-/ } @{ $got->{events} };
    push @more, $job if !$again{$job} && ($seen{$job}{all} || 0) > $end->{attempts};
    push @unseen, $job if $end->{state} eq 'done'
        && !$seen{$job}{ $port{ $end->{provider} } };
}
is(scalar keys %jobs, 1000, 'a thousand jobs');
is(($state{done} || 0) + ($state{failed} || 0), 1000, 'each has ended')
    or diag(explain(\%state));
cmp_ok($state{done}, '>', 400, 'many of them well');
is_deeply(\@most, [], 'none was called more than eight times');
is_deeply(\@unclean, [], 'what is clean is answered, whatever others do');
is_deeply(\@more, [], 'no provider was asked more often than a job says');
is_deeply(\@unseen, [], 'who answered was asked');
sub begun { my $sum = 0;
    $sum += $_->{calls_total}[0] for map { AiWork::fields($w->r->cmd('GET', $_)
        // '') } keys %{ $w->r->keys('ai1:metrics:*') };
    return $sum }
SKIP: {
    skip 'jobs were run twice: ' . keys %again, 1 if %again;
    wait_for(sub { begun() >= $calls }, 30, 'workers to say what they called');
    sleep 2;
    is(begun(), $calls, 'workers called as often as all jobs say');
}
my (%rows, %last);
for (@{ $w->r->cmd('XRANGE', "$w->{p}outbox", '-', '+') }) {
    my %e = @{ $_->[1] };
    $rows{ $e{j} }++;
    $last{ $e{j} }{ $e{c} } = AiWork::usage($e{u})->{state};
}
is_deeply([sort keys %rows], [sort keys %jobs],
    'the ledger has each job, and no other');
is(join(' ', grep { my $c = $last{$_}; !$again{$_}
    && (keys(%$c) != $rows{$_}
        || $c->{ $rows{$_} - 1 } ne $w->read($_)->{end}{state}) } keys %jobs),
    '', 'its calls once each, and how it ended last');
like($t->worker_log, qr/is open for|is benched for/, 'something was open');
unlike($t->worker_log, qr/key-[ab]/, 'no key in the log');


# What is open for all is tried by one at a time.

$w->answer($_) for map { job("t$_", 'half', 'x') } 1 .. 6, 1 .. 6, 1 .. 6;
wait_for(sub { $t->worker_log =~ m{m h/half@\d+ is open for} }, 10,
    'it to be open for all');
sleep 0.5;
mark('=');
my $until = time + 5;
while (time < $until) {
    my @now = map { job("t$_", 'half', 'x') } 1 .. 8;
    $w->answer($_) for @now;
    sleep 0.03;
}
my ($in, $max, $probes, $begun) = (0, 0, 0, 0);
for (split /\n/, slurp("$dir/half")) {
    $begun = 1 if /^=/;
    next unless $begun;
    $in += /^\+/ ? 1 : /^-/ ? -1 : 0;
    $probes++ if /^\+/;
    $max = $in if $in > $max;
}
cmp_ok($probes, '>=', 2, 'it was tried');
is($max, 1, 'by one call at a time, of all workers');

wait_for(sub { !$w->leases }, 10, 'all slots to be free');
$w->close;
done_testing();
