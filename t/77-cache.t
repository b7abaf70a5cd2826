#!/usr/bin/perl
# The exact cache, with real workers: what is a hit and what is not, every
# shape from every other, and what the ledger says of it.
use AiTest;
use AiProvider;

my $t = AiTest->new;
my $openai = AiProvider::openai(words => ['Hel', 'lo', ' you']);
my $anthropic = AiProvider::anthropic(words => ['Hel', 'lo', ' you']);
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $model = $req->{json}{model} || '';

    if ($model eq 'bad') {
        $out->answer(500, { error => { message => 'no' } });
    } elsif ($model eq 'tools') {
        $out->answer(200, { id => "chatcmpl-$req->{n}", created => 1,
            object => 'chat.completion', model => 'tools', choices => [{
                index => 0, finish_reason => 'tool_calls', message => {
                    role => 'assistant', content => undef, tool_calls => [{
                        id => 'call_1', type => 'function', function => {
                            name => 'f', arguments => '{"a":1}' } }] } }],
            usage => { prompt_tokens => 1, completion_tokens => 2,
                total_tokens => 3 } });
    } elsif ($model eq 'odd') {
        $out->answer(200, { id => "chatcmpl-$req->{n}", created => 1,
            object => 'chat.completion', model => 'odd', choices => [{
                index => 0, finish_reason => 'stop', message => {
                    role => 'assistant', content => 'x',
                    audio => { id => 'a' } } }],
            usage => { prompt_tokens => 1, completion_tokens => 2,
                total_tokens => 3 } });
    } elsif ($model =~ /^large/) {
        my $text = 'y' x 100_000;
        $out->answer(200, { id => "chatcmpl-$req->{n}", created => 1,
            object => 'chat.completion', model => $model, choices => [{
                index => 0, finish_reason => 'stop', message => {
                    role => 'assistant', content => $text } }],
            usage => { prompt_tokens => 1, completion_tokens => 2,
                total_tokens => 3 } }, 'x-request-id' => "req$req->{n}",
            'x-ratelimit-remaining-requests' => 7);
    } else {
        ($req->{path} =~ /messages/ ? $anthropic : $openai)->($req, $out);
    }
});
my $ai = 'ai_provider up { api openai; url ' . $p->url('/v1') . '; }'
    . ' ai_provider an { api anthropic; url ' . $p->url . '; }';
my $location = 'ai_cache 1m; ai_cache_bypass $http_x_bypass;'
    . ' add_header X-Status $ai_cache_status always;'
    . ' add_header X-Tokens $ai_output_tokens always;';
$t->start(edge => { ai => $ai, location => $location });

my $chat = '/v1/chat/completions';
my $n = 0;

# What a request is, apart from its prompt: each test takes its own.
sub ask {
    my ($prompt, %o) = @_;

    return { model => 'up/m', temperature => 0, messages => [{ role => 'user',
        content => $prompt }], %o };
}

sub is_status {
    my ($res, $want, $what) = @_;

    is($res->status, 200, "$what: 200") or diag($res->body);
    is($res->header('x-ai-cache'), $want, "$what: $want");
}

sub calls { scalar $p->requests }

# The first answer that is kept since Redis knows `settle` and not `keep`: at
# first, and when it has forgotten all.
for my $when ('at first', 'after SCRIPT FLUSH') {
    my @ask = ($chat, ask("kept $when"));
    $t->redis->cmd('SCRIPT', 'FLUSH') if $when ne 'at first';
    $t->post($chat, ask("not kept $when", temperature => 1));
    is_status($t->post(@ask), 'MISS', "$when, the first to be kept");
    is_status($t->post(@ask), 'HIT', "$when, and it was");
}
my $before = calls();

# An object, twice.
my $one = $t->post($chat, ask('one'));
is_status($one, 'MISS', 'the first');
is($one->header('x-status'), 'MISS', 'the variable says so, too');
is($one->header('etag'), undef, 'no ETag yet');
my $two = $t->post($chat, ask('one'));
is_status($two, 'HIT', 'the second');
is($two->body, $one->body, 'the same bytes');
like($two->header('age'), qr/^\d+$/, 'Age');
like($two->header('etag'), qr/^"[0-9a-f]{32}"$/, 'a strong ETag');
is($two->header('content-type'), 'application/json', 'as JSON');
is($two->header('content-length'), length $one->body, 'with its length');
isnt($two->header('x-ai-job'), $one->header('x-ai-job'), 'a request of its own');
is(calls(), $before + 1, 'and one call');
my $etag = $two->header('etag');
my $three = $t->post($chat, ask('one'), headers => { 'If-None-Match' => $etag });
is($three->status, 304, 'If-None-Match: 304');
is($three->body, '', 'without a body');
is($three->header('etag'), $etag, 'with its ETag');
is($t->post($chat, ask('one'), headers => { 'If-None-Match' => '"x"' })
    ->status, 200, 'another one: 200');

# What does not change the answer, and what does.
is_status($t->post($chat, '{ "user" : "u", "model":"up/m","temperature":0,'
    . '"messages": [{"role":"user","content":"raw"}] }'), 'MISS', 'raw');
is_status($t->post($chat, '{"model" :"up/m","temperature":0,"metadata":{"a":'
    . '[1]},"messages":[{"role":"user","content" : "raw"}],"store":false}'),
    'HIT', 'white space and metadata');
is_status($t->post($chat, '{"model":"up/m","temperature":0,'
    . '"messages":[{"role":"user","content":"r aw"}]}'), 'MISS',
    'a blank in a string');
is_status($t->post($chat, ask('one', max_tokens => 5)), 'MISS', 'a parameter');
is_status($t->post($chat, ask('one'), headers => { 'OpenAI-Beta' => 'x' }),
    'MISS', 'a header that passes');
is_status($t->post($chat, ask('one'), headers => {
    'Idempotency-Key' => 'x', 'X-Client-Request-Id' => 'y' }), 'HIT',
    'headers that only name the call');

# Only what is deterministic by its parameters.
for my $hot ({ temperature => 0.7 }, { temperature => 1 }) {
    is_status($t->post($chat, ask('hot', %$hot)), 'BYPASS', 'random') for 1, 2;
}
my $plain = ask('plain');
delete $plain->{temperature};
is_status($t->post($chat, $plain), 'BYPASS', 'no temperature') for 1, 2;
is_status($t->post($chat, { %$plain, seed => 7 }), 'MISS', 'a seed');
is_status($t->post($chat, { %$plain, seed => 7 }), 'HIT', 'the same seed');
is_status($t->post($chat, { %$plain, seed => 8 }), 'MISS', 'another');
is_status($t->post($chat, '{"model":"up/m","temperature":0.0e5,"messages":[]}'),
    'MISS', 'a zero');
is_status($t->post($chat, '{"model":"up/m","temperature":0.0e5,"messages":[]}'),
    'HIT', 'however it is written');

# The client's wishes, and the administrator's.
$n = calls();
is_status($t->post($chat, ask('one'), headers => { 'Cache-Control' =>
    'no-cache' }), 'MISS', 'no-cache');
is(calls(), $n + 1, 'no-cache asks the provider');
my $fresh = $t->post($chat, ask('one'));
is_status($fresh, 'HIT', 'and is stored');
isnt($fresh->body, $one->body, 'in the place of the old one');
is_status($t->post($chat, ask('none'), headers => { 'Cache-Control' =>
    'foo, no-store' }), 'BYPASS', 'no-store') for 1, 2;
is_status($t->post($chat, ask('none')), 'MISS', 'and stores nothing');
is_status($t->post($chat, ask('one'), headers => { 'X-Bypass' => '1' }),
    'BYPASS', 'ai_cache_bypass');
is_status($t->post($chat, ask('one'), headers => { 'X-Bypass' => '0' }),
    'HIT', 'not with 0');
is_status($t->post($chat, ask('one'), headers => { 'X-AI-Resumable' => '1' }),
    'BYPASS', 'resumable');
is_status($t->post($chat, ask('one'), headers => { 'Cache-Control' =>
    'max-age=1000' }), 'HIT', 'young enough');
sleep 1.1;
is_status($t->post($chat, ask('one'), headers => { 'Cache-Control' =>
    'max-age=0' }), 'MISS', 'too old');

# Errors and other answers are not kept.
$n = calls();
is($t->post($chat, ask('x', model => 'up/bad'))->status, 500, 'an error')
    for 1, 2;
is(calls(), $n + 2, 'is asked for again');

# Every shape from every other.
sub told {
    my (@events) = @_;

    return join '', map { $_->{choices}[0]{delta}{content} // '' }
        map { decode_json($_->{data}) } grep { $_->{data} ne '[DONE]' } @events;
}

sub stream {
    my ($ask, $want, $what) = @_;
    my $s = $t->stream($chat, { %$ask, stream => \1 });
    my $head = $s->head;
    my @events = $s->events;

    is($head->header('x-ai-cache'), $want, "$what: $want");
    is($head->header('content-type'), 'text/event-stream', "$what: a stream");
    is($events[-1]{data}, '[DONE]', "$what: to its end");
    $s->close;
    return @events;
}

my %usage = (stream_options => { include_usage => \1 });
for my $first ('object', 'stream', 'usage') {
    my $ask = ask("first $first");
    my $before = calls();
    my ($object, @stream, @usage);
    my %get = (
        object => sub {
            my $res = $t->post($chat, $ask);
            is($res->header('x-ai-cache'), $_[0], "$first, object: $_[0]");
            is($res->json->{choices}[0]{message}{content}, 'Hello you',
                "$first, object: the text");
            is($res->json->{choices}[0]{finish_reason}, 'stop', 'the end');
            is($res->json->{usage}{completion_tokens}, 3, 'the usage');
            is($res->json->{object}, 'chat.completion', 'an object');
            $object = $res->json;
        },
        stream => sub {
            @stream = stream($ask, $_[0], "$first, stream");
            is(told(@stream), 'Hello you', "$first, stream: the text");
            is((grep { $_->{data} =~ /"usage"/ } @stream), 0, 'no usage');
        },
        usage => sub {
            @usage = stream({ %$ask, %usage }, $_[0], "$first, usage");
            is(told(@usage), 'Hello you', "$first, usage: the text");
            is((grep { $_->{data} =~ /"usage":\{/ } @usage), 1, 'its usage');
            is(decode_json($usage[-2]{data})->{usage}{completion_tokens}, 3,
                'at the end');
        },
    );
    (delete $get{$first})->('MISS');
    $_->('HIT') for values %get;
    is(calls(), $before + 1, "$first first: one call");
    is($object->{id}, decode_json($stream[0]{data})->{id}, 'one id');
}

# Tools, what nobody knows to tell otherwise, and what is large.
$one = $t->post($chat, ask('x', model => 'up/tools'));
is_status($one, 'MISS', 'a tool call');
my @events = stream(ask('x', model => 'up/tools'), 'HIT', 'a tool call');
my @calls = map { @{ $_->{choices}[0]{delta}{tool_calls} || [] } }
    map { decode_json($_->{data}) } grep { $_->{data} ne '[DONE]' } @events;
is_deeply(\@calls, [{ index => 0, id => 'call_1', type => 'function',
    function => { name => 'f', arguments => '{"a":1}' } }], 'as a stream');
is_status($t->post($chat, ask('x', model => 'up/odd')), 'MISS', 'unknown');
is_status($t->post($chat, ask('x', model => 'up/odd')), 'HIT',
    'unknown is kept in its own shape');
my $s = $t->stream($chat, { %{ ask('x', model => 'up/odd') }, stream => \1 });
is($s->response->header('x-ai-cache'), 'MISS', 'and in no other');
$s->close;
my $large = $t->post($chat, ask('x', model => 'up/large'));
is_status($large, 'MISS', 'large');
for (1, 2) {
    my $again = $t->post($chat, ask('x', model => 'up/large'));
    is_status($again, 'HIT', 'large');
    is($again->body, $large->body, 'from its log');
    like($again->header('etag'), qr/^"[0-9a-f]{32}"$/, 'with an ETag');
    like($again->header('age'), qr/^\d+$/, 'and Age');
    is($again->header('x-request-id'), $large->header('x-request-id'),
        'and headers');
    is($again->header('x-ratelimit-remaining-requests'), undef,
        'but those of the call');
    is($again->header('x-tokens'), '0', 'and no tokens');
}

# The other dialect.
my %message = (model => 'an/m', temperature => 0, max_tokens => 9, messages =>
    [{ role => 'user', content => 'hi' }]);
$one = $t->post('/v1/messages', \%message);
is_status($one, 'MISS', 'messages');
$s = $t->stream('/v1/messages', { %message, stream => \1 });
is($s->head->header('x-ai-cache'), 'HIT', 'messages as a stream');
my %by;
push @{ $by{ $_->{type} } }, $_ for map { decode_json($_->{data}) } $s->events;
is(join('', map { $_->{delta}{text} } @{ $by{content_block_delta} }),
    'Hello you', 'the text');
is($by{message_delta}[0]{delta}{stop_reason}, 'end_turn', 'its end');
is($by{message_start}[0]{message}{id}, $one->json->{id}, 'its id');
ok($by{message_stop}, 'message_stop');
$s->close;
$s = $t->stream('/v1/messages', { %message, stream => \1, max_tokens => 8 });
is($s->response->header('x-ai-cache'), 'MISS', 'a stream of messages');
$s->close;
$two = $t->post('/v1/messages', { %message, max_tokens => 8 });
is_status($two, 'HIT', 'as an object');
is_deeply($two->json->{content}, [{ type => 'text', text => 'Hello you' }],
    'its content');
is($two->json->{stop_reason}, 'end_turn', 'its end');
is($two->json->{usage}{output_tokens}, 3, 'its usage');
is($two->json->{usage}{input_tokens}, 5, 'all of it');

# Nobody is given another tenant's answer.
my $other = $t->key('other');
is_status($t->post($chat, ask('one'), key => $other), 'MISS',
    'another tenant');
is_status($t->post($chat, ask('one'), key => $other), 'HIT', 'its own');
my $mate = $t->key('demo');
is_status($t->post($chat, ask('one'), key => $mate), 'HIT', 'the same tenant');

# The ledger: a record a hit, of no tokens and no cost.
my $ledger = sub {
    return $t->pg->value('select coalesce(sum(requests), 0) from ngxai.ledger where '
        . "cause = 'cache' and state = 'done' and input = 0 and output = 0 and "
        . "cost = 0 and tenant = '$_[0]'");
};
wait_for(sub { $ledger->('other') == 1 }, 30, 'the other tenant\'s record');
my ($hits) = $t->get('/metrics')->body =~ /^ngx_ai_cache_hits_total (\d+)/m;
wait_for(sub { $ledger->('demo') + 1 == $hits }, 30, 'a record a hit');
is($ledger->('demo') + 1, $hits, "$hits hits in the ledger");
is($t->pg->value("select finish from ngxai.ledger where cause = 'cache' and "
    . "tenant = 'other'"), 'stop', 'with how the answer ended');

done_testing();
