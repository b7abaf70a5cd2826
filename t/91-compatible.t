#!/usr/bin/perl
# Those that speak OpenAI's dialect with words of their own, by the shipped
# conf/ai-providers.conf: recorded answers of OpenRouter, Groq, Mistral,
# DeepSeek byte for byte, and the usage that each states in the ledger.
use AiTest;
use AiReplay;

my $file = AiReplay::here() . '/recordings.jsonl';
my $t = AiTest->new;
my $replay = AiReplay->start($t);
my $port = $replay->{port};
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# What OpenRouter says while its provider is slow, and what it is asked with.
my $slow = $t->provider(name => 'slow', script => sub {
    my ($req, $out) = @_;
    my $chunk = sub { $out->chunk('data: ' . encode_json({ id => 'gen-1',
        object => 'chat.completion.chunk', created => 1, model => 'm',
        provider => 'Someone', @_ }) . "\n\n") };

    $out->head(200, 'Content-Type' => 'text/event-stream');
    $out->chunk(": OPENROUTER PROCESSING\n\n") for 1 .. 3;
    $chunk->(choices => [{ index => 0, delta => { content => 'Hi' },
        finish_reason => undef }]);
    if ($req->{json}{model} eq 'inside') {
        $chunk->(error => { code => 502, message => 'upstream' },
            choices => [{ index => 0, delta => { content => '' },
                finish_reason => 'error' }]);
    } else {
        $chunk->(choices => [{ index => 0, delta => {},
            finish_reason => 'stop' }]);
        $chunk->(choices => [], usage => { prompt_tokens => 3,
            completion_tokens => 1, total_tokens => 4, cost => 0.00012,
            is_byok => JSON::PP::false });
    }
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});

my $conf = AiTest::root() . '/conf/ai-providers.conf';
$t->{workers_env} = { (map { $_ . '_API_KEY' => 'sk-x' }
        qw(OPENROUTER GROQ MISTRAL DEEPSEEK)),
    OPENROUTER_BASE_URL => "http://127.0.0.1:$port/api/v1",
    GROQ_BASE_URL => "http://127.0.0.1:$port/openai/v1",
    MISTRAL_BASE_URL => "http://127.0.0.1:$port/v1",
    DEEPSEEK_BASE_URL => "http://127.0.0.1:$port" };
$t->start(edge => { ai => <<CONF });
include $conf;
ai_provider slow { api openai; url ${\$slow->url('/api/v1')}; }
CONF

my %of = ('openrouter.ai' => 'openrouter', 'api.groq.com' => 'groq',
    'api.mistral.ai' => 'mistral', 'api.deepseek.com' => 'deepseek');
my (%n, %seen, %want);

open my $in, '<', $file or die;
while (<$in>) {
    my $r = $json->decode($_);
    my $name = $of{ $r->{host} };
    next unless $r->{api} eq 'compatible.chat' && $name
        && ref $r->{request} eq 'HASH';
    my $text = $json->encode($r->{request});
    next if $seen{$text}++;
    my $direct = AiHttp->post($port, '/v1/chat/completions', $text,
        timeout => 60);
    my $got = $t->post('/v1/chat/completions', $json->encode({
        %{ $r->{request} }, model => "$name/$r->{request}{model}" }),
        timeout => 60);
    ok($got->status == $direct->status && $got->body eq $direct->body,
        "$name $r->{id}") or diag($got->status . ' ' . $got->body);
    $n{$name}++;

    # The last word on usage, as it stands in what was recorded.
    my ($usage) = reverse map { $_->{usage} || ($_->{x_groq} || {})->{usage}
        || () } map { eval { $json->decode($_) } || () }
        $r->{stream} ? $direct->body =~ /^data: (\{.*)$/mg : $direct->body;
    $want{ $got->header('x-ai-job') } = [$r->{id}, join ' ',
        @$usage{qw(prompt_tokens completion_tokens)}] if $usage;
}
close $in;

diag("compatible: $_ $n{$_}") for sort keys %n;
cmp_ok($n{$_} // 0, '>=', { groq => 20, mistral => 20, openrouter => 15,
    deepseek => 3 }->{$_}, "recordings of $_") for values %of;

my %row;
wait_for(sub {
    %row = map { $_->[0] => "$_->[1] $_->[2]" } $t->pg->query(
        'select job, input, output from ngxai.ledger');
    return !grep { !$row{$_} } keys %want;
}, 60, 'the ledger');
is($row{$_}, $want{$_}[1], "$want{$_}[0]: usage as it states")
    for sort keys %want;

# What is sent: Mistral is not asked for what it refuses.
{
    my $said = AiHttp->get($port, '/log')->json;
    my @asked = grep { $_->{body} =~ /"model":"mistral|"model":"open-mistral/
        && $_->{headers}{authorization} } @$said;
    cmp_ok(scalar(@asked), '>', 0, 'Mistral was asked');
    is((grep { $_->{body} =~ /stream_options/ } @asked), 0,
        'without stream_options');
    is((grep { $_->{headers}{authorization} ne 'Bearer sk-x' } @asked), 0,
        'with its key');
}

# OpenRouter's own.
{
    my @own = (provider => { order => ['A', 'B'],
        allow_fallbacks => JSON::PP::false }, models => ['a', 'b'],
        transforms => ['middle-out'], usage => { include => JSON::PP::true },
        plugins => [{ id => 'web' }]);
    my %ask = (model => 'slow/m', stream => JSON::PP::true, @own,
        messages => [{ role => 'user', content => 'x' }],
        stream_options => { include_usage => JSON::PP::true });
    my $res = $t->post('/v1/chat/completions', \%ask);
    like($res->body, qr/\A(?:: OPENROUTER PROCESSING\n\n){3}data: /,
        'its comments pass');
    like($res->body, qr/"cost":0.00012/, 'what it took passes');
    is_deeply(decode_json(($slow->requests)[-1]{body}), { %ask,
        model => 'm' }, 'its routing passes');

    $res = $t->post('/v1/messages', { model => 'slow/m', max_tokens => 9,
        stream => JSON::PP::true, messages => $ask{messages} },
        headers => ['anthropic-version' => '2023-06-01']);
    unlike($res->body, qr/OPENROUTER|dropped/,
        'to another dialect its comments are none');
    like($res->body, qr/message_stop/, 'and the stream is whole');

    $res = $t->post('/v1/chat/completions', { %ask, model => 'slow/inside' });
    like($res->body, qr/"code":502/, 'an error in a stream passes');
    my $job = $res->header('x-ai-job');
    wait_for(sub { ($t->pg->value("select state from ngxai.ledger where job "
        . "= '$job'") // '') eq 'failed' }, 30, 'the ledger');
    pass('and the call has failed');
}

$replay->stop;
done_testing();
