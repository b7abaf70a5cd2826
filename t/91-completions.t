#!/usr/bin/perl
# OpenAI's legacy completions: bytes pass to who has them, and to all others
# they are one turn of a chat, answered as text_completion.
use AiTest;

my $t = AiTest->new;
my $yes = JSON::PP::true;

my $up = $t->provider(name => 'up', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $m = $ask->{model};
    return $out->answer(404, { error => { message => 'no such path' } })
        unless $req->{path} eq '/v1/completions';
    return $out->answer($1, { error => { message => "no \"$1\"",
        type => 'scripted', param => undef, code => undef } },
        $2 ? ('Retry-After' => 7) : ()) if $m =~ /^status(\d+)(-wait)?$/;
    return $out->answer(200, '{"choices": [') if $m eq 'garbage';
    return $out->cut(1) if $m eq 'reset';
    return $out->stall if $m eq 'stalled';
    my %base = (id => 'cmpl-7', object => 'text_completion', created => 7,
        model => 'real');
    my $usage = { prompt_tokens => 5, completion_tokens => 2,
        total_tokens => 7 };
    return $out->answer(200, { %base, choices => [{ text => 'Hello',
        index => 0, logprobs => undef, finish_reason => 'stop' }],
        usage => $usage }) if !$ask->{stream};

    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $say = sub { $out->chunk('data: ' . encode_json({ %base, @_ })
        . "\n\n") };
    $say->(choices => [{ text => $_, index => 0, logprobs => undef,
        finish_reason => undef }]) for 'Hel', 'lo';
    return $out->end if $m eq 'cut';
    $say->(choices => [{ text => '', index => 0, logprobs => undef,
        finish_reason => 'length' }]);
    $say->(choices => [], usage => $usage)
        if $ask->{stream_options}{include_usage};
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});
my $anthropic = $t->provider(name => 'ant', script => AiProvider::anthropic());
my $gone = $t->provider(name => 'gone', script => sub {
    my ($req, $out) = @_;
    my ($status) = $req->{json}{model} =~ /(\d+)/;
    $out->answer($status, { type => 'error', error => {
        type => 'overloaded_error', message => "no \"$status\"" } });
});

$t->start(edge => { ai => <<CONF, location => <<SERVER });
ai_provider up { api openai; url ${\$up->url('/v1')}; timeout first=2s idle=2s; }
ai_provider ant { api anthropic; url ${\$anthropic->url}; }
ai_provider gone { api anthropic; url ${\$gone->url}; }
ai_provider echo { api echo; option word_delay=0; }
ai_price up/m input=1 output=2;
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

# The same dialect.
for my $ask ([prompt => 'x'], [prompt => ['x', 'y'], best_of => 2,
    echo => $yes, suffix => 's', logprobs => 1], [prompt => [1, 2]])
{
    my $res = $t->post('/v1/completions', { model => 'up/m', @$ask });
    is($res->status, 200, 'an answer') or diag($res->body);
    is_deeply(decode_json(($up->requests)[-1]{body}), { model => 'm', @$ask },
        'asked as it was');
    is($res->json->{choices}[0]{text}, 'Hello', 'answered as it was');
    is(row($res->header('x-ai-job')), 'completions 5 2 9000 f 200 done',
        'usage and price');
}
for my $asked (0, 1) {
    my $s = $t->stream('/v1/completions', { model => 'up/m', prompt => 'x',
        stream => $yes, $asked ? (stream_options => {
            include_usage => $yes }) : () });
    my @e = map { $_->{data} } $s->events;
    is(pop @e, '[DONE]', 'a stream with its last word');
    my @c = map { decode_json($_) } @e;
    is(join('', map { $_->{choices}[0]{text} // '' } @c), 'Hello', 'text');
    is(scalar(grep { $_->{usage} } @c), $asked, 'usage for who asked');
    $s->close;
}
wait_for(sub { $t->pg->value("select count(*) from ngxai.ledger where "
    . "input = 5 and output = 2 and cost = 9000 and finish = 'length'") == 2 },
    30, 'the ledger');
pass('usage of streams');

# Anthropic behind it.
{
    my %ask = (model => 'ant/claude-3-5-haiku', prompt => "Say\nhi",
        max_tokens => 9, stop => 'END', temperature => 0.5, top_p => 1,
        echo => JSON::PP::false, best_of => 1, n => 1, logprobs => undef);
    delete $ask{top_p};
    my $res = $t->post('/v1/completions', \%ask);
    is($res->status, 200, 'an answer') or diag($res->body);
    is($res->header('x-ai-dropped'), undef, 'nothing is lost');
    my $r = $res->json;
    is($r->{object}, 'text_completion', 'of its kind');
    like($r->{id}, qr/^cmpl-/, 'with its id');
    is_deeply($r->{choices}, [{ text => 'Hello world', index => 0,
        logprobs => undef, finish_reason => 'stop' }], 'its text');
    is($r->{usage}{total_tokens}, 7, 'usage');
    my $req = decode_json(($anthropic->requests)[-1]{body});
    is_deeply($req, { model => 'claude-3-5-haiku', max_tokens => 9,
        temperature => 0.5, stop_sequences => ['END'], messages => [{
        role => 'user', content => [{ type => 'text', text => "Say\nhi" }] }] },
        'what it is asked') or diag(encode_json($req));

    $res = $t->post('/v1/completions', { model => 'ant/claude-3-5-haiku',
        prompt => ['x'], suffix => 's', echo => $yes, best_of => 3 });
    is(join(' ', sort split /, /, $res->header('x-ai-dropped')),
        'best_of echo suffix', 'what has no counterpart is said');
    is(decode_json(($anthropic->requests)[-1]{body})->{max_tokens}, 16,
        'as many tokens as OpenAI gives who says nothing');
    is($t->post('/strict/v1/completions', { model => 'ant/x', prompt => 'x',
        suffix => 's' })->status, 400, 'strict refuses it');
    for my $prompt ([1, 2], [[1]], ['a', 'b'], {}, undef, []) {
        is($t->post('/v1/completions', { model => 'ant/x',
            prompt => $prompt })->status, 400, 'a prompt that is none: '
            . JSON::PP->new->allow_nonref->encode($prompt));
    }

    my $s = $t->stream('/v1/completions', { %ask, stream => $yes,
        stream_options => { include_usage => $yes } });
    my @e = map { $_->{data} } $s->events;
    is(pop @e, '[DONE]', 'a stream with its last word');
    my @c = map { decode_json($_) } @e;
    is((grep { $_->{object} ne 'text_completion' } @c), 0, 'of its kind');
    is(join('', map { $_->{choices}[0]{text} // '' } @c), 'Hello world',
        'text');
    is(join(' ', grep { $_ } map { $_->{choices}[0]{finish_reason} } @c),
        'stop', 'one finish');
    is($c[-1]{usage}{total_tokens}, 7, 'usage');
    $s->close;
}
is($t->post('/v1/completions', { model => 'echo/echo', prompt => 'a b',
    max_tokens => 50 })->json->{choices}[0]{text}, 'a b', 'echo');

# Errors.
for my $status (400, 401, 403, 404, 408, 413, 429, 500, 503, 529) {
    for my $wait ($status == 429 ? ('', '-wait') : '') {
        my $res = $t->post('/v1/completions', {
            model => "up/status$status$wait", prompt => 'x' });
        is($res->status, $status, "$status$wait passes");
        is($res->json->{error}{message}, "no \"$status\"", 'with its words');
        is($res->header('retry-after'), $wait ? 7 : undef, 'and its wait');
    }
    my $res = $t->post('/v1/completions', { model => "gone/$status",
        prompt => 'x' });
    is($res->status, $status, "Anthropic's $status stays");
    is($res->json->{error}{message}, "no \"$status\"", 'with its words');
}
for my $case ([garbage => 502], [reset => 502], [stalled => 504]) {
    is($t->post('/v1/completions', { model => "up/$case->[0]", prompt => 'x' },
        timeout => 60)->status, $case->[1], "$case->[0] is $case->[1]");
}
{
    my $s = $t->stream('/v1/completions', { model => 'up/cut', prompt => 'x',
        stream => $yes });
    my $status = $s->head->status;
    if ($status != 200) {                   # it was too fast for a stream
        is($status, 502, 'a stream that ends early is an error');
    } else {
        my @e = $s->events;
        like($e[-1]{data}, qr/"error"/, 'a stream that ends early says so');
    }
    $s->close;
}

done_testing();
