#!/usr/bin/perl
# What failed calls cost is billed whoever ends their job: it is with the job in
# Redis before the next call goes out.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;
my $dir = $t->dir;

# Counts 40 tokens and breaks off; holds; says 503 with a wish.
my $p = $t->provider(name => 'p', script => sub {
    my ($req, $out) = @_;
    my $model = $req->{json}{model};

    if ($model =~ /^half/) {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk("event: message_start\ndata: " . encode_json({
            type => 'message_start', message => { id => 'm', type => 'message',
            role => 'assistant', model => 'x', content => [], usage => {
            input_tokens => 40, output_tokens => 1 } } }) . "\n\n");
        $out->chunk("event: error\ndata: {\"type\":\"error\",\"error\":{"
            . '"type":"overloaded_error","message":"x"}}' . "\n\n");
        return $out->end;
    }
    if ($model =~ /^hold/) {
        $out->wait(0.05) until -e "$dir/go";
    }
    return $out->answer(503, { type => 'error', error => {
        type => 'overloaded_error', message => 'x' } }, 'Retry-After' => 9)
        if $model =~ /^wish/;
    AiProvider::anthropic()->($req, $out);
});
my %p = (api => 'anthropic', key => [], url => [$p->url], timeout => {
    connect => 20000, first => 60000, idle => 60000, total => 60000 });
sub to { my ($retry, $first, @others) = @_;
    return { routes => [{ provider => 'p', model => $first }], retry => $retry,
        fallbacks => [map { { provider => 'p', model => $_, weight => 1 } }
            @others] } }
$w->catalog({
    models => { killed => to(0, 'half', 'hold'), wait => to(1, 'half', 'wish') },
    prices => { map { ("p/$_" => { input => 1_000_000_000,
        output => 2_000_000_000 }) } qw(half hold wish) },
    providers => { p => \%p },
});
$w->start;

sub job { my ($model) = @_;
    return $w->job(dialect => 'anthropic', body => { model => $model,
        stream => $yes, max_tokens => 5, messages => [{ role => 'user',
        content => 'hello' }] }) }
sub rows { my ($job) = @_;
    return map { my $u = AiWork::usage($_->{u}); join ' ', @$_{qw(a c)},
        @$u{qw(state model input cost)} } $w->outbox($job) }
sub asked { my ($model) = @_;
    return scalar grep { $_->{body} =~ /"model":"$model"/ } $p->requests }
sub owner { my ($job) = @_;
    return $w->r->cmd('HGET', "$w->{p}job:$job", 'owner') =~ /^\S+-(\d+)-\d+$/
        && $1 }
sub go { my ($on) = @_;
    if ($on) { open my $fh, '>', "$dir/go" or die $! }
    else { unlink "$dir/go" } }


# A worker is killed in the second call: the first was billed all the same.

my $job = job('killed');
wait_for(sub { asked('hold') == 1 }, 10, 'the second call');
like($w->r->cmd('HGET', "$w->{p}job:$job", 'paid'),
    qr/^\n1 0 failed\t\d+\tp\thalf\t\S*\t\S*\t40\t1\t/,
    'the first is with the job before the second goes out');
kill 'KILL', owner($job);
go(1);
my $got = $w->answer($job);
is("$got->{status} $got->{end}{state}", '200 done', 'another worker ends it');
is_deeply([rows($job)], ['1 0 failed half 40 42000', '2 0 failed half 40 42000',
    "2 1 done hold $got->{end}{input} " . ($got->{end}{cost} - 84000)],
    'the call of the one that was killed is billed');
is($got->{end}{cost}, 84000 + 1000 * $got->{end}{input}
    + 2000 * $got->{end}{output}, 'by the job, too');
go(0);


# Redis loses it while its next call is due.

$job = job('wait');
wait_for(sub { asked('wish') == 1 }, 20, 'the second call');
wait_for(sub { $w->r->cmd('HEXISTS', "$w->{p}job:$job", 'paid') }, 10,
    'the first to be paid');
my $pid = owner($job);
kill 'STOP', $pid;
sleep 4;
$w->r->cmd('DEL', "$w->{p}job:$job");
$w->r->cmd('SREM', $_, "$job t") for keys %{ $w->r->keys("$w->{p}held:*") };
kill 'CONT', $pid;
wait_for(sub { rows($job) }, 40, 'its ledger record');
my @rows = rows($job);
is($rows[0], '1 0 failed half 40 42000',
    'what it took is billed where Redis has lost it');
is(asked('wish'), 1, 'and it is not called again');

go(1);
$w->close;
done_testing();
