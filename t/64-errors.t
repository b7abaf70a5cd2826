#!/usr/bin/perl
# The table of errors in docs/wire.md, 10: each row is made to happen, in both
# dialects, and must read as the table says.
use AiTest;
use IO::Socket::INET;

my %rows;
open my $doc, '<', "$AiTest::root/docs/wire.md" or die;
while (<$doc>) {
    my @c = split /\s*\|\s*/;
    next unless @c >= 6 && $c[2] =~ /^\d{3}$/;
    my ($cause) = $c[1] =~ /^`(\w+)`$/ or next;
    my ($type, $code) = $c[3] =~ m{^`(\w+)` / (?:`(\w+)`|–)$} or next;
    my ($anthropic) = $c[4] =~ /`(\w+)`/;
    $rows{$cause} = { status => $c[2], type => $type, code => $code,
        anthropic => $anthropic };
}
close $doc;
cmp_ok(scalar(keys %rows), '>=', 27, 'the table was read');

my %paths = (openai => '/v1/chat/completions', anthropic => '/v1/messages');
my %tested;

my $flag = AiTest->new->dir . '/go';

# A provider whose script is chosen by the model's name.
sub script {
    my ($req, $out) = @_;
    my $model = $req->{json}{model} // '';

    if ($model eq 'stall') {
        $out->stall;
    } elsif ($model eq 'cut') {
        $out->head(200, 'content-type' => 'text/event-stream');
        $out->chunk(qq(data: {"choices":[{"delta":{"content":"a"}}]}\n\n));
        $out->chunk(qq(event: message_start\ndata: {"type":"message_start",)
            . qq("message":{"usage":{"input_tokens":1}}}\n\n));
        # Until the client has it, or it would be an answer with a status.
        $out->wait(0.05) until -e $flag;
    } elsif ($model eq 'slow') {
        $out->head(200, 'content-type' => 'text/event-stream');
        for (1 .. 600) {
            $out->chunk(qq(data: {"choices":[{"delta":{"content":"a"}}]}\n\n));
            sleep 0.1;
        }
    }
    $out->cut(1);
}

my $t = AiTest->new;
my $provider = $t->provider(script => \&script);
my $closed = free_port();
my $base = $provider->url;
$t->start(workers => { args => ['--allow-env', 'SOME_KEY'] }, edge => {
    ai => <<"CONF", conf => <<'CONF2' });
ai_provider oa { api openai; url $base/v1; timeout first=1s idle=30s; }
ai_provider an { api anthropic; url $base; timeout first=1s idle=30s; }
ai_provider oa_nobody { api openai; url http://127.0.0.1:$closed/v1; }
ai_provider an_nobody { api anthropic; url http://127.0.0.1:$closed; }
ai_provider oa_nokey { api openai; url $base/v1; key env:NOT_SET_KEY; }
ai_provider an_nokey { api anthropic; url $base; key env:NOT_SET_KEY; }
CONF
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    limit_req_zone $uri zone=one:1m rate=1r/m;
    limit_req_status 429;
    %%AI%%
    server {
        listen 127.0.0.1:%%PORT%%;
        client_body_timeout 1s;
        error_page 400 403 404 405 408 409 413 414 429 500 502 503 504 @ai;
        location @ai { ai_error; }
        ai_header_delay 2m;
        location /v1/ { ai_pass; }
        location ~ ^/small/ { ai_pass; client_max_body_size 100; }
        location ~ ^/memory/ { ai_pass; ai_body_memory 50; }
        location ~ ^/limit/ { ai_pass; limit_req zone=one; }
        location ~ ^/full/ { ai_pass; ai_backlog jobs=0; }
        location ~ ^/wait/ { ai_pass; ai_queue_timeout 500ms; }
        location ~ ^/internal/ { return 500; }
        location ~ ^/conflict/ { return 409; }
        location ~ ^/gateway/ { proxy_pass http://127.0.0.1:1; }
        location /health { ai_health; }
    }
}
CONF2

sub body {
    my ($model, %more) = @_;

    return { model => $model, max_tokens => 10,
        messages => [{ role => 'user', content => 'hello there' }], %more };
}

# One error as an answer.
sub answer {
    my ($cause, $dialect, $res) = @_;
    my $row = $rows{$cause} or return fail("no row $cause");
    my $name = "$cause, $dialect";
    my $json = eval { $res->json } || {};

    is($res->status, $row->{status}, "$name: status");
    like($res->header('content-type') // '', qr{^application/json},
        "$name: JSON");
    said($cause, $dialect, $json);
    ok($res->header('retry-after'), "$name: Retry-After")
        if $row->{status} =~ /^(?:429|503)$/;
    is($res->header('x-should-retry'), 'false', "$name: not again")
        if $cause eq 'lost' || $cause eq 'attempts';
}

sub said {
    my ($cause, $dialect, $json) = @_;
    my $row = $rows{$cause};
    my $name = "$cause, $dialect";
    my $e = ref $json->{error} eq 'HASH' ? $json->{error} : {};

    if ($dialect eq 'openai') {
        is($e->{type}, $row->{type}, "$name: type");
        is($e->{code}, $row->{code}, "$name: code");
        ok(exists $e->{param}, "$name: param");
    } else {
        is($json->{type}, 'error', "$name: an error");
        is($e->{type}, $row->{anthropic}, "$name: type");
    }
    like($e->{message} // '', qr/\w+ \w+/, "$name: a message");
    unlike($e->{message} // '', qr/redis|postgres|127\.0\.0|\bai1:|\.c:\d/i,
        "$name: nothing internal");
    $tested{$cause}{$dialect} = 1;
}

# One error as the end of a stream.
sub ended {
    my ($cause, $dialect, $s) = @_;
    my @events = $s->events;
    my $last = pop @events;

    $last = pop @events if $last && ($last->{data} // '') eq '[DONE]';
    is($last->{event}, 'error', "$cause, $dialect: an error event")
        if $dialect eq 'anthropic';
    said($cause, $dialect, eval { decode_json($last->{data}) } || {});
    $s->close;
}

my $limited = $t->key('demo', '--models', 'some/thing');
my $disabled = $t->key('closed');
$t->aictl('tenant', 'disable', 'closed');
my $old = sprintf 'job_%012x%020x', (time() - 1000) * 1000, 7;

for my $dialect (sort keys %paths) {
    my $path = $paths{$dialect};
    my $p = $dialect eq 'openai' ? 'oa' : 'an';
    my @v = (headers => [$dialect eq 'anthropic'
        ? ('anthropic-version' => '2023-06-01') : ()]);
    my $echo = body('echo/echo');

    answer('bad_json', $dialect, $t->post($path, '{"model":'));
    answer('bad_request', $dialect, $t->post($path, body([1])));
    answer('unauthenticated', $dialect, $t->post($path, $echo, key => undef));
    answer('forbidden', $dialect, $t->post($path, $echo, key => $disabled));
    answer('model_not_allowed', $dialect,
        $t->post($path, $echo, key => $limited));
    answer('model_not_found', $dialect, $t->post($path, body('no/body')));
    answer('not_found', $dialect, $t->post("$path/nothing", $echo));
    answer('method_not_allowed', $dialect, $t->get($path, @v));
    answer('gone', $dialect, $t->get("/v1/jobs/$old", @v));
    answer('too_large', $dialect, $t->post("/small$path",
        body('echo/echo', user => 'x' x 200)));
    answer('media_type', $dialect, $t->post($path, encode_json($echo),
        headers => ['Content-Type' => 'text/plain']));
    answer('memory', $dialect, $t->post("/memory$path", $echo));
    $t->post("/limit$path", $echo);
    answer('rate_limited', $dialect, $t->post("/limit$path", $echo));
    answer('internal', $dialect, $t->post("/internal$path", $echo));
    answer('conflict', $dialect, $t->post("/conflict$path", $echo));
    answer('bad_gateway', $dialect, $t->post("/gateway$path", $echo));

    my $http = AiHttp->new(port => $t->edge->port);
    $http->{method} = 'POST';
    $http->write("POST $path HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
        . "Authorization: Bearer $t->{key}\r\n\r\n{");
    answer('timeout_request', $dialect, $http->response);
    $http->close;

    answer('provider_unreachable', $dialect,
        $t->post($path, body("${p}_nobody/x")));
    answer('no_key', $dialect, $t->post($path, body("${p}_nokey/x")));
    answer('provider_timeout', $dialect, $t->post($path, body("$p/stall")));
    my $s = $t->stream($path, body("$p/cut", stream => \1));
    $s->event;
    open my $go, '>', $flag or die;
    ended('provider_bad', $dialect, $s);
    unlink $flag;

    # Cancelled by its own client, on another connection.
    $s = $t->stream($path, body("$p/slow", stream => \1));
    my $job = $s->head->header('x-ai-job');
    $s->event;
    is($t->post("/v1/jobs/$job/cancel", '')->status, 200, 'cancel');
    ended('cancelled', $dialect, $s);
}

# Three workers die of it.  (Their supervisor waits longer after each.)
my $n = $provider->requests;
for my $dialect (sort keys %paths) {
    my $p = $dialect eq 'openai' ? 'oa' : 'an';
    my $s = $t->stream($paths{$dialect}, body("$p/slow", stream => \1));
    $s->event;
    kill 'KILL', $t->worker_pids;
    ended('lost', $dialect, $s);
    $t->allow_log(qr/on signal 9/);
}

for my $dialect (sort keys %paths) {
    my $p = $dialect eq 'openai' ? 'oa' : 'an';
    $n = $provider->requests;
    my $s = AiHttp->new(port => $t->edge->port, timeout => 120);
    $s->send_request(method => 'POST', path => $paths{$dialect},
        key => $t->{key}, json => body("$p/stall", stream => \1));
    for my $try (1 .. 3) {
        $provider->request($n + $try, 60);
        kill 'KILL', $t->worker_pids;
    }
    answer('attempts', $dialect, $s->response);
    $s->close;
}

# Nobody to take a job.
wait_for(sub { $t->get('/health/ready')->status == 200 }, 60, 'workers');

# Workers that know another key than the edge.
AiSign::file($t->sign_file, 'x' x 32);
$_->signal('HUP') for @{ $t->{workers} };
wait_for(sub { $t->worker_log =~ /secrets are read again/ }, 30, 'SIGHUP');
answer('signature', $_, $t->post($paths{$_}, body('echo/echo')))
    for sort keys %paths;
$t->allow_log(qr/refused: its signature/);

$_->stop('TERM', 60) for @{ $t->{workers} };
wait_for(sub { $t->get('/health/ready')->status == 503 }, 30, 'no workers');
for my $dialect (sort keys %paths) {
    answer('queue_full', $dialect,
        $t->post("/full$paths{$dialect}", body('echo/echo')));
    answer('queue_timeout', $dialect,
        $t->post("/wait$paths{$dialect}", body('echo/echo')));
}

$t->redis->stop;
for my $dialect (sort keys %paths) {
    answer('unavailable', $dialect,
        $t->post($paths{$dialect}, body('echo/echo')));
}

# Neither of them has conversations: 92-conversations.t.
for my $cause (grep { $_ ne 'conversation_locked' } sort keys %rows) {
    is_deeply([sort keys %{ $tested{$cause} || {} }], [sort keys %paths],
        "$cause was made to happen in both dialects");
}

done_testing();
