#!/usr/bin/perl
# A client hangs up: in a stream, before the first byte, in a call that does not
# stream.  The provider is left at once, and what it had begun is charged.
use AiTest;

my $tries = 7;
my $t = AiTest->new;
my $json = JSON::PP->new->utf8->canonical;

# Ten words where the model says so, then nothing until it is left.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my ($what) = $req->{json}{model} =~ /^(\w+)-/;

    $out->stall if $what eq 'silent' || !$req->{json}{stream};
    $out->head(200, 'Content-Type' => 'text/event-stream');
    if ($req->{path} =~ /messages$/) {
        $out->chunk("event: message_start\ndata: " . encode_json({
            type => 'message_start', message => { usage => {
                input_tokens => 7, output_tokens => 1 } } }) . "\n\n");
        $out->chunk("event: content_block_delta\ndata: " . encode_json({
            type => 'content_block_delta', index => 0, delta => {
                type => 'text_delta', text => "word$_ " } }) . "\n\n")
            for 0 .. 9;
    } else {
        $out->chunk('data: ' . encode_json({ choices => [{ index => 0,
            delta => { content => "word$_ " } }] }) . "\n\n") for 0 .. 9;
    }
    $out->stall;
});

$t->start(workers => { n => 1 }, edge => { ai => <<CONF });
ai_provider p { api openai; url @{[$p->url('/v1')]}; }
ai_provider a { api anthropic; url @{[$p->url]}; }
ai_price p/word-1 input=2 output=8;
ai_price p/silent-1 input=2 output=8;
ai_price p/call-1 input=2 output=8;
ai_price a/word-1 input=3 output=15;
ai_price a/silent-1 input=3 output=15;
ai_price a/call-1 input=3 output=15;
CONF

my $asked = 0;
my @all;

for my $case (
    # model, stream, events before it leaves, what is left with, tokens
    ['p/word-1', 1, 10, 'close', undef, 15],
    ['p/word-1', 1, 10, 'reset', undef, 15],
    ['a/word-1', 1, 11, 'close', 7, 15],
    ['p/silent-1', 1, 0, 'close', undef, 0],
    ['a/silent-1', 1, 0, 'close', undef, 0],
    ['p/call-1', 0, 0, 'close', undef, 0],
    ['p/call-1', 0, 0, 'reset', undef, 0],
    ['a/call-1', 0, 0, 'close', undef, 0])
{
    my ($model, $stream, $events, $way, $in, $out) = @$case;
    my $name = "$model $way";
    my $anthropic = $model =~ /^a/;
    my $text = $json->encode({ model => $model, max_tokens => 9,
        messages => [{ role => 'user', content => 'x' x 30 }],
        $stream ? (stream => \1) : () });
    my @took;
    $in //= int((length($text) + 3) / 4);

    for (1 .. $tries) {
        my $http = AiHttp->new(port => $t->edge->port);
        $http->send_request(method => 'POST', key => $t->{key},
            body => $text, path => $anthropic ? '/v1/messages'
                : '/v1/chat/completions',
            headers => ['Content-Type' => 'application/json']);
        $p->request(++$asked);
        $http->event for 1 .. $events;
        # The provider has it; the worker must know that, too.
        sleep 0.05 unless $events;
        my $left = time;
        $http->$way;
        wait_for(sub { $p->aborts == $asked }, 10, "$name: to be left");
        push @took, ($p->aborts)[-1]{at} - $left;
    }
    @took = sort { $a <=> $b } @took;
    push @all, @took;
    note(sprintf '%-18s %s ms', $name, join ' ',
        map { sprintf '%.1f', $_ * 1000 } @took);
    # A busy machine is late now and then; a timer would be late each time.
    cmp_ok($took[0], '<', 0.1, "$name: left within 100 ms");
    cmp_ok($took[$tries / 2], '<', 1, 'and never waits for long');

    my ($ip, $op) = $anthropic ? (3000, 15000) : (2000, 8000);
    wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger')
        >= $asked }, 30, 'the ledger');
    my %rows;
    $rows{"@$_"}++ for $t->pg->query("select state, status, cause, input,
        output, cost, estimated, attempts from ngxai.ledger
        order by at desc limit $tries");
    is(join(' ', %rows), "cancelled 499 cancelled $in $out "
        . ($in * $ip + $out * $op) . " t 1 $tries", 'charged for what it had');
}

is(scalar(my @calls = $p->requests), $asked, 'nothing was asked twice');
is($t->pg->value('select count(*) from ngxai.ledger'), $asked, 'one row a call');
@all = sort { $a <=> $b } @all;
diag(sprintf 'provider left after the client: p50 %.1f ms, p90 %.1f, max %.1f',
    map { $_ * 1000 } $all[@all / 2], $all[@all * 0.9], $all[-1]);

# One that waits for the rest may be left alone: no abort before the grace ends.
my $http = $t->stream('/v1/chat/completions', { model => 'p/word-1',
    stream => \1, messages => [] }, headers => ['X-AI-Resumable' => 1]);
$p->request(++$asked);
my $job = $http->head->header('x-ai-job');
$http->event for 1 .. 10;
$http->close;
sleep 1;
is($t->get("/v1/jobs/$job")->json->{state}, 'running',
    'a resumable one goes on');
$t->post("/v1/jobs/$job/cancel", '');
wait_for(sub { $p->aborts == $asked }, 10, 'its end');
pass('until it is cancelled');

$t->baseline;
done_testing();
