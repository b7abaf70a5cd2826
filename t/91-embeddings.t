#!/usr/bin/perl
# POST /v1/embeddings: bytes pass to who speaks OpenAI's, recordings of it byte
# for byte, what limits, prices and the cache make of it, and its errors.
use AiTest;
use MIME::Base64 ();

my $t = AiTest->new;
my $floats = pack 'f<*', 0.5, -0.25, 1;
my $base64 = MIME::Base64::encode($floats, "");

my $up = $t->provider(name => 'up', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    return $out->answer(404, { error => { message => 'no such path' } })
        unless $req->{path} eq '/v1/embeddings';

    my $m = $ask->{model};
    if ($m =~ /^status(\d+)(-wait)?$/) {
        return $out->answer($1, { error => { message => "no \"$1\"",
            type => 'scripted', param => undef, code => undef } },
            $2 ? ('Retry-After' => 7) : ());
    } elsif ($m eq 'garbage') {
        return $out->answer(200, '[1, 2');
    } elsif ($m eq 'text') {
        return $out->answer(200, 'embeddings', 'Content-Type' => 'text/plain');
    } elsif ($m eq 'stream') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk("data: {\"object\":\"list\"}\n\n");
        return $out->end;
    } elsif ($m eq 'cut') {
        $out->head(200, 'Content-Type' => 'application/json');
        $out->chunk('{"object":"list","data":[');
        return $out->cut;
    } elsif ($m eq 'reset') {
        return $out->cut(1);
    } elsif ($m eq 'stalled') {
        return $out->stall;
    }
    my $vector = ($ask->{encoding_format} // '') eq 'base64' ? $base64
        : [0.5, -0.25, 1];
    my $in = $ask->{input};
    my $all = ref $in && $in->[0] !~ /^\d+$/ ? $in : [$in];
    $out->answer(200, { object => 'list', model => $m, data => [map { {
        object => 'embedding', index => $_, embedding => $vector } }
        0 .. $#$all], ($m eq 'silent' ? () : (usage =>
        { prompt_tokens => 1000, total_tokens => 1000 })) });
});

my %words = (400 => 'INVALID_ARGUMENT', 401 => 'UNAUTHENTICATED',
    403 => 'PERMISSION_DENIED', 404 => 'NOT_FOUND',
    429 => 'RESOURCE_EXHAUSTED', 500 => 'INTERNAL', 503 => 'UNAVAILABLE');
my $other = $t->provider(name => 'other', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my ($m, $vertex) = $req->{path} =~ m{/models/([^/:]+):(?:batchEmbedContents
        |(predict))$}x;
    my $who = defined $m ? 'google' : $req->{path} eq '/api/embed' ? 'ollama'
        : $req->{path} eq '/v2/embed' ? 'cohere'
        : return $out->answer(404, '<html>404</html>');
    $m //= $ask->{model};
    my $vectors = sub { { embeddings => $who eq 'google' ? [map { {
        values => $_ } } @_] : $who eq 'ollama' ? [@_] : { float => [@_] } } };

    if ($m =~ /^status(\d+)(-wait)?$/) {
        return $out->answer($1, $who eq 'google' ? { error => { code => 0 + $1,
            message => "no \"$1\"", status => $words{$1} || 'UNKNOWN' } }
            : $who eq 'ollama' ? { error => "no \"$1\"" }
            : { id => 'e1', message => "no \"$1\"" },
            $2 ? ('Retry-After' => 7) : ());
    } elsif ($m eq 'garbage') {
        return $out->answer(200, '{"embeddings": 3}');
    } elsif ($m eq 'few') {
        return $out->answer(200, $vectors->());
    } elsif ($m eq 'many') {
        return $out->answer(200, $vectors->([1], [2]));
    } elsif ($m eq 'words') {
        return $out->answer(200, $vectors->(['x']));
    } elsif ($m eq 'nojson') {
        return $out->answer(200, '[1, 2');
    } elsif ($m eq 'stream') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk("data: {\"embeddings\":[]}\n\n");
        return $out->end;
    } elsif ($m eq 'cut') {
        $out->head(200, 'Content-Type' => 'application/json');
        $out->chunk('{"embeddings":[');
        return $out->cut;
    } elsif ($m eq 'reset') {
        return $out->cut(1);
    } elsif ($m eq 'stalled') {
        return $out->stall;
    }
    my @v = map { [0.5, -0.25, 1] } @{ $ask->{input} || $ask->{texts} || [] };
    return $out->answer(200, { model => $m, %{ $vectors->(@v) },
        total_duration => 14143917, load_duration => 1019500, $m eq 'silent'
        ? () : (prompt_eval_count => 8) }) if $who eq 'ollama';
    return $out->answer(200, { id => 'e1', %{ $vectors->(@v) },
        texts => $ask->{texts}, response_type => 'embeddings_by_type',
        meta => { api_version => { version => '2' }, billed_units => {
        input_tokens => 5 } } }) if $who eq 'cohere';
    return $out->answer(200, { predictions => [map { { embeddings => {
        values => [0.5, -0.25, 1], statistics => { token_count => 4,
        truncated => JSON::PP::false } } } } @{ $ask->{instances} }],
        metadata => { billableCharacterCount => 4 } }) if $vertex;
    $out->answer(200, { embeddings => [map { { values => [0.5, -0.25, 1] } }
        @{ $ask->{requests} }], $m eq 'counts' ? (usageMetadata => {
        promptTokenCount => 6 }) : () });
});

$t->start(edge => { ai => <<CONF, location => <<SERVER });
ai_provider up { api openai; url ${\$up->url('/v1')}; timeout first=2s idle=2s; }
ai_provider ant { api anthropic; url ${\$up->url}; }
ai_provider g { api gemini; url ${\$other->url}; timeout first=2s idle=2s; }
ai_provider v { api vertex; url
    ${\$other->url('/v1/projects/p/locations/l')}; }
ai_provider o { api ollama; url ${\$other->url}; timeout first=2s idle=2s; }
ai_provider c { api cohere; url ${\$other->url}; timeout first=2s idle=2s; }
ai_price up/small input=0.02;
ai_zone cache 1m;
CONF
}
location /limited/ { ai_pass; ai_limit endpoint=embeddings requests=1/h; }
location /strict/ { ai_pass; ai_translate strict; }
location /cached/ { ai_pass; ai_cache 5m;
SERVER

sub row {
    my ($job) = @_;
    my @row;
    wait_for(sub { (@row) = $t->pg->query('select op, input, output, cost, '
        . "estimated, status, state from ngxai.ledger where job = '$job'") },
        30, 'the ledger');
    return join ' ', map { $_ // '-' } @{ $row[0] };
}

# What clients ask with.
for my $ask (['a string', input => 'hello'],
    ['strings', input => ['hello', 'world']],
    ['tokens', input => [15339, 1917]],
    ['lists of tokens', input => [[15339], [1917]]],
    ['base64 and dimensions', input => ['x'], encoding_format => 'base64',
        dimensions => 3, user => 'ann'])
{
    my ($name, %ask) = @$ask;
    my $res = $t->post('/v1/embeddings', { model => 'up/small', %ask });
    is($res->status, 200, "$name: an answer") or diag($res->body);
    my $req = ($up->requests)[-1];
    is_deeply(decode_json($req->{body}), { model => 'small', %ask },
        "$name: asked as it was");
    is(ref $res->json->{data}[0]{embedding} ? 'floats'
        : $res->json->{data}[0]{embedding},
        $ask{encoding_format} ? $base64 : 'floats', "$name: as it was asked");
    is(row($res->header('x-ai-job')), 'embeddings 1000 0 20000 f 200 done',
        "$name: usage and price");
}
{
    my $res = $t->post('/v1/embeddings', { model => 'up/silent',
        input => 'x' x 80 });
    like(row($res->header('x-ai-job')), qr/^embeddings 2\d 0  t 200 done$/,
        'without usage its input is a guess, and it has no output');
}

# Who cannot.
{
    my $res = $t->post('/v1/embeddings', { model => 'ant/x', input => 'x' });
    is($res->status, 400, 'a provider that has no embeddings');
    is($res->json->{error}{type}, 'invalid_request_error', 'as OpenAI says');
    $res = $t->post('/v1/embeddings', { input => 'x' });
    is($res->status, 400, 'no model');
    is($t->get('/v1/embeddings')->status, 405, 'nothing to GET');
}

# Limits by endpoint, and the cache: an embedding is the same each time.
is($t->post('/limited/v1/embeddings', { model => 'up/small', input => 'x' })
    ->status, $_ ? 429 : 200, $_ ? 'one more' : 'the one an hour') for 0, 1;
isnt($t->post('/limited/v1/chat/completions', { model => 'up/status400',
    messages => [] })->status, 429, 'other endpoints are not limited');
{
    my %ask = (model => 'up/small', input => 'kept', user => 'a');
    is($t->post('/cached/v1/embeddings', \%ask)->header('x-ai-cache'), 'MISS',
        'asked once');
    my $res;
    wait_for(sub { $res = $t->post('/cached/v1/embeddings',
        { %ask, user => 'b' });
        $res->header('x-ai-cache') eq 'HIT' }, 20, 'a hit');
    is($res->json->{data}[0]{embedding}[1], -0.25, 'the same answer');
    is($t->post('/cached/v1/embeddings', { %ask, encoding_format => 'base64' })
        ->header('x-ai-cache'), 'MISS', 'another encoding is another');
}

# Google's.
sub last_of { my $r = ($other->requests)[-1];
    return { %$r, json => decode_json($r->{body}) } }
{
    my %ask = (model => 'g/counts', input => ["a\n\x{263a}", 'b'],
        dimensions => 3, encoding_format => 'base64');
    my $res = $t->post('/v1/embeddings', \%ask);
    is($res->status, 200, 'OpenAI on Gemini: an answer') or diag($res->body);
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $req = last_of();
    is($req->{path}, '/v1beta/models/counts:batchEmbedContents',
        'at its address');
    is_deeply($req->{json}, { requests => [map { { model => 'models/counts',
        content => { parts => [{ text => $_ }] },
        outputDimensionality => 3 } } "a\n\x{263a}", 'b'] }, 'what it is asked');
    is_deeply($res->json, { object => 'list', model => 'counts', data => [
        map { { object => 'embedding', index => $_, embedding => $base64 } }
        0, 1], usage => { prompt_tokens => 6, total_tokens => 6 } },
        'its answer, in base64 of single floats');
    is(row($res->header('x-ai-job')), 'embeddings 6 0  f 200 done',
        'its usage');

    $res = $t->post('/v1/embeddings', { model => 'g/models/silent',
        input => 'hello', user => 'ann' });
    is_deeply($res->json->{data}[0]{embedding}, [0.5, -0.25, 1], 'floats');
    is($res->json->{usage}{prompt_tokens}, 2, 'what nobody counts is a guess');
    is($res->header('x-ai-dropped'), 'user', 'what Google has not');
    is(last_of()->{json}{requests}[0]{model}, 'models/silent',
        'a name with its path');
    like(row($res->header('x-ai-job')), qr/^embeddings \d+ 0  t 200 done$/,
        'and a guess in the ledger');
    is($t->post('/strict/v1/embeddings', { model => 'g/silent', input => 'x',
        user => 'ann' })->status, 400, 'strict refuses it');
    for my $case (['tokens', [1, 2]], ['lists of tokens', [[1], [2]]],
        ['nothing', []], ['an object', {}], ['null in a list', [undef]])
    {
        $res = $t->post('/v1/embeddings', { model => 'g/x',
            input => $case->[1] });
        is($res->status, 400, "$case->[0]: refused");
        like($res->json->{error}{message}, qr/input|texts/, 'with its name');
    }
    $res = $t->post('/v1/embeddings', { model => 'g/x', input => 'x',
        encoding_format => 'int8' });
    like($res->json->{error}{message}, qr/encoding_format/,
        'an encoding that is none');

    $res = $t->post('/v1/embeddings', { model => 'v/text-embedding-005',
        input => ['a', 'b'], dimensions => 3 });
    is($res->status, 200, 'OpenAI on Vertex: an answer') or diag($res->body);
    is(last_of()->{path}, '/v1/projects/p/locations/l/publishers/google/'
        . 'models/text-embedding-005:predict', 'at its address');
    is_deeply(last_of()->{json}, { instances => [{ content => 'a' },
        { content => 'b' }], parameters => { outputDimensionality => 3 } },
        'what it is asked');
    is($res->json->{usage}{prompt_tokens}, 8, 'its usage');
    is_deeply($res->json->{data}[1]{embedding}, [0.5, -0.25, 1],
        'its answer');
}

# Ollama's and Cohere's.
for my $encoding ('float', 'base64') {
    my %ask = (input => ["a\n\x{263a}", 'b'], dimensions => 3,
        encoding_format => $encoding);
    my $vector = $encoding eq 'float' ? [0.5, -0.25, 1] : $base64;
    my $res = $t->post('/v1/embeddings', { model => 'o/all-minilm', %ask,
        keep_alive => '5m', truncate => JSON::PP::false });
    is($res->status, 200, "Ollama, $encoding: an answer") or diag($res->body);
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    is(last_of()->{path}, '/api/embed', 'at its address');
    is_deeply(last_of()->{json}, { model => 'all-minilm', input => $ask{input},
        dimensions => 3, keep_alive => '5m', truncate => JSON::PP::false },
        'what it is asked');
    is_deeply($res->json, { object => 'list', model => 'all-minilm',
        data => [map { { object => 'embedding', index => $_,
            embedding => $vector } } 0, 1],
        usage => { prompt_tokens => 8, total_tokens => 8 } }, 'its answer');
    is(row($res->header('x-ai-job')), 'embeddings 8 0  f 200 done',
        'its usage');

    $res = $t->post('/v1/embeddings', { model => 'c/embed-v4.0', %ask });
    is($res->status, 200, "Cohere, $encoding: an answer") or diag($res->body);
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    is(last_of()->{path}, '/v2/embed', 'at its address');
    is_deeply(last_of()->{json}, { model => 'embed-v4.0',
        texts => $ask{input}, input_type => 'search_document',
        output_dimension => 3, embedding_types => ['float'] },
        'what it is asked');
    is_deeply($res->json, { object => 'list', model => 'embed-v4.0',
        data => [map { { object => 'embedding', index => $_,
            embedding => $vector } } 0, 1],
        usage => { prompt_tokens => 5, total_tokens => 5 } }, 'its answer');
    is(row($res->header('x-ai-job')), 'embeddings 5 0  f 200 done',
        'its usage');
}
{
    my $res = $t->post('/v1/embeddings', { model => 'o/silent',
        input => 'hello', user => 'ann' });
    is_deeply(last_of()->{json}{input}, ['hello'], 'one text is a list');
    is($res->json->{usage}{prompt_tokens}, 2, 'what it does not count');
    is($res->header('x-ai-dropped'), 'user', 'what it has not');
    $res = $t->post('/v1/embeddings', { model => 'c/embed-v4.0', input => 'x',
        input_type => 'search_query', truncate => 'NONE' });
    is_deeply(last_of()->{json}, { model => 'embed-v4.0', texts => ['x'],
        input_type => 'search_query', truncate => 'NONE',
        embedding_types => ['float'] }, 'what they are for may be said');
    is($res->header('x-ai-dropped'), undef, 'and is no loss');
    for my $p (qw(o c)) {
        is($t->post('/v1/embeddings', { model => "$p/x", input => [1, 2] })
            ->status, 400, "$p: tokens are refused");
    }
}

# What goes wrong there.
for my $p (qw(g o c)) {
    for my $status (400, 401, 403, 404, 408, 413, 429, 500, 503, 529) {
        for my $wait ($status == 429 ? ('', '-wait') : '') {
            my $res = $t->post('/v1/embeddings', { input => 'x',
                model => "$p/status$status$wait" });
            is($res->status, $status, "$p: $status$wait stays");
            is($res->json->{error}{message}, "no \"$status\"",
                'with its words');
            is($res->header('retry-after'), $wait ? 7 : undef,
                'and its wait');
        }
    }
    for my $case ([garbage => 502], [few => 502], [many => 502],
        [nojson => 502], [stream => 502], [cut => 502], [reset => 502],
        [words => 502, encoding_format => 'base64'])
    {
        my ($model, $status, @more) = @$case;
        my $res = $t->post('/v1/embeddings', { model => "$p/$model",
            input => 'x', @more }, timeout => 60);
        is($res->status, $status, "$p: $model is $status");
        is($res->json->{error}{type}, 'server_error', 'in OpenAI\'s words');
    }
}

# Errors pass as they are.
my %failed;
for my $status (400, 401, 403, 404, 408, 413, 429, 500, 503, 529) {
    for my $wait ($status == 429 ? ('', '-wait') : '') {
        my $res = $t->post('/v1/embeddings', { model => "up/status$status$wait",
            input => 'x' });
        is($res->status, $status, "$status$wait passes");
        is($res->json->{error}{message}, "no \"$status\"", 'with its words');
        is($res->header('retry-after'), $wait ? 7 : undef, 'and its wait');
        $failed{$status} = $res->header('x-ai-job');
    }
}
is(row($failed{$_}), "embeddings 0 0  f $_ failed", "$_: nothing is charged")
    for sort keys %failed;
for my $case ([garbage => 502], [text => 502], [stream => 502], [cut => 502],
    [reset => 502])
{
    my ($model, $status) = @$case;
    my $res = $t->post('/v1/embeddings', { model => "up/$model",
        input => 'x' }, timeout => 60);
    is($res->status, $status, "$model is $status");
    is($res->json->{error}{type}, 'server_error', 'in OpenAI\'s words');
}
my %stalled = map { $_ => $t->stream('/v1/embeddings', { input => 'x',
    model => "$_/stalled" }, timeout => 60) } qw(up g o c);
for my $p (sort keys %stalled) {
    my $res = $stalled{$p}->response;
    is($res->status, 504, "$p: silence is 504");
    is($res->json->{error}{type}, 'server_error', 'in OpenAI\'s words');
    $stalled{$p}->close;
}

done_testing();
