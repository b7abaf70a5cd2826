#!/usr/bin/perl
# What one tenant's requests bring about is held against nobody else's: 403s,
# tokens that do not come, answers that are too large, fast refusals.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;

# Does to a request what it says itself.
my $p = $t->provider(name => 'p', script => sub {
    my ($req, $out) = @_;
    my $says = ($req->{json}{messages}[0] || {})->{content} // '';

    return $out->answer(403, '{"error":{"message":"flagged"}}')
        if $says =~ /flagged/;
    return $out->answer(503, '{"error":{"message":"down"}}')
        if $says =~ /down/;
    $out->stall if $says =~ /stall/;
    if ($says =~ /huge/) {
        $out->head(200, 'Content-Type' => 'application/json');
        $out->chunk('{"id":"x","choices":[],"text":"');
        $out->chunk('x' x 1_000_000) for 1 .. 18;
        $out->chunk('"}');
        return $out->end;
    }
    if ($says =~ /inside (\w+)/) {
        my $what = $1;
        my $error = { message => 'x', $what =~ /^\d+$/ ? (code => $what + 0)
            : (type => $what) };
        return $out->answer(200, { error => $error })
            unless $req->{json}{stream};
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk('data: ' . encode_json({ error => $error }) . "\n\n");
        return $out->end;
    }
    $out->wait($1) if $says =~ /wait ([\d.]+)/;
    $out->wait(0.3) if $req->{json}{model} eq 'a-slow' && $says eq 'hello';
    $out->wait(0.5) if $req->{json}{model} eq 'a-quick' && $says eq 'wrong';
    return $out->answer(400, '{"error":{"message":"wrong"}}')
        if $says eq 'wrong';
    AiProvider::openai()->($req, $out);
});
my $c = $t->provider(name => 'c', script => AiProvider::anthropic());
my $good = $t->provider(name => 'good');

my %p = (api => 'openai', key => ['env:P_API_KEY'], url => [$p->url('/v1')],
    timeout => { connect => 20000, first => 60000, idle => 60000,
        total => 60000 });
sub to { my ($provider, $model, %more) = @_;
    return { routes => [{ provider => $provider, model => $model }], retry => 0,
        fallbacks => [{ provider => 'good', model => 'fine', weight => 1 }],
        %more } }
$w->catalog({
    models => {
        denied => to('p', 'denied'), late => to('hasty', 'late'),
        down => to('p', 'down'), large => to('crossing', 'large'),
        two => to('twokeys', 'two'), inside => to('p', 'inside'),
        map({ ("lone$_" => to('p', "lone$_", fallbacks => [], retry => 2)) }
            0 .. 17),
        latency => { strategy => 'latency', fallbacks => [], retry => 0,
            routes => [map { { provider => 'p', model => $_, weight => 1 } }
                'a-slow', 'a-quick'] },
    },
    providers => {
        p => \%p, hasty => { %p, timeout => { %{ $p{timeout} },
            first => 300 } },
        twokeys => { %p, key => ['env:P_API_KEY', 'env:Q_API_KEY'] },
        crossing => { %p, api => 'openai' },
        good => { %p, url => [$good->url('/v1')] },
    },
});
$w->start(n => 2, env => { P_API_KEY => 'key1', Q_API_KEY => 'key2' });
my $told = $w->r->subscribe('ai1:breakers');

sub job { my ($tenant, $model, $says, %o) = @_;
    my $stream = delete $o{stream};
    return $w->job(tenant => $tenant, body => { model => $model,
        $stream ? (stream => $yes) : (), %{ delete $o{with} || {} },
        messages => [{ role => 'user', content => $says }] }, %o) }
sub sum_up { my ($got) = @_;
    return join ' ', $got->{status} || $got->{error},
        @{ $got->{end} }{qw(state provider attempts)} }
sub ask { return sum_up($w->answer(job(@_))) }
sub asks { my ($n, @job) = @_;
    my @jobs = map { job(@job) } 1 .. $n;
    return map { sum_up($w->answer($_)) } @jobs }


# 403.

is(ask('mean', 'denied', 'flagged'), '200 done good 2', 'a 403');
is(ask('mean', 'denied', 'hello'), '200 done p 1', 'is of its request');
asks(12, 'mean', 'denied', 'flagged');
is(ask('kind', 'denied', 'hello'), '200 done p 1', 'many are of their tenant');
asks(6, 'mean', 'denied', 'flagged');
is(ask('mean', 'denied', 'hello'), '200 done good 1',
    'which is not asked for there for a while');
is(ask('kind', 'denied', 'hello'), '200 done p 1', 'alone');
my @msec = $t->worker_log =~ /d p\/denied#0@\d+ mean is benched for (\d+) ms/g;
ok(@msec, 'the log says so');
ok(!(grep { $_ > 8000 } @msec), 'for seconds');
my $n = $p->requests;
is(ask('mean', 'two', 'flagged'), '200 done good 3', 'each key is tried');
my @keys = map { $_->{headers}{authorization} =~ /(\S+)$/ }
    ($p->requests)[$n, $n + 1];
is("@keys", 'key1 key2', 'once');
is(ask('kind', 'two', 'hello'), '200 done twokeys 1', 'and is not benched');


# No token in time.

my @got = asks(24, 'mean', 'late', 'stall', stream => 1);
ok((grep { $_ eq '200 done good 1' } @got,
    asks(4, 'mean', 'late', 'hello', stream => 1)),
    'what is late for one tenant is not asked for it');
is(ask('kind', 'late', 'hello', stream => 1), '200 done hasty 1',
    'and for others') for 1 .. 3;
like($t->worker_log, qr/m hasty\/late@\d+ mean is open/, 'the log says so');
unlike($t->worker_log, qr/m hasty\/late@\d+ is open/, 'of nobody else');


# What fails for many.

my @many = map { [map { job("t$_", 'down', 'down') } 1 .. 6] } 1 .. 4;
$w->answer($_) for map { @$_ } @many;
wait_for(sub { $t->worker_log =~ m{m p/down@\d+ is open for} }, 10,
    'what fails for many tenants to be open for all');
is(ask('another', 'down', 'hello'), '200 done good 1',
    'what fails for many is not asked for any');


# Too large.

1 while $told->message(0.2);
is(ask('mean', 'large', 'huge', dialect => 'anthropic', with => {
    max_tokens => 5 }), 'provider_bad failed crossing 1',
    'an answer that is too large');
my @said;
while (my $m = $told->message(0.5)) { push @said, $m->[1] }
is(scalar(grep { m{/large@} } @said), 0, 'is held against nobody');


# Errors inside a 200.

my $lone = 0;
for my $stream (0, 1) {
    my $kind = $stream ? 'stream' : 'object';
    my %want = (404 => 1, 501 => 1, not_found_error => 1, 503 => 3,
        overloaded_error => 3, 408 => 3, 400 => 1, permission_error => 1, server_error => 3);
    for my $error (sort keys %want) {
        my $got = $w->answer(job('mean', 'lone' . $lone++, "inside $error",
            stream => $stream));
        is($got->{end}{attempts}, $want{$error},
            "$kind: $error inside a 200 is as one outside");
    }
    is(ask('mean', 'inside', 'inside 403', stream => $stream),
        '200 done good 2', "$kind: a 403 inside a 200 goes elsewhere");
}
asks(1, 'mean', 'two', 'inside 429');
like($t->worker_log, qr{l twokeys/two#0@\d+ is benched for 1000 ms},
    'a 429 inside a 200 benches the key');


# Fast refusals.

$w->answer(job('kind', 'latency', 'hello')) for 1 .. 3;
asks(1, 'mean', 'latency', 'wrong') for 1 .. 8;
$n = $p->requests;
$w->answer(job('kind', 'latency', 'hello')) for 1 .. 6;
my %asked;
$asked{ $_->{body} =~ m{"model":"(\S+?)"} && $1 }++ for ($p->requests)[$n .. $n + 5];
cmp_ok($asked{'a-quick'} || 0, '>=', 4,
    'how fast requests are refused says nothing of how fast they are answered')
    or diag(explain(\%asked));

wait_for(sub { !$w->leases }, 10, 'all slots to be free');
$w->close;
done_testing();
