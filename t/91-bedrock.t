#!/usr/bin/perl
# AWS Bedrock's Converse as a provider: how it is asked and who signs for it, a
# turn of tools, its streams of frames, and errors that it has alone.
use AiTest;
use AiAws qw(unsigned frame event);

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

my $bedrock = $t->provider(name => 'bedrock', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my ($model, $stream) = $req->{path}
        =~ m{^/model/([^/]+)/converse(-stream)?$};
    return $out->answer(404, '<html>404</html>') unless defined $model;

    if ($model eq 'badkey') {
        return $out->answer(403, { Message => 'The token is invalid.',
            __type => 'com.amazon#UnrecognizedClientException' });
    } elsif ($model eq 'plain') {
        return $out->answer(200, { output => { message => { role =>
            'assistant', content => [{ text => 'as an object' }] } },
            stopReason => 'end_turn', usage => { inputTokens => 3,
            outputTokens => 2, totalTokens => 5 } });
    }

    my $tool = $ask->{toolConfig} && !grep { grep { $_->{toolResult} }
        @{ $_->{content} } } @{ $ask->{messages} };
    my @blocks = $tool ? ({ reasoningContent => { reasoningText => {
            text => 'hm', signature => 'c2ln' } } },
        { text => 'I look.' },
        map { { toolUse => { toolUseId => "tooluse_$_", name => 'weather',
            input => { city => $_ } } } } qw(Paris Bern))
        : ({ text => "It rains.\n\"\x{2603}\"" });
    my %end = (stopReason => $tool ? 'tool_use' : 'end_turn');
    my %usage = (usage => { inputTokens => 8, outputTokens => 10,
        totalTokens => 60, cacheReadInputTokens => 40,
        cacheWriteInputTokens => 2 }, metrics => { latencyMs => 3 });

    if (!$stream) {
        return $out->answer(200, encode_json({ output => { message => {
            role => 'assistant', content => \@blocks } }, %end, %usage }));
    }

    $out->head(200, 'Content-Type' => 'application/vnd.amazon.eventstream');
    my $say = sub { $out->chunk(event(@_)) };
    $say->(messageStart => { role => 'assistant', p => 'abc' });

    for my $i (0 .. $#blocks) {
        my ($b, @deltas) = $blocks[$i];
        if (my $u = $b->{toolUse}) {
            $say->(contentBlockStart => { contentBlockIndex => $i,
                start => { toolUse => { toolUseId => $u->{toolUseId},
                    name => $u->{name} } } });
            @deltas = map { { toolUse => { input => $_ } } }
                '{"city":', "\"$u->{input}{city}\"}";
        } elsif (my $r = $b->{reasoningContent}) {
            @deltas = map { { reasoningContent => $_ } } { text => 'hm' },
                { signature => 'c2ln' };
        } else {
            @deltas = ($b);
        }
        $say->(contentBlockDelta => { contentBlockIndex => $i, delta => $_,
            p => 'abcdef' }) for @deltas;

        if ($model eq 'unexpected') {
            $out->chunk(frame('', ':message-type' => 'error',
                ':error-code' => 'InternalError',
                ':error-message' => 'lost "it"'));
            return $out->end;
        } elsif ($model eq 'half') {
            $out->chunk(substr event(messageStop => {
                stopReason => 'end_turn' }), 0, 30);
            return $out->end;
        }
        $say->(contentBlockStop => { contentBlockIndex => $i });
    }

    my $last = event(messageStop => \%end) . event(metadata => \%usage);
    if ($model eq 'bytes') {
        $out->chunk($_) for split //, $last;
    } else {
        $out->chunk($last);
    }
    return $out->cut if $model eq 'late';
    $out->end;
});

my %keys = (AKIAKEY => 'se/cret+Key', ASIATEMP => 'other/Secret');
my $dir = $t->subdir('secrets');
my %files = (pair => "AKIAKEY:$keys{AKIAKEY}\n",
    session => "ASIATEMP:$keys{ASIATEMP}:to/ken+with==\n",
    bearer => "ABSKQmVkcm9jaw==\n", half => "AKIAKEY:\n");
for (keys %files) {
    open my $fh, '>', "$dir/$_" or die $!;
    print $fh $files{$_};
    close $fh;
}

my $url = $bedrock->url;
$t->start(edge => { ai => <<CONF });
client_max_body_size 8m;
ai_provider b { api bedrock; url $url; key file:pair;
    option region=eu-west-1; }
ai_provider s { api bedrock; url $url; key file:session;
    option region=us-east-1; }
ai_provider t { api bedrock; url $url; key file:bearer; }
ai_provider none { api bedrock; url $url; key file:pair; }
ai_provider half { api bedrock; url $url; key file:half;
    option region=us-east-1; }
CONF
$t->allow_log(qr/its key cannot sign/);

sub last_of { my $r = ($bedrock->requests)[-1];
    return { %$r, json => decode_json($r->{body}) } }
my $schema = { type => 'object', properties => { city => {
    type => 'string' } }, required => ['city'] };
my @head = (headers => ['anthropic-version' => '2023-06-01']);
my @user = (messages => [{ role => 'user', content => 'x' }]);
my $claude = 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0';
my $path = '/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse';

# A client of OpenAI.
{
    my %ask = (model => "b/$claude", messages => [
        { role => 'system', content => 'Be brief.' },
        { role => 'user', content => 'Rain?' }], temperature => 0.5,
        tools => [{ type => 'function', function => { name => 'weather',
            description => 'of a city', parameters => $schema } }]);
    my $res = $t->post('/v1/chat/completions', \%ask);
    is($res->status, 200, 'OpenAI on Bedrock: an answer') or diag $res->body;
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $req = last_of();
    is($req->{path}, $path, 'the model is in the path, encoded');
    is(unsigned($req, 'eu-west-1', 'bedrock', %keys), '', 'it is signed');
    is_deeply($req->{json}, { system => [{ text => 'Be brief.' }],
        messages => [{ role => 'user', content => [{ text => 'Rain?' }] }],
        toolConfig => { tools => [{ toolSpec => { name => 'weather',
            description => 'of a city', inputSchema => { json => $schema }
            } }] },
        inferenceConfig => { temperature => 0.5 } }, 'what it is asked');
    my $m = $res->json->{choices}[0]{message};
    is($m->{content}, 'I look.', 'its text');
    is($m->{reasoning_content}, 'hm', 'its reasoning');
    my @calls = @{ $m->{tool_calls} };
    is_deeply([map { $_->{id} } @calls], [qw(tooluse_Paris tooluse_Bern)],
        'two calls');
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
    is(unsigned($req, 'eu-west-1', 'bedrock', %keys), '', 'signed as well');
    is_deeply($req->{json}{messages}[1]{content}[0], { reasoningContent => {
        reasoningText => { text => 'hm', signature => 'c2ln' } } },
        'what it thought, signed as it was');
    is_deeply([map { $_->{toolResult}{toolUseId} }
        @{ $req->{json}{messages}[2]{content} }],
        [qw(tooluse_Paris tooluse_Bern)], 'results in one turn');

    my $s = $t->stream('/v1/chat/completions', { %ask, stream => $yes,
        stream_options => { include_usage => $yes } });
    my @e = $s->events;
    is((pop @e)->{data}, '[DONE]', 'a stream with its last word');
    $req = last_of();
    is($req->{path}, "$path-stream", 'asked as one');
    is(unsigned($req, 'eu-west-1', 'bedrock', %keys), '', 'and signed');
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
    my %ask = (model => "s/$claude", max_tokens => 300, @user,
        tools => [{ name => 'weather', input_schema => $schema }]);
    my $res = $t->post('/v1/messages', \%ask, @head);
    is($res->status, 200, 'Anthropic on Bedrock: an answer');
    my $req = last_of();
    is(unsigned($req, 'us-east-1', 'bedrock', %keys), '',
        'signed by a temporary key');
    is($req->{headers}{'x-amz-security-token'}, 'to/ken+with==',
        'with its token');
    my @content = @{ $res->json->{content} };
    is_deeply([map { $_->{type} } @content], [qw(thinking text tool_use
        tool_use)], 'its blocks');
    is($content[0]{signature}, 'c2ln', 'signed by Claude, as anywhere');
    is($res->json->{stop_reason}, 'tool_use', 'why it ended');
    $res = $t->post('/v1/messages', { %ask, messages => [@{ $ask{messages} },
        { role => 'assistant', content => \@content }, { role => 'user',
        content => [map { { type => 'tool_result', tool_use_id => $_->{id},
            content => 'wet', is_error => $yes } } grep { $_->{id} }
            @content] }] }, @head);
    is($res->json->{content}[0]{text}, "It rains.\n\"\x{2603}\"",
        'the next turn');
    $req = last_of();
    is($req->{json}{messages}[1]{content}[0]{reasoningContent}{reasoningText}
        {signature}, 'c2ln', 'signed as it was');
    is($req->{json}{messages}[2]{content}[0]{toolResult}{status}, 'error',
        'a result that is an error');

    for my $model ($claude, 'bytes') {
        my $s = $t->stream('/v1/messages', { %ask, model => "s/$model",
            stream => $yes }, @head);
        my @e = map { decode_json($_->{data}) } $s->events;
        is($e[-1]{type}, 'message_stop', "$model: a stream with its end");
        is_deeply([map { $_->{index} } grep { $_->{type}
            eq 'content_block_start' } @e], [0 .. 3],
            'indices without gaps');
        is((grep { $_->{type} eq 'message_delta' } @e), 1,
            'one message_delta');
        $s->close;
    }

    my $s = $t->stream('/v1/messages', { model => 'b/late', @user,
        max_tokens => 5, stream => $yes }, @head);
    my @e = map { decode_json($_->{data}) } $s->events;
    is($e[-1]{type}, 'message_stop',
        'a connection that breaks behind the end has said all');
    $s->close;
}

# Keys.
{
    my $res = $t->post('/v1/chat/completions', { model => 't/plain', @user });
    is($res->status, 200, 'a key for a bearer');
    my $req = last_of();
    is($req->{headers}{authorization}, 'Bearer ABSKQmVkcm9jaw==',
        'is sent as it is');
    is($req->{headers}{'x-amz-date'}, undef, 'nobody signs');
    my $n = $bedrock->requests;
    for my $p (qw(none half)) {
        $res = $t->post('/v1/chat/completions', { model => "$p/plain",
            @user });
        cmp_ok($res->status, '>=', 500, "$p: cannot sign");
        unlike($res->body, qr/AKIAKEY|se.cret/, 'and says no secret');
    }
    is($bedrock->requests, $n, 'nobody is asked');

    # After a signed call its connection serves others, unsigned.
    $t->post('/v1/chat/completions', { model => 'b/plain', @user });
    $t->post('/v1/chat/completions', { model => 't/plain', @user });
    is(last_of()->{headers}{'x-amz-date'}, undef, 'a key stays with its call');
}

# Models.
{
    my $n = $bedrock->requests;
    for my $model ('b/..', 'b/a/../b') {
        my $res = $t->post('/v1/chat/completions', { model => $model,
            @user });
        is($res->status, 404, "$model is no model");
    }
    is($bedrock->requests, $n, 'nobody is asked');
    my $arn = 'arn:aws:bedrock:us-east-1:012345678901:inference-profile/'
        . 'us.anthropic.claude-3-7-sonnet-20250219-v1:0';
    my $res = $t->post('/v1/chat/completions', { model => "b/$arn", @user });
    is($res->status, 200, 'an ARN');
    my $req = last_of();
    is($req->{path}, '/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A012345678901'
        . '%3Ainference-profile%2Fus.anthropic.claude-3-7-sonnet-20250219-v1'
        . '%3A0/converse', 'is one segment of the path');
    is(unsigned($req, 'eu-west-1', 'bedrock', %keys), '', 'and signed');
    $t->post('/v1/chat/completions', { model => "b/a b?c=d#e*%41\x{e9}",
        @user });
    is(unsigned(last_of(), 'eu-west-1', 'bedrock', %keys), '',
        'whatever it is called');
}

# Errors.
{
    my $res = $t->post('/v1/messages', { model => 'b/badkey', @user,
        max_tokens => 5 }, @head);
    is($res->json->{error}{type}, 'authentication_error',
        'a bad key is one, whatever its status');
    is($res->json->{error}{message}, 'The token is invalid.', 'in its words');

    # One that answers a stream with an object.
    my $s = $t->stream('/v1/chat/completions', { model => 'b/plain', @user,
        stream => $yes });
    is($s->head->header('content-type'), 'application/json',
        'a wrong content type is what it says it is');
    $s->close;

    for my $how (qw(unexpected half)) {
        my $s = $t->stream('/v1/messages', { model => "b/$how", @user,
            max_tokens => 5, stream => $yes }, @head);
        my $status = $s->head->status;
        if ($status != 200) {               # it was too fast for a stream
            cmp_ok($status, '>=', 500, "$how: is an error");
            $s->close;
            next;
        }
        my @e = map { decode_json($_->{data}) } $s->events;
        is($e[0]{type}, 'message_start', "$how: begins");
        is($e[-1]{type}, 'error', 'and ends as an error');
        is($e[-1]{error}{message}, 'lost "it"', 'with its words')
            if $how eq 'unexpected';
        $s->close;
    }
}

# Large bodies.
{
    my $res = $t->post('/v1/chat/completions', { model => 'b/plain',
        messages => [{ role => 'user', content => 'y' x 3_000_000 }] });
    is($res->status, 200, 'a large request');
    is(unsigned(last_of(), 'eu-west-1', 'bedrock', %keys), '', 'is signed');
}

# The ledger has what the provider said.
my $row;
wait_for(sub { ($row) = $t->pg->query("select input, output, cached_read, "
    . "estimated from ngxai.ledger where model like '%claude-sonnet-4-5%' "
    . "limit 1") }, 30, 'the ledger');
is(join(' ', @$row), '50 10 40 f', 'usage in the ledger');

done_testing();
