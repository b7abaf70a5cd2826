#!/usr/bin/perl
# The request body: however it comes, whatever is in it.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge(location => 'client_max_body_size 8m;'
    . ' client_body_timeout 1s; ai_body_memory 6m;'
    . ' client_body_in_file_only off;');
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';

sub ask {
    my (%o) = @_;
    return { model => 'echo/echo', messages => [{ role => 'user',
        content => 'x' x ($o{size} || 10) }], %{ $o{more} || {} } };
}

# Sends a body, answers it, and compares what the worker saw.
sub arrives {
    my ($name, $body, %o) = @_;
    my $http = AiHttp->new(port => $edge->port);
    $http->send_request(path => $chat, method => 'POST', key => $t->{key},
        body => $body, headers => { 'Content-Type' => 'application/json' }, %o);
    my $job = $fake->job;
    ok($job && $job->body eq (defined $o{expect} ? $o{expect} : $body), $name);
    $job->answer('{"ok":1}');
    is($http->response->status, 200, "$name: answered");
    $http->close;
}

my $json = JSON::PP->new->canonical;
for my $size (1, 5000, 8000, 20000, 100_000, 400_000, 3_000_000) {
    arrives("$size bytes", $json->encode(ask(size => $size)));
}
arrives('exactly 8192 bytes', do {
    my $text = $json->encode(ask);
    $text . ' ' x (8192 - length $text);
});
my $text = $json->encode(ask(size => 30));
arrives('byte by byte', $text, split => 1);
$text = $json->encode(ask(size => 30_000));
arrives('in pieces', $text, split => 1000);
my @chunks = $text =~ /(.{1,7000})/gs;
arrives('in chunks', $text, chunked => \@chunks);
@chunks = $json->encode(ask) =~ /(.{1,3})/gs;
arrives('in small chunks', join('', @chunks), chunked => \@chunks);
@chunks = $json->encode(ask(size => 1_000_000)) =~ /(.{1,50000})/gs;
arrives('in large chunks', join('', @chunks), chunked => \@chunks);
arrives('without a type', $json->encode(ask), headers => {});
arrives('with parameters of the type', $json->encode(ask),
    headers => { 'Content-Type' => 'application/json; charset=utf-8' });

# Expect: 100-continue.
my $http = AiHttp->new(port => $edge->port);
$http->{method} = 'POST';
$http->write("POST $chat HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer $t->{key}"
    . "\r\nExpect: 100-continue\r\nContent-Length: " . length($text)
    . "\r\n\r\n");
$http->fill while $http->{in} !~ /\r\n\r\n/;
like($http->{in}, qr{^HTTP/1.1 100 }, '100 Continue');
$http->write($text);
my $job = $fake->job;
is($job->body, $text, 'and then the body');
$job->answer('{}');
is($http->response->status, 200, 'answered');

# Requests in one piece, one behind the other.
my $one = AiHttp->format_request(path => $chat, key => $t->{key},
    json => ask(size => 6000));
$http = AiHttp->new(port => $edge->port);
$http->{method} = 'POST';
$http->write($one . $one . $one);
for my $n (1 .. 3) {
    $fake->job->answer("{\"n\":$n}");
    is($http->response->body, "{\"n\":$n}", "pipelined request $n");
    delete $http->{res};
}
$http->close;

# What is wrong is said, with the place.
sub refused {
    my ($name, $body, $status, $code, $like, %o) = @_;
    my $res = AiHttp->post($edge->port, $chat, $body, key => $t->{key}, %o);
    is($res->status, $status, "$name: $status");
    is($res->json->{error}{code}, $code, "$name: code");
    like($res->json->{error}{message}, $like, "$name: message") if $like;
}

refused('broken', '{"model":"echo/echo",}', 400, 'invalid_json', qr/byte 21/);
refused('cut', '{"model":"echo/echo"', 400, 'invalid_json', qr/JSON/);
refused('empty', '', 400, 'invalid_json', qr/empty/);
refused('no object', '[1]', 400, 'invalid_json');
refused('twice', '{"model":"a/b","model":"c/d"}', 400, 'invalid_json');
refused('deep', '{"model":' . '[' x 600 . ']' x 600 . '}', 400,
    'invalid_json');
refused('bad UTF-8', "{\"model\":\"\xff\"}", 400, 'invalid_json');
refused('more behind', '{"model":"echo/echo"} x', 400, 'invalid_json');
refused('no model', '{"messages":[]}', 400, undef, qr/"model" is missing/);
refused('a number as model', '{"model":1}', 400, undef, qr/must be a string/);
refused('an empty model', '{"model":""}', 400, undef, qr/model/);
refused('a long model', '{"model":"' . 'a' x 300 . '"}', 400, undef, qr/256/);
refused('a control character', '{"model":"a\\u0000b"}', 400, undef, qr/control/);
refused('stream as text', '{"model":"echo/echo","stream":"yes"}', 400, undef,
    qr/stream/);
refused('stream_options as list',
    '{"model":"echo/echo","stream_options":[]}', 400, undef,
    qr/stream_options/);
refused('include_usage as number',
    '{"model":"echo/echo","stream_options":{"include_usage":1}}', 400, undef,
    qr/include_usage/);
refused('unknown model', '{"model":"none"}', 404, 'model_not_found');
refused('unknown provider', '{"model":"none/x"}', 404, 'model_not_found');
refused('another type', 'a=b', 415, 'unsupported_media_type', undef,
    headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
refused('too large', 'x' x (9 << 20), 413, 'request_too_large');
refused('too large in chunks', undef, 413, 'request_too_large', undef,
    method => 'POST', chunked => ['{"a":"' . 'x' x (9 << 20) . '"}']);
refused('more than fits', $json->encode(ask(size => 7 << 20)), 503,
    'overloaded');
is($fake->job(timeout => 0), undef, 'none of them is in the queue');

# A model's name may be escaped.
$http = AiHttp->new(port => $edge->port);
$http->send_request(path => $chat, key => $t->{key},
    body => '{"m":1,"model":"echo\\/ech\\u006f"}', method => 'POST');
$job = $fake->job;
is($job->spec('model'), 'echo/echo', 'an escaped name');
$job->answer('{}');
is($http->response->status, 200, 'is understood');
$http->close;

# A client that stops in the middle.
$http = AiHttp->new(port => $edge->port);
$http->{method} = 'POST';
$http->write("POST $chat HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer $t->{key}"
    . "\r\nContent-Length: 100\r\n\r\n{\"model\":");
my $res = $http->response;
is($res->status, 408, 'a body that does not come');
is($res->json->{error}{code}, 'request_timeout', 'in the dialect');
ok($http->closed, 'and the connection ends');
$http = AiHttp->new(port => $edge->port);
$http->write("POST $chat HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer $t->{key}"
    . "\r\nContent-Length: 100\r\n\r\n{\"model\":");
$http->reset;

# The memory of all that is free again.
arrives('after all that', $json->encode(ask(size => 3_000_000)));
my @temp = grep { -f } glob $edge->{dir} . '/client_body/*';
is(scalar(@temp), 0, 'no temporary file');

done_testing();
