#!/usr/bin/perl
# Every fault of a provider, in both dialects, streamed and not: what the client
# sees, what the ledger says, and who is still alive after it.
use AiTest;

my $t = AiTest->new;
my %path = (openai => '/v1/chat/completions', anthropic => '/v1/messages');
my %type = (        # of the table in docs/wire.md, 10
    provider_unreachable => [502, 'server_error', 'api_error'],
    provider_bad => [502, 'server_error', 'api_error'],
    provider_timeout => [504, 'server_error', 'timeout_error'],
);
my $full = 'the whole text';

# What each dialect's provider says: pieces of a stream, and a body.
my %words = (
    openai => {
        first => [qq(data: {"choices":[{"index":0,"delta":{"content":"first"},)
            . qq("finish_reason":null}]}\n\n)],
        finish => [qq(data: {"choices":[{"index":0,"delta":{},)
            . qq("finish_reason":"stop"}]}\n\n)],
        last => ["data: [DONE]\n\n"],
        error => [qq(data: {"error":{"message":"inside","code":502}}\n\n)],
        bad => [qq(data: {"choices":[{"index":0,"delta":\n\n)],
        big => [qq(data: {"choices":[{"index":0,"delta":{"content":"),
            qq("},"finish_reason":null}]}\n\n)],
        body => ['{"choices":[{"index":0,"message":{"role":"assistant",'
            . '"content":"', '"},"finish_reason":"stop"}],"usage":'
            . '{"prompt_tokens":3,"completion_tokens":4}}'],
    },
    anthropic => {
        first => [qq(event: message_start\ndata: {"type":"message_start",)
            . qq("message":{"usage":{"input_tokens":3,"output_tokens":1}}}\n\n),
            qq(event: content_block_delta\ndata: {"type":)
            . qq("content_block_delta","delta":{"text":"first"}}\n\n)],
        finish => [qq(event: message_delta\ndata: {"type":"message_delta",)
            . qq("delta":{"stop_reason":"end_turn"},)
            . qq("usage":{"output_tokens":4}}\n\n)],
        last => [qq(event: message_stop\ndata: {"type":"message_stop"}\n\n)],
        error => [qq(event: error\ndata: {"type":"error","error":)
            . qq({"type":"overloaded_error","message":"inside"}}\n\n)],
        bad => [qq(event: content_block_delta\ndata: {"type":"con\n\n)],
        big => [qq(event: content_block_delta\ndata: {"type":)
            . qq("content_block_delta","delta":{"text":"), qq("}}\n\n)],
        body => ['{"type":"message","role":"assistant","content":[{"type":'
            . '"text","text":"', '"}],"stop_reason":"end_turn","usage":'
            . '{"input_tokens":3,"output_tokens":4}}'],
    },
);

sub said { my ($d, @what) = @_;
    return join '', map { @{ $words{$d}{$_} } } @what }
sub body_of { my ($d, $text) = @_; return join $text, @{ $words{$d}{body} } }
sub stream_of { return said($_[0], qw(first finish last)) }

# Until the client has what went before, or both might come as one answer.
sub until_seen {
    my ($out, $flag) = @_;
    $out->wait(0.05) until -e "$t->{dir}/$flag";
}

my $json_head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
my $sse_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

# name => [how it is done, what is expected of a stream, of a body].
#   'cause': an error of ours; 'cause!': one at the end of what had begun;
#   [status, text]: what the provider said passes; undef: no such case.
# how(out, dialect, stream, flag, whole text, its header without a length).
my %pass = (whole => 1);
my %fault = (
    reset => [sub { $_[0]->cut(1) }, ('provider_unreachable') x 2],
    close => [sub { $_[0]->cut }, ('provider_unreachable') x 2],
    noise => [sub { $_[0]->raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"); $_[0]->cut },
        ('provider_bad') x 2],
    stall_hasty => [sub { $_[0]->stall }, ('provider_timeout') x 2],
    halfhead_hasty => [sub { $_[0]->raw("HTTP/1.1 200 OK\r\nContent-");
        $_[0]->stall }, ('provider_timeout') x 2],
    headonly => [sub { my ($out, $d, $s) = @_;
        $out->raw(($s ? $sse_head : $json_head) . "Content-Length: 50\r\n\r\n");
        $out->cut }, ('provider_bad') x 2],
    drip_hasty => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . "Content-Length: 9999\r\n\r\n");
        for (split //, $text x 9) { $out->raw($_); $out->wait(0.2) } },
        'provider_timeout!', 'provider_timeout'],
    driphead_hasty => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        for (split //, $head x 9) { $out->raw($_); $out->wait(0.2) } },
        ('provider_timeout') x 2],
    bytewise => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($_) for split //, $head . 'Content-Length: '
            . length($text) . "\r\n\r\n$text" }, (\%pass) x 2],

    # Said by the provider itself.
    e429 => [sub { $_[0]->answer(429, '{"error":{"message":"slow down"}}') },
        ([429, '{"error":{"message":"slow down"}}']) x 2],
    e429after => [sub { $_[0]->answer(429, '{"error":{}}',
        'Retry-After' => 7) }, ([429, '{"error":{}}', 7]) x 2],
    e500 => [sub { $_[0]->answer(500, '{"error":{"message":"broken"}}') },
        ([500, '{"error":{"message":"broken"}}']) x 2],
    e500html => [sub { $_[0]->answer(500, '<html>no</html>',
        'Content-Type' => 'text/html') }, ([500, '<html>no</html>']) x 2],
    e503after => [sub { $_[0]->answer(503, '<html>no</html>',
        'Retry-After' => 3, 'Content-Type' => 'text/html') },
        ([503, '<html>no</html>', 3]) x 2],
    e529 => [sub { $_[0]->answer(529, '{"type":"error"}') },
        ([529, '{"type":"error"}']) x 2],
    e500sse => [sub { $_[0]->answer(500, "data: oops\n\n",
        'Content-Type' => 'text/event-stream') },
        ([500, "data: oops\n\n"]) x 2],
    redirect => [sub { my ($out, $d) = @_;
        $out->answer(307, '{"moved":1}', Location => '/elsewhere') },
        ([307, '{"moved":1}']) x 2],
    found => [sub { $_[0]->answer(302, '', Location => '/elsewhere') },
        ([302, '']) x 2],
    inside => [sub { my ($out, $d) = @_;
        $out->raw("${sse_head}Connection: close\r\n\r\n"
            . said($d, qw(first error)));
        $out->cut }, 'said', undef],
    insidefirst => [sub { my ($out, $d) = @_;
        $out->raw("${sse_head}Connection: close\r\n\r\n" . said($d, 'error'));
        $out->cut }, 'said', undef],
    insidebody => [sub { $_[0]->answer(200, '{"type":"error","error":'
        . '{"message":"inside"}}') }, undef,
        [200, '{"type":"error","error":{"message":"inside"}}']],

    # Broken off.
    midcut => [sub { my ($out, $d, $s, $flag) = @_;
        $out->raw($s ? "${sse_head}\r\n" . said($d, 'first')
            : "${json_head}Content-Length: 999\r\n\r\n{\"a\":");
        until_seen($out, $flag) if $s;
        $out->cut }, 'provider_bad!', 'provider_bad'],
    midreset => [sub { my ($out, $d, $s, $flag) = @_;
        $out->raw($s ? "${sse_head}\r\n" . said($d, 'first')
            : "${json_head}Content-Length: 999\r\n\r\n{\"a\":");
        until_seen($out, $flag) if $s;
        $out->cut(1) }, 'provider_bad!', 'provider_bad|provider_unreachable'],
    midchunk => [sub { my ($out, $d, $s, $flag) = @_;
        $out->head(200, 'Content-Type' => $s ? 'text/event-stream'
            : 'application/json');
        $out->chunk($s ? said($d, 'first') : '{"a":');
        until_seen($out, $flag) if $s;
        $out->cut }, 'provider_bad!', 'provider_bad'],
    midstall_hasty => [sub { my ($out, $d, $s) = @_;
        $out->raw($s ? "${sse_head}\r\n" . said($d, 'first')
            : "${json_head}Content-Length: 999\r\n\r\n{\"a\":");
        $out->stall }, 'provider_timeout!', 'provider_timeout'],
    noend => [sub { my ($out, $d, $s, $flag) = @_;
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk(said($d, 'first'));
        until_seen($out, $flag);
        $out->end }, 'provider_bad!', undef],
    nodone => [sub { my ($out, $d) = @_;
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk(said($d, qw(first finish)));
        $out->end }, 'whole', undef],
    lingers => [sub { my ($out, $d) = @_;
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk(stream_of($d));
        $out->stall }, 'whole', undef],
    erring => [sub { my ($out, $d) = @_;
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk(said($d, qw(first error)));
        $out->stall }, 'said', undef],
    bigcut => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . "Content-Length: 9999999\r\n\r\n"
            . substr body_of($d, 'x' x 1_000_000), 0, 900_000);
        until_seen($out, $flag);
        $out->cut }, undef, 'provider_bad!'],

    # Not what it says it is.
    badjson => [sub { my ($out, $d, $s) = @_;
        return $out->answer(200, '{"choices":[{"message":') if !$s;
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk(said($d, qw(bad finish last)));
        $out->end }, ('provider_bad') x 2],
    badmid => [sub { my ($out, $d, $s, $flag) = @_;
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk(said($d, 'first'));
        until_seen($out, $flag);
        $out->chunk(said($d, qw(bad finish last)));
        $out->stall }, 'provider_bad!', undef],
    html => [sub { $_[0]->answer(200, '<html>login</html>',
        'Content-Type' => 'text/html') }, ('provider_bad') x 2],
    nothing => [sub { my ($out, $d, $s) = @_;
        $out->answer(200, '', 'Content-Type' => $s ? 'text/event-stream'
            : 'application/json') }, ('provider_bad') x 2],
    list => [sub { $_[0]->answer(200, '["a"]') }, ('provider_bad') x 2],
    plain => [sub { my ($out, $d) = @_;
        $out->answer(200, body_of($d, $full), 'Content-Type' => 'text/plain')
        }, ('body') x 2],
    sse => [sub { my ($out, $d) = @_;
        $out->answer(200, stream_of($d), 'Content-Type' => 'text/event-stream')
        }, ('stream') x 2],
    nul => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $text =~ s/first|whole/a\0b/;
        $out->raw($head . 'Content-Length: ' . length($text) . "\r\n\r\n$text")
        }, ('provider_bad') x 2],
    nulhead => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . "X-Request-Id: a\0b\r\nContent-Length: "
            . length($text) . "\r\n\r\n$text") }, ('provider_bad') x 2],

    # Framing.
    interim => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
            . "Link: x\r\n\r\n$head" . 'Content-Length: ' . length($text)
            . "\r\n\r\n$text") }, (\%pass) x 2],
    interims => [sub { my ($out) = @_;
        $out->raw("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" x 100_000) },
        ('provider_bad') x 2],
    switch => [sub { $_[0]->raw("HTTP/1.1 101 Switching Protocols\r\n"
        . "Upgrade: h2c\r\nConnection: upgrade\r\n\r\n"); $_[0]->cut },
        ('provider_bad|provider_unreachable') x 2],
    nocontent => [sub { $_[0]->raw("HTTP/1.1 204 No Content\r\n\r\n") },
        ([204, '']) x 2],
    odd_status => [sub { $_[0]->raw("HTTP/1.1 999 Odd\r\nContent-Length: 0"
        . "\r\n\r\n") }, ('provider_bad') x 2],
    http10 => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $head =~ s{HTTP/1.1}{HTTP/1.0};
        $out->raw("$head\r\n$text"); $out->cut }, (\%pass) x 2],
    keepclosed => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . 'Content-Length: ' . length($text)
            . "\r\n\r\n$text");
        until_seen($out, $flag); $out->cut }, (\%pass) x 2],
    keepreset => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . 'Content-Length: ' . length($text)
            . "\r\n\r\n$text");
        until_seen($out, $flag); $out->cut(1) },
        (\%pass) x 2],
    trailers => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw(sprintf "%sTransfer-Encoding: chunked\r\nTrailer: X-End\r\n"
            . "\r\n%x\r\n%s\r\n0\r\nX-End: 1\r\nX-Request-Id: late\r\n\r\n",
            $head, length $text, $text) }, (\%pass) x 2],
    badchunk => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw("${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n$text\r\n");
        $out->cut }, ('provider_bad') x 2],
    badchunkmid => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        my $first = said($d, 'first');
        $out->raw(sprintf "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n",
            $head, length $first, $first);
        until_seen($out, $flag);
        $out->raw("-5\r\nabc\r\n"); $out->stall }, 'provider_bad!', undef],
    hugechunk => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw("${head}Transfer-Encoding: chunked\r\n\r\n"
            . "fffffffffffffffff\r\n$text\r\n");
        $out->cut }, ('provider_bad') x 2],
    toolong => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . 'Content-Length: ' . (9 + length $text)
            . "\r\n\r\n$text"); $out->cut }, 'whole', 'provider_bad'],
    tooshort => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . 'Content-Length: 20' . "\r\n\r\n$text");
        $out->cut }, ('provider_bad') x 2],
    negative => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . "Content-Length: -5\r\n\r\n$text");
        $out->cut }, ('provider_bad') x 2],
    gzip => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        require IO::Compress::Gzip;
        IO::Compress::Gzip::gzip(\$text, \my $packed);
        $out->raw($head . "Content-Encoding: gzip\r\nContent-Length: "
            . length($packed) . "\r\n\r\n$packed") }, (\%pass) x 2],
    badgzip => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . "Content-Encoding: gzip\r\nContent-Length: "
            . length($text) . "\r\n\r\n$text") }, ('provider_bad') x 2],

    # Too much.
    header1m => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . 'X-Request-Id: ' . 'y' x 1_000_000
            . "\r\nContent-Length: 2\r\n\r\n{}") }, ('provider_bad') x 2],
    headers1m => [sub { my ($out, $d, $s, $flag, $text, $head) = @_;
        $out->raw($head . join('', map { "X-$_: " . 'y' x 1000 . "\r\n" }
            1 .. 1000) . "Content-Length: 2\r\n\r\n{}") },
        ('provider_bad') x 2],
    line10m => [sub { my ($out, $d, $s) = @_;
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk('data: ' . 'x' x 1_000_000) for 1 .. 10;
        $out->end }, 'provider_bad!', undef],
    line20m => [sub { my ($out, $d, $s) = @_;
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk('x' x 1_000_000) for 1 .. 20;
        $out->stall }, 'provider_bad', undef],
    big10m => [sub { my ($out, $d, $s) = @_;
        my $text = 'z' x 10_000_000;
        $text = $s ? join($text, @{ $words{$d}{big} }) . stream_of($d)
            : body_of($d, $text);
        $out->answer(200, $text, 'Content-Type' => $s ? 'text/event-stream'
            : 'application/json') }, 'big', 'big'],
);

sub script {
    my ($req, $out) = @_;
    my $d = $req->{path} =~ /messages/ ? 'anthropic' : 'openai';
    my $model = $req->{json}{model};
    my $s = $req->{json}{stream} ? 1 : 0;
    my $head = $s ? $sse_head : $json_head;
    my $text = $s ? stream_of($d) : body_of($d, $full);

    if ($model eq 'fine') {
        $out->raw($head . 'Content-Length: ' . length($text)
            . "\r\n\r\n$text");
        return;
    }
    $fault{$model}[0]->($out, $d, $s, "$model-$d-$s", $text, $head);
}

my $p = $t->provider(script => \&script);
my ($url, $closed) = ($p->url, free_port());
my $slow = 'timeout connect=20s first=60s idle=60s total=5m;';
my $hasty = 'timeout connect=20s first=1s idle=1s total=2s;';
$t->start(edge => { location => 'ai_header_delay 2m;', ai => <<"CONF" });
ai_provider openai { api openai; url $url/v1; $slow }
ai_provider anthropic { api anthropic; url $url; $slow }
ai_provider openai_hasty { api openai; url $url/v1; $hasty }
ai_provider anthropic_hasty { api anthropic; url $url; $hasty }
ai_provider openai_nobody { api openai; url http://127.0.0.1:$closed/v1; }
ai_provider anthropic_nobody { api anthropic; url http://127.0.0.1:$closed; }
CONF
$t->{pooled} = 64;
my @pids = sort $t->worker_pids;
my ($nginx) = $t->edge->workers;
sub rss { return slurp("/proc/$_[0]/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 }
my %rss = map { $_ => rss($_) } @pids, $nginx;

sub ask {
    my ($d, $model, $s) = @_;
    my $provider = $d . ($model =~ /_(hasty|nobody)$/ ? "_$1" : '');

    return AiHttp->stream(port => $t->edge->port, path => $path{$d},
        key => $t->{key}, timeout => 120, json => {
            model => "$provider/$model", max_tokens => 9,
            messages => [{ role => 'user', content => 'x' x 40 }],
            ($s ? (stream => \1, $d eq 'openai'
                ? (stream_options => { include_usage => \1 }) : ()) : ()) });
}

# All at once, a few dialects and shapes of a fault side by side.
my (%job, %want);

sub checked {
    my ($model, $d, $s, $http, $want) = @_;
    my $name = "$model, $d, " . ($s ? 'stream' : 'body');
    my ($cause, $late) = ref $want ? () : $want =~ /^([a-z_|]+)(!?)$/;
    undef $cause if $cause && $cause !~ /^provider_/;

    my $res = eval { $http->head } or return fail("$name: $@");
    if ($late) {
        eval { $http->piece };
        open my $flag, '>', "$t->{dir}/$model-$d-$s" or die;
        close $flag;
    }
    eval {
        1 while defined $http->piece;
        1;
    } or $@ =~ /was cut/ or return fail("$name: $@");
    my $body = $res->body;
    $job{$name} = $res->header('x-ai-job');
    $want{$name} = [$cause, $res, $want];

    if (!$cause) {
        my ($status, $text, $after)
            = ref $want eq 'ARRAY' ? @$want
            : ref $want || $want eq 'whole' ? (200, undef)
            : $want eq 'body' ? (200, body_of($d, $full))
            : $want eq 'stream' ? (200, stream_of($d))
            : (200, undef);
        $text = $want eq 'said' ? said($d, $model eq 'insidefirst'
                ? 'error' : qw(first error))
            : $want eq 'big' ? undef
            : $model eq 'nodone' ? said($d, qw(first finish))
            : $s ? stream_of($d) : body_of($d, $full)
            unless defined $text;
        is($res->status, $status, "$name: passes");
        if ($want eq 'big') {
            cmp_ok(length $body, '>', 10_000_000, "$name: as a whole");
            is($body =~ tr/z//, 10_000_000, "$name: unbroken");
        } else {
            is($body, $text, "$name: as it was");
        }
        is($res->header('retry-after'), $after, "$name: Retry-After")
            if ref $want eq 'ARRAY';
        is($res->header('location'), undef, "$name: no Location");
        return;
    }

    if ($late && !$s) {
        ok($res->{cut}, "$name: is cut, and no end that looks well");
        return;
    }
    my $json;
    if ($late && $res->status == 200) {
        my ($last) = $body =~ /([^\n]*\n?data: [^\n]*)\n\n(?:data: \[DONE\]\n\n)?\z/;
        like($last // '', qr/^event: error\n/, "$name: an error event")
            if $d eq 'anthropic';
        $json = eval { decode_json(($last // '') =~ /data: (.*)/) };
    } else {
        my ($one) = split /\|/, $cause;
        is($res->status, $type{$one}[0], "$name: status");
        like($res->header('content-type'), qr{^application/json},
            "$name: JSON");
        $json = $res->json;
    }
    my ($one) = split /\|/, $cause;
    is(ref $json eq 'HASH' && $json->{error}{type},
        $type{$one}[$d eq 'openai' ? 1 : 2], "$name: type")
        or diag($res->status . ' ' . substr $body, -300);
    like($json->{error}{code} // '', qr/^(?:$cause)(?:_response)?$/,
        "$name: code") if $d eq 'openai';
}

$fault{refuse_nobody} = [undef, ('provider_unreachable') x 2];
my @names = $ENV{AI_T_ONLY} ? split /,/, $ENV{AI_T_ONLY} :
    grep { !/^keep/ } sort keys %fault;
while (my @some = splice @names, 0, 10) {
    my @open;
    for my $model (@some) {
        for my $d (sort keys %path) {
            for my $s (0, 1) {
                my $want = $fault{$model}[$s ? 1 : 2];
                push @open, [$model, $d, $s, ask($d, $model, $s), $want]
                    if defined $want;
            }
        }
    }
    checked(@$_) for @open;
    $_->[3]->close for @open;
}

# A connection that ends between two calls, when nobody else would take it.
for my $model (qw(keepclosed keepreset)) {
    for my $d (sort keys %path) {
        for my $s (0, 1) {
            my $http = ask($d, $model, $s);
            checked($model, $d, $s, $http, $fault{$model}[1]);
            $http->close;
            my $before = () = $p->done;
            open my $flag, '>', "$t->{dir}/$model-$d-$s" or die;
            close $flag;
            wait_for(sub { (() = $p->done) > $before }, 30, 'its end');
            is(ask($d, 'fine', $s)->response->body, $s ? stream_of($d)
                : body_of($d, $full), "$model, $d, $s: the next call");
        }
    }
}

# Every job has its row, once, with what was the matter.
wait_for(sub {
    $t->pg->value('select count(*) from ngxai.ledger') >= keys %job
}, 60, 'the ledger');
my %row;
push @{ $row{ $_->[0] } }, $_ for $t->pg->query('select job, state, status, '
    . 'cause, input, output '
    . 'from ngxai.ledger');
is(scalar(grep { $row{ $_ // "" } } values %job), scalar keys %job,
    "a row for each job");
for my $name (sort keys %job) {
    my ($cause, $res, $want) = @{ $want{$name} || [] } or next;
    my @rows = @{ $row{ $job{$name} // '' } || [] };
    my (undef, $state, $status, $said, $in, $out) = @{ $rows[0] || [] };
    if ($cause) {
        my ($one) = split /\|/, $cause;
        like(@rows . " $state $status $said",
            qr/^1 failed $type{$one}[0] (?:$cause)$/, "$name: settled");
    } else {
        my $good = $res->status =~ /^2/ && $name !~ /^(?:inside|erring)/;
        is(@rows . " $state $status $said", '1 ' . ($good ? 'done' : 'failed')
            . ' ' . $res->status . ' ', "$name: settled");
        # Where it was told: OpenAI's stream here tells none.
        is("$in $out", '3 4', "$name: usage as it was told")
            if $good && $name !~ /^(?:nocontent|big10m.*body|.*openai,\ stream
                                     |sse,\ openai)/x;
        is("$in $out", '0 0', "$name: nothing used") if $res->status >= 300;
    }
}

# Who leaves with the last event has had it all.
for my $d (sort keys %path) {
    my $http = ask($d, 'lingers', 1);
    my $job = $http->head->header('x-ai-job');
    my $got = '';
    $got .= $http->piece until $got eq stream_of($d);
    $http->close;
    my @row;
    wait_for(sub {
        @row = $t->pg->query('select state, status, cause, estimated from '
            . "ngxai.ledger where job = '$job'");
    }, 30, 'its row');
    is("@{$row[0]}[0 .. 2]", 'done 200 ', "$d: left with its last event");

    $http = ask($d, 'erring', 1);
    $job = $http->head->header('x-ai-job');
    $got = '';
    $got .= $http->piece until $got eq said($d, qw(first error));
    $http->close;
    wait_for(sub {
        @row = $t->pg->query('select state, status, cause, estimated from '
            . "ngxai.ledger where job = '$job'");
    }, 30, 'its row');
    is("@{$row[0]}[0 .. 2]", 'failed 200 ', "$d: left with an error");
}

# And it goes on as if nothing had been.
for my $d (sort keys %path) {
    for my $s (0, 1) {
        my $res = ask($d, 'fine', $s)->response;
        is($res->body, $s ? stream_of($d) : body_of($d, $full),
            "$d, stream $s: the next call");
    }
}
is(join(' ', sort $t->worker_pids), join(' ', @pids), 'no worker has died');
is(join(' ', $t->edge->workers), $nginx, 'nor the edge');
my $moved = grep { $_->{path} =~ /elsewhere/ } $p->requests;
is($moved, 0, 'no redirect was followed');
SKIP: {
    skip('a sanitizer keeps what is freed', scalar keys %rss)
        if AiEdge->sanitized || $ENV{AI_T_BUILD};
    cmp_ok(rss($_) - $rss{$_}, '<', 65536, "memory of $_ is as before")
        for sort keys %rss;
}

done_testing();
