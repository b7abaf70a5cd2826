#!/usr/bin/perl
# Google's generateContent as a provider: how it is asked, a turn of tools, its
# streams with their CRLF, and what is said in its errors alone.
use AiTest;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

sub part { { candidates => [{ content => { role => 'model',
    parts => [@_] }, index => 0 }] } }

my $gemini = $t->provider(name => 'gemini', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my ($model, $stream) = $req->{path}
        =~ m{^/v1(?:beta)?/models/([^/:]+):(stream)?[gG]enerateContent$};
    return $out->answer(404, '<html>404</html>') unless defined $model;

    if ($model eq 'wait') {
        return $out->answer(429, { error => { code => 429, message => 'x',
            status => 'RESOURCE_EXHAUSTED', details => [{ '@type' =>
                'type.googleapis.com/google.rpc.RetryInfo',
                retryDelay => '34.07s' }] } });
    } elsif ($model eq 'badkey') {
        return $out->answer(400, { error => { code => 400,
            message => 'API key not valid.', status => 'INVALID_ARGUMENT',
            details => [{ reason => 'API_KEY_INVALID' }] } });
    } elsif ($model eq 'header') {
        return $out->answer(429, { error => { code => 429, message => 'x',
            status => 'RESOURCE_EXHAUSTED', details => [{
            retryDelay => '3s' }] } }, 'Retry-After' => 9);
    } elsif ($model eq 'plain') {
        return $out->answer(200, { %{ part({ text => 'as an object' }) },
            usageMetadata => { promptTokenCount => 3,
                candidatesTokenCount => 2 } });
    }

    my $tool = $ask->{tools} && !grep { grep { $_->{functionResponse} }
        @{ $_->{parts} } } @{ $ask->{contents} };
    my @parts = $tool ? ({ text => 'hm', thought => $yes },
        { text => 'I look.' },
        { functionCall => { name => 'weather', args => { city => 'Paris' } },
            thoughtSignature => 'c2ln' },
        { functionCall => { name => 'weather', args => { city => 'Bern' } } })
        : ({ text => 'It ' }, { text => "rains.\n\"\x{2603}\"" });
    my %base = (modelVersion => 'gemini-real', responseId => "r$req->{n}");
    my %usage = (usageMetadata => { promptTokenCount => 50,
        cachedContentTokenCount => 40, candidatesTokenCount => 7,
        thoughtsTokenCount => 3, totalTokenCount => 60 });

    if (!$stream) {
        my $all = part(@parts);
        $all->{candidates}[0]{finishReason} = 'STOP';
        return $out->answer(200, { %$all, %base, %usage });
    }

    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $say = sub { $out->chunk('data: ' . encode_json({ %{ $_[0] }, %base })
        . "\r\n\r\n") };

    for my $p (@parts) {
        $say->(part($p));
    }

    my $last = part();
    $last->{candidates}[0]{content}{parts} = [{ text => '' }];
    $last->{candidates}[0]{finishReason} = 'STOP';
    $say->({ %$last, %usage });
    return $out->cut if $model eq 'late';
    $out->end;
});

open my $fh, '>', $t->subdir('secrets') . '/key' or die $!;
print $fh "AIza-up\n";
close $fh;

$t->start(edge => { ai => <<CONF });
ai_provider g { api gemini; url ${\$gemini->url}; key file:key; }
ai_provider g1 { api gemini; url ${\$gemini->url('/v1?x=1')}; key file:key; }
CONF

sub last_of { my $r = ($gemini->requests)[-1];
    return { %$r, json => decode_json($r->{body}) } }
my $schema = { type => 'object', properties => { city => {
    type => 'string' } }, required => ['city'] };
my @head = (headers => ['anthropic-version' => '2023-06-01']);
my @user = (messages => [{ role => 'user', content => 'x' }]);

# A client of OpenAI.
{
    my %ask = (model => 'g/gemini-2.5-flash', messages => [
        { role => 'system', content => 'Be brief.' },
        { role => 'user', content => 'Rain?' }], temperature => 0.5,
        tools => [{ type => 'function', function => { name => 'weather',
            description => 'of a city', parameters => $schema } }]);
    my $res = $t->post('/v1/chat/completions', \%ask);
    is($res->status, 200, 'OpenAI on Gemini: an answer');
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $req = last_of();
    is($req->{path}, '/v1beta/models/gemini-2.5-flash:generateContent',
        'the model is in the path');
    is($req->{headers}{'x-goog-api-key'}, 'AIza-up', 'with its own key');
    is($req->{headers}{authorization}, undef, 'and no other');
    is_deeply($req->{json}, { systemInstruction => { parts => [{
            text => 'Be brief.' }] },
        contents => [{ role => 'user', parts => [{ text => 'Rain?' }] }],
        tools => [{ functionDeclarations => [{ name => 'weather',
            description => 'of a city', parametersJsonSchema => $schema }] }],
        generationConfig => { temperature => 0.5 } }, 'what it is asked');
    my $m = $res->json->{choices}[0]{message};
    is($m->{content}, 'I look.', 'its text');
    is($m->{reasoning_content}, 'hm', 'its reasoning');
    my @calls = @{ $m->{tool_calls} };
    is(scalar @calls, 2, 'two calls');
    isnt($calls[0]{id}, $calls[1]{id}, 'with ids of their own');
    is($calls[0]{extra_content}{google}{thought_signature}, 'c2ln',
        'signed');
    is($res->json->{choices}[0]{finish_reason}, 'tool_calls',
        'why it ended');
    is_deeply([@{ $res->json->{usage} }{qw(prompt_tokens completion_tokens)}],
        [50, 10], 'usage');

    $res = $t->post('/v1/chat/completions', { %ask, messages => [
        @{ $ask{messages} }, $m, map { { role => 'tool',
            tool_call_id => $_->{id}, content => 'wet' } } @calls] });
    is($res->json->{choices}[0]{message}{content},
        "It rains.\n\"\x{2603}\"", 'the next turn');
    $req = last_of();
    is_deeply([map { $_->{thoughtSignature} } @{ $req->{json}{contents}[1]
        {parts} }], [undef, undef, 'c2ln', undef], 'signed as it was');
    is_deeply([map { $_->{functionResponse}{name} }
        @{ $req->{json}{contents}[2]{parts} }], ['weather', 'weather'],
        'results by name');

    my $s = $t->stream('/v1/chat/completions', { %ask, stream => $yes,
        model => 'g1/gemini-2.5-flash',
        stream_options => { include_usage => $yes } });
    my @e = $s->events;
    is((pop @e)->{data}, '[DONE]', 'a stream with its last word');
    $req = last_of();
    is("$req->{path}?$req->{query}", '/v1/models/gemini-2.5-flash:stream'
        . 'GenerateContent?alt=sse&x=1', 'asked as one, where the URL says');
    my @c = map { decode_json($_->{data}) } @e;
    my @d = map { $_->{choices}[0]{delta} } @c;
    is(join('', map { $_->{content} // '' } @d), 'I look.', 'text');
    is(join('', map { $_->{reasoning_content} // '' } @d), 'hm',
        'reasoning');
    is(join('', map { $_->{tool_calls}
        ? $_->{tool_calls}[0]{function}{arguments} : '' } @d),
        '{"city":"Paris"}{"city":"Bern"}', 'arguments');
    is((grep { ($_->{choices}[0]{finish_reason} // '') eq 'tool_calls' } @c),
        1, 'one finish');
    is($c[-1]{usage}{prompt_tokens_details}{cached_tokens}, 40, 'usage');
    $s->close;
}

# A client of Anthropic.
{
    my %ask = (model => 'g/gemini-3-flash', max_tokens => 300, @user,
        tools => [{ name => 'weather', input_schema => $schema }]);
    my $res = $t->post('/v1/messages', \%ask, @head);
    is($res->status, 200, 'Anthropic on Gemini: an answer');
    my @content = @{ $res->json->{content} };
    is_deeply([map { $_->{type} } @content], [qw(thinking text
        redacted_thinking tool_use tool_use)],
        'the signature stands before its call');
    is($res->json->{stop_reason}, 'tool_use', 'why it ended');
    $res = $t->post('/v1/messages', { %ask, messages => [@{ $ask{messages} },
        { role => 'assistant', content => \@content }, { role => 'user',
        content => [map { { type => 'tool_result', tool_use_id => $_->{id},
            content => 'wet' } } grep { $_->{id} } @content] }] }, @head);
    is($res->json->{content}[0]{text}, "It rains.\n\"\x{2603}\"",
        'the next turn');
    is_deeply(last_of()->{json}{contents}[1]{parts}[2]{thoughtSignature},
        'c2ln', 'signed as it was');

    my $s = $t->stream('/v1/messages', { %ask, stream => $yes }, @head);
    my @e = map { decode_json($_->{data}) } $s->events;
    is($e[-1]{type}, 'message_stop', 'a stream with its end');
    is_deeply([map { $_->{index} } grep { $_->{type}
        eq 'content_block_start' } @e], [0 .. 4], 'indices without gaps');
    is((grep { $_->{type} eq 'message_delta' } @e), 1, 'one message_delta');
    $s->close;

    $s = $t->stream('/v1/messages', { model => 'g/late', @user,
        max_tokens => 5, stream => $yes }, @head);
    @e = map { decode_json($_->{data}) } $s->events;
    is($e[-1]{type}, 'message_stop',
        'a connection that breaks behind the finish has said all');
    $s->close;
}

# Models that are none are asked of nobody.
{
    my $n = $gemini->requests;
    for my $model ('g/..', 'g/a/../b') {
        my $res = $t->post('/v1/chat/completions', { model => $model,
            @user });
        is($res->status, 404, "$model is no model");
    }
    is($gemini->requests, $n, 'nobody is asked');
    $t->post('/v1/chat/completions', { model => 'g/a?b#c/d', @user });
    like((($gemini->requests)[-1])->{path},
        qr{^/v1beta/models/a%3Fb%23c%2Fd:generateContent$},
        'a name stays in its place');
}

# Errors.
{
    my $res = $t->post('/v1/chat/completions', { model => 'g/wait', @user });
    is($res->header('retry-after'), 35, 'when to come again is a header');
    $res = $t->post('/v1/chat/completions', { model => 'g/header', @user });
    is($res->header('retry-after'), 9, 'but for one that was there');
    $res = $t->post('/v1/chat/completions', { model => 'g/badkey', @user });
    is($res->json->{error}{code}, 'API_KEY_INVALID', 'a bad key has its word');

    # One that answers a stream with an object.
    my $s = $t->stream('/v1/chat/completions', { model => 'g/plain', @user,
        stream => $yes });
    is($s->head->header('content-type'), 'application/json',
        'a wrong content type is what it says it is');
    $s->close;
}

# The ledger has what the provider said.
my $row;
wait_for(sub { ($row) = $t->pg->query("select input, output, cached_read, "
    . "estimated from ngxai.ledger where model like '%gemini-2.5-flash' "
    . "limit 1") }, 30, 'the ledger');
is(join(' ', @$row), '50 10 40 f', 'usage in the ledger');

done_testing();
