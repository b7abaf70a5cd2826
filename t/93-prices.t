#!/usr/bin/perl
# What calls cost: each kind of token at its price, tiers, what is reserved and
# what is settled; in the ledger the tokens by kind beside the money, and a
# guess that says it is one.
use AiTest;

my $t = AiTest->new(allow_log => [qr/./]);

# What the model's name says is what the provider says it took.
my %openai = (
    text => { prompt_tokens => 1000, completion_tokens => 100 },
    parts => { prompt_tokens => 1000, completion_tokens => 300,
        prompt_tokens_details => { cached_tokens => 200, audio_tokens => 50,
            image_tokens => 30, cache_write_tokens => 100 },
        completion_tokens_details => { reasoning_tokens => 60,
            audio_tokens => 20, image_tokens => 10 } },
    zero => { prompt_tokens => 10, completion_tokens => 1,
        prompt_tokens_details => { cached_tokens => 0, audio_tokens => 0 },
        completion_tokens_details => { reasoning_tokens => 0,
            audio_tokens => 0 } },
    small => { prompt_tokens => 200, completion_tokens => 10 },
    large => { prompt_tokens => 201, completion_tokens => 10,
        prompt_tokens_details => { cached_tokens => 100 } },
    huge => { prompt_tokens => 200_001, completion_tokens => 1 },
);
my $openai = $t->provider(name => 'openai', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my ($kind) = $ask->{model} =~ /^(\w+)/;
    my %end = (usage => $openai{$kind}) x !!$openai{$kind};

    return $out->answer(500, { error => { message => 'no' } })
        if $kind eq 'failed';
    return $out->answer(200, { id => 'c', choices => [{ index => 0,
        finish_reason => 'stop', message => { role => 'assistant',
        content => 'x' x 40 } }], %end }) unless $ask->{stream};
    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $say = sub { $out->chunk('data: ' . encode_json({ id => 'c',
        object => 'chat.completion.chunk', @_ }) . "\n\n") };
    $say->(choices => [{ index => 0, delta => { role => 'assistant',
        content => 'x' x 40 } }]);
    return $out->cut if $kind eq 'cut';
    if ($kind eq 'stalled') {
        $out->wait(20);
        return $out->cut;
    }
    $say->(choices => [{ index => 0, delta => {}, finish_reason => 'stop' }]);
    $say->(choices => [], %end) if %end;
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});
my $anthropic = $t->provider(name => 'anthropic', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my %cache = (cache_read_input_tokens => 300,
        cache_creation_input_tokens => 250, cache_creation => {
            ephemeral_5m_input_tokens => 150, ephemeral_1h_input_tokens => 100 });
    my %m = (id => 'msg_1', type => 'message', role => 'assistant',
        model => $ask->{model});

    return $out->answer(200, { %m, stop_reason => 'end_turn',
        stop_sequence => undef, content => [{ type => 'text', text => 'yes' }],
        usage => { input_tokens => 450, %cache, output_tokens => 70,
            output_tokens_details => { thinking_tokens => 40 } } })
        unless $ask->{stream};
    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $say = sub { my ($type, @more) = @_; $out->chunk("event: $type\ndata: "
        . encode_json({ type => $type, @more }) . "\n\n") };
    $say->('message_start', message => { %m, content => [],
        stop_reason => undef, stop_sequence => undef, usage => {
            input_tokens => 450, %cache, output_tokens => 1 } });
    $say->('content_block_start', index => 0, content_block => {
        type => 'text', text => '' });
    $say->('content_block_delta', index => 0, delta => { type => 'text_delta',
        text => 'y' x 100 });
    return $out->cut if $ask->{model} eq 'cut';
    $say->('content_block_stop', index => 0);
    $say->('message_delta', delta => { stop_reason => 'end_turn',
        stop_sequence => undef }, usage => { output_tokens => 70,
        output_tokens_details => { thinking_tokens => 40 } });
    $say->('message_stop');
    $out->end;
});

my $kinds = 'input=1 output=10 cached=0.1 cached_write=1.25 cached_write_1h=2
    reasoning=12 audio=40 audio_output=80 image=3 image_output=30
    request=0.000777';
my $conf = '
    ai_provider o { api openai; url ' . $openai->url('/v1') . '; }
    ai_provider a { api anthropic; url ' . $anthropic->url('') . '; }
    ' . join("\n", map { "ai_price $_ $kinds;" } qw(o/text o/parts o/zero
        o/none o/cut o/stalled o/failed a/all a/cut)) . '
    ai_price o/parts input=99;
    ai_price o/parts ' . $kinds . ';
    ai_price o/small input=1 output=5 cached=0.1 above=200 input=2 above=200000
        input=3 output=7;
    ai_price o/large input=1 output=5 cached=0.1 above=200 input=2 above=200000
        input=3 output=7;
    ai_price o/huge input=1 output=5 cached=0.1 above=200 input=2 above=200000
        input=3 output=7;
    ai_plan default { budget 1000usd/month; }
';
$t->start(workers => { n => 1 }, edge => { ai => $conf });
my $redis = $t->redis;
my $pg = $t->pg;

sub ledger {
    my ($job, $columns) = @_;
    die "no job" unless $job;
    wait_for(sub { $pg->value("select count(*) from ledger where job = '$job'") },
        30, 'the ledger');
    return ($pg->query("select $columns from ledger where job = '$job'"))[0];
}

my @kinds = qw(input output cached_read cached_write cached_write_1h
    audio_input audio_output image_input image_output reasoning);
my $all = join ', ', map { "coalesce($_, -1)" } @kinds, 'cost';

sub ask {
    my ($model, %o) = @_;
    my $path = $o{path} || '/v1/chat/completions';
    my $body = { model => $model, max_tokens => 50, messages => [{
        role => 'user', content => 'hi' }], %{ $o{body} || {} } };

    return $t->post($path, { %$body, stream => $o{stream} ? \1 : \0 });
}

sub costs {
    my ($model, $want, $name, %o) = @_;
    for my $stream (0, 1) {
        my $res = ask($model, %o, stream => $stream);
        is($res->status, 200, "$name") or diag($res->body);
        my $row = ledger($res->header('x-ai-job'), "$all, estimated");
        is_deeply($row, [@$want, 'f'],
            "$name" . ($stream ? ', a stream' : '')) or diag("@$row");
    }
}

# Each kind, in nano-USD: tokens times thousandths of a USD a million.
costs('o/text', [1000, 100, (-1) x 8, 1_000_000 + 1_000_000 + 777_000],
    'input, output, and a price a request');
costs('o/parts', [1000, 300, 200, 100, -1, 50, 20, 30, 10, 60,
    620 * 1000 + 200 * 100 + 100 * 1250 + 50 * 40_000 + 30 * 3000
    + 210 * 10_000 + 60 * 12_000 + 20 * 80_000 + 10 * 30_000 + 777_000],
    'each kind once, and the last line wins');
costs('o/zero', [10, 1, 0, (-1) x 6, 0, 10_000 + 10_000 + 777_000],
    'what was none is nothing');
my $cached = 450 * 1000 + 300 * 100 + 150 * 1250 + 100 * 2000 + 30 * 10_000
    + 40 * 12_000 + 777_000;
costs('a/all', [1000, 70, 300, 250, 100, (-1) x 4, 40, $cached],
    'caches of five minutes and of an hour', path => '/v1/messages');
costs('a/all', [1000, 70, 300, 250, 100, (-1) x 4, 40, $cached],
    'and translated');

# Tiers.
costs('o/small', [200, 10, (-1) x 8, 200 * 1000 + 10 * 5000], 'the first tier');
costs('o/large', [201, 10, 100, (-1) x 7, 101 * 2000 + 100 * 100 + 10 * 5000],
    'the second has all of the call, and of the first what it does not say');
costs('o/huge', [200_001, 1, (-1) x 8, 200_001 * 3000 + 7000], 'the third');

# A guess says so, and is what was asked and said.
my $res = ask('o/none');
my ($in, $out, $est, $cost) = @{ ledger($res->header('x-ai-job'),
    'input, output, estimated, cost') };
is($est, 't', 'no usage: a guess');
is("$out", 10, 'of 40 bytes');
cmp_ok($in, '>', 10, 'and of the question');
is($cost, $in * 1000 + $out * 10_000 + 777_000, 'at the price');
$res = ask('o/none', stream => 1);
is_deeply(ledger($res->header('x-ai-job'), 'output, estimated'), [10, 't'],
    'also of a stream');

# Broken off: the provider will bill what it said.
$res = ask('o/cut', stream => 1);
is_deeply(ledger($res->header('x-ai-job'), 'output, estimated, state, cost > 0'),
    [10, 't', 'failed', 't'], 'a stream that broke off');
$res = ask('a/cut', stream => 1, path => '/v1/messages');
is_deeply(ledger($res->header('x-ai-job'),
    'input, cached_read, cached_write, cached_write_1h, output, estimated'),
    [1000, 300, 250, 100, 25, 't'], 'one that said its input first');
my $s = $t->stream('/v1/chat/completions', { model => 'o/stalled',
    stream => \1, messages => [{ role => 'user', content => 'hi' }] });
$s->head;
$s->event;
$s->close;
my $cancelled;
wait_for(sub { ($cancelled) = $pg->query("select output, estimated, cost > 0
    from ledger where state = 'cancelled'"); $cancelled }, 30, 'the end');
is_deeply($cancelled, [10, 't', 't'], 'a client that left');
$res = ask('o/failed');
is_deeply(ledger($res->header('x-ai-job'),
    'state, input, output, estimated, cost'), ['failed', 0, 0, 'f', 0],
    'an error is not billed');

# What is reserved: the highest of each, in the tier of the estimate.
sub reserved {
    my ($model, $bytes, $max) = @_;
    my $before = $pg->value('select coalesce(sum(cost), 0) from ledger');
    my $s = $t->stream('/v1/chat/completions', { model => $model,
        stream => \1, max_tokens => $max, messages => [{ role => 'user',
        content => 'y' x $bytes }] });
    $s->head;
    $s->event;
    my ($key) = keys %{ $redis->keys($t->prefix . 'lim:demo:bM:tenant') };
    my $got = (split ' ', $redis->cmd('GET', $key))[2];
    $s->close;
    wait_for(sub { (split ' ', $redis->cmd('GET', $key))[2] == 0 }, 30, 'end');
    return $got;
}
my $got = reserved('o/stalled', 4000, 1000);
my $tokens = int((length(encode_json({ model => 'o/stalled', stream => \1,
    max_tokens => 1000, messages => [{ role => 'user',
    content => 'y' x 4000 }] })) + 3) / 4);
is($got, $tokens * 2000 + 1000 * 80_000 + 777_000,
    'the dearest of what it may be');

# Columns that a worker of before did not write.
my $old = 'job_' . '0' x 31 . '7';
$redis->cmd('XADD', $t->prefix . 'outbox', '*', j => $old, a => 1, c => 0,
    t => int(time) . '000000', n => 'demo', b => "-\t-\t-\t-\t-", u => join("\t",
    'done', 200, 'o', 'text', '-', 'stop', 5, 6, ('-') x 3, 7, 0, ('-') x 5));
is_deeply(ledger($old, "$all, estimated"), [5, 6, (-1) x 8, 7, 'f'],
    'a record without the kinds is read');

# The shipped file: read, each line in a group with its source and the date.
my $shipped = slurp("@{[$t->root]}/conf/ai-prices.conf");
my ($code, $said) = $t->edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n"
    . "%%HTTP%%\nai_redis %%REDIS%%;\ninclude @{[$t->root]}/conf/ai-prices.conf;\n"
    . "server { listen 127.0.0.1:%%PORT%%; location /v1/ { ai_pass; } } }");
is($code, 0, 'the price file') or diag($said);
my ($n, %seen) = 0;
for my $group (split /\n\n/, $shipped) {
    my @models = $group =~ /^ai_price (\S+)/mg or next;
    like($group, qr/Source.*20\d\d/s, "$models[0] and its like have a source");
    ok(!$seen{$_}++, "$_ once") for @models;
    $n += @models;
}
cmp_ok($n, '>', 60, "$n models");
my %of;
$of{ (split '/')[0] }++ for keys %seen;
is_deeply([sort keys %of], [qw(anthropic bedrock cohere deepseek gemini groq
    mistral openai)], 'of all providers');

# Lines that are none.
for my $bad (['above=0', 'above=0 input=1'], ['above=x', 'input=1 above=x'],
    ['above=5', 'input=1 above=10 input=2 above=5'],
    ['above=1000000001', 'above=1000000001'], ['input=2', 'input=1 input=2'],
    ['words=1', 'words=1'], ['audio=-1', 'audio=-1'],
    ['above=4', 'above=1 above=2 above=3 above=4'])
{
    my ($code, $said) = $t->edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n"
        . "%%HTTP%%\nai_redis %%REDIS%%;\n$conf ai_price o/x $bad->[1];\n"
        . "server { listen 127.0.0.1:%%PORT%%; location /v1/ { ai_pass; } } }");
    isnt($code, 0, "$bad->[1] is refused");
    like($said, qr/parameter "\Q$bad->[0]\E"/, 'by name');
}

$t->baseline;
done_testing();
