#!/usr/bin/perl
# What clients and providers of Bedrock, Azure, embeddings and counts do to do
# harm: headers that break a signature, requests that are wrong again and again,
# requests of a million members, answers of megabytes.  And what an error is
# that is the model's, whatever its status.
use AiTest;
use AiAws qw(unsigned event);
use MIME::Base64 ();

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
my %keys = (AKIAKEY => 'se/cret+Key');
my $vector = MIME::Base64::encode(pack('f<*', (0.5) x 60_000), '');

# Any path: wrong where its request says so, and right else.
my $up = $t->provider(name => 'up', script => sub {
    my ($req, $out) = @_;
    my $path = $req->{path};
    my $wrong = $req->{body} =~ /WRONG/;

    if ($path =~ m{^/model/([^/]+)/converse(-stream)?$}) {
        my ($model, $stream) = ($1, $2);
        return $out->answer(424, { message => 'The model failed.' },
            'x-amzn-ErrorType' => 'ModelErrorException') if $model eq 'sick';
        if ($stream) {
            $out->head(200,
                'Content-Type' => 'application/vnd.amazon.eventstream');
            $out->chunk($wrong ? event(validationException => {
                    message => 'wrong' })
                : event(messageStart => { role => 'assistant' })
                . event(contentBlockDelta => { contentBlockIndex => 0,
                    delta => { text => 'fine' } })
                . event(messageStop => { stopReason => 'end_turn' })
                . event(metadata => { usage => { inputTokens => 1,
                    outputTokens => 1 } }));
            return $out->end;
        }
        return $out->answer(400, { message => 'wrong' },
            'x-amzn-ErrorType' => 'ValidationException') if $wrong;
        return $out->answer(200, { output => { message => {
            role => 'assistant', content => [{ text => 'fine' }] } },
            stopReason => 'end_turn', usage => { inputTokens => 1,
            outputTokens => 1 } });
    }
    return $out->answer(400, { error => { message => 'wrong',
        type => 'invalid_request_error', code => 'content_filter' } })
        if $wrong;
    return $out->answer(503, { error => { message => 'down' } })
        if $req->{json}{model} eq 'down';
    return $out->answer(200, { input_tokens => 3 })
        if $path =~ /count_tokens$/;
    return $out->answer(200, { object => 'list', data => [map { {
        object => 'embedding', index => $_, embedding => $vector } } 0 .. 19],
        model => 'm', usage => { prompt_tokens => 77, total_tokens => 77 } })
        if $req->{json}{model} eq 'large';
    return $out->answer(200, { embeddings => [{ values => [1] }] })
        if $path =~ /batchEmbedContents$/;
    return $out->answer(200, { object => 'list', data => [{
        object => 'embedding', index => 0, embedding => [1] }],
        usage => { prompt_tokens => 1, total_tokens => 1 } })
        if $path =~ /embeddings$/;
    AiProvider::openai()->($req, $out);
});

for my $file ([pair => "AKIAKEY:$keys{AKIAKEY}"], [az => 'az-key']) {
    open my $fh, '>', $t->subdir('secrets') . "/$file->[0]" or die $!;
    print $fh "$file->[1]\n";
    close $fh;
}
my $url = $up->url;
$t->start(edge => { ai => <<CONF });
client_max_body_size 16m;
ai_forward_header request X-A X-A-B X-A1 X-Amz-Date X-Amz-Content-Sha256
    X-Amz-Target Content X-Plain X-Amzn-Trace-Id;
ai_provider b { api bedrock; url $url; key file:pair;
    option region=eu-west-1; }
ai_provider az { api azure; url $url; key file:az; }
ai_provider o { api openai; url $url/v1; }
ai_provider g { api gemini; url $url; }
ai_provider a { api anthropic; url $url; }
ai_model sick { route b model=sick; fallback o/fine; }
ai_price o/large input=1;
CONF

my @head = (headers => ['anthropic-version' => '2023-06-01']);
sub user { (messages => [{ role => 'user', content => $_[0] }]) }

# What a client may send along never breaks the signature, for which its key
# would be benched.
for my $case (
    ['X-A' => 1, 'X-A-B' => 2], ['X-A-B' => 2, 'X-A' => 1],
    ['X-A' => 1, 'X-A1' => 2], ['Content' => 'x'],
    ['X-Amz-Date' => '20200101T000000Z'],
    ['X-Amz-Content-Sha256' => 'UNSIGNED-PAYLOAD'], ['X-Amz-Target' => 'x'],
    ['X-Plain' => "caf\xc3\xa9"], ['X-Plain' => "a  \t b"],
    ['X-Amzn-Trace-Id' => 'Root=1'], ['X-Plain' => 1, 'X-A' => 2])
{
    my $res = $t->post('/v1/chat/completions', { model => 'b/m', user('x') },
        headers => $case);
    is($res->status, 200, "@$case[0, 2 .. $#$case]: an answer");
    is(unsigned(($up->requests)[-1], 'eu-west-1', 'bedrock', %keys), '',
        'that was signed');
}
{
    my $h = ($up->requests)[-1]{headers};
    is("$h->{'x-plain'} $h->{'x-a'}", '1 2', 'what can be signed is there');
}

# An error that is the model's: another is asked.
{
    my $res = $t->post('/v1/chat/completions', { model => 'sick', user('x') });
    is($res->status, 200, 'a model that failed is not the only one');
    is($res->header('x-ai-provider'), 'o', 'its fallback is asked');
    $res = $t->post('/v1/chat/completions', { model => 'b/sick', user('x') });
    is($res->status, 424, 'where there is none its status stays');
    is($res->json->{error}{message}, 'The model failed.', 'with its words');
}

# What is the client's fault trips nothing, however often.
for my $case (
    ['bedrock', '/v1/chat/completions', sub { model => 'b/m', user(@_) }],
    ['bedrock, in a stream', '/v1/messages', sub { model => 'b/m',
        max_tokens => 5, stream => $yes, user(@_) }],
    ['azure', '/v1/chat/completions', sub { model => 'az/m', user(@_) }],
    ['embeddings', '/v1/embeddings', sub { model => 'o/m', input => @_ }],
    ['embeddings of Google', '/v1/embeddings', sub { model => 'g/m',
        input => $_[0] eq 'WRONG' ? [1, 2] : 'x' }],
    ['completions', '/v1/completions', sub { model => 'o/m', prompt => @_ }],
    ['completions as a chat', '/v1/completions', sub { model => 'b/m',
        prompt => $_[0] eq 'WRONG' ? [1, 2] : 'x' }],
    ['counts', '/v1/messages/count_tokens', sub { model => 'a/m',
        user(@_) }])
{
    my ($name, $path, $ask) = @$case;
    my @wrong = map { $t->post($path, { $ask->('WRONG') }, @head) } 1 .. 12;
    my %seen = map { $_->status => 1 } @wrong;
    my $stream = $name =~ /stream/;
    is(join(' ', sort keys %seen), $stream && $seen{200} ? '200' : '400',
        "$name: wrong, each time") if !$stream || !$seen{400};
    my $res = $t->post($path, { $ask->('right') }, @head);
    is($res->status, 200, "$name: then right") or diag($res->body);
}

# A count that is a guess asks nobody, so it shows nobody to work, and comes
# while its provider is down.
{
    my ($open, %counts) = 0;
    for (1 .. 40) {
        $open += $t->post('/v1/chat/completions', { model => 'o/down',
            user('x') })->body =~ /not asked just now/;
        $counts{ $t->post('/v1/messages/count_tokens', { model => 'o/down',
            user('x') }, @head)->status }++ for 1, 2;
        last if $open > 3;
    }
    cmp_ok($open, '>', 3, 'a provider that is down is not asked for a while');
    is(join(' ', keys %counts), 200, 'what needs no provider goes on');
}

# Members without end are the client's fault.
for my $case (['/v1/messages/count_tokens', 'o/m'],
    ['/v1/messages', 'b/m'])
{
    my ($path, $model) = @$case;
    my $res = $t->post($path, qq({"model":"$model","max_tokens":5,"messages":)
        . '[{"role":"user","content":[' . join(',', ('0') x 300_000) . ']}]}',
        @head);
    is($res->status, 400, "$path: too many members");
    is($res->json->{error}{type}, 'invalid_request_error', 'as it says');
}

# Five megabytes of vectors have their usage at the end.
{
    my $res = $t->post('/v1/embeddings', { model => 'o/large', input =>
        [('x') x 20], encoding_format => 'base64' });
    is($res->status, 200, 'a large answer');
    cmp_ok(length $res->body, '>', 5_000_000, 'all of it');
    my $job = $res->header('x-ai-job');
    my @row;
    wait_for(sub { (@row) = $t->pg->query('select input, output, cost, '
        . "estimated from ngxai.ledger where job = '$job'") }, 30,
        'the ledger');
    is(join(' ', @{ $row[0] }), '77 0 77000 f', 'its usage is no guess');
}

# Nobody says a key.
{
    my @said = grep { /se.cret.Key|az-key/ } map { slurp($_) }
        glob($t->dir . '/workers*.log'), glob($t->dir . '/*/error.log');
    is(scalar @said, 0, 'no log has a key');
    my $r = $t->redis;
    my @kept = grep { my $key = $_; grep { defined && /se.cret.Key|az-key/ }
        eval { $r->cmd('DUMP', $key) } } sort keys %{ $r->keys };
    is("@kept", '', 'nor has Redis');
}

done_testing();
