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

$t->start(edge => { ai => <<CONF, location => <<SERVER });
ai_provider up { api openai; url ${\$up->url('/v1')}; timeout idle=2s; }
ai_provider ant { api anthropic; url ${\$up->url}; }
ai_price up/small input=0.02;
ai_zone cache 1m;
CONF
}
location /limited/ { ai_pass; ai_limit endpoint=embeddings requests=1/h; }
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

# Errors pass as they are.
for my $status (400, 401, 403, 404, 408, 413, 429, 500, 503, 529) {
    for my $wait ($status == 429 ? ('', '-wait') : '') {
        my $res = $t->post('/v1/embeddings', { model => "up/status$status$wait",
            input => 'x' });
        is($res->status, $status, "$status$wait passes");
        is($res->json->{error}{message}, "no \"$status\"", 'with its words');
        is($res->header('retry-after'), $wait ? 7 : undef, 'and its wait');
        is(row($res->header('x-ai-job')), "embeddings 0 0  f $status failed",
            'nothing is charged');
    }
}
for my $case ([garbage => 502], [text => 502], [stream => 502], [cut => 502],
    [reset => 502], [stalled => 504])
{
    my ($model, $status) = @$case;
    my $res = $t->post('/v1/embeddings', { model => "up/$model",
        input => 'x' }, timeout => 60);
    is($res->status, $status, "$model is $status");
    is($res->json->{error}{type}, 'server_error', 'in OpenAI\'s words');
}

done_testing();
