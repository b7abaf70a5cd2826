#!/usr/bin/perl
# Cohere as a provider of both clients: what it is asked, what they get, and a
# turn of tools with the SDKs.
use AiTest;
use AiDialect;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
my $text = "It rains.\n\"\x{2603}\"";
my @names = qw(Paris Bern);
my $usage = { billed_units => { input_tokens => 50, output_tokens => 7 },
    tokens => { input_tokens => 913, output_tokens => 83 },
    cached_tokens => 40 };
my $cite = { start => 3, end => 9, text => 'rains.', type => 'TEXT_CONTENT',
    sources => [{ type => 'document', id => 'd', document => { id => 'd',
        title => 'Sky', url => 'https://sky.example/' } }] };

# It thinks, plans and calls a tool twice, and answers when it heard both.
my $up = $t->provider(name => 'cohere', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $event = sub { my $type = shift; "event: $type\ndata: "
        . encode_json({ type => $type, @_ }) . "\n\n" };
    my $say = sub { my ($type, $i, %m) = @_; $event->($type, index => $i,
        delta => { message => \%m }) };
    my $start = $event->('message-start', id => "c$req->{n}", delta => {
        message => { role => 'assistant', content => [], tool_plan => '',
            tool_calls => [], citations => [] } });

    my $tool = $ask->{tools} && !grep { $_->{role} eq 'tool' }
        @{ $ask->{messages} };
    my @calls = map { { id => "weather_$_", type => 'function', function => {
        name => 'weather', arguments => "{\n \"city\": \"$names[$_]\"}" } } }
        0, 1;
    my $finish = $tool ? 'TOOL_CALL' : 'COMPLETE';
    if (!$ask->{stream}) {
        return $out->answer(200, { id => "c$req->{n}", message => {
            role => 'assistant', content => [{ type => 'thinking',
                thinking => 'hm' }, $tool ? () : { type => 'text',
                text => $text }], ($tool ? (tool_plan => 'I look.',
                tool_calls => \@calls) : $ask->{documents}
                ? (citations => [{ %$cite, content_index => 1 }]) : ()) },
            finish_reason => $finish, usage => $usage });
    }
    my @e = ($start, $say->('content-start', 0, content => {
        type => 'thinking', thinking => '' }));
    push @e, map { $say->('content-delta', 0, content => { thinking => $_ }) }
        qw(h m);
    push @e, $event->('content-end', index => 0);
    if ($tool) {
        push @e, map { $say->('tool-plan-delta', 0, tool_plan => $_) }
            'I ', 'look.';
        for my $i (0, 1) {
            my %c = %{ $calls[$i] };
            my $args = $c{function}{arguments};
            $c{function} = { name => 'weather', arguments => '' };
            push @e, $say->('tool-call-start', $i, tool_calls => \%c);
            push @e, map { $say->('tool-call-delta', $i, tool_calls => {
                function => { arguments => $_ } }) } $args =~ /(.{1,5})/gs;
            push @e, $event->('tool-call-end', index => $i);
        }
    } else {
        push @e, $say->('content-start', 1, content => { type => 'text',
            text => '' });
        push @e, map { $say->('content-delta', 1, content => { text => $_ }) }
            $text =~ /(.{1,4})/gs;
        push @e, $say->('citation-start', 0, citations => $cite),
            $event->('citation-end', index => 0) if $ask->{documents};
        push @e, $event->('content-end', index => 1);
    }
    push @e, $event->('message-end', id => undef, delta => {
        finish_reason => $finish, usage => $usage });
    my $bytes = join '', @e;
    my ($size) = $ask->{model} =~ /^cut(\d+)/;
    $size ||= length $bytes;
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $out->chunk($_) for unpack "(a$size)*", $bytes;
    $out->end;
});

open my $fh, '>', $t->subdir('secrets') . '/key' or die $!;
print $fh "sk-up\n";
close $fh;

my $strict = free_port();
$t->start(edge => { ai => <<CONF });
client_max_body_size 2m;
ai_provider c { api cohere; url ${\$up->url}; key file:key; }
server {
    listen 127.0.0.1:$strict;
    location /v1/ { ai_translate strict; ai_pass; }
}
CONF
$t->{pooled} = 16;

sub last_of { my $r = ($up->requests)[-1];
    return { %$r, json => decode_json($r->{body}) } }
my @user = ({ role => 'user', content => 'Rain?' });
my $schema = { type => 'object', properties => { city => {
    type => 'string' } } };
my @head = (headers => ['anthropic-version' => '2023-06-01',
    'anthropic-beta' => 'x-1']);

# A client of OpenAI.
{
    my %ask = (model => 'c/command-a', messages => [
        { role => 'system', content => 'Be brief.' },
        { role => 'user', content => [{ type => 'text', text => 'Rain?' },
            { type => 'image_url', image_url => {
                url => 'data:image/png;base64,aGk=' } }] }],
        tools => [map { { type => 'function', function => { name => $_,
            description => 'of a city', parameters => $schema,
            strict => $yes } } } qw(weather sea)],
        tool_choice => { type => 'function', function => {
            name => 'weather' } }, temperature => 0.5, top_p => 0.9,
        top_k => 3, max_tokens => 300, stop => ['END'],
        reasoning_effort => 'low', safety_mode => 'STRICT');
    my $res = $t->post('/v1/chat/completions', \%ask);
    is($res->status, 200, 'OpenAI: an answer');
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $req = last_of();
    is($req->{path}, '/v2/chat', 'asked at its own path');
    is($req->{headers}{authorization}, 'Bearer sk-up', 'with its own key');
    is_deeply($req->{json}, { model => 'command-a', max_tokens => 300,
        messages => [{ role => 'system', content => 'Be brief.' },
            { role => 'user', content => [{ type => 'text',
                text => 'Rain?' }, { type => 'image_url', image_url => {
                    url => 'data:image/png;base64,aGk=' } }] }],
        tools => [{ type => 'function', function => { name => 'weather',
            description => 'of a city', parameters => $schema } }],
        tool_choice => 'REQUIRED', strict_tools => $yes,
        temperature => 0.5, p => 0.9, k => 3, stop_sequences => ['END'],
        thinking => { type => 'enabled', token_budget => 2048 },
        safety_mode => 'STRICT' }, 'what it is asked');
    my $c = $res->json;
    is($c->{model}, 'command-a', 'its model');
    like($c->{id}, qr/^chatcmpl-c\d+$/, 'an id');
    my $m = $c->{choices}[0]{message};
    is($m->{content}, 'I look.', 'its plan');
    is($m->{reasoning_content}, 'hm', 'its reasoning');
    is_deeply([map { $_->{id} } @{ $m->{tool_calls} }],
        [qw(weather_0 weather_1)], 'its calls');
    is_deeply([@{ $c->{usage} }{qw(prompt_tokens completion_tokens)},
        $c->{usage}{prompt_tokens_details}{cached_tokens}], [50, 7, 40],
        'usage is what is billed');
    $res = $t->post('/v1/chat/completions', { %ask, messages => [
        @{ $ask{messages} }, $m, map { { role => 'tool',
            tool_call_id => "weather_$_", content => 'wet' } } 0, 1 ] });
    is($res->json->{choices}[0]{message}{content}, $text, 'the next turn');
    is_deeply([@{ last_of()->{json}{messages} }[2 .. 4]], [
        { role => 'assistant', content => [{ type => 'thinking',
            thinking => 'hm' }], tool_plan => 'I look.',
            tool_calls => $m->{tool_calls} },
        map { { role => 'tool', content => 'wet',
            tool_call_id => "weather_$_" } } 0, 1 ],
        'with its own turn before it');
}

# Documents, and what cites them.
{
    my @doc = ({ type => 'document', title => 'Sky', citations => {
        enabled => $yes }, source => { type => 'text',
        media_type => 'text/plain', data => 'Rain.' } });
    my %ask = (model => 'c/command-a', max_tokens => 9, messages => [
        { role => 'user', content => [@doc, { type => 'text',
            text => 'Rain?' }] }]);
    my $res = $t->post('/v1/messages', \%ask, @head);
    is_deeply(last_of()->{json}{documents}, [{ data => { title => 'Sky',
        text => 'Rain.' } }], 'a document of Anthropic');
    is(last_of()->{headers}{$_}, undef, "no $_ there")
        for qw(anthropic-version anthropic-beta x-api-key);
    my ($b) = grep { $_->{type} eq 'text' } @{ $res->json->{content} };
    is($b->{citations}[0]{url}, 'https://sky.example/', 'is cited');
    my %own = (model => 'c/command-a', messages => \@user,
        documents => ['Rain.']);
    $res = $t->post('/v1/chat/completions', \%own);
    is_deeply(last_of()->{json}{documents}, ['Rain.'], 'one of its own');
    my $cited = { type => 'url_citation', url_citation => {
        url => 'https://sky.example/', title => 'Sky', start_index => 3,
        end_index => 9 } };
    is_deeply($res->json->{choices}[0]{message}{annotations}, [$cited],
        'is cited');
    my $s = $t->stream('/v1/chat/completions', { %own, stream => $yes });
    my @e = map { decode_json($_) } grep { $_ ne '[DONE]' }
        map { $_->{data} } $s->events;
    is((grep { $_->{choices}[0]{delta}{annotations} } @e), 1,
        'and in a stream');
    $s->close;
}

# Streams in any pieces.
for my $model ('whole', 'cut1', 'cut7', 'cut64') {
    for my $path ('/v1/chat/completions', '/v1/messages') {
        my $s = $t->stream($path, { model => "c/$model", max_tokens => 9,
            messages => \@user, stream => $yes, ($path =~ /chat/
                ? (stream_options => { include_usage => $yes }) : ()) },
            @head);
        my @e = map { decode_json($_) } grep { $_ ne '[DONE]' }
            map { $_->{data} } $s->events;
        is(join('', map { $_->{choices}[0]{delta}{content}
            // $_->{delta}{text} // '' } @e), $text, "$model, $path: text");
        is(join('', map { $_->{choices}[0]{delta}{reasoning_content}
            // $_->{delta}{thinking} // '' } @e), 'hm', 'reasoning');
        my ($u) = $path =~ /chat/ ? $e[-1]{usage}
            : map { $_->{usage} } grep { $_->{type} eq 'message_delta' } @e;
        is($u->{completion_tokens} // $u->{output_tokens}, 7, 'and usage');
        $s->close;
    }
}

# What has no counterpart.
{
    my %ask = (model => 'c/command-a', messages => \@user, n => 2,
        temperature => 1.5);
    my $res = $t->post('/v1/chat/completions', \%ask);
    is($res->header('x-ai-dropped'), 'temperature (is too large), n',
        'lenient: named');
    my $n = $up->requests;
    $res = AiHttp->post($strict, '/v1/chat/completions', \%ask,
        key => $t->{key});
    is($res->status, 400, 'strict: refused');
    like($res->json->{error}{message}, qr/temperature \(is too large\), n$/,
        'and named');
    is($up->requests, $n, 'and nobody asked');
}

AiDialect::sdk($t, 'c/command-a', { text => $text, model => 'command-a',
    input => 50, output => 7 });

my $row;
wait_for(sub { ($row) = $t->pg->query("select input, output, cached_read, "
    . "estimated from ngxai.ledger where model like '%command-a' limit 1") },
    30, 'the ledger');
is(join(' ', @$row), '50 7 40 f', 'usage in the ledger');

done_testing();
