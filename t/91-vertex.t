#!/usr/bin/perl
# Vertex AI: Gemini's answers at its own address, with a token that a service
# account's key is traded for: once for many jobs, renewed before it ends, never
# in a log.
use AiTest;
use Time::HiRes qw(sleep);

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
sub spew { open my $fh, '>', $_[0] or die $!; print $fh $_[1]; close $fh }
my $mode = "$t->{dir}/mode";
spew($mode, 'slow');

my $vertex = $t->provider(name => 'vertex', script => sub {
    my ($req, $out) = @_;
    my $how = slurp($mode);

    if ($req->{path} eq '/token') {
        return $out->stall if $how eq 'stalled';
        return $out->answer(400, { error => 'invalid_grant',
            error_description => 'secret-description' }) if $how eq 'refused';
        return $out->answer(200, { token_type => 'Bearer' })
            if $how eq 'empty';
        $out->wait(1) if $how eq 'slow';
        return $out->answer(200, { access_token => 'ya29.secret-'
            . "$$-" . int(1000 * Time::HiRes::time()),
            expires_in => $how eq 'short' ? 4 : 3600,
            token_type => 'Bearer' });
    }

    return $out->answer(401, { error => { code => 401, message => 'bad',
        status => 'UNAUTHENTICATED' } })
        if $how eq 'revoked'
            || ($req->{headers}{authorization} // '') !~ /^Bearer ya29\./;

    my $all = { candidates => [{ content => { role => 'model',
        parts => [{ text => 'hello' }] }, finishReason => 'STOP' }],
        usageMetadata => { promptTokenCount => 3, candidatesTokenCount => 2,
            trafficType => 'ON_DEMAND' }, modelVersion => 'gemini-x',
        responseId => 'r' };
    return $out->answer(200, $all) unless $req->{path} =~ /:stream/;
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $out->chunk('data: ' . encode_json($all) . "\r\n\r\n");
    $out->end;
});

my $pem = `openssl genrsa 2048 2>/dev/null`;
AiTest::skip_all('no openssl') unless $pem;
my $dir = $t->subdir('secrets');
my %account = (type => 'service_account', project_id => 'p',
    private_key_id => 'k1', private_key => $pem,
    client_email => 'a@p.iam.gserviceaccount.com',
    token_uri => $vertex->url('/token'));
spew("$dir/$_.json", encode_json({ %account,
    client_email => "$_\@p.iam.gserviceaccount.com" }))
    for qw(one two three four five six);
spew("$dir/broken.json", '{"type":"service_account"}');
spew("$dir/token", "ya29.static\n");

my $base = $vertex->url('/v1/projects/p/locations/l');
$t->start(edge => { ai => join('', map {
    "ai_provider $_ { api vertex; url $base; key file:$_.json; }\n" }
    qw(one two three four five six broken)) . <<CONF });
ai_provider static { api vertex; url $base; key file:token; }
CONF
$t->{pooled} = 16;

my @user = (messages => [{ role => 'user', content => 'x' }]);
sub ask { $t->post('/v1/chat/completions', { model => "$_[0]/gemini-x",
    @user }) }
sub fetched { scalar grep { $_->{path} eq '/token' } $vertex->requests }

# Many at once, one fetch.
{
    my @s = map { $t->stream('/v1/chat/completions', { model =>
        'one/gemini-x', @user, stream => $yes }) } 1 .. 6;
    for my $s (@s) {
        is(join('', map { $_->{data} eq '[DONE]' ? '' : decode_json(
            $_->{data})->{choices}[0]{delta}{content} // '' } $s->events),
            'hello', 'an answer behind the token');
        $s->close;
    }
    is(fetched(), 1, 'one fetch for all');
    my ($ask) = grep { $_->{path} eq '/token' } $vertex->requests;
    like($ask->{body}, qr/^grant_type=urn%3Aietf%3Aparams%3Aoauth%3A
        grant-type%3Ajwt-bearer&assertion=[\w-]+\.[\w-]+\.[\w-]+$/x,
        'with an assertion');
    is($ask->{headers}{'content-type'}, 'application/x-www-form-urlencoded',
        'as a form');
    my ($call) = grep { $_->{path} ne '/token' } $vertex->requests;
    is("$call->{path}?$call->{query}", '/v1/projects/p/locations/l/publishers'
        . '/google/models/gemini-x:streamGenerateContent?alt=sse',
        'at its own address');
    my $res = ask('one');
    is($res->status, 200, 'another');
    is($res->header('x-ai-dropped'), undef, 'of which nothing is lost');
    is(fetched(), 1, 'takes the same token');
}

# A token by itself.
{
    my $n = fetched();
    is(ask('static')->status, 200, 'a token that is a key');
    is((($vertex->requests)[-1])->{headers}{authorization},
        'Bearer ya29.static', 'goes as it is');
    is(fetched(), $n, 'and is traded for none');
}

# It is renewed before it ends: no job waits for that, and none fails.
{
    spew($mode, 'short');
    my (%tokens, $bad);
    wait_for(sub {
        $bad = 1 if ask('two')->status != 200;
        $tokens{(grep { $_->{path} ne '/token' } $vertex->requests)[-1]
            {headers}{authorization}} = 1;
        sleep 0.2;
        return keys %tokens >= 3;
    }, 60, 'a token after a token');
    ok(!$bad, 'and no job failed');
}

# One that is not taken any more.
{
    spew($mode, 'revoked');
    my $n = fetched();
    is(ask('one')->status, 401, 'a token that is taken back');
    wait_for(sub { ask('one'); sleep 0.2; return fetched() > $n }, 30,
        'another is fetched');
    spew($mode, 'fast');
    is(ask('one')->status, 200, 'and taken');
}

# What fails.
{
    my $res = ask('broken');
    is($res->status, 502, 'an account that is none');
    unlike($res->body, qr/service_account/, 'of which nothing is told');

    spew($mode, 'refused');
    my $n = fetched();
    is(ask('three')->status, 502, 'one that is refused');
    is(fetched(), $n + 1, 'was asked for');
    spew($mode, 'fast');
    wait_for(sub { ask('three')->status == 200 }, 30,
        'it is asked for again after a while');

    spew($mode, 'empty');
    is(ask('four')->status, 502, 'an answer without a token');

    # Who leaves does not wait for it.

    spew($mode, 'stalled');
    my $s = $t->stream('/v1/chat/completions', { model => 'six/gemini-x',
        @user, stream => $yes });
    wait_for(sub { (($vertex->requests)[-1])->{path}
        eq '/token' }, 30, 'a job that waits');
    $s->close;
    is(ask('five')->status, 504, 'one that never comes');
}

# Nothing of it was written anywhere.
my $logs = join '', map { slurp($_) } glob("$t->{dir}/workers*"),
    glob("$t->{dir}/*/error.log");
ok($logs !~ /ya29|PRIVATE KEY|secret-description|eyJ/,
    'no secret in a log');
ok($logs =~ /no token for a service account: status 400 invalid_grant/,
    'but why');

done_testing();
