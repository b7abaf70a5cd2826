#!/usr/bin/perl
# State of Responses through the stock client, whose streams are cut; and
# streams whose edge, or worker, dies: one transcript of one provider call.
use AiTest;

my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
my $yes = JSON::PP::true;
my $t = AiTest->new;

my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $slow = $ask->{model} eq 'slow';
    my $text = join '|', map { ref $_->{content}
        ? join('', map { $_->{text} } @{ $_->{content} })
        : $_->{content} } @{ $ask->{messages} };
    my @blocks = ([thinking => 'hm, hm'], [text => $slow
        ? join '', map { "w$_ " } 1 .. 30 : $text]);
    my %base = (id => "msg_$req->{n}", type => 'message',
        role => 'assistant', model => 'claude-real');
    my %end = (stop_reason => 'end_turn', stop_sequence => undef);

    if (!$ask->{stream}) {
        $out->wait(2) if $slow;
        return $out->answer(200, { %base, %end, content => [{
            type => 'text', text => $blocks[1][1] }],
            usage => { input_tokens => 3, output_tokens => 4 } });
    }

    my $event = sub { my $type = shift; $out->chunk("event: $type\ndata: "
        . encode_json({ type => $type, @_ }) . "\n\n") };
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $event->('message_start', message => { %base, content => [],
        usage => { input_tokens => 3, output_tokens => 1 } });
    for my $i (0, 1) {
        my ($kind, $said) = @{ $blocks[$i] };
        $event->('content_block_start', index => $i, content_block => {
            type => $kind, $kind => '' });
        for ($said =~ /(\S+\s*)/g) {
            $event->('content_block_delta', index => $i, delta => {
                type => "${kind}_delta", $kind => $_ });
            $out->wait(0.05) if $slow;
        }
        $event->('content_block_stop', index => $i);
    }
    $event->('message_delta', delta => \%end, usage => { output_tokens => 4 });
    $event->('message_stop');
    $out->end;
});

# Of Responses itself: its bytes pass, and its ids.
my $own = $t->provider(name => 'own', script => sub {
    my ($req, $out) = @_;
    my $n = 0;
    my %base = (id => "resp_up$req->{n}", object => 'response',
        created_at => 1700000000, model => 'gpt-real', error => undef,
        incomplete_details => undef);
    my %at = (item_id => 'msg_1', output_index => 0, content_index => 0);
    my $event = sub { my $type = shift; $out->chunk("event: $type\ndata: "
        . encode_json({ type => $type, sequence_number => $n++, @_ })
        . "\n\n") };

    $out->head(200, 'Content-Type' => 'text/event-stream');
    $event->('response.created', response => { %base, output => [],
        status => 'in_progress' });
    $event->('response.output_item.added', output_index => 0, item => {
        id => 'msg_1', type => 'message', role => 'assistant',
        status => 'in_progress', content => [] });
    for (1 .. 20) {
        $event->('response.output_text.delta', %at, delta => "w$_ ",
            logprobs => []);
        $out->wait(0.05);
    }
    $event->('response.completed', response => { %base, status => 'completed',
        output => [{ id => 'msg_1', type => 'message', role => 'assistant',
            status => 'completed', content => [{ type => 'output_text',
            text => 'w', annotations => [] }] }] });
    $out->end;
});

my $conf = { ai => <<CONF };
ai_provider a { api anthropic; url ${\$provider->url}; }
ai_provider r { api responses; url ${\$own->url('/v1')}; }
CONF
$t->start(edge => $conf);

if ($node) {
    open my $out, '-|', $node, "$AiTest::root/t/node/responses.mjs",
        'http://127.0.0.1:' . $t->edge->port, $t->{key}, 'a/x', 'a/slow', 'r/slow'
        or die;
    my $said = 0;
    while (<$out>) {
        if (/^(not )?ok \d+ - (.*)/) {
            ok(!$1, $2);
            $said++;
        } elsif (/^# (.*)/) {
            diag($1);
        }
    }
    close $out;
    is($?, 0, 'the client ended well');
    is(scalar(() = $own->requests), 2, 'one call each');
    cmp_ok($said, '>=', 26, 'and checked what it should');
} else {
    diag('SKIPPED: no SDKs: run npm ci in t/node');
}

# Until it has said some words.
sub begin {
    my $s = $t->stream('/v1/responses', { model => 'a/slow', input => 'x',
        stream => $yes });
    my @e;
    while (@e < 12) {
        my $e = $s->event or last;
        push @e, decode_json($e->{data});
    }
    return ($s, @e);
}

sub go_on {
    my ($after, @e) = @_;
    my $res = $t->get("/v1/responses/$e[0]{response}{id}?stream=true"
        . "&starting_after=$after", timeout => 60);
    is($res->status, 200, 'it goes on');
    return map { decode_json($_) } $res->body =~ /^data: (.*)$/mg;
}

# Its edge dies.
my $n = () = $provider->requests;
$t->allow_log(qr/exited on signal 9/);
my ($s, @e) = begin();
$t->edge->kill_worker;
eval { $s->close };
$t->ready;
push @e, go_on($e[-1]{sequence_number}, @e);
is_deeply([map { $_->{sequence_number} } @e], [0 .. $#e],
    'an edge that dies: no gap, no twin');
is(join('', map { $_->{type} eq 'response.output_text.delta' ? $_->{delta}
    : '' } @e), join('', map { "w$_ " } 1 .. 30), 'all of it');
is(scalar(() = $provider->requests), $n + 1, 'of one call');

# Its worker dies: what it said is said again, and nothing is made anew.
($s, @e) = begin();
kill KILL => ($t->worker_pids)[0];
my @rest = map { decode_json($_->{data}) } $s->events;
is($rest[-1]{type}, 'error', 'a worker that dies: an error ends it');
is($rest[-1]{error}{code}, 'stream_lost', 'it is lost');
my @again = go_on(3, @e);
is_deeply(\@again, [@e[4 .. $#e], @rest], 'read again, it is the same');
is($t->get("/v1/responses/$e[0]{response}{id}")->json->{status}, 'failed',
    'it has failed');
is(scalar(() = $provider->requests), $n + 2, 'of one call');

# Both die: what was said is read again, and has an end.
$t->ready;
($s, @e) = begin();
kill KILL => $t->worker_pids;
$t->edge->kill_worker;
eval { $s->close };
$t->ready;
@again = go_on(3, @e);
is_deeply([@again[0 .. $#e - 4]], [@e[4 .. $#e]], 'both die: it is the same');
is_deeply([map { $_->{sequence_number} } @again], [4 .. 3 + @again],
    'no gap, no twin');
is($again[-1]{type}, 'error', 'and it has an end');
is($again[-1]{error}{code}, 'stream_lost', 'that says so');
is(scalar(() = $provider->requests), $n + 3, 'of one call');
is($t->get("/v1/responses/$e[0]{response}{id}")->json->{status}, 'failed',
    'it has failed');
$t->ready;

done_testing();
