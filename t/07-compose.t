#!/usr/bin/perl
# With nginx's own modules and ways: access rules, limits, maps, redirects,
# nested and named locations, error pages, TLS, HTTP/2, Unix sockets, IPv6.
use AiTest;
use AiFake;
use IO::Socket::INET;
use IO::Socket::IP;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my ($version) = `@{[AiEdge::binary()]} -v 2>&1` =~ /nginx\/1\.(\d+)/;
my ($curl) = grep { -x } map { "$_/curl" } split /:/, $ENV{PATH};
my $h2 = $version >= 25 ? '' : 'http2';
my $h2_on = $version >= 25 ? 'http2 on;' : '';
my $v6 = eval { IO::Socket::IP->new(Listen => 1, LocalHost => '::1') } ? 1 : 0;

certificate($t->{dir}, 'cert');
my $sock = "$t->{dir}/edge.sock";
my $listen6 = $v6 ? 'listen [::1]:%%PORT%%;' : '';

my $edge = $t->edge(conf => <<"CONF");
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    log_format seen escape=json '{"uri":"\$uri","tenant":"\$ai_tenant",'
        '"key":"\$ai_key","error":"\$ai_error","model":"\$ai_model",'
        '"class":"\$class","status":"\$status","job":"\$ai_job",'
        '"stream":"\$ai_stream"}';
    access_log %%DIR%%/seen.log seen;
    ai_redis %%REDIS%%;
    map \$ai_tenant \$class { default other; demo gold; "" nobody; }
    map \$ai_tenant \$limited { default ""; slow slow; }
    limit_req_zone \$limited zone=slow:1m rate=1r/m;
    limit_req_status 429;
    large_client_header_buffers 4 1k;
    error_page 400 401 403 404 405 413 414 429 494 497 500 502 503 504
        /ai_error;

    server {
        listen 127.0.0.1:%%PORT%%;
        $listen6
        listen unix:$sock;
        add_header X-Class \$class always;

        location = /ai_error { ai_error; }
        location /v1/ { ai_pass; limit_req zone=slow; }
        location /nested/ {
            ai_auth off;
            location /nested/deep/ {
                ai_auth key;
                ai_pass;
                location ~ ^/nested/deep/r/ { ai_pass; }
            }
        }
        location /if/ {
            ai_pass;
            set \$y 0;
            if (\$arg_x) { set \$y 1; }
            if (\$arg_no) { return 403; }
        }
        location /tenant_if/ { if (\$ai_tenant = demo) { return 500; } ai_pass; }
        location /only_get/ {
            ai_pass;
            limit_except GET { deny all; }
        }
        location /few_post/ {
            ai_pass;
            limit_except GET { allow 127.0.0.1; deny all; }
        }
        location /any_deny/ { satisfy any; deny all; ai_pass; }
        location /any_allow/ { satisfy any; allow all; ai_pass; }
        location /all_deny/ { deny all; ai_pass; }
        location = /ask_yes { internal; return 204; }
        location = /ask_no { internal; return 403; }
        location = /ask_who { internal; return 401; }
        location /ask_yes/ { auth_request /ask_yes; ai_pass; }
        location /ask_no/ { auth_request /ask_no; ai_pass; }
        location /ask_who/ { satisfy any; auth_request /ask_who; ai_pass; }
        location /try/ { try_files /none \@named; }
        location \@named { ai_pass; }
        location /rewritten/ { rewrite ^/rewritten(/.*)\$ \$1 last; }
        location /sent/ { return 418; error_page 418 = /v1/models; }
        location /open/ {
            ai_auth off;
            ai_pass;
            auth_request /ask_no;
            error_page 403 = /v1/models;
        }
        location /small/ { ai_pass; client_max_body_size 100; }
        location /sub/ { ssi on; ssi_types *; root %%DIR%%; }
        location = /health { ai_health; }
        location = /slow_health { ai_health; limit_rate 60; }
        location = /metrics { ai_metrics; limit_rate 40k; }
        location = /by_metrics { ai_metrics; limit_except GET { deny all; } }
    }
    server {
        listen 127.0.0.1:%%PORT_1%% ssl $h2;
        $h2_on
        ssl_certificate $t->{dir}/cert.pem;
        ssl_certificate_key $t->{dir}/cert.key;
        location /v1/ { ai_pass; }
        location = /ai_error { internal; ai_error; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        location /v1/ { ai_pass; ai_auth off; }
        error_page 400 404 414 \@named;
        location \@named { ai_error; }
    }
}
CONF
mkdir "$t->{dir}/nginx/sub";
open my $page, '>', "$t->{dir}/nginx/sub/page.html" or die;
print $page 'before <!--#include virtual="/v1/models" --> after '
    . '<!--#echo var="ai_tenant" default="none" -->';
close $page;
$edge->start;
$t->{key} = $fake->key('demo');
my $slow = $fake->key('slow');
wait_for(sub { $t->get('/v1/models')->status == 200 }, 30, 'the edge');

sub status { return $t->get(@_)->status }

# A refusal in JSON of either dialect.
sub refused {
    my ($name, $status, $res) = @_;
    my $json = eval { $res->json };

    is($res->status, $status, "$name: status");
    ok(ref $json eq 'HASH' && ref $json->{error} eq 'HASH'
        && length $json->{error}{message}, "$name: JSON")
        or diag($res->body);
}

# Where it stands.
is(status('/nested/deep/v1/models'), 200, 'a nested location');
is(status('/nested/deep/v1/models', key => undef), 401,
    'which has its own ai_auth');
is(status('/nested/deep/r/v1/models'), 200, 'a regex inside it');
is(status('/if/v1/models'), 200, 'beside an if');
is(status('/if/v1/models?x=1'), 200, 'an if that is true keeps the handler');
is(status('/if/v1/models?x=1', key => undef), 401, 'and its checks');
refused('an if that returns', 403, $t->get('/if/v1/models?no=1'));
is(status('/tenant_if/v1/models'), 200, 'no tenant is known in rewrite yet');
is(status('/try/v1/models'), 200, 'try_files to a named location');
is(status('/try/v1/models', key => undef), 401, 'with its checks');
is(status('/rewritten/v1/models'), 200, 'rewritten');
is(status('/sent/v1/x'), 200, 'sent on by error_page');
is(status('/sent/v1/x', key => undef), 401, 'with the checks of where it goes');

# A location without keys that leads to one with keys asks for them.
is(status('/open/v1/models', key => undef), 401,
    'who was let in without a key is nobody elsewhere');
is(status('/open/v1/models'), 200, 'but for those who have one');

# Methods.
is(status('/only_get/v1/models'), 200, 'limit_except lets GET');
refused('limit_except denies POST', 403,
    $t->post('/only_get/v1/chat/completions', {}));
is($t->post('/few_post/v1/models', {})->status, 405,
    'limit_except lets POST come to the handler');
is($t->post('/few_post/v1/models', {}, key => undef)->status, 401,
    'with its checks');
is($t->post('/by_metrics', {})->status, 403, 'limit_except beside ai_metrics');

# Access.
refused('no key', 401, $t->get('/v1/models', key => undef));
is(status('/any_deny/v1/models'), 200, 'satisfy any: a key suffices');
is($t->get('/any_deny/v1/models', key => undef)->status, 401,
    'and nothing else does');
is($t->get('/any_allow/v1/models')->status, 200, 'an address and a key');
refused('an address alone', 401, $t->get('/any_allow/v1/models', key => undef));
refused('deny beats a key', 403, $t->get('/all_deny/v1/models'));
is(status('/ask_yes/v1/models'), 200, 'auth_request and a key');
refused('auth_request without one', 401,
    $t->get('/ask_yes/v1/models', key => undef));
refused('auth_request that denies', 403, $t->get('/ask_no/v1/models'));
is(status('/ask_who/v1/models'), 200, 'a key or auth_request');
refused('neither', 401, $t->get('/ask_who/v1/models', key => undef));

# A limit and a map by tenant.
is($t->get('/v1/models')->header('x-class'), 'gold', 'a map of $ai_tenant');
is($t->get('/v1/models', key => $slow)->status, 200, 'limit_req: the first');
my $res = $t->get('/v1/models', key => $slow);
refused('limit_req: the second', 429, $res);
ok($res->header('retry-after'), 'with Retry-After');
is($res->header('x-class'), 'other', 'whose tenant is known');
is(status('/v1/models'), 200, 'another tenant is not limited');
my @seen = map { decode_json($_) } split /\n/, slurp("$edge->{dir}/seen.log");
is((grep { $_->{status} == 429 && $_->{tenant} eq 'slow' } @seen), 1,
    'the log knows whose request was limited');
is((grep { $_->{status} == 401 && $_->{tenant} eq ''
    && $_->{error} eq 'unauthenticated' } @seen) > 3, 1,
    'and why others were refused');

# A subrequest gets no answer of a model, and the page its variables.
$res = $t->get('/sub/page.html');
is($res->status, 200, 'a page with a subrequest');
like($res->body, qr/^before .* after none$/s, 'is whole');

# Errors nginx makes itself.
sub raw {
    my ($port, $text) = @_;
    my $http = AiHttp->new(port => $port);

    $http->{method} = 'GET';
    $http->write($text);
    my $res = $http->response;
    $http->close;
    return $res;
}

my $port = $edge->port;
refused('no request line', 400, raw($port, "NONSENSE\r\n\r\n"));
refused('no Host', 400, raw($port, "GET /v1/models HTTP/1.1\r\n\r\n"));
refused('a long URI', 414, raw($port, 'GET /v1/' . 'x' x 3000
    . " HTTP/1.1\r\nHost: a\r\n\r\n"));
refused('a long header', 400, raw($port, "GET /v1/models HTTP/1.1\r\nHost: a\r\n"
    . 'X: ' . 'x' x 3000 . "\r\n\r\n"));
refused('HTTP to a TLS port', 400, raw($edge->port(1),
    "GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"));
refused('ai_error asked for', 404, $t->get('/ai_error'));
refused('with a body', 404, $t->post('/ai_error', '{"a":1}'));
refused('no such location', 404, $t->get('/nowhere'));
refused('in the other dialect', 404, $t->get('/nowhere',
    headers => { 'anthropic-version' => '2023-06-01' }));
is($t->get('/nowhere', method => 'HEAD')->status, 404, 'HEAD');
is($t->get('/nowhere', method => 'HEAD')->body, '', 'has no body');
$res = raw($port, "GET /nowhere HTTP/1.0\r\n\r\n");
refused('HTTP/1.0', 404, $res);
refused('in a named location', 404, AiHttp->get($edge->port(2), '/nowhere'));

# 413 before a byte of the body, and while it comes.
$res = raw($port, "POST /small/v1/messages HTTP/1.1\r\nHost: a\r\n"
    . "x-api-key: $t->{key}\r\nContent-Length: 1000\r\n\r\n");
refused('413 at once', 413, $res);
is($res->json->{type}, 'error', 'in its dialect');
refused('413 on the way', 413, $t->post('/small/v1/chat/completions', undef,
    chunked => ['x' x 60, 'y' x 60], method => 'POST'));

# After an error with a body nobody read the connection goes on, or says not.
for my $path ('/v1/nothing', '/nowhere', '/v1/models', '/any_deny/v1/models') {
    my $http = AiHttp->new(port => $port);
    my $ask = "POST $path HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n";
    $http->{method} = 'POST';
    $http->write($ask . 'GET /hidden HTTP/1.1' . ' ' x 4980);
    my $first = $http->response;
    cmp_ok($first->status, '>=', 400, "$path with a body is refused");
    if (($first->header('connection') // '') ne 'close') {
        $http->write("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
        like($http->response->header('content-type'), qr/json/,
            'and the next request is read');
    }
    $http->close;
}
unlike(slurp("$edge->{dir}/seen.log"), qr/hidden/, 'no body was a request');

# Other ways in.
my $with = "-H 'x-api-key: $t->{key}'";
is(AiHttp->request(unix => $sock, path => '/v1/models', key => $t->{key})
    ->status, 200, 'a Unix socket');
is(AiHttp->get($edge->port(2), '/v1/models')->status, 200,
    'a second server, without keys');
SKIP: {
    skip('no IPv6', 1) unless $v6;
    my $got = `$curl -s -o /dev/null -w '%{http_code}' $with 'http://[::1]:$port/v1/models'`;
    is($got, 200, 'IPv6');
}
for my $how ('--http1.1', '--http2') {
    my $url = 'https://127.0.0.1:' . $edge->port(1);
    my $got = `$curl -sk $how -w '|%{http_code} %{http_version}' $with $url/v1/models`;
    like($got, qr/^\{.*\}\|200 (?:1\.1|2)$/s, "TLS, $how");
    $got = `$curl -sk $how -w '|%{http_code}' -d '\@$t->{dir}/cert.key' $url/v1/no`;
    like($got, qr/^\{"error".*\}\|401$/s, "an error over TLS, $how");
}

# A model's name cannot break the log; no worker takes the job.
for my $name ('a\\"b', "\\u0000\\n\\u001f", "\\ud800", "\\u2028\xc3\xa9",
    'x' x 200)
{
    $t->post('/v1/chat/completions', qq({"model":"$name","messages":[]}));
}
for (split /\n/, slurp("$edge->{dir}/seen.log")) {
    eval { decode_json($_) } or fail("not JSON: $_");
}
pass('the log is JSON');

# An answer that takes longer than its questions may: it is given once.
for my $path ('/slow_health', '/metrics') {
    $fake->cmd('HSET', 'ai1:{0}:capacity', "host-$_-1", 1) for 1 .. 70;
    $fake->cmd('SET', "ai1:metrics:host-$_-1", join('', map {
        my $value = $_ * 3;
        "counter_number_${_}_total " . length($value) . "\n$value\n"
    } 1 .. 20), 'PX', 60000) for 1 .. 70;
    my $res = $t->get($path, timeout => 60);
    cmp_ok($res->status, '<', 504, "$path, slowly");
    is(length $res->body, $res->header('content-length'), 'is whole');
}
my $http = AiHttp->new(port => $port);
$http->{method} = 'GET';
$http->write("GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
cmp_ok($http->response->status, '<', 504, 'a GET whose body does not come');
sleep 2.5;
$http->close;
is(status('/v1/models'), 200, 'and all goes on');

# Without ai_pass and ai_redis nothing is left of the zones.
my ($old) = $edge->workers;
$edge->reload(<<'CONF');
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /metrics { ai_metrics; }
        location = /health/detailed { ai_health; }
        location / { ai_error; }
    }
}
CONF
wait_for(sub { !-d "/proc/$old" }, 30, 'the old process to leave');
is($t->get('/metrics')->status, 404, 'no metrics without an edge');
is($t->get('/any')->status, 404, 'an error is still worded');
$res = $t->get('/health/detailed');
is($res->status, 503, 'no health');
ok(eval { $res->json }, 'said in JSON') or diag($res->body);

done_testing();
