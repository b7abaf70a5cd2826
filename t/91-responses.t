#!/usr/bin/perl
# OpenAI's Responses as a client's dialect on each provider, and as a provider's
# for each client: requests, answers, streams, a turn of tools, errors.
use AiTest;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

# Speaks chat completions, messages and Responses, each with a call first.
my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $path = $req->{path};
    my $text = encode_json($ask);
    my $tool = $ask->{tools} && $text !~ /wet/;

    return $out->answer(200, '{"object": "response", "output": 3}')
        if $ask->{model} eq 'garbage';

    my $sse = sub { my ($type, $data) = @_;
        $out->chunk(($type ? "event: $type\n" : '') . 'data: '
            . encode_json($data) . "\n\n") };

    if ($path eq '/v1/responses') {
        my $n = 0;
        my $event = sub { my $type = shift;
            $sse->($type, { type => $type, sequence_number => $n++, @_ }) };
        my %base = (id => 'resp_up', object => 'response', model => 'gpt-real',
            created_at => 1700000000, error => undef,
            incomplete_details => undef, instructions => undef,
            tools => [], tool_choice => 'auto', metadata => {});
        my %usage = (usage => { input_tokens => 50, output_tokens => 7,
            total_tokens => 57, input_tokens_details => {
                cached_tokens => 40 }, output_tokens_details => {
                reasoning_tokens => 3 } });
        my $rs = { id => 'rs_1', type => 'reasoning', summary => [
            { type => 'summary_text', text => 'hm' }],
            encrypted_content => 'enc' };
        my $call = { id => 'fc_1', type => 'function_call', status =>
            'completed', call_id => 'call_1', name => 'weather',
            arguments => '{"city":"Paris"}' };
        my $said = { id => 'msg_1', type => 'message', status => 'completed',
            role => 'assistant', content => [{ type => 'output_text',
            text => 'It rains.', logprobs => [], annotations => [{
            type => 'url_citation', url => 'http://w/', title => 'W',
            start_index => 3, end_index => 8 }] }] };
        my @items = $tool ? ($rs, $call) : ($rs, $said);
        my $done = { %base, %usage, status => 'completed',
            output => \@items };

        return $out->answer(200, $done, 'X-Request-Id' => 'req_up')
            unless $ask->{stream};

        $out->head(200, 'Content-Type' => 'text/event-stream');
        $event->('response.created', response => { %base, output => [],
            status => 'in_progress' });
        if ($ask->{model} eq 'inside') {
            $event->('response.failed', response => { %base,
                status => 'failed', output => [], error => {
                code => 'rate_limit_exceeded', message => 'slow down' } });
            return $out->end;
        }
        my %at = (output_index => 0, item_id => 'rs_1');
        $event->('response.output_item.added', output_index => 0,
            item => { %$rs, summary => [] });
        $event->('response.reasoning_summary_part.added', %at,
            summary_index => 0, part => { type => 'summary_text',
            text => '' });
        $event->('response.reasoning_summary_text.delta', %at,
            summary_index => 0, delta => $_) for qw(h m);
        $event->('response.output_item.done', output_index => 0,
            item => $rs);
        return $out->end if $ask->{model} eq 'cut';
        if ($tool) {
            %at = (output_index => 1, item_id => 'fc_1');
            $event->('response.output_item.added', output_index => 1,
                item => { %$call, arguments => '', status => 'in_progress' });
            $event->('response.function_call_arguments.delta', %at,
                delta => $_) for '{"city":', '"Paris"}';
            $event->('response.function_call_arguments.done', %at,
                arguments => '{"city":"Paris"}');
            $event->('response.output_item.done', output_index => 1,
                item => $call);
        } else {
            %at = (output_index => 1, item_id => 'msg_1', content_index => 0);
            $event->('response.output_item.added', output_index => 1,
                item => { %$said, content => [] });
            $event->('response.content_part.added', %at, part => {
                type => 'output_text', text => '', annotations => [] });
            $event->('response.output_text.delta', %at, delta => $_,
                logprobs => []) for 'It ', 'rains.';
            $event->('response.output_text.annotation.added', %at,
                annotation_index => 0,
                annotation => $said->{content}[0]{annotations}[0]);
            $event->('response.output_text.done', %at, text => 'It rains.');
            $event->('response.output_item.done', output_index => 1,
                item => $said);
        }
        $event->('response.completed', response => $done);
        return $out->end;
    }

    if ($path eq '/v1/messages') {
        my %base = (id => 'msg_1', type => 'message', role => 'assistant',
            model => 'claude-real');
        my @blocks = $tool ? ({ type => 'thinking', thinking => 'hm',
                signature => 'c2ln' }, { type => 'tool_use',
                id => 'toolu_1', name => 'weather', input => {
                city => 'Paris' } })
            : ({ type => 'text', text => 'It rains.' });
        my $end = { stop_reason => $ask->{model} eq 'long' ? 'max_tokens'
            : $tool ? 'tool_use' : 'end_turn', stop_sequence => undef };
        my %usage = (input_tokens => 10, cache_read_input_tokens => 40);

        return $out->answer(200, { %base, %$end, content => \@blocks,
            usage => { %usage, output_tokens => 7 } }) unless $ask->{stream};

        my $event = sub { my $type = shift;
            $sse->($type, { type => $type, @_ }) };
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $event->('message_start', message => { %base, content => [],
            usage => { %usage, output_tokens => 1 } });
        for my $i (0 .. $#blocks) {
            my %b = %{ $blocks[$i] };
            my $say = sub { $event->('content_block_delta', index => $i,
                delta => { type => "$_[0]_delta", $_[1] => $_[2] }) };
            my %start = map { $_ => $_ eq 'input' ? {} : /^(type|id|name)$/
                ? $b{$_} : '' } keys %b;
            $event->('content_block_start', index => $i,
                content_block => \%start);
            $say->('input_json', 'partial_json', $_)
                for $b{input} ? ('{"ci', 'ty":"Paris"}') : ();
            $say->('thinking', 'thinking', 'hm') if $b{thinking};
            $say->('signature', 'signature', 'c2ln') if $b{thinking};
            $say->('text', 'text', $_) for $b{text} ? ('It ', 'rains.') : ();
            $event->('content_block_stop', index => $i);
        }
        if ($ask->{model} eq 'inside') {
            $event->('error', error => { type => 'overloaded_error',
                message => 'too much' });
            return $out->end;
        }
        $event->('message_delta', delta => $end, usage => {
            output_tokens => 7 });
        $event->('message_stop');
        return $out->end;
    }

    my $message = $tool ? { role => 'assistant', content => undef,
        tool_calls => [{ id => 'call_1', type => 'function', function => {
        name => 'weather', arguments => '{"city":"Paris"}' } }] }
        : { role => 'assistant', content => 'It rains.' };
    $out->answer(200, { id => 'chatcmpl-1', object => 'chat.completion',
        created => 1700000000, model => 'gpt-real', choices => [{
        index => 0, message => $message,
        finish_reason => $tool ? 'tool_calls' : 'stop' }], usage => {
        prompt_tokens => 50, completion_tokens => 7, total_tokens => 57,
        prompt_tokens_details => { cached_tokens => 40 } } });
});

open my $fh, '>', $t->subdir('secrets') . '/key' or die $!;
print $fh "sk-up\n";
close $fh;

my $strict = free_port();
$t->start(edge => { ai => <<CONF });
ai_provider o { api openai; url ${\$provider->url('/v1')}; key file:key; }
ai_provider a { api anthropic; url ${\$provider->url}; key file:key; }
ai_provider r { api responses; url ${\$provider->url('/v1')}; key file:key; }
server {
    listen 127.0.0.1:$strict;
    location /v1/ { ai_translate strict; ai_pass; }
}
CONF

sub last_of { my $r = ($provider->requests)[-1];
    return { %$r, json => decode_json($r->{body}) } }
sub data_of { my $s = $t->stream('/v1/responses', @_);
    my @e = $s->events;
    $s->close;
    return map { { %{ decode_json($_->{data}) }, event => $_->{event} } } @e }

my $schema = { type => 'object', properties => { city => {
    type => 'string' } }, required => ['city'] };
my %ask = (instructions => 'Be brief.', input => [{ role => 'user',
    content => [{ type => 'input_text', text => 'Rain?' },
        { type => 'input_image', detail => 'auto',
            image_url => 'data:image/png;base64,aGk=' }] }],
    tools => [{ type => 'function', name => 'weather',
        description => 'of a city', parameters => $schema,
        strict => $no }], max_output_tokens => 300, temperature => 0.5,
    metadata => { a => 'b' });

# Responses on chat completions.
{
    my $res = $t->post('/v1/responses', { %ask, model => 'o/gpt-x' });
    is($res->status, 200, 'on chat completions: an answer');
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $req = last_of();
    is($req->{path}, '/v1/chat/completions', 'asked at its own path');
    is_deeply($req->{json}, { model => 'gpt-x', max_tokens => 300,
        temperature => 0.5, metadata => { a => 'b' }, messages => [
            { role => 'system', content => 'Be brief.' },
            { role => 'user', content => [{ type => 'text',
                text => 'Rain?' }, { type => 'image_url', image_url => {
                url => 'data:image/png;base64,aGk=' } }] }],
        tools => [{ type => 'function', function => { name => 'weather',
            description => 'of a city', parameters => $schema } }] },
        'what it is asked');
    my $r = $res->json;
    my ($hex) = $res->header('x-ai-job') =~ /^job_(.*)/;
    is($r->{id}, "resp_$hex", 'its id is the job');
    is_deeply([@$r{qw(object status model created_at error
        incomplete_details instructions max_output_tokens)}], ['response',
        'completed', 'gpt-real', 1700000000, undef, undef, 'Be brief.', 300],
        'a response');
    is_deeply($r->{tools}, $ask{tools}, 'that says again what was asked');
    is_deeply([map { @$_{qw(type call_id name arguments status)} }
        @{ $r->{output} }], ['function_call', 'call_1', 'weather',
        '{"city":"Paris"}', 'completed'], 'its call');
    is_deeply($r->{usage}, { input_tokens => 50, output_tokens => 7,
        total_tokens => 57, input_tokens_details => { cached_tokens => 40,
            cache_write_tokens => 0 }, output_tokens_details => {
            reasoning_tokens => 0 } }, 'usage');

    $res = $t->post('/v1/responses', { %ask, model => 'o/gpt-x', input => [
        @{ $ask{input} }, @{ $r->{output} }, { call_id => 'call_1',
            type => 'function_call_output', output => 'wet' }] });
    is($res->json->{output}[0]{content}[0]{text}, 'It rains.',
        'the next turn');
    is_deeply([@{ last_of()->{json}{messages} }[2, 3]], [{
        role => 'assistant', content => undef, tool_calls => [{
            id => 'call_1', type => 'function', function => {
            name => 'weather', arguments => '{"city":"Paris"}' } }] },
        { role => 'tool', tool_call_id => 'call_1', content => 'wet' }],
        'with its call and the result');
}

# Responses on Anthropic.
{
    my $res = $t->post('/v1/responses', { %ask, model => 'a/claude-x',
        metadata => undef });
    is($res->status, 200, 'on Anthropic: an answer');
    my $r = $res->json;
    is_deeply([map { $_->{type} } @{ $r->{output} }], ['reasoning',
        'function_call'], 'reasoning and a call');
    is($r->{output}[0]{summary}[0]{text}, 'hm', 'what it thought');
    is($r->{output}[0]{encrypted_content}, 'ai:anthropic:s:c2ln',
        'signed, and by whom');
    $res = $t->post('/v1/responses', { %ask, model => 'a/claude-x',
        metadata => undef, input => [@{ $ask{input} }, @{ $r->{output} },
        { call_id => 'toolu_1', type => 'function_call_output',
            output => [{ type => 'input_text', text => 'wet' }] }] });
    is($res->json->{output}[0]{content}[0]{text}, 'It rains.',
        'the next turn');
    is_deeply([@{ last_of()->{json}{messages} }[1, 2]], [{
        role => 'assistant', content => [{ type => 'thinking',
            thinking => 'hm', signature => 'c2ln' }, { type => 'tool_use',
            id => 'toolu_1', name => 'weather', input => {
                city => 'Paris' } }] }, { role => 'user', content => [{
            type => 'tool_result', tool_use_id => 'toolu_1', content => [
                { type => 'text', text => 'wet' }] }] }],
        'its own turn comes back as it was');

    my @e = data_of({ %ask, model => 'a/claude-x', stream => $yes });
    is_deeply([map { $_->{sequence_number} } @e], [0 .. $#e],
        'a stream: numbers without gaps');
    is((grep { $_->{type} ne $_->{event} } @e), 0, 'each named as it is');
    is_deeply([map { s/^response\.//r } map { $_->{type} } @e], [qw(created
        in_progress output_item.added reasoning_summary_part.added
        reasoning_summary_text.delta reasoning_summary_text.done
        reasoning_summary_part.done output_item.done output_item.added
        function_call_arguments.delta function_call_arguments.delta
        function_call_arguments.done output_item.done completed)],
        'its events');
    is_deeply($e[-1]{response}{output}, [map { $_->{item} }
        grep { $_->{type} =~ /item\.done/ } @e], 'its last word has all');
    is($e[-1]{response}{usage}{total_tokens}, 57, 'and usage');

    @e = data_of({ model => 'a/claude-x', input => 'Rain?',
        stream => $yes });
    is_deeply([map { s/^response\.//r } map { $_->{type} } @e], [qw(created
        in_progress output_item.added content_part.added output_text.delta
        output_text.delta output_text.done content_part.done
        output_item.done completed)], 'of a text');
    is(join('', map { $_->{delta} // '' } @e), 'It rains.', 'in pieces');

    is_deeply([@{ $t->post('/v1/responses', { model => 'a/long',
        input => 'Rain?' })->json }{qw(status incomplete_details)}],
        ['incomplete', { reason => 'max_output_tokens' }], 'cut by length');

    @e = data_of({ model => 'a/inside', input => 'Rain?', stream => $yes });
    is_deeply([map { $_->{type} } @e[-2, -1]], ['response.failed', 'error'],
        'an error inside');
    is($e[-2]{response}{output}[0]{content}[0]{text}, 'It rains.',
        'with what there was');
    is_deeply([$e[-1]{message}, $e[-1]{error}{message}], ['too much',
        'too much'], 'told both ways');
}

# What has no counterpart, and what is wrong.
{
    my %more = (model => 'a/claude-x', input => 'Rain?', truncation => 'auto',
        tools => [{ type => 'web_search' }], include => ['x']);
    my $res = $t->post('/v1/responses', \%more);
    is($res->header('x-ai-dropped'), 'include[0], tools[0], truncation',
        'what cannot be carried is named')
        or diag($res->header('x-ai-dropped'));
    $res = AiHttp->post($strict, '/v1/responses', \%more,
        headers => ["Authorization" => "Bearer $t->{key}"]);
    is($res->status, 400, 'or refused');
    like($res->json->{error}{message}, qr/truncation/, 'by its name');
    $res = $t->post('/v1/responses', { model => 'a/claude-x', input => 3 });
    is($res->status, 400, 'an input that is none');
    is($t->post('/v1/responses', { model => 'a/claude-x', input => [{
        role => 'nobody', content => 'x' }] })->status, 400,
        'a role that is none');
}

# The built-in provider.
{
    my $r = $t->post('/v1/responses', { model => 'echo/e',
        input => 'say it again' })->json;
    is($r->{output}[0]{content}[0]{text}, 'say it again', 'echo');
    is($r->{usage}{output_tokens}, 3, 'counts');
    my @e = data_of({ model => 'echo/e', input => 'one two',
        stream => $yes });
    is(join('', map { $_->{delta} // '' } @e), 'one two', 'as a stream');
    is($e[-1]{response}{usage}{total_tokens}, 4, 'with usage');
}

# Other clients on a provider of Responses.
{
    my %chat = (model => 'r/gpt-x', messages => [{ role => 'system',
        content => 'Be brief.' }, { role => 'user', content => 'Rain?' }],
        tools => [{ type => 'function', function => { name => 'weather',
            parameters => $schema } }], reasoning_effort => 'low',
        response_format => { type => 'json_object' },
        max_completion_tokens => 99);
    my $res = $t->post('/v1/chat/completions', \%chat);
    is($res->status, 200, 'chat completions on Responses');
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $req = last_of();
    is($req->{path}, '/v1/responses', 'asked at its own path');
    is($req->{headers}{authorization}, 'Bearer sk-up', 'with its own key');
    is_deeply($req->{json}, { model => 'gpt-x', store => $no,
        max_output_tokens => 99, include => ['reasoning.encrypted_content'],
        reasoning => { effort => 'low' },
        text => { format => { type => 'json_object' } },
        input => [{ role => 'system', content => 'Be brief.' },
            { role => 'user', content => 'Rain?' }],
        tools => [{ type => 'function', name => 'weather', strict => $no,
            parameters => $schema }] }, 'what it is asked');
    my $m = $res->json->{choices}[0]{message};
    is($m->{tool_calls}[0]{id}, 'call_1', 'its call');
    is($m->{reasoning_content}, 'hm', 'its reasoning');
    is($res->json->{usage}{prompt_tokens_details}{cached_tokens}, 40,
        'usage');
    $res = $t->post('/v1/chat/completions', { %chat, messages => [
        @{ $chat{messages} }, $m, { role => 'tool', tool_call_id => 'call_1',
            content => 'wet' }] });
    is($res->json->{choices}[0]{message}{content}, 'It rains.',
        'the next turn');
    is($res->json->{choices}[0]{message}{annotations}[0]{url_citation}{url},
        'http://w/', 'with what it cites');
    is_deeply([@{ last_of()->{json}{input} }[2 .. 4]], [{ id => 'rs_1',
        type => 'reasoning', summary => [{ type => 'summary_text',
            text => 'hm' }], encrypted_content => 'enc' }, {
        type => 'function_call', call_id => 'call_1', name => 'weather',
        arguments => '{"city":"Paris"}' }, { call_id => 'call_1',
        type => 'function_call_output', output => 'wet' }],
        'reasoning comes back as it was');

    my %msg = (model => 'r/gpt-x', max_tokens => 99, messages => [{
        role => 'user', content => 'Rain?' }], tools => [{
        name => 'weather', input_schema => $schema }],
        thinking => { type => 'enabled', budget_tokens => 3000 });
    my @head = (headers => ['anthropic-version' => '2023-06-01']);
    my $s = $t->stream('/v1/messages', { %msg, stream => $yes }, @head);
    my @e = map { decode_json($_->{data}) } $s->events;
    $s->close;
    is_deeply(last_of()->{json}{reasoning}, { effort => 'medium',
        summary => 'auto' }, 'messages on Responses: thinking is asked for');
    is(join('', map { $_->{delta}{thinking} // '' } @e), 'hm', 'and shown');
    is(join('', map { $_->{delta}{partial_json} // '' } @e),
        '{"city":"Paris"}', 'arguments as they come');
    is($e[-1]{type}, 'message_stop', 'to the end');

    # Before or behind the head: where nothing has left, it is an HTTP error.
    $res = $t->post('/v1/chat/completions', { model => 'r/inside',
        stream => $yes, messages => $chat{messages} });
    like($res->body, qr/"slow down".*rate_limit_error/, 'an error inside');
    $res = $t->post('/v1/chat/completions', { model => 'r/cut',
        stream => $yes, messages => $chat{messages} });
    like($res->body, qr/provider_bad_response/, 'one that is cut');
}

done_testing();
