#!/usr/bin/perl
# The shipped policy files with the real parts: bounds, compression that holds
# no stream back, headers of answers, TLS 1.3, who the client is behind a
# balancer; and limits of nginx's own by what ai knows.
use AiTest;
use Compress::Zlib ();
use IO::Socket::INET;

my $t = AiTest->new;
my $root = $t->root;
my $dir = $t->dir;
my $go = "$dir/go";
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $chunk = sub { $out->chunk('data: {"choices":[{"index":0,"delta":'
        . qq({"content":"$_[0]"}}]}\n\n)) };

    $out->head(200, 'Content-Type' => 'text/event-stream');
    $chunk->('first');
    $out->wait(0.02) until -e $go;
    $chunk->('second');
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});
certificate($dir, 'tls');
my $tls = slurp("$root/conf/ai-tls.conf");
$tls =~ s{/etc/ngx-ai/tls\.crt}{$dir/tls.pem} or die;
$tls =~ s{/etc/ngx-ai}{$dir} or die;
$tls =~ s{listen 443}{listen 127.0.0.1:%%PORT_1%%} or die;
$tls =~ s{listen \[.*\n}{} or die;
my $behind = slurp("$root/conf/ai-behind.conf");
$behind =~ s{10\.0\.0\.0/8}{127.0.0.1} or die;
my $tcp = $behind;
$tcp =~ s{^real_ip_header X-F.*$}{}m or die;
$tcp =~ s{^# (real_ip_header proxy_protocol;)$}{$1}m or die;

my $url = $p->url('/v1');
$t->start(edge => { conf => <<"CONF" });
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    include $root/conf/ai-policy.conf;
    log_format who '\$remote_addr \$ai_tenant \$status \$uri';
    access_log $dir/who.log who;
    ai_redis %%REDIS%%;
    ai_provider p { api openai; url $url; }
    error_page 400 401 403 404 405 408 413 414 415 429 494 500 502 503 504
        /ai-error;
    map \$ai_tenant \$ai_limited { default ""; few few; }
    limit_conn_zone \$ai_limited zone=streams:1m;
    limit_req_zone \$ai_key zone=keys:1m rate=1r/m;
    limit_req_status 429;
    limit_conn_status 429;
    server {
        listen 127.0.0.1:%%PORT%%;
        client_max_body_size 1m;
        location /v1/ { ai_pass; limit_conn streams 1; }
        location /metered/ { ai_pass; limit_req zone=keys burst=1 nodelay; }
        location /basic/ {
            satisfy all;
            auth_basic inside;
            auth_basic_user_file $dir/users;
            ai_auth off;
            ai_pass;
        }
        location /both/ {
            satisfy any;
            auth_basic inside;
            auth_basic_user_file $dir/users;
            ai_pass;
        }
        location /health { ai_health; }
        location = /ai-error { internal; ai_error; }
    }
    server {
        $tls
        location /v1/ { ai_pass; }
        location = /ai-error { internal; ai_error; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        $behind
        location /v1/ { ai_pass; allow 203.0.113.9; deny all; }
        location = /ai-error { internal; ai_error; }
    }
    server {
        listen 127.0.0.1:%%PORT_3%% proxy_protocol;
        $tcp
        location /v1/ { ai_pass; allow 203.0.113.9; deny all; }
        location = /ai-error { internal; ai_error; }
    }
}
CONF
my $edge = $t->edge;
my @safe = (['x-content-type-options', qr/^nosniff$/], ['x-frame-options', qr/^DENY$/],
    ['content-security-policy', qr/default-src 'none'/], ['referrer-policy', qr/no-referrer/]);

sub safe {
    my ($name, $res) = @_;

    like($res->header($_->[0]) // '', $_->[1], "$name: $_->[0]") for @safe;
    like($res->header('server') // '', qr/^nginx$/, "$name: no version");
    like($res->header('cache-control') // '', qr/no-(?:store|cache)/, "$name: not stored");
}


# Compression.

my %gzip = (headers => { 'Accept-Encoding' => 'gzip' });
my $text = 'again-and-' x 1000;
my $res = $t->chat($text, %gzip);
is($res->status, 200, 'a long answer');
is($res->header('content-encoding'), 'gzip', 'is compressed');
like($res->header('vary') // '', qr/Accept-Encoding/, 'and caches know');
my $plain = Compress::Zlib::memGunzip($res->body);
is(decode_json($plain)->{choices}[0]{message}{content}, $text, 'whole');
safe('JSON', $res);
is($t->chat($text)->header('content-encoding'), undef, 'not for who cannot read it');
is($t->chat('short', %gzip)->header('content-encoding'), undef, 'nor what is short');

my $s = $t->stream('/v1/chat/completions', { model => 'p/m', stream => JSON::PP::true,
    messages => [{ role => 'user', content => 'x' }] }, %gzip);
my $head = $s->head;
is($head->header('content-encoding'), undef, 'a stream is not compressed');
safe('a stream', $head);
like($s->event->{data}, qr/first/, 'its first event is here before its second is there');
open my $fh, '>', $go or die;
close $fh;
like(join('', map { $_->{data} } $s->events), qr/second/, 'and then that');
$s->close;


# Bounds.

safe('an error', $t->get('/v1/nothing'));
$res = $t->get('/v1/models', headers => { 'X-Long' => 'x' x 15_000 });
is($res->status, 200, 'a header of 15,000 bytes');
$res = $t->get('/v1/models', headers => { 'X-Long' => 'x' x 17_000 });
is($res->status, 400, 'one of 17,000');
ok($res->json->{error}{message}, 'refused in JSON');
$res = $t->get('/v1/models', headers => { map { ("X-$_" => 'x' x 12_000) } 1 .. 6 });
is($res->status, 400, 'more than four such');
ok($res->json->{error}{message}, 'refused in JSON');
$res = $t->post('/v1/messages', { model => 'echo/echo', max_tokens => 1,
    messages => [{ role => 'user', content => 'x' x 1_100_000 }] });
is($res->status, 413, 'a body of over 1m');
is($res->json->{type}, 'error', "in the dialect's words");


# TLS.

my $port = $edge->port(1);
my ($openssl) = grep { -x } map { "$_/openssl" } split /:/, $ENV{PATH};
for my $version (['tls1_2', 0], ['tls1_3', 1]) {
    my ($name, $good) = @$version;
    my $out = `echo | $openssl s_client -$name -connect 127.0.0.1:$port 2>&1`;
    is($out =~ /Cipher is (?!\(NONE\))/ ? 1 : 0, $good,
        "$name: " . ($good ? 'spoken' : 'refused'));
}
my $got = `curl -sk --tlsv1.3 -D - -H 'x-api-key: $t->{key}' https://127.0.0.1:$port/v1/models`;
like($got, qr{^HTTP/2 200}, 'a request over TLS 1.3');
like($got, qr/^strict-transport-security: max-age=\d{8}/m, 'and from now on');
like($got, qr/^\Q$_->[0]\E: /m, "TLS: $_->[0]") for @safe;


# Who asks, behind a balancer.

sub from {
    my ($local, $port, $forwarded, $proxy) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        LocalAddr => $local) or die "$local: $!";

    print $sock $proxy // '', "GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        . "x-api-key: $t->{key}\r\n" . ($forwarded ? "X-Forwarded-For: $forwarded\r\n" : '')
        . "\r\n";
    local $/;
    my ($status) = (<$sock> // '') =~ m{^HTTP/1.1 (\d+)};
    return $status // 'closed';
}

$port = $edge->port(2);
is(from('127.0.0.1', $port, '203.0.113.9'), 200, 'as the balancer says');
is(from('127.0.0.1', $port, '203.0.113.8'), 403, 'another one');
is(from('127.0.0.1', $port, '203.0.113.9, 203.0.113.8'), 403,
    'what a client says of itself is not believed');
is(from('127.0.0.1', $port, '198.51.100.1, 203.0.113.9, 127.0.0.1'), 200,
    'two balancers in a row');
is(from('127.0.0.1', $port), 403, 'the balancer itself');
is(from('127.0.0.2', $port, '203.0.113.9'), 403, 'one that is no balancer');
like(slurp("$dir/who.log"), qr{^203\.0\.113\.9 demo 200 /v1/models$}m,
    'the log has the client');
$port = $edge->port(3);
my $tcp4 = "PROXY TCP4 %s 127.0.0.1 40000 443\r\n";
is(from('127.0.0.1', $port, undef, sprintf $tcp4, '203.0.113.9'), 200, 'PROXY protocol');
is(from('127.0.0.1', $port, undef, sprintf $tcp4, '203.0.113.8'), 403, 'another one');
is(from('127.0.0.2', $port, undef, sprintf $tcp4, '203.0.113.9'), 403,
    'PROXY protocol of one that is no balancer');
is(from('127.0.0.1', $port, '203.0.113.9', sprintf $tcp4, '203.0.113.8'), 403,
    'X-Forwarded-For is nothing there');


# nginx's limits, by what ai knows.

my $few = $t->key('few');
unlink $go;
my %ask = (model => 'p/m', stream => JSON::PP::true,
    messages => [{ role => 'user', content => 'x' }]);
$s = $t->stream('/v1/chat/completions', \%ask, key => $few);
$s->event;
$res = $t->get('/v1/models', key => $few);
is($res->status, 429, 'limit_conn by tenant, while a stream is open');
is($res->json->{error}{code}, 'rate_limit_exceeded', 'worded');
safe('limit_conn', $res);
is($t->get('/v1/models')->status, 200, 'another tenant is not limited');
open $fh, '>', $go or die;
close $fh;
$s->events;
$s->close;
wait_for(sub { $t->get('/v1/models', key => $few)->status == 200 }, 20,
    'the stream to be over');

sub metered { return $t->post('/metered/v1/chat/completions', { model => 'echo/echo',
    messages => [{ role => 'user', content => 'x' }] }, @_) }
my @got = map { metered()->status } 1 .. 3;
is("@got", '200 200 429', 'limit_req by key: a burst, and no more');
is(metered(key => $few)->status, 200, 'another key');
is(metered(key => undef)->status, 401, 'no key is not limited by it, but refused');

open $fh, '>', "$dir/users" or die;
print $fh 'me:{PLAIN}secret', "\n";
close $fh;
my %basic = (key => undef, headers => { Authorization => 'Basic bWU6c2VjcmV0' });
my %chat = (model => 'echo/echo', messages => [{ role => 'user', content => 'x' }]);
is($t->post('/basic/v1/chat/completions', \%chat, %basic)->status, 200,
    'auth_basic instead of keys');
is($t->post('/basic/v1/chat/completions', \%chat, key => undef)->status, 401,
    'and nobody else');
is($t->post('/both/v1/chat/completions', \%chat)->status, 200, 'satisfy any: a key');
is($t->post('/both/v1/chat/completions', \%chat, %basic)->status, 401,
    'satisfy any: a password opens the door, but work needs a principal');

done_testing();
