#!/usr/bin/perl
# Failover through the whole gateway: one answer, and headers and variables
# that say where it comes from.
use AiTest;

my $t = AiTest->new;
my $bad = $t->provider(name => 'bad', script => sub {
    my ($req, $out) = @_;
    return $out->answer(503, { error => { message => 'down' } })
        if $req->{json}{model} eq 'down';
    sleep 0.3;
    return $out->cut(1);
});
my $good = $t->provider(name => 'good', script => AiProvider::openai(
    delay => 0.1));
my $anthropic = $t->provider(name => 'anthropic',
    script => AiProvider::anthropic());

$t->start(workers => { n => 1 }, edge => { ai => <<CONF });
log_format routed '\$ai_job|\$ai_provider|\$ai_provider_model|\$ai_attempts|'
    '\$ai_overhead|\$status|';
access_log %%DIR%%/routed.log routed;
ai_provider bad { api openai; url @{[$bad->url('/v1')]}; }
ai_provider good { api openai; url @{[$good->url('/v1')]}; }
ai_provider anthropic { api anthropic; url @{[$anthropic->url]};
    models claude; }
ai_price anthropic/claude input=1;
ai_price anthropic/other input=1;
ai_model first { route good model=fine; alias also best/one; }
ai_model second { route bad model=down; fallback good/fine; }
ai_model slow { route bad model=reset; fallback anthropic/claude; }
ai_model none { route bad model=reset; retry 0; }
ai_model down { route bad model=down; retry 1; }
CONF

sub ask {
    my ($model, $stream) = @_;
    return $t->post('/v1/chat/completions', { model => $model,
        $stream ? (stream => JSON::PP::true) : (),
        messages => [{ role => 'user', content => 'hello' }] });
}
sub routed {
    my ($res) = @_;
    return join ' ', $res->status, map { $res->header("x-ai-$_") // '-' }
        'provider', 'attempts';
}
sub logged {
    my ($res) = @_;
    my $job = $res->header('x-ai-job');
    my $line;
    wait_for(sub { ($line) = slurp("$t->{edge}{dir}/routed.log")
        =~ /^\Q$job\E\|(.*)/m }, 10, 'the log');
    return split /\|/, $line;
}

for my $stream (0, 1) {
    my $res = ask('first', $stream);
    is(routed($res), '200 good 1', 'a call that works');
    my $first = $res->header('x-ai-overhead-ms');
    like($first, qr/^\d+\.\d{3}\z/, 'and what the gateway took');
    my @log = logged($res);
    is("@log[0 .. 2]", 'good fine 1', 'the variables');

    $res = ask('second', $stream);
    is(routed($res), '200 good 2', 'one that a fallback answers');
    is(join(' ', (logged($res))[0 .. 2]), 'good fine 2', 'the variables');

    $res = ask('slow', $stream);
    is(routed($res), '200 anthropic 2', 'of another dialect');
    like($res->body, qr/Hello/, 'is whole');
    unlike($res->body, qr/error/, 'without a word of the first');
    cmp_ok($res->header('x-ai-overhead-ms'), '<', 290,
        'what providers took is not overhead');

    $res = ask('none', $stream);
    is(routed($res), '502 bad 1', 'one that nobody answers');
    is(join(' ', (logged($res))[0, 2]), 'bad 1', 'the variables');

    $res = ask('down', $stream);
    is(routed($res), '503 bad 2', "a provider's error");
}

# Other names of a model, and what a provider may be asked for by its own.

is(routed(ask($_)), '200 good 1', "alias $_") for qw(also best/one);
is($good->request(1)->{path}, '/v1/chat/completions', 'asked');
is((grep { /"model":\s*"(?!fine)/ } map { $_->{body} } $good->requests), 0,
    'for what its route says');
is(routed(ask('anthropic/claude')), '200 anthropic 1', 'a model of the list');
is(ask('anthropic/other')->status, 404, 'one that is not');
my %listed = map { $_->{id} => 1 } @{ $t->get('/v1/models')->json->{data} };
is(join(' ', map { $listed{$_} || 0 } qw(first also best/one
    anthropic/claude anthropic/other)), '1 1 1 1 0', 'the list of models');

done_testing();
