#!/usr/bin/perl
# POST /v1/messages/count_tokens: bytes pass to Anthropic; Google's own counting
# is asked where it is theirs; else an estimate that says that it is one.
use AiTest;

my $t = AiTest->new;
my @head = (headers => ['anthropic-version' => '2023-06-01']);

my $up = $t->provider(name => 'up', script => sub {
    my ($req, $out) = @_;
    my $m = $req->{json}{model};
    return $out->answer($1, { type => 'error', error => {
        type => 'api_error', message => "no \"$1\"" } },
        $2 ? ('Retry-After' => 7) : ()) if $m =~ /^status(\d+)(-wait)?$/;
    return $out->answer(200, '{"input_tokens"') if $m eq 'garbage';
    return $out->cut(1) if $m eq 'reset';
    return $out->stall if $m eq 'stalled';
    $out->answer($req->{path} eq '/v1/messages/count_tokens' ? 200 : 404,
        { input_tokens => 17 }, 'request-id' => 'req_1');
});
my $google = $t->provider(name => 'google', script => sub {
    my ($req, $out) = @_;
    my ($m) = $req->{path} =~ m{/models/([^/:]+):countTokens$}
        or return $out->answer(404, '<html>404</html>');
    return $out->answer($1, { error => { code => 0 + $1,
        message => "no \"$1\"", status => 'X' } },
        $2 ? ('Retry-After' => 7) : ()) if $m =~ /^status(\d+)(-wait)?$/;
    return $out->answer(200, '{"tokens": 3}') if $m eq 'garbage';
    return $out->cut(1) if $m eq 'reset';
    return $out->stall if $m eq 'stalled';
    $out->answer(200, { totalTokens => 23, promptTokensDetails => [{
        modality => 'TEXT', tokenCount => 23 }] });
});
my $openai = $t->provider(name => 'openai');

$t->start(edge => { ai => <<CONF, location => <<SERVER });
ai_provider up { api anthropic; url ${\$up->url}; timeout first=2s idle=2s; }
ai_provider g { api gemini; url ${\$google->url}; timeout first=2s idle=2s; }
ai_provider v { api vertex; url
    ${\$google->url('/v1/projects/p/locations/l')}; }
ai_provider o { api openai; url ${\$openai->url('/v1')}; }
ai_provider echo { api echo; }
ai_price up/claude input=1 output=2 request=1;
ai_price g/gemini-2.5-flash input=1 output=2 request=1;
CONF
}
location /strict/ { ai_pass; ai_translate strict;
SERVER

sub row {
    my ($job) = @_;
    my @row;
    wait_for(sub { (@row) = $t->pg->query('select op, input, output, cost, '
        . "estimated, status, state from ngxai.ledger where job = '$job'") },
        30, 'the ledger');
    return join ' ', map { $_ // '-' } @{ $row[0] };
}

my %ask = (system => 'Be brief.', messages => [{ role => 'user',
    content => 'Rain?' }], tools => [{ name => 'weather',
    input_schema => { type => 'object' } }]);

{
    my $res = $t->post('/v1/messages/count_tokens?beta=true',
        { model => 'up/claude', %ask }, @head);
    is($res->status, 200, 'Anthropic: an answer') or diag($res->body);
    is_deeply($res->json, { input_tokens => 17 }, 'its count');
    is($res->header('request-id'), 'req_1', 'with its headers');
    is($res->header('x-ai-estimated'), undef, 'and no guess');
    my $req = ($up->requests)[-1];
    is_deeply([$req->{query}, decode_json($req->{body})], ['beta=true',
        { model => 'claude', %ask }], 'asked as it was');
    is(row($res->header('x-ai-job')), 'count_tokens 0 0 0 f 200 done',
        'it costs nothing');
}
for my $case (['g/gemini-2.5-flash', '/v1beta/models/gemini-2.5-flash'],
    ['v/gemini-2.5-flash', '/v1/projects/p/locations/l/publishers/google/'
        . 'models/gemini-2.5-flash'])
{
    my ($model, $path) = @$case;
    my $res = $t->post('/v1/messages/count_tokens', { model => $model, %ask },
        @head);
    is($res->status, 200, "$model: an answer") or diag($res->body);
    is_deeply($res->json, { input_tokens => 23 }, 'its own count');
    is($res->header('x-ai-estimated'), undef, 'no guess');
    is($res->header('x-ai-dropped'), undef, 'of all of it');
    my $req = ($google->requests)[-1];
    my $body = decode_json($req->{body});
    is($req->{path}, "$path:countTokens", 'at its address');
    my $inner = $body->{generateContentRequest} || $body;
    is(delete $inner->{model}, $model =~ /^g/ ? 'models/gemini-2.5-flash'
        : undef, 'its model');
    is_deeply($inner, { systemInstruction => { parts => [{
        text => 'Be brief.' }] }, contents => [{ role => 'user',
        parts => [{ text => 'Rain?' }] }], tools => [{ functionDeclarations =>
        [{ name => 'weather', parametersJsonSchema => {
            type => 'object' } }] }] }, 'what it is asked');
    is(row($res->header('x-ai-job')), 'count_tokens 0 0 0 f 200 done',
        'it costs nothing');
}
for my $model ('o/gpt', 'echo/echo') {
    my $res = $t->post('/v1/messages/count_tokens', { model => $model, %ask },
        @head);
    is($res->status, 200, "$model: an answer") or diag($res->body);
    is($res->header('x-ai-estimated'), 'input_tokens', 'that is a guess');
    my $n = $res->json->{input_tokens};
    cmp_ok($n, '>', 5, 'not too few');
    cmp_ok($n, '<', 40, 'not too many');
    is(row($res->header('x-ai-job')), 'count_tokens 0 0 0 f 200 done',
        'it costs nothing');

    my $image = { role => 'user', content => [{ type => 'image', source => {
        type => 'base64', media_type => 'image/png',
        data => 'QUJD' x 10000 } }] };
    $res = $t->post('/v1/messages/count_tokens', { model => $model, %ask,
        messages => [@{ $ask{messages} }, $image] }, @head);
    cmp_ok($res->json->{input_tokens}, '<', 100, 'an image is no text');
    $res = $t->post('/strict/v1/messages/count_tokens', { model => $model,
        %ask }, @head);
    is($res->status, 400, 'strict: no guess');
    is($res->json->{error}{type}, 'invalid_request_error', 'as Anthropic says');
}
is($openai->requests, 0, 'nobody was asked for a guess');
is($t->post('/v1/messages/count_tokens', { %ask }, @head)->status, 400,
    'no model');
is($t->post('/v1/messages/count_tokens', { model => 'g/x', messages => 3 },
    @head)->status, 400, 'no messages');

for my $p ('up', 'g') {
    for my $status (400, 401, 403, 404, 408, 413, 429, 500, 503, 529) {
        for my $wait ($status == 429 ? ('', '-wait') : '') {
            my $res = $t->post('/v1/messages/count_tokens', {
                model => "$p/status$status$wait", %ask }, @head);
            is($res->status, $status, "$p: $status$wait stays");
            is($res->json->{error}{message}, "no \"$status\"",
                'with its words');
            is($res->header('retry-after'), $wait ? 7 : undef,
                'and its wait');
        }
    }
    for my $case ([garbage => 502], [reset => 502], [stalled => 504]) {
        is($t->post('/v1/messages/count_tokens', { model => "$p/$case->[0]",
            %ask }, @head, timeout => 60)->status, $case->[1],
            "$p: $case->[0] is $case->[1]");
    }
}

done_testing();
