# Providers of every dialect that fail as the model's name says, in each one's
# own words.
#
#   my $up = $t->provider(script => AiFault::script($t->dir));
#   AiFault::conf($up->url, name => 'p-%s', more => 'timeout idle=2s;')
#
# A name is <fault>.<anything>: what stands behind keeps breakers apart.  What
# comes behind a word waits until somebody who has it says so:
#
#   AiFault::go($t->dir, 'openai', 'reset.chat')
package AiFault;

use strict;
use warnings;
use AiAws ();
use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical;

our @statuses = (400, 401, 403, 404, 408, 413, 429, 500, 503, 529);

# What each kind of client is told of a status.
our %openai = (400 => 'invalid_request_error', 401 => 'authentication_error',
    403 => 'permission_error', 404 => 'invalid_request_error',
    408 => 'invalid_request_error', 413 => 'invalid_request_error',
    429 => 'rate_limit_error', 500 => 'server_error', 503 => 'server_error',
    529 => 'server_error');
our %anthropic = (400 => 'invalid_request_error',
    401 => 'authentication_error', 403 => 'permission_error',
    404 => 'not_found_error', 408 => 'invalid_request_error',
    413 => 'request_too_large', 429 => 'rate_limit_error', 500 => 'api_error',
    503 => 'overloaded_error', 529 => 'overloaded_error');

# And how the clouds call them.
my %google = (400 => 'INVALID_ARGUMENT', 401 => 'UNAUTHENTICATED',
    403 => 'PERMISSION_DENIED', 404 => 'NOT_FOUND', 408 => 'CANCELLED',
    413 => 'INVALID_ARGUMENT', 429 => 'RESOURCE_EXHAUSTED',
    500 => 'INTERNAL', 503 => 'UNAVAILABLE', 529 => 'UNAVAILABLE');
my %aws = (400 => 'ValidationException', 401 => 'UnauthorizedException',
    403 => 'AccessDeniedException', 404 => 'ResourceNotFoundException',
    408 => 'ModelTimeoutException', 413 => 'RequestEntityTooLargeException',
    429 => 'ThrottlingException', 500 => 'InternalServerException',
    503 => 'ServiceUnavailableException', 529 => 'ModelNotReadyException');


sub data { return 'data: ' . $json->encode($_[0]) . "\n\n" }
sub event { my $type = shift;
    return "event: $type\n" . data({ type => $type, @_ }) }
sub line { return $json->encode($_[0]) . "\n" }


# A dialect: where its providers lie, an error, its streams' type, a greeting,
# a word, an error in a stream, a broken event, a whole answer.

my %chat = (id => 'chatcmpl-1', created => 1700000000, model => 'm',
    object => 'chat.completion.chunk');
my $delta = sub { data({ %chat, choices => [{ index => 0, delta => $_[0],
    finish_reason => undef }] }) };
my $openai = {
    path => '/v1', type => 'text/event-stream',
    error => sub { { error => { message => $_[1], type => $openai{ $_[0] },
        param => undef, code => undef } } },
    hello => $delta->({ role => 'assistant', content => '' }),
    word => $delta->({ content => 'some' }),
    inside => data({ error => { message => 'it broke',
        type => 'server_error' } }),
    broken => "data: {\"choices\":[{\n\n",
    whole => { %chat, object => 'chat.completion', choices => [{ index => 0,
        message => { role => 'assistant', content => 'whole' },
        finish_reason => 'stop' }], usage => { prompt_tokens => 3,
        completion_tokens => 2, total_tokens => 5 } },
};

my $google = sub { { candidates => [{ index => 0, content => {
    role => 'model', parts => [{ text => $_[0] }] },
    $_[1] ? (finishReason => 'STOP') : () }], modelVersion => 'm',
    responseId => 'r1' } };
my $gemini = {
    path => '/v1beta', type => 'text/event-stream',
    error => sub { { error => { code => 0 + $_[0], message => $_[1],
        status => $google{ $_[0] } } } },
    hello => data($google->('')), word => data($google->('some')),
    inside => data({ error => { code => 503, message => 'it broke',
        status => 'UNAVAILABLE' } }),
    broken => "data: {\"candidates\":[{\n\n",
    whole => { %{ $google->('whole', 1) }, usageMetadata => {
        promptTokenCount => 3, candidatesTokenCount => 2 } },
};

my %claude = (id => 'msg_1', type => 'message', role => 'assistant',
    model => 'm');
my %llama = (model => 'm', created_at => '2025-07-07T20:22:19.184789Z');
my %response = (id => 'resp_1', object => 'response', model => 'm',
    created_at => 1700000000, error => undef, incomplete_details => undef,
    instructions => undef, tools => [], tool_choice => 'auto',
    metadata => {});
my %item = (id => 'msg_1', type => 'message', role => 'assistant');
my %at = (output_index => 0, item_id => 'msg_1', content_index => 0);

our %dialects = (
    openai => $openai,
    azure => { %$openai, path => '' },
    gemini => $gemini,
    vertex => { %$gemini, path => '/v1/projects/p/locations/l' },
    anthropic => {
        path => '', type => 'text/event-stream',
        error => sub { { type => 'error', error => {
            type => $anthropic{ $_[0] }, message => $_[1] } } },
        hello => event('message_start', message => { %claude, content => [],
            stop_reason => undef, stop_sequence => undef, usage => {
            input_tokens => 3, output_tokens => 1 } }) . event('ping')
            . event('content_block_start', index => 0, content_block => {
                type => 'text', text => '' }),
        word => event('content_block_delta', index => 0, delta => {
            type => 'text_delta', text => 'some' }),
        inside => event('error', error => { type => 'overloaded_error',
            message => 'it broke' }),
        broken => "event: content_block_delta\ndata: {\"type\":\n\n",
        whole => { %claude, content => [{ type => 'text',
            text => 'whole' }], stop_reason => 'end_turn',
            stop_sequence => undef, usage => { input_tokens => 3,
            output_tokens => 2 } },
    },
    ollama => {
        path => '', type => 'application/x-ndjson',
        error => sub { { error => $_[1] } },
        hello => line({ %llama, done => JSON::PP::false, message => {
            role => 'assistant', content => '' } }),
        word => line({ %llama, done => JSON::PP::false, message => {
            role => 'assistant', content => 'some' } }),
        inside => line({ error => 'it broke' }),
        broken => "{\"message\":[\n",
        whole => { %llama, message => { role => 'assistant',
            content => 'whole' }, done => JSON::PP::true,
            done_reason => 'stop', prompt_eval_count => 3,
            eval_count => 2 },
    },
    cohere => {
        path => '', type => 'text/event-stream',
        error => sub { { id => 'e1', message => $_[1] } },
        hello => event('message-start', id => 'c1', delta => { message => {
            role => 'assistant', content => [], tool_plan => '',
            tool_calls => [], citations => [] } })
            . event('content-start', index => 0, delta => { message => {
                content => { type => 'text', text => '' } } }),
        word => event('content-delta', index => 0, delta => { message => {
            content => { text => 'some' } } }),
        inside => event('message-end', delta => { finish_reason => 'ERROR',
            error => 'it broke' }),
        broken => "event: content-delta\ndata: {\"type\":\n\n",
        whole => { id => 'c1', message => { role => 'assistant',
            content => [{ type => 'text', text => 'whole' }] },
            finish_reason => 'COMPLETE', usage => { billed_units => {
            input_tokens => 3, output_tokens => 2 } } },
    },
    responses => {
        path => '/v1', type => 'text/event-stream', error => $openai->{error},
        hello => event('response.created', sequence_number => 0,
            response => { %response, output => [],
            status => 'in_progress' })
            . event('response.output_item.added', sequence_number => 1,
                output_index => 0, item => { %item, content => [],
                status => 'in_progress' })
            . event('response.content_part.added', sequence_number => 2, %at,
                part => { type => 'output_text', text => '',
                annotations => [] }),
        word => event('response.output_text.delta', sequence_number => 3,
            %at, delta => 'some', logprobs => []),
        inside => event('response.failed', sequence_number => 4,
            response => { %response, status => 'failed', output => [],
            error => { code => 'server_error', message => 'it broke' } }),
        broken => "event: response.output_text.delta\ndata: {\"type\":\n\n",
        whole => { %response, status => 'completed', output => [{ %item,
            status => 'completed', content => [{ type => 'output_text',
            text => 'whole', annotations => [] }] }], usage => {
            input_tokens => 3, output_tokens => 2, total_tokens => 5 } },
    },
    bedrock => {
        path => '', type => 'application/vnd.amazon.eventstream',
        error => sub { { message => $_[1] } },
        headers => sub { ('x-amzn-ErrorType' => "$aws{ $_[0] }:http://x/") },
        hello => AiAws::event(messageStart => { role => 'assistant' }),
        word => AiAws::event(contentBlockDelta => { contentBlockIndex => 0,
            delta => { text => 'some' } }),
        inside => AiAws::event(serviceUnavailableException => {
            message => 'it broke' }),
        broken => AiAws::event(contentBlockStop => {
            contentBlockIndex => 0 }) =~ s/Index/index/r,
        whole => { output => { message => { role => 'assistant',
            content => [{ text => 'whole' }] } }, stopReason => 'end_turn',
            usage => { inputTokens => 3, outputTokens => 2,
            totalTokens => 5 } },
    },
);


# One provider a dialect, %s in its name and lines.
sub conf {
    my ($url, %o) = @_;

    return join '', map {
        my $d = $_;
        my ($name, $more) = map { s/%s/$d/gr } $o{name}, $o{more};
        my $option = $d eq 'bedrock' ? 'option region=eu-west-1;' : '';
        "ai_provider $name { api $d; url $url/$d$dialects{$d}{path};"
            . " $option $more }\n";
    } sort keys %dialects;
}


sub go {
    my ($dir, $name, $model) = @_;

    open my $fh, '>', "$dir/go-$name-$model" or die "$dir: $!\n";
}


# The dialect, model, fault and kind of a request.
sub told {
    my ($req) = @_;
    my ($name) = $req->{path} =~ m{^/(\w+)};
    my $ask = ref $req->{json} ? $req->{json} : {};
    my ($model) = $req->{path} =~ m{/(?:models|model|deployments)/([^/:]+)};

    $model //= $ask->{model};
    my ($fault) = $model =~ /^([^.]+)/;
    return ($name, $model, $fault, $ask->{stream} || $req->{path} =~ /[:-]stream/);
}


sub script {
    my ($dir) = @_;

    return sub {
        my ($req, $out) = @_;
        my ($name, $model, $fault, $stream) = told($req);
        my $d = $dialects{$name};
        my %json = ('Content-Type' => $stream ? $d->{type}
            : 'application/json');
        my $status = sub { my ($code, @more) = @_;
            $out->answer($code, $d->{error}->($code, "no \"$code\""),
                ($d->{headers} ? $d->{headers}->($code) : ()), @more) };

        if ($fault =~ /^keyed(\d+)(?:-(\d+))?$/) {
            my ($code, $after) = ($1, $2);
            return $status->($code, $after ? ('Retry-After' => $after) : ())
                if grep { /one-key/ } values %{ $req->{headers} };
            return $out->answer(200, $d->{whole});
        }
        return $status->($1, defined $2 ? ('Retry-After' => $2) : ())
            if $fault =~ /^(\d+)(?:-(\d+))?$/;
        return $out->answer(200, $d->{whole}) if $fault eq 'whole';
        return $out->answer(200, '<html>hello</html>',
            'Content-Type' => 'text/html') if $fault eq 'html';
        return $out->answer(502, '<html>Bad Gateway</html>',
            'Content-Type' => 'text/html') if $fault eq 'gateway';
        return $out->answer(200, "\x{1}garbage\n\n{", %json)
            if $fault eq 'garbage';
        return $out->answer(200, '{"choices":[', %json)
            if $fault eq 'unclosed';
        return $out->answer(200, '{"choices":3,"candidates":3,"content":3,'
            . '"message":3,"output":3}') if $fault eq 'senseless';
        return $out->answer(200, '', %json) if $fault eq 'empty';
        return $out->stall if $fault eq 'silent';
        return $out->cut if $fault eq 'hangup';
        return $out->cut(1) if $fault eq 'refuse';
        if ($fault eq 'half') {
            my $body = $json->encode($d->{whole});
            $out->raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                . 'Content-Length: ' . length($body) . "\r\n\r\n"
                . substr $body, 0, 20);
            return $out->cut;
        }

        # Streams; with h- of nothing but a greeting.
        my ($hello, $how) = $fault =~ /^(h-)?(\w+)$/;
        $out->head(200, 'Content-Type' => $d->{type});
        $out->chunk($d->{hello});
        if (!$hello) {
            $out->chunk($d->{word});
        }
        return $out->stall if $how eq 'stalls';
        $out->wait(0.02) until $hello || -e "$dir/go-$name-$model";
        $out->chunk($d->{$how}) if $how =~ /^(?:inside|broken)$/;
        $out->chunk(substr $d->{word}, 0, 15) if $how eq 'torn';
        return $out->cut($how eq 'reset') if $how =~ /^(?:cut|reset)$/;
        $out->end;
    };
}

1;
