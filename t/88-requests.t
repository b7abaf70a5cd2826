#!/usr/bin/perl
# Requests that no good client sends, in both dialects: each gets the status and
# the error that docs/wire.md names, none reaches a provider, or harms the next.
use AiTest;

my $t = AiTest->new;
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $text = '{"choices":[{"index":0,"message":{"content":"fine"},'
        . '"finish_reason":"stop"}],"content":[],"type":"message"}';

    $out->answer(200, $text);
});
my $url = $p->url;
$t->start(edge => { ai => <<"CONF", conf => <<'CONF2' });
ai_provider openai { api openai; url $url/v1; }
ai_provider anthropic { api anthropic; url $url; }
CONF
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    %%AI%%
    server {
        listen 127.0.0.1:%%PORT%%;
        client_max_body_size 4m;
        client_body_timeout 5s;
        ai_body_memory 8m;
        error_page 400 403 404 405 408 413 414 415 429 494 500 501 502 503 504
                   /ai-error;
        location = /ai-error { internal; ai_error; }
        location /v1/ { ai_pass; }
        location /health { ai_health; }
        location = /metrics { ai_metrics; }
    }
}
CONF2
$t->{pooled} = 8;
my $port = $t->edge->port;
my $key = $t->{key};
my %path = (openai => '/v1/chat/completions', anthropic => '/v1/messages');
my %type = (
    bad_json => ['invalid_request_error', 'invalid_json',
        'invalid_request_error'],
    bad_request => ['invalid_request_error', undef, 'invalid_request_error'],
    method_not_allowed => ['invalid_request_error', 'method_not_allowed',
        'invalid_request_error'],
    too_large => ['invalid_request_error', 'request_too_large',
        'request_too_large'],
    media_type => ['invalid_request_error', 'unsupported_media_type',
        'invalid_request_error'],
    unauthenticated => ['authentication_error', 'invalid_api_key',
        'authentication_error'],
    not_found => ['invalid_request_error', 'not_found', 'not_found_error'],
    timeout_request => ['invalid_request_error', 'request_timeout',
        'invalid_request_error'],
    memory => ['server_error', 'overloaded', 'overloaded_error'],
    internal => ['server_error', 'internal_error', 'api_error'],
);

my ($pid) = $t->edge->workers;
my @pids = sort $t->worker_pids;
sub rss { return slurp("/proc/$_[0]/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 }
my $rss = rss($pid);
my %rss = map { $_ => rss($_) } @pids;
my $calls = 0;      # that a provider should have seen

sub good { my ($d, %o) = @_;
    return encode_json({ model => "$d/m", max_tokens => 5, messages => [
        { role => 'user', content => 'hello' }], %o }) }

# A request's bytes: method, path, header lines, body, version.
sub bytes {
    my ($d, %o) = @_;
    my $body = exists $o{body} ? $o{body} : good($d);
    my @h = @{ $o{headers} || [] };
    my $has = sub { my $n = shift; return grep { /^$n:/i } @h };

    unshift @h, "Authorization: Bearer $key" unless $has->('authorization');
    unshift @h, 'Host: localhost' unless $has->('host') || $o{nohost};
    push @h, 'Content-Type: application/json'
        unless $has->('content-type');
    push @h, 'Content-Length: ' . length $body
        if defined $body && !$has->('content-length')
            && !$has->('transfer-encoding') && !$o{nolength};
    return ($o{method} || 'POST') . ' ' . ($o{path} || $path{$d})
        . ($o{version} // ' HTTP/1.1') . "\r\n"
        . join('', map { "$_\r\n" } @h) . "\r\n" . ($body // '');
}

# Sends bytes; the answer must have this status and, where a cause is named,
# read as the table says.  cause 'ok': a completion.
sub gives {
    my ($name, $d, $bytes, $status, $cause, %o) = @_;
    my $http = AiHttp->new(port => $port, timeout => 60);
    $http->{method} = $o{method} || 'POST';

    # It may be answered, and closed, before all has been written.
    eval { $http->write($bytes) };
    $http->half_close if $o{end};
    my $res = eval { $http->response };
    if (!$res) {
        fail("$name, $d: an answer ($@)");
        return;
    }
    like($res->status, qr/^(?:$status)$/, "$name, $d: status")
        or diag($res->body);
    if ($cause && $cause eq 'ok') {
        $calls++;
        like($res->body, qr/fine/, "$name, $d: answered");
    } elsif ($cause && $http->{method} ne 'HEAD') {
        my $row = $type{$cause};
        my $e = ($res->json || {})->{error};
        $e = {} unless ref $e eq 'HASH';
        is($e->{type}, $row->[$d eq 'openai' ? 0 : 2], "$name, $d: type")
            or diag($res->body);
        is($e->{code}, $row->[1], "$name, $d: code") if $d eq 'openai';
        is($res->json->{type}, 'error', "$name, $d: an error")
            if $d eq 'anthropic';
    }
    if ($o{closed}) {
        ok($http->closed, "$name, $d: the connection ends");
        is($http->{in}, '', "$name, $d: with nothing more");
    } elsif ($o{next}) {
        delete $http->{res};
        $http->{method} = 'GET';
        $http->write("GET /v1/models HTTP/1.1\r\nHost: a\r\n"
            . "Authorization: Bearer $key\r\n\r\n");
        is(eval { $http->response->status }, 200, "$name, $d: and the next");
    }
    $http->close;
    return $res;
}

for my $d (sort keys %path) {
    my $bad = sub { my ($name, $body, $cause, %o) = @_;
        gives($name, $d, bytes($d, body => $body), 400, $cause, next => 1, %o)
    };
    my $model = sub { return qq({"model":$_[0],"max_tokens":5,"messages":[]}) };

    # What is in the body.
    $bad->('empty', '', 'bad_json');
    $bad->('white space', " \r\n\t ", 'bad_json');
    $bad->('a mark of order', "\xEF\xBB\xBF" . good($d), 'bad_json');
    $bad->('another mark', "\xFF\xFE{\0}\0", 'bad_json');
    $bad->("no JSON $_->[0]", $_->[1], 'bad_json') for ['text', 'hello'],
        ['form', 'model=a&b=c'], ['a list', '[]'], ['a string', '"a"'],
        ['a number', '7'], ['null', 'null'], ['half', '{"model":"'],
        ['two', '{}{}'], ['a comma', '{"model":"a",}'], ['NaN', '{"a":NaN}'],
        ['a comment', '{"a":1/**/}'], ['single quotes', "{'model':'a'}"],
        ['bytes', join '', map { chr } 1 .. 255], ['a NUL', "{\"a\":\"\0\"}"],
        ['a NUL behind', good($d) . "\0"], ['a bare control', "{\"a\":\"\n\"}"],
        ['a number 01', '{"a":01}'], ['an escape', '{"a":"\\x41"}'];
    $bad->('the model twice', qq({"model":"$d/m","model":"$d/n"}), 'bad_json');
    $bad->('twice by an escape', qq({"model":"$d/m","m\\u006fdel":"$d/n"}),
        'bad_json');
    $bad->('stream twice', qq({"model":"$d/m","stream":true,"stream":false}),
        'bad_json');
    $bad->("bad UTF-8 $_->[0]", $model->("\"$d/$_->[1]\""), 'bad_json')
        for ['a lone byte', "\x80"], ['cut', "\xC3"], ['overlong', "\xC0\x80"],
        ['a surrogate', "\xED\xA0\x80"], ['too high', "\xF4\x90\x80\x80"];
    $bad->('10,000 deep', '{"model":"' . "$d/m" . '","messages":'
        . '[' x 10_000 . ']' x 10_000 . '}', 'bad_json', next => 0);
    $bad->('10,000 objects deep', '{"a":' x 10_000 . '1' . '}' x 10_000,
        'bad_json', next => 0);
    $bad->('a million deep', '[' x 1_000_000, 'bad_json', next => 0);
    $bad->('10,000 members', '{' . join(',', map { "\"k$_\":1" } 1 .. 10_000)
        . '}', 'bad_json', next => 0);
    $bad->('no model', '{"messages":[]}', 'bad_request');
    $bad->("a model that is $_", $model->($_), 'bad_request')
        for qw(1 null true [] {} 1e999), '""', '["a"]';
    $bad->('a model of 1 MB', $model->('"' . 'm' x 1_000_000 . '"'),
        'bad_request');
    $bad->('a model of 257 bytes', $model->('"' . 'm' x 257 . '"'),
        'bad_request');
    $bad->("a name with $_", $model->("\"$d/a${_}b\""), 'bad_request')
        for '\\u0000', '\\n', '\\u001f', '\\u007f';
    $bad->("stream is $_", qq({"model":"$d/m","stream":$_}), 'bad_request')
        for qw(1 0 "true" [] {} 1.0);

    # What is odd and allowed.
    my $fine = sub { my ($name, $body, %o) = @_;
        my $res = gives($name, $d, bytes($d, body => $body), 200, 'ok',
            next => 1, %o);
        is(($p->requests)[-1]{body}, $o{asked} // $body =~ s{$d/}{}r,
            "$name, $d: asked") };
    $fine->('a lone surrogate', good($d) =~ s/hello/\\ud83d \\udc00x/r);
    $fine->('huge numbers', good($d) =~ s/"max_tokens":5/"max_tokens":5,"a":/r
        =~ s/"a":/'"a":1e999999,"b":-0.0E-999,"c":' . '9' x 5000/er);
    $fine->('500 deep', good($d) =~ s/\}$/',"x":' . '[' x 499 . ']' x 499 . '}'/er);
    $fine->('a NUL in a text', good($d) =~ s/hello/a\\u0000b/r);
    $fine->('equal members deeper', good($d) =~ s/"content"/"role":"user","content"/r);
    $fine->('a member of 1 MB', good($d) =~ s/\}$/',"' . 'k' x 1_000_000 . '":1}'/er);
    $fine->('white space around', "\r\n\t " . good($d) . "\r\n\t ");

    # How much, and of what.
    my $large = '{"model":"' . "$d/m" . '","x":"' . 'x' x 5_000_000 . '"}';
    gives('too large', $d, bytes($d, body => $large), 413, 'too_large',
        closed => 1);
    gives('too large, and more behind', $d, bytes($d, body => $large)
        . bytes($d), 413, 'too_large', closed => 1);
    gives('too large, said and not sent', $d, bytes($d, body => undef,
        headers => ['Content-Length: 99999999']), 413, 'too_large',
        closed => 1);
    gives('too large in chunks', $d, bytes($d, headers =>
        ['Transfer-Encoding: chunked'], body => join '', map {
        sprintf "%x\r\n%s\r\n", length $_, $_ } '{"a":"', ('x' x 65536) x 80),
        413, 'too_large', closed => 1);
    gives("of type $_", $d, bytes($d, headers => ["Content-Type: $_"]), 415,
        'media_type', next => 1) for 'text/plain', 'multipart/form-data',
        'application/x-www-form-urlencoded', 'application/jsonx', 'a';

    # Methods.
    for my $method (qw(GET PUT DELETE PATCH OPTIONS HEAD)) {
        my $res = gives($method, $d, bytes($d, method => $method), 405,
            'method_not_allowed', method => $method, next => 1);
        is($res->body, '', "$method, $d: no body") if $method eq 'HEAD';
    }
    gives("the method $_", $d, bytes($d, method => $_), '400|405', undef)
        for 'post', 'FOO', 'X' x 5000;
    gives('a body behind GET', $d, bytes($d, method => 'GET',
        path => '/v1/models', headers => ['anthropic-version: 2023-06-01']),
        200, undef, method => 'GET', next => 1);
    gives('chunks behind GET', $d, bytes($d, method => 'GET',
        path => '/v1/models', headers => ['Transfer-Encoding: chunked'],
        body => "5\r\nhello\r\n0\r\n\r\n"), 200, undef, method => 'GET',
        next => 1);
    gives('a body behind GET that does not come', $d, bytes($d,
        method => 'GET', path => '/v1/models', body => undef,
        headers => ['Content-Length: 50']), 200, undef, method => 'GET');

    # Framing.
    my $chunked = sub { my ($name, $text, $status, $cause, %o) = @_;
        gives($name, $d, bytes($d, body => $text,
            headers => ['Transfer-Encoding: chunked']), $status, $cause, %o) };
    my $body = good($d);
    my $one = sprintf "%x\r\n%s\r\n", length $body, $body;
    $chunked->('chunks', "${one}0\r\n\r\n", 200, 'ok', next => 1);
    $chunked->('chunks of one byte', join('', map { "1\r\n$_\r\n" }
        split //, $body) . "0\r\n\r\n", 200, 'ok', next => 1);
    $chunked->('an extension', "0000" . $one =~ s/\r/;a=b;c="d"\r/r
        . "0\r\n\r\n", 200, 'ok', next => 1);
    $chunked->('trailers', "${one}0\r\nX-A: b\r\nAuthorization: c\r\n\r\n", 200,
        'ok', next => 1);
    $chunked->("a chunk size $_->[0]", "$_->[1]\r\n$body\r\n0\r\n\r\n", 400,
        undef, closed => 1) for ['of letters', 'zz'], ['below 0', '-5'],
        ['with 0x', '0x10'], ['of 17 digits', 'f' x 17],
        ['of 16 digits', '8' . '0' x 15], ['that is missing', ''];
    $chunked->('no chunk', "0\r\n\r\n", 400, 'bad_json', next => 1);
    $chunked->('a chunk that is longer', "5\r\nhello, world\r\n0\r\n\r\n", 400,
        undef, closed => 1);
    gives('two lengths', $d, bytes($d, headers => ['Content-Length: 5',
        'Content-Length: 6']), 400, undef, closed => 1);
    gives('two equal lengths', $d, bytes($d, headers => ["Content-Length: "
        . length $body, 'Content-Length: ' . length $body]), 400, undef,
        closed => 1);
    gives('length and chunks', $d, bytes($d, body => "${one}0\r\n\r\n",
        headers => ['Content-Length: 5', 'Transfer-Encoding: chunked']), 400,
        undef, closed => 1);
    gives("a length $_", $d, bytes($d, headers => ["Content-Length: $_"]), 400,
        undef, closed => 1) for '-1', '+5', '5 5', '0x10', 'a', '',
        '9' x 30;
    gives("the coding $_", $d, bytes($d, body => "${one}0\r\n\r\n",
        headers => ["Transfer-Encoding: $_"]), '400|501', undef, closed => 1)
        for 'gzip', 'identity', 'chunked, chunked', 'gzip, chunked', 'x';
    gives('no length', $d, bytes($d, body => undef), 400, 'bad_json');
    gives('a length of 0', $d, bytes($d, body => ''), 400, 'bad_json',
        next => 1);
    gives('bytes behind', $d, bytes($d) . "garbage\r\n\r\n", 200, 'ok');

    # Versions and ways to write them.
    gives('HTTP/1.0', $d, bytes($d, version => ' HTTP/1.0', nohost => 1), 200,
        'ok', closed => 1);
    gives('HTTP/1.0 without a length', $d, bytes($d, version => ' HTTP/1.0',
        body => undef), 400, 'bad_json', closed => 1);
    gives('HTTP/1.0 in chunks', $d, bytes($d, version => ' HTTP/1.0',
        body => "${one}0\r\n\r\n", headers => ['Transfer-Encoding: chunked']),
        '400|411|501', undef, closed => 1);
    gives("version$_", $d, bytes($d, version => " HTTP/$_"), '400|505', undef,
        closed => 1) for '2.0', '9.9', '1', 'x';
    gives('an absolute address', $d, bytes($d,
        path => "http://localhost$path{$d}"), 200, 'ok', next => 1);
    gives('escapes in the path', $d, bytes($d, path => $path{$d}
        =~ s/s/%73/gr), 200, 'ok', next => 1);
    gives('dots in the path', $d, bytes($d, path => "/v1/a/..$path{$d}"
        =~ s{\.\./v1}{..}r), 200, 'ok', next => 1);
    gives('more behind the path', $d, bytes($d, path => "$path{$d}/x"), 404,
        'not_found', next => 1);
    gives('a NUL in the path', $d, bytes($d, path => "$path{$d}%00"), 400,
        undef);
    gives('a path of 100 KB', $d, bytes($d, path => "$path{$d}?"
        . 'a' x 100_000), 414, undef, closed => 1);
    gives('no host', $d, bytes($d, nohost => 1), 400, undef, closed => 1);
    gives('two hosts', $d, bytes($d, headers => ['Host: a', 'Host: b']), 400,
        undef, closed => 1);
    gives("expects $_", $d, bytes($d, headers => ["Expect: $_"]), 200, 'ok',
        next => 1) for '100-continue', '100-Continue', '200-ok';

    # Headers.
    gives('900 headers', $d, bytes($d, headers => [map { "X-$_: a" }
        1 .. 900]), 200, 'ok', next => 1);
    # Some nginx allow 1,000, others what their buffers hold.
    my $res = gives('1,100 headers', $d, bytes($d, headers => [map { "X-$_: a" }
        1 .. 1100]), '200|400', undef);
    $calls++ if $res && $res->status == 200;
    gives('1,000 long headers', $d, bytes($d, headers => [map {
        "X-$_: " . 'a' x 100 } 1 .. 1000]), 400, undef, closed => 1);
    gives('a header of 1 MB', $d, bytes($d, headers => ['X-A: '
        . 'a' x 1_000_000]), 400, undef, closed => 1);
    gives('a NUL in a header', $d, bytes($d, headers => ["X-A: a\0b"]), 400,
        undef, closed => 1);
    gives("the key $_->[0]", $d, bytes($d, headers =>
        [map { "Authorization: $_" } @{ $_->[1] }]), '400|401', undef)
        for ['without a scheme', [$key]], ['of nobody', ['Bearer ']],
        ['twice', ["Bearer $key", 'Bearer ngx-x']],
        ['of 8 KB', ['Bearer ' . 'k' x 7000]], ['basic', ["Basic $key"]],
        ['with more', ["Bearer $key x"]];
}

# One behind the other, some of them wrong: each has its own answer.
for my $d (sort keys %path) {
    my $http = AiHttp->new(port => $port, timeout => 60);
    $http->{method} = 'POST';
    my @want;
    my $all = '';
    for my $n (1 .. 20) {
        my $good = $n % 3;
        $all .= bytes($d, body => $good ? good($d, n => $n) : '{"a":');
        push @want, $good ? 200 : 400;
        $calls++ if $good;
    }
    $http->write($all);
    my @got = map { delete $http->{res}; $http->response->status } @want;
    is_deeply(\@got, \@want, "20 in one piece, $d");
    $http->close;

    # What stands in a body is none.
    my $inner = bytes($d, method => 'GET', path => '/v1/models', body => undef);
    $http = AiHttp->new(port => $port);
    $http->{method} = 'POST';
    $http->write(bytes($d, body => "$inner$inner"));
    is($http->response->status, 400, "a request in a body, $d");
    ok($http->closed(1) || $http->{in} eq '', "is no request, $d");
    is($http->{in}, '', "and has no answer, $d");
    $http->close;
}

is(scalar(my @all = $p->requests), $calls, 'nothing wrong was asked of anyone');
is(join(' ', $t->edge->workers), $pid, 'the edge lives');
is(join(' ', sort $t->worker_pids), "@pids", 'and the workers');
SKIP: {
    skip('a sanitizer keeps what is freed', 2)
        if AiEdge->sanitized || $ENV{AI_T_BUILD};
    cmp_ok(rss($pid) - $rss, '<', 65536, 'memory of the edge');
    cmp_ok(rss($_) - $rss{$_}, '<', 65536, 'memory of a worker') for $pids[-1];
}
like($t->get('/metrics')->body, qr/active_jobs 0$/m, 'nothing is open');

done_testing();
