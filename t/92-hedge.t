#!/usr/bin/perl
# A second call beside one whose first token is late: who speaks first answers,
# the other is cancelled and paid for.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;
my $dir = $t->dir;

sub script {
    my ($name) = @_;
    my $speak = AiProvider::openai(words => [$name, ' says']);
    return sub {
        my ($req, $out) = @_;
        my $model = $req->{json}{model};
        my $stream = $req->{json}{stream};
        $out->stall if $model =~ /^stall/ || ($model eq 'once'
            && -e "$dir/late");
        $out->wait($1) if $model =~ /^wait-([\d.]+)/;
        return $out->answer(503, '{"error":{"message":"down"}}')
            if $model =~ /fail$/;
        return $out->answer(400, '{"error":{"message":"wrong"}}')
            if $model =~ /wrong$/;
        if ($stream && $model eq 'hello') {
            $out->head(200, 'Content-Type' => 'text/event-stream');
            $out->chunk('data: {"choices":[{"index":0,"delta":{"role":'
                . "\"assistant\"}}]}\n\n");
            $out->stall;
        }
        $speak->($req, $out);
    };
}
my $a = $t->provider(name => 'a', script => script('a'));
my $b = $t->provider(name => 'b', script => script('b'));
my $c = $t->provider(name => 'c', script => AiProvider::anthropic());

my %p = (api => 'openai', key => [], timeout => { connect => 20000,
    first => 3000, idle => 60000, total => 60000 });
sub hedged { my ($first, $other, %more) = @_;
    my ($provider, $model) = $other =~ m{(.*?)/(.*)};
    return { routes => [{ provider => 'a', model => $first }], retry => 0,
        hedge => 200, fallbacks => $other ? [{ provider => $provider,
            model => $model }] : [], %more } }
$w->catalog({
    models => {
        late => hedged('stall', 'b/quick'),
        hello => hedged('hello', 'b/quick'),
        soon => hedged('wait-0.6', 'b/wait-5'),
        both => hedged('stall', 'b/stall'),
        secondfails => hedged('wait-0.8', 'b/fail'),
        firstfails => hedged('wait-0.5-fail', 'b/wait-0.6'),
        firstwrong => hedged('wait-0.5-wrong', 'b/wait-5'),
        crossing => hedged('stall', 'c/claude'),
        never => hedged('wait-0.6', 'b/quick', hedge => -1),
        lone => hedged('wait-0.5', ''),
        p95 => hedged('once', 'b/quick', hedge => 0),
        quick => hedged('quick', 'b/quick'),
    },
    prices => { map { $_ => { input => 1_000_000_000,
        output => 2_000_000_000 } } qw(a/stall b/quick a/wait-0.6 b/wait-5) },
    providers => {
        a => { %p, url => [$a->url('/v1')] },
        b => { %p, url => [$b->url('/v1')] },
        c => { %p, api => 'anthropic', url => [$c->url] },
    },
});
$w->start;

sub job { my ($model, $stream, %o) = @_;
    return $w->job(body => { model => $model, $stream ? (stream => $yes) : (),
        messages => [{ role => 'user', content => 'hello' }] }, %o) }
sub sum_up { my ($got) = @_;
    return join ' ', $got->{status} || $got->{error},
        @{ $got->{end} }{qw(state provider attempts)} }
sub rows { my ($job) = @_;
    return join ', ', map { my $u = AiWork::usage($_->{u}); join ' ', @$u{qw(
        state provider input output cost estimated)} } $w->outbox($job) }
sub text { my ($got) = @_;
    return join '', map { my $d = eval { decode_json($_) } || {};
        $d->{choices}[0]{delta}{content} // '' } $got->{body} =~ /^data: (.*)/mg
        if $got->{stream};
    return $got->{json}{choices}[0]{message}{content} }

for my $stream (0, 1) {
    my $kind = $stream ? 'stream' : 'object';
    my $len = length JSON::PP->new->canonical->encode({ model => 'late',
        $stream ? (stream => $yes) : (), messages => [{ role => 'user',
        content => 'hello' }] });
    my $in = int(($len + 3) / 4);

    my $aborts = $a->aborts;
    my $job = job('late', $stream);
    my $got = $w->answer($job);
    is(sum_up($got), '200 done b 2', "$kind: the second is sooner");
    is(text($got), 'b says', 'and whole');
    wait_for(sub { $a->aborts > $aborts }, 10, 'the first to be cancelled');
    is(rows($job), "cancelled a $in 0 @{[1000 * $in]} 1, done b 5 2 9000 0",
        'both are paid');
    is($got->{end}{cost}, 1000 * $in + 9000, 'by the job');

    $aborts = $b->aborts;
    $job = job('soon', $stream);
    $got = $w->answer($job);
    is(sum_up($got), '200 done a 2', "$kind: the first is sooner");
    is(text($got), 'a says', 'and whole');
    wait_for(sub { $b->aborts > $aborts }, 10, 'the second to be cancelled');
    $in = int(($len + 3) / 4);
    is(rows($job), "cancelled b $in 0 @{[1000 * $in]} 1, done a 5 2 9000 0",
        'both are paid');

    is(sum_up($w->answer(job('quick', $stream))), '200 done a 1',
        "$kind: nothing is late");
    is(sum_up($w->answer(job('never', $stream))), '200 done a 1',
        "$kind: off");
    is(sum_up($w->answer(job('lone', $stream))), '200 done a 2',
        "$kind: nobody else: the same");
    is(sum_up($w->answer(job('secondfails', $stream))), '200 done a 2',
        "$kind: the second fails");
    is(sum_up($w->answer(job('firstfails', $stream))), '200 done b 2',
        "$kind: the first fails, later");
    is(sum_up($w->answer(job('firstwrong', $stream))), '400 failed a 2',
        "$kind: the first says that the request is wrong");
    $got = $w->answer(job('crossing', $stream));
    is(sum_up($got), '200 done c 2', "$kind: of another dialect");
    is(text($got), 'Hello world', 'in that of the client');
    $got = $w->answer(job('both', $stream));
    is(sum_up($got), 'provider_timeout failed b 2', "$kind: both are silent");

    my ($x, $y) = (scalar $a->aborts, scalar $b->aborts);
    $job = job('both', $stream);
    wait_for(sub { grep({ /stall/ } map { $_->{body} } $b->requests)
        >= 2 + 2 * $stream }, 10, 'the second call');
    $w->script('cancel', $job, 't', 'client', 'now', 'cancelled', '');
    is($w->answer($job)->{error}, 'cancelled', "$kind: cancelled");
    wait_for(sub { $a->aborts > $x && $b->aborts > $y }, 10,
        'both calls to end');
}

my $got = $w->answer(job('hello', 1));
is(sum_up($got), '200 done b 2', 'a greeting is no word');
is(text($got), 'b says', 'and is not told');
unlike($got->{body}, qr/"role":"assistant"/, 'at all');

# After the 95th percentile, once that is known.
is(sum_up($w->answer(job('p95', 1))), '200 done a 1', 'it is soon')
    for 1 .. 25;
open my $fh, '>', "$dir/late" or die $!;
close $fh;
$got = $w->answer(job('p95', 1));
is(sum_up($got), '200 done b 2', 'then it is late');

like($t->worker_log, qr/a is late: b is asked, too/, 'the log says so');
wait_for(sub { !$w->leases }, 10, 'all slots to be free');

$w->close;
done_testing();
