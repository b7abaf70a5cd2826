#!/usr/bin/perl
# Azure OpenAI: the addresses of deployments and the form "v1", its key's
# header, its own fields in answers and streams, and its errors.
use AiTest;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);
my $safe = { hate => { filtered => $no, severity => 'safe' } };

my $azure = $t->provider(name => 'azure', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $m = $ask->{model};

    if ($m eq 'filtered') {
        return $out->answer(400, { error => { message => 'filtered',
            type => undef, param => 'prompt', code => 'content_filter',
            status => 400, innererror => {
                code => 'ResponsibleAIPolicyViolation',
                content_filter_result => $safe } } });
    }
    if ($req->{path} =~ /embeddings$/) {
        return $out->answer(200, { object => 'list', model => 'ada', data => [{
            object => 'embedding', index => 0, embedding => [1, 2] }],
            usage => { prompt_tokens => 4, total_tokens => 4 } });
    } elsif ($req->{path} !~ /chat/) {
        return $out->answer(200, { id => 'cmpl-1', object => 'text_completion',
            created => 1, model => 'gpt', choices => [{ index => 0,
            text => 'Hi', finish_reason => 'stop', logprobs => undef }],
            usage => { prompt_tokens => 4, completion_tokens => 1,
                total_tokens => 5 } });
    }
    my %base = (id => 'chatcmpl-1', created => 1700000000, model => 'gpt-real',
        prompt_filter_results => [{ prompt_index => 0,
            content_filter_results => $safe }]);
    my $usage = { prompt_tokens => 9, completion_tokens => 2,
        total_tokens => 11 };

    return $out->answer(200, { %base, object => 'chat.completion',
        choices => [{ index => 0, finish_reason => 'stop',
            content_filter_results => $safe, message => {
                role => 'assistant', content => 'Hello' } }],
        usage => $usage }, 'x-ratelimit-remaining-tokens' => 5,
        'apim-request-id' => 'r') if !$ask->{stream};

    # The filter's word on the prompt comes first, with no choice.
    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $say = sub { $out->chunk('data: ' . encode_json({ %base,
        object => 'chat.completion.chunk', @_ }) . "\n\n") };
    $say->(choices => []);
    delete $base{prompt_filter_results};
    $say->(choices => [{ index => 0, content_filter_results => $safe,
        finish_reason => undef, delta => { content => $_ } }])
        for 'Hel', 'lo';
    $say->(choices => [{ index => 0, delta => {}, finish_reason => 'stop' }]);
    $say->(choices => [], usage => $usage)
        if $ask->{stream_options}{include_usage};
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});

open my $fh, '>', $t->subdir('secrets') . '/key' or die $!;
print $fh "az-up\n";
close $fh;

$t->start(edge => { ai => <<CONF });
ai_provider az { api azure; url ${\$azure->url}; key file:key; }
ai_provider dated { key file:key; api azure;
    url ${\$azure->url('/openai?api-version=2025-01-01-preview')}; }
ai_provider one { api azure; url ${\$azure->url('/openai/v1')}; key file:key; }
ai_provider next { api azure; key file:key;
    url ${\$azure->url('/openai/v1?api-version=preview')}; }
ai_model gpt { route az model=my-gpt; }
ai_price az/my-gpt input=1 output=2;
CONF

sub last_of { my $r = ($azure->requests)[-1];
    return { %$r, json => decode_json($r->{body}),
        at => $r->{path} . (length($r->{query} // '') ? "?$r->{query}" : '') } }
my @user = (messages => [{ role => 'user', content => 'x' }]);
my $v = 'api-version=2024-10-21';

# Where it is asked.
for my $case (
    ['gpt', "/openai/deployments/my-gpt/chat/completions?$v"],
    ['az/a b', "/openai/deployments/a%20b/chat/completions?$v"],
    ['dated/d', '/openai/deployments/d/chat/completions'
        . '?api-version=2025-01-01-preview'],
    ['one/d', '/openai/v1/chat/completions'],
    ['next/d', '/openai/v1/chat/completions?api-version=preview'])
{
    my ($model, $at) = @$case;
    my $res = $t->post('/v1/chat/completions', { model => $model, @user });
    is($res->status, 200, "$model: an answer") or diag($res->body);
    my $req = last_of();
    is($req->{at}, $at, 'at its address');
    is($req->{headers}{'api-key'}, 'az-up', 'with its key');
    is($req->{headers}{authorization}, undef, 'and no other');
    is($res->json->{choices}[0]{content_filter_results}{hate}{severity},
        'safe', 'what the filter says passes');
    is($res->header('x-ratelimit-remaining-tokens'), 5, 'its limits pass');
}
for my $case (['embeddings', { input => 'x' }], ['completions',
    { prompt => 'x' }])
{
    my ($what, $ask) = @$case;
    my $res = $t->post("/v1/$what", { model => 'gpt', %$ask });
    is($res->status, 200, "$what: an answer") or diag($res->body);
    is(last_of()->{at}, "/openai/deployments/my-gpt/$what?$v",
        'at the address of its deployment');
}
is($t->post('/v1/chat/completions', { model => 'az/..', @user })->status, 404,
    'a name that is no segment of a path');

# Streams.
for my $asked (0, 1) {
    my $s = $t->stream('/v1/chat/completions', { model => 'gpt', @user,
        stream => $yes, $asked ? (stream_options => {
            include_usage => $yes }) : () });
    my @e = map { $_->{data} } $s->events;
    is(pop @e, '[DONE]', 'a stream with its last word');
    my @c = map { decode_json($_) } @e;
    is($c[0]{prompt_filter_results}[0]{content_filter_results}{hate}
        {severity}, 'safe', 'what the filter says of the prompt passes');
    is(join('', map { $_->{choices}[0]{delta}{content} // '' } @c), 'Hello',
        'text');
    is(scalar(grep { $_->{usage} } @c), $asked, 'usage for who asked');
    $s->close;
}
wait_for(sub { $t->pg->value("select count(*) from ngxai.ledger where "
    . "model = 'gpt' and op = 'chat' and state = 'done' "
    . "and input = 9 and output = 2 and cost = 13000") == 3 }, 30,
    'the ledger');
pass('usage and price are in the ledger');

# Another dialect's client.
{
    my $res = $t->post('/v1/messages', { model => 'gpt', max_tokens => 9,
        @user }, headers => ['anthropic-version' => '2023-06-01']);
    is($res->json->{content}[0]{text}, 'Hello', 'Anthropic on Azure');
    is($res->header('x-ai-dropped'), undef, 'the filter is not told of');
    is(last_of()->{json}{max_completion_tokens}, 9, 'asked as OpenAI is');
    $res = $t->stream('/v1/messages', { model => 'gpt', max_tokens => 9,
        @user, stream => $yes },
        headers => ['anthropic-version' => '2023-06-01']);
    my @e = $res->events;
    is(decode_json($e[-1]{data})->{type}, 'message_stop', 'its stream');
    is((grep { ($_->{comment} // '') =~ /dropped/ } @e), 0,
        'with nothing dropped');
    $res->close;
}

# What its filter refuses.
{
    my $res = $t->post('/v1/chat/completions', { model => 'az/filtered',
        @user });
    is($res->status, 400, 'a prompt that was filtered');
    is($res->json->{error}{innererror}{code}, 'ResponsibleAIPolicyViolation',
        'says why');
    $res = $t->post('/v1/messages', { model => 'az/filtered', max_tokens => 9,
        @user }, headers => ['anthropic-version' => '2023-06-01']);
    is($res->status, 400, 'to Anthropic\'s client, too');
    is($res->json->{error}{message}, 'filtered', 'in its words');
}

done_testing();
