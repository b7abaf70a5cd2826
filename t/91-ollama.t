#!/usr/bin/perl
# Ollama as a provider of both clients: what it is asked, what they get, its
# lines of JSON in any pieces, and a turn of tools with the SDKs.
use AiTest;
use AiDialect;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
my %base = (model => 'llama3.2', created_at => '2025-07-07T20:22:19.184789Z');
my %end = (done => $yes, done_reason => 'stop', total_duration => 9,
    prompt_eval_count => 50, eval_count => 7);
my $text = "It rains.\n\"\x{2603}\"";

# It thinks, calls a tool twice, and answers when it heard both.
my $up = $t->provider(name => 'ollama', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $line = sub { encode_json({ %base, done => $no, @_ }) . "\n" };
    my $say = sub { $line->(message => { role => 'assistant', content => '',
        @_ }) };

    my $tool = $ask->{tools} && !grep { $_->{role} eq 'tool' }
        @{ $ask->{messages} };
    my @calls = map { { function => { name => 'weather',
        arguments => { city => $_ } } } } qw(Paris Bern);
    if (!$ask->{stream}) {
        return $out->answer(200, { %base, %end, message => {
            role => 'assistant', content => $tool ? '' : $text,
            thinking => 'hm', ($tool ? (tool_calls => \@calls) : ()) } },
            'Content-Type' => 'application/json; charset=utf-8');
    }
    my $bytes = join '', map { $say->(thinking => $_) } qw(h m);
    $bytes .= $tool ? join('', map { $say->(tool_calls => [$_]) } @calls)
        : join '', map { $say->(content => $_) } $text =~ /(.{1,4})/gs;
    $bytes .= encode_json({ %base, %end, message => { role => 'assistant',
        content => '' } });
    my ($size) = $ask->{model} =~ /^cut(\d+)/;
    $bytes .= "\n" unless $size;            # the last may lack its end
    $bytes =~ s/\n/\r\n/g if $ask->{model} =~ /crlf/;
    $out->head(200, 'Content-Type' => 'application/x-ndjson');
    $size ||= length $bytes;
    $out->chunk($_) for unpack "(a$size)*", $bytes;
    $out->end;
});

my $strict = free_port();
$t->start(edge => { ai => <<CONF });
client_max_body_size 2m;
ai_provider o { api ollama; url ${\$up->url}; }
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

# A client of OpenAI.
{
    my %ask = (model => 'o/llama3.2', messages => [
        { role => 'system', content => 'Be brief.' },
        { role => 'user', content => [{ type => 'text', text => 'Rain?' },
            { type => 'image_url', image_url => {
                url => 'data:image/png;base64,aGk=' } }] }],
        tools => [{ type => 'function', function => { name => 'weather',
            description => 'of a city', parameters => $schema } }],
        tool_choice => 'auto', temperature => 0.5, max_tokens => 300,
        stop => ['END'], reasoning_effort => 'low', keep_alive => '5m',
        options => { num_ctx => 8192 });
    my $res = $t->post('/v1/chat/completions', \%ask);
    is($res->status, 200, 'OpenAI: an answer');
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $req = last_of();
    is($req->{path}, '/api/chat', 'asked at its own path');
    is($req->{headers}{authorization}, undef, 'without a key');
    is_deeply($req->{json}, { model => 'llama3.2', stream => $no,
        messages => [{ role => 'system', content => 'Be brief.' },
            { role => 'user', content => 'Rain?', images => ['aGk='] }],
        tools => [{ type => 'function', function => { name => 'weather',
            description => 'of a city', parameters => $schema } }],
        options => { temperature => 0.5, num_predict => 300,
            stop => ['END'], num_ctx => 8192 }, think => 'low',
        keep_alive => '5m' }, 'what it is asked');
    my $c = $res->json;
    is($c->{model}, 'llama3.2', 'its model');
    like($c->{id}, qr/^chatcmpl-\w+/, 'an id');
    is($c->{created}, 1751919739, 'its time');
    my $m = $c->{choices}[0]{message};
    is($m->{reasoning_content}, 'hm', 'its reasoning');
    is_deeply([map { decode_json($_->{function}{arguments}) }
        @{ $m->{tool_calls} }], [{ city => 'Paris' }, { city => 'Bern' }],
        'its calls');
    is_deeply([@{ $c->{usage} }{qw(prompt_tokens completion_tokens)}],
        [50, 7], 'usage');
    my @ids = map { $_->{id} } @{ $m->{tool_calls} };
    $res = $t->post('/v1/chat/completions', { %ask, messages => [
        @{ $ask{messages} }, $m, map { { role => 'tool',
            tool_call_id => $_, content => 'wet' } } @ids ] });
    is($res->json->{choices}[0]{message}{content}, $text, 'the next turn');
    is_deeply([@{ last_of()->{json}{messages} }[2 .. 4]], [
        { role => 'assistant', content => '', thinking => 'hm',
            tool_calls => [{ id => $ids[0], function => { name => 'weather',
                arguments => { city => 'Paris' } } }, { id => $ids[1],
                function => { name => 'weather',
                arguments => { city => 'Bern' } } }] },
        map { { role => 'tool', content => 'wet', tool_name => 'weather',
            tool_call_id => $_ } } @ids ], 'with its own turn before it');
}

# Streams in any pieces, whatever ends their lines.
for my $model ('whole', 'crlf', 'cut1', 'cut1crlf', 'cut7', 'cut64') {
    for my $path ('/v1/chat/completions', '/v1/messages') {
        my $s = $t->stream($path, { model => "o/$model", max_tokens => 9,
            messages => \@user, stream => $yes, ($path =~ /chat/
                ? (stream_options => { include_usage => $yes }) : ()) },
            headers => ['anthropic-version' => '2023-06-01']);
        like($s->head->header('content-type'), qr{^text/event-stream},
            "$model, $path: a stream");
        my @d = grep { $_ ne '[DONE]' } map { $_->{data} } $s->events;
        my @e = map { decode_json($_) } @d;
        is(join('', map { $_->{choices}[0]{delta}{content}
            // $_->{delta}{text} // '' } @e), $text, 'its text');
        is(join('', map { $_->{choices}[0]{delta}{reasoning_content}
            // $_->{delta}{thinking} // '' } @e), 'hm', 'its reasoning');
        my ($u) = $path =~ /chat/ ? $e[-1]{usage}
            : map { $_->{usage} } grep { $_->{type} eq 'message_delta' } @e;
        is($u->{completion_tokens} // $u->{output_tokens}, 7, 'and usage');
        $s->close;
    }
}
is(last_of()->{headers}{$_}, undef, "no $_ there")
    for qw(anthropic-version x-api-key);

# What has no counterpart.
{
    my %ask = (model => 'o/llama3.2', messages => \@user, n => 2,
        logit_bias => { 5 => 1 });
    my $res = $t->post('/v1/chat/completions', \%ask);
    is($res->header('x-ai-dropped'), 'logit_bias, n', 'lenient: named');
    my $n = $up->requests;
    $res = AiHttp->post($strict, '/v1/chat/completions', \%ask,
        key => $t->{key});
    is($res->status, 400, 'strict: refused');
    like($res->json->{error}{message}, qr/logit_bias/, 'and named');
    is($up->requests, $n, 'and nobody asked');
}

AiDialect::sdk($t, 'o/llama3.2', { text => $text, model => 'llama3.2',
    input => 50, output => 7 });

my $row;
wait_for(sub { ($row) = $t->pg->query("select input, output, estimated from "
    . "ngxai.ledger where model like '%llama3.2' limit 1") }, 30,
    'the ledger');
is(join(' ', @$row), '50 7 f', 'usage in the ledger');

done_testing();
