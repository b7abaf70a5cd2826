#!/usr/bin/perl
# What a client keeps when something dies under it: a killed worker, a reload, a
# killed nginx worker, its own connection.  The whole way, nothing is played.
use AiTest;

my $t = AiTest->new;
my $go = "$t->{dir}/go";
my @words = map { "word$_ " } 1 .. 60;

# Says nothing before it may; then words, one a chunk.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $wait = $req->{json}{model} eq 'wait';

    while ($wait && !-e $go) {
        $out->wait(0.1);
    }
    if (!$req->{json}{stream}) {
        return $out->answer(200, { object => 'chat.completion',
            choices => [{ message => { content => join '', @words },
                finish_reason => 'stop' }],
            usage => { prompt_tokens => 3, completion_tokens => 60 } });
    }
    $out->head(200, 'Content-Type' => 'text/event-stream');
    for my $i (0 .. $#words) {
        $out->chunk('data: ' . encode_json({ choices => [{ index => 0,
            delta => { content => $words[$i] },
            finish_reason => $i == $#words ? 'stop' : undef }] }) . "\n\n");
        $out->wait(0.05);
    }
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});

$t->start(workers => { n => 2 }, edge => {
    ai => 'ai_provider p { api openai; url ' . $p->url('/v1') . '; }' });
my $edge = $t->edge;
my $chat = '/v1/chat/completions';

sub ask {
    my ($model, %more) = @_;
    return { model => "p/$model", messages => [], %more };
}

sub text {
    return join '', map {
        ($_->{data} // '') =~ /^\{/
            ? decode_json($_->{data})->{choices}[0]{delta}{content} // '' : ''
    } @_;
}

# Clients that wait for their first byte, when a worker dies and nginx reloads.
my (@plain, @streams);
for (1 .. 20) {
    my $http = AiHttp->new(port => $edge->port, timeout => 60);
    push @plain, $http->send_request(method => 'POST', path => $chat,
        key => $t->{key}, json => ask('wait'));
    push @streams, $t->stream($chat, ask('wait', stream => \1),
        timeout => 60);
}
$p->request(40);

my ($victim) = $t->worker_pids;
$t->allow_log(qr/on signal 9/);
kill 'KILL', $victim;
$edge->reload;
open my $fh, '>', $go or die;
close $fh;

my $want = join '', @words;
is((grep { $_->response->json->{choices}[0]{message}{content} eq $want }
    @plain), 20, 'every plain answer is whole');
is((grep { text($_->events) eq $want } @streams), 20,
    'every stream is whole');
$_->close for @plain, @streams;
wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger') >= 40 }, 30,
    'the ledger');
is($t->pg->value('select count(*) from ngxai.ledger'), 40, 'one row each');
my $calls = $p->requests;
cmp_ok($calls, '>', 40, 'some were asked again');
cmp_ok($calls, '<', 80, 'the others were not');

# A resumable stream whose nginx worker is killed: the rest, byte for byte.
$calls = $p->requests;
my $s = $t->stream($chat, ask('now', stream => \1),
    headers => ['X-AI-Resumable' => 1]);
my $job = $s->head->header('x-ai-job');
my @got = map { $s->event } 1 .. 10;
ok(!(grep { !$_->{id} } @got), 'events have ids');
my $last = $got[-1]{id};
$edge->kill_worker;
$t->allow_log(qr/exited on signal 9/);
eval { push @got, $s->events };
$s->close;
# What came behind the last whole event this client has acted on is forgotten.
@got = @got[0 .. 9];

wait_for(sub { eval { $t->get('/health/ready')->status == 200 } }, 30,
    'another nginx worker');
my $rest = AiHttp->new(port => $edge->port);
$rest->send_request(path => "/v1/jobs/$job/events", key => $t->{key},
    headers => ['Last-Event-ID' => $last]);
push @got, $rest->events;
$rest->close;
is(text(@got), $want, 'the whole text, nothing missing, nothing twice');
is($got[-1]{data}, '[DONE]', 'to its end');
is(scalar($p->requests), $calls + 1, 'one provider call');

# The same events again, from the start, after the end.
my $again = AiHttp->new(port => $edge->port);
$again->send_request(path => "/v1/jobs/$job/events", key => $t->{key});
is(text($again->events), $want, 'all of it again from the log');
$again->close;

# A client that hangs up ends its provider call.
my $aborts = $p->aborts;
$s = $t->stream($chat, ask('now', stream => \1));
$s->event for 1 .. 3;
$s->close;
wait_for(sub { $p->aborts > $aborts }, 10, 'the provider to be hung up on');
pass('a client that hangs up ends its provider call');
wait_for(sub { $t->pg->value("select count(*) from ngxai.ledger
    where state = 'cancelled' and output > 0 and estimated") == 1 }, 30,
    'its row');
pass('and pays for what it had');

$t->baseline;
done_testing();
