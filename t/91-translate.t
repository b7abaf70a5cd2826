#!/usr/bin/perl
# A client of one dialect on a provider of the other: what the provider is
# asked, what the client gets, object and stream, with a turn of tools; and
# what has no counterpart, strict and lenient.
use AiTest;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

# Providers that call a tool once, and answer when they hear of it.
my $openai = $t->provider(name => 'openai', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my %base = (id => "chatcmpl-$req->{n}", created => 1700000000,
        model => 'gpt-real');

    my $tool = $ask->{tools} && !grep { $_->{role} eq 'tool' }
        @{ $ask->{messages} };
    my @calls = map { { index => $_, id => "call_$_", type => 'function',
        function => { name => 'weather', arguments => '' } } } 0, 1;
    my @args = ('{"city": "Paris"}', '{"city": "Bern"}');
    my $usage = { prompt_tokens => 50, completion_tokens => 7,
        total_tokens => 57, prompt_tokens_details => { cached_tokens => 40 },
        completion_tokens_details => { reasoning_tokens => 3 } };

    if (!$ask->{stream}) {
        my $message = $tool ? { role => 'assistant', content => undef,
            tool_calls => [map { my %f = %{ $calls[$_] };
                $f{function} = { name => 'weather', arguments => $args[$_] };
                delete $f{index}; \%f } 0, 1] }
            : { role => 'assistant', content => "It rains.\n\"\x{2603}\"",
                reasoning_content => 'hm' };
        return $out->answer(200, { %base, object => 'chat.completion',
            choices => [{ index => 0, message => $message,
                finish_reason => $tool ? 'tool_calls' : 'stop' }],
            usage => $usage }, 'X-Request-Id' => 'req_up');
    }

    my $chunk = sub { $out->chunk('data: ' . encode_json({ %base,
        object => 'chat.completion.chunk', @_ }) . "\n\n") };
    my $delta = sub { $chunk->(choices => [{ index => 0, delta => $_[0],
        finish_reason => undef }]) };
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $delta->({ role => 'assistant', content => '' });
    if ($tool) {
        for my $i (0, 1) {
            $delta->({ tool_calls => [$calls[$i]] });
            $delta->({ tool_calls => [{ index => $i,
                function => { arguments => $_ } }] })
                for $args[$i] =~ /(.{1,5})/g;
        }
    } else {
        $delta->({ reasoning_content => 'hm' });
        $delta->({ content => $_ }) for 'It ', 'rains.', "\n\"\x{2603}\"";
    }
    $chunk->(choices => [{ index => 0, delta => {},
        finish_reason => $tool ? 'tool_calls' : 'stop' }]);
    $chunk->(choices => [], usage => $usage);
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});

my $anthropic = $t->provider(name => 'anthropic', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my %base = (id => "msg_$req->{n}", type => 'message',
        role => 'assistant', model => 'claude-real');

    my $tool = $ask->{tools} && !grep { ref $_->{content}
        && grep { $_->{type} eq 'tool_result' } @{ $_->{content} } }
        @{ $ask->{messages} };
    my @blocks = $tool ? ({ type => 'thinking', thinking => 'hm',
            signature => 'c2ln' }, { type => 'text', text => 'I look.' },
        { type => 'tool_use', id => 'toolu_1', name => 'weather',
            input => { city => 'Paris' } }) : ({ type => 'text',
            text => "It rains.\n\"\x{2603}\"" });
    my $end = { stop_reason => $tool ? 'tool_use' : 'end_turn',
        stop_sequence => undef };
    my %usage = (input_tokens => 10, cache_read_input_tokens => 40,
        cache_creation_input_tokens => 0);

    if (!$ask->{stream}) {
        return $out->answer(200, { %base, %$end, content => \@blocks,
            usage => { %usage, output_tokens => 7 } },
            'request-id' => 'req_up');
    }

    my $event = sub { my $type = shift; $out->chunk("event: $type\ndata: "
        . encode_json({ type => $type, @_ }) . "\n\n") };
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $event->('message_start', message => { %base, content => [],
        stop_reason => undef, stop_sequence => undef,
        usage => { %usage, output_tokens => 1 } });
    $event->('ping');
    for my $i (0 .. $#blocks) {
        my $b = $blocks[$i];
        my $say = sub { $event->('content_block_delta', index => $i,
            delta => { type => "$_[0]_delta", $_[1] => $_[2] }) };
        my %start = (type => $b->{type});
        $start{$_} = '' for grep { exists $b->{$_} } qw(text thinking
            signature);
        $start{$_} = $b->{$_} for grep { exists $b->{$_} } qw(id name);
        $start{input} = {} if $b->{input};
        $event->('content_block_start', index => $i,
            content_block => \%start);
        if ($b->{input}) {
            $say->('input_json', 'partial_json', $_)
                for '', '{"ci', 'ty":"Par', 'is"}';
        } elsif ($b->{thinking}) {
            $say->('thinking', 'thinking', 'h');
            $say->('thinking', 'thinking', 'm');
            $say->('signature', 'signature', 'c2ln');
        } else {
            $say->('text', 'text', $_) for $b->{text} =~ /(.{1,4})/gs;
        }
        $event->('content_block_stop', index => $i);
    }
    $event->('message_delta', delta => $end, usage => { output_tokens => 7 });
    $event->('message_stop');
    $out->end;
});

open my $fh, '>', $t->subdir('secrets') . '/key' or die $!;
print $fh "sk-up\n";
close $fh;

my $strict = free_port();
$t->start(edge => { ai => <<CONF });
ai_provider o { api openai; url ${\$openai->url('/v1')}; key file:key; }
ai_provider a { api anthropic; url ${\$anthropic->url}; key file:key; }
ai_provider late { api anthropic; url ${\$anthropic->url}; key file:key;
    header anthropic-version 2026-10-21; }
server {
    listen 127.0.0.1:$strict;
    location /v1/ { ai_translate strict; ai_pass; }
}
CONF

sub last_of { my ($p) = @_; my $r = ($p->requests)[-1];
    return { %$r, json => decode_json($r->{body}) } }
my $schema = { type => 'object', properties => { city => {
    type => 'string' } }, required => ['city'] };

# A client of OpenAI on Anthropic.
{
    my @tools = ({ type => 'function', function => { name => 'weather',
        description => 'of a city', parameters => $schema } });
    my %ask = (model => 'a/claude-x', messages => [
        { role => 'system', content => 'Be brief.' },
        { role => 'user', content => [{ type => 'text', text => 'Rain?' },
            { type => 'image_url', image_url => {
                url => 'data:image/png;base64,aGk=' } }] }],
        tools => \@tools, tool_choice => 'auto', stop => 'END',
        temperature => 0.5, max_completion_tokens => 300, user => 'u1',
        parallel_tool_calls => $no);
    my $res = $t->post('/v1/chat/completions', \%ask);
    is($res->status, 200, 'OpenAI on Anthropic: an answer');
    is($res->header('content-type'), 'application/json', 'as JSON');
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $req = last_of($anthropic);
    is($req->{path}, '/v1/messages', 'asked at its own path');
    is($req->{headers}{'x-api-key'}, 'sk-up', 'with its own key');
    is($req->{headers}{'anthropic-version'}, '2023-06-01', 'in a version');
    is_deeply($req->{json}, { model => 'claude-x', max_tokens => 300,
        system => [{ type => 'text', text => 'Be brief.' }],
        messages => [{ role => 'user', content => [
            { type => 'text', text => 'Rain?' }, { type => 'image',
                source => { type => 'base64', media_type => 'image/png',
                    data => 'aGk=' } }] }],
        tools => [{ name => 'weather', description => 'of a city',
            input_schema => $schema }],
        tool_choice => { type => 'auto', disable_parallel_tool_use => $yes },
        stop_sequences => ['END'], temperature => 0.5,
        metadata => { user_id => 'u1' } }, 'what it is asked');
    my $c = $res->json;
    like($c->{id}, qr/^chatcmpl-msg_\d+$/, 'an id');
    my $m = $c->{choices}[0]{message};
    is($m->{content}, 'I look.', 'its text');
    is($m->{reasoning_content}, 'hm', 'its reasoning');
    is($m->{reasoning_details}[0]{signature}, 'c2ln', 'and its signature');
    is($m->{tool_calls}[0]{function}{name}, 'weather', 'its call');
    is_deeply(decode_json($m->{tool_calls}[0]{function}{arguments}),
        { city => 'Paris' }, 'and arguments');
    is($c->{choices}[0]{finish_reason}, 'tool_calls', 'why it ended');
    is_deeply([@{ $c->{usage} }{qw(prompt_tokens completion_tokens
        total_tokens)}, $c->{usage}{prompt_tokens_details}{cached_tokens}],
        [50, 7, 57, 40], 'usage');

    $res = $t->post('/v1/chat/completions', { %ask, messages => [
        @{ $ask{messages} }, $m, { role => 'tool', tool_call_id => 'toolu_1',
            content => 'wet' }] });
    is($res->json->{choices}[0]{message}{content}, "It rains.\n\"\x{2603}\"",
        'the next turn');
    is_deeply(last_of($anthropic)->{json}{messages}[1], {
        role => 'assistant', content => [{ type => 'thinking',
            thinking => 'hm', signature => 'c2ln' }, { type => 'text',
            text => 'I look.' }, { type => 'tool_use', id => 'toolu_1',
            name => 'weather', input => { city => 'Paris' } }] },
        'its own turn comes back as it was, signature and all');
    is_deeply(last_of($anthropic)->{json}{messages}[2], { role => 'user',
        content => [{ type => 'tool_result', tool_use_id => 'toolu_1',
            content => [{ type => 'text', text => 'wet' }] }] },
        'with the result');

    my $s = $t->stream('/v1/chat/completions', { %ask, stream => $yes,
        stream_options => { include_usage => $yes } });
    like($s->head->header('content-type'), qr{^text/event-stream},
        'a stream');
    my @e = $s->events;
    is((pop @e)->{data}, '[DONE]', 'with its last word');
    my @c = map { decode_json($_->{data}) } @e;
    my @d = map { $_->{choices}[0]{delta} } @c;
    is(join('', map { $_->{content} // '' } @d), 'I look.', 'text');
    is(join('', map { $_->{reasoning_content} // '' } @d), 'hm',
        'reasoning');
    is(join('', map { $_->{tool_calls}
        ? $_->{tool_calls}[0]{function}{arguments} : '' } @d),
        '{"city":"Paris"}', 'arguments, as they come');
    cmp_ok((grep { $_->{tool_calls} } @d), '>=', 4, 'in pieces');
    is((grep { ($_->{choices}[0]{finish_reason} // '') eq 'tool_calls' } @c),
        1, 'one finish');
    is($c[-1]{usage}{prompt_tokens}, 50, 'and usage at the end');
    is((grep { ($_->{choices}[0]{delta}{role} // '') eq 'assistant' } @c), 1,
        'one role');
    $s->close;
}

# A client of Anthropic on OpenAI.
{
    my %ask = (model => 'o/gpt-x', max_tokens => 300, system => 'Be brief.',
        messages => [{ role => 'user', content => 'Rain?' }],
        tools => [{ name => 'weather', description => 'of a city',
            input_schema => $schema }], tool_choice => { type => 'any' },
        stop_sequences => ['END'], metadata => { user_id => 'u1' });
    my @head = (headers => ['anthropic-version' => '2023-06-01',
        'anthropic-beta' => 'x-1']);
    my $res = $t->post('/v1/messages', \%ask, @head);
    is($res->status, 200, 'Anthropic on OpenAI: an answer');
    my $req = last_of($openai);
    is($req->{path}, '/v1/chat/completions', 'asked at its own path');
    is($req->{headers}{authorization}, 'Bearer sk-up', 'with its own key');
    is($req->{headers}{$_}, undef, "no $_")
        for qw(anthropic-version anthropic-beta x-api-key);
    is_deeply($req->{json}, { model => 'gpt-x', max_tokens => 300,
        messages => [{ role => 'system', content => 'Be brief.' },
            { role => 'user', content => 'Rain?' }],
        tools => [{ type => 'function', function => { name => 'weather',
            description => 'of a city', parameters => $schema } }],
        tool_choice => 'required', stop => ['END'], user => 'u1' },
        'what it is asked');
    my $m = $res->json;
    is($m->{type}, 'message', 'a message');
    is($m->{stop_reason}, 'tool_use', 'why it ended');
    is_deeply($m->{content}, [map { { type => 'tool_use',
        id => "call_$_->[0]", name => 'weather', input => {
            city => $_->[1] } } } [0, 'Paris'], [1, 'Bern']],
        'two calls at once');
    is_deeply([@{ $m->{usage} }{qw(input_tokens cache_read_input_tokens
        output_tokens)}], [10, 40, 7], 'usage');

    $res = $t->post('/v1/messages', { %ask, messages => [
        @{ $ask{messages} }, { role => 'assistant',
            content => $m->{content} }, { role => 'user', content => [
            { type => 'tool_result', tool_use_id => 'call_0',
                content => 'wet' }, { type => 'tool_result',
                tool_use_id => 'call_1', is_error => $yes,
                content => [{ type => 'text', text => 'gone' }] },
            { type => 'text', text => 'So?' }] }] }, @head);
    is_deeply([map { $_->{type} } @{ $res->json->{content} }],
        ['thinking', 'text'], 'the next turn');
    is($res->header('x-ai-dropped'), 'messages[2].content[1].is_error',
        'what it cannot be told is named');
    is_deeply([map { "$_->{role}:" . ($_->{tool_call_id} // '') }
        @{ last_of($openai)->{json}{messages} }], ['system:', 'user:',
            'assistant:', 'tool:call_0', 'tool:call_1', 'user:'],
        'results stand behind their calls');

    my $s = $t->stream('/v1/messages', { %ask, stream => $yes }, @head);
    my @e = map { my $d = decode_json($_->{data});
        is($_->{event}, $d->{type}, "event $d->{type}"); $d } $s->events;
    is((grep { $_->{type} eq 'message_start' } @e), 1, 'one message_start');
    is($e[-1]{type}, 'message_stop', 'one end');
    is_deeply([map { $_->{index} } grep { $_->{type}
        eq 'content_block_start' } @e], [0, 1], 'indices without gaps');
    is_deeply([map { my $i = $_; decode_json(join '', map {
        $_->{delta}{partial_json} } grep { $_->{type}
        eq 'content_block_delta' && $_->{index} == $i } @e) } 0, 1],
        [{ city => 'Paris' }, { city => 'Bern' }], 'arguments of both');
    my ($end) = grep { $_->{type} eq 'message_delta' } @e;
    is($end->{delta}{stop_reason}, 'tool_use', 'why it ended');
    is($end->{usage}{cache_read_input_tokens}, 40, 'usage');
    $s->close;

    $s = $t->stream('/v1/messages', { %ask, tools => undef, stream => $yes,
        tool_choice => undef }, @head);
    @e = map { decode_json($_->{data}) } $s->events;
    is(join('', map { $_->{delta}{text} // '' } @e), "It rains.\n\"\x{2603}\"",
        'text of a stream');
    is(join('', map { $_->{delta}{thinking} // '' } @e), 'hm',
        'and reasoning');
    $s->close;
}

# What has no counterpart.
{
    my %ask = (model => 'a/claude-x', logit_bias => { 5 => 1 }, seed => 7,
        messages => [{ role => 'user', content => 'x' }], unheard_of => {
            a => 1 }, n => 1, logprobs => $no);
    my $res = $t->post('/v1/chat/completions', \%ask);
    is($res->status, 200, 'lenient: answered');
    is(join(' ', sort split /, /, $res->header('x-ai-dropped')),
        'logit_bias seed unheard_of', 'what was dropped is named');
    my $n = $anthropic->requests;
    $res = AiHttp->post($strict, '/v1/chat/completions', \%ask,
        key => $t->{key});
    is($res->status, 400, 'strict: refused');
    like($res->json->{error}{message}, qr/\Q$_\E/, "and $_ named")
        for qw(logit_bias seed unheard_of);
    is($anthropic->requests, $n, 'and nobody asked');
    delete @ask{qw(logit_bias seed unheard_of)};
    is(AiHttp->post($strict, '/v1/chat/completions', \%ask,
        key => $t->{key})->status, 200,
        'strict: what says nothing is no reason');
    my $bad = $t->post('/v1/chat/completions', { model => 'a/claude-x',
        messages => [{ role => 'user', content => 'x' }, {
            role => 'nobody', content => 'y' }] });
    is($bad->status, 400, 'a role that nobody has');
    like($bad->json->{error}{message}, qr/^messages\[1\]: /, 'is named');
}

# Versions of Anthropic's API: a client's, and what an operator sets.
{
    my %ask = (model => 'o/gpt-x', max_tokens => 5, messages => [
        { role => 'user', content => 'Rain?' }]);
    for my $version (qw(2023-06-01 2026-10-21)) {
        my @head = (headers => ['anthropic-version' => $version,
            'anthropic-beta' => 'x-1']);
        my $res = $t->post('/v1/messages', \%ask, @head);
        is($res->status, 200, "a client of version $version");
        is($res->json->{content}[1]{text}, "It rains.\n\"\x{2603}\"",
            'gets its answer');
        is($res->header('x-ai-dropped'), undef, 'and all of it');
        my $s = $t->stream('/v1/messages', { %ask, stream => $yes }, @head);
        is(($s->events)[-1]{event}, 'message_stop', 'and its stream');
        $s->close;
    }

    my %to = (messages => $ask{messages}, temperature => 0.5);
    my $res = $t->post('/v1/chat/completions', { %to, model => 'late/x' });
    is($res->status, 200, 'a provider of version 2026-10-21');
    my $req = last_of($anthropic);
    is($req->{headers}{'anthropic-version'}, '2026-10-21', 'is asked in it');
    is($req->{json}{temperature}, undef, 'without a temperature');
    is($res->header('x-ai-dropped'), 'temperature', 'which is said');
    $t->post('/v1/chat/completions', { %to, model => 'a/x' });
    is(last_of($anthropic)->{json}{temperature}, 0.5,
        'and an earlier one with it');
}

# The ledger has what the provider said.
my $row;
wait_for(sub { ($row) = $t->pg->query("select input, output, cached_read, "
    . "estimated from ngxai.ledger where model like '%gpt-x' limit 1") }, 30,
    'the ledger');
is(join(' ', @$row), '50 7 40 f', 'usage in the ledger');

done_testing();
