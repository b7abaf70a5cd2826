#!/usr/bin/perl
# ai_cors: preflights, which pages may read what, and that nothing is open
# where nobody said so.
use AiTest;
use AiFake;
use IO::Socket::INET;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $conf = <<'CONF';
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    limit_req_zone $arg_limit zone=one:1m rate=1r/m;
    limit_req_status 429;
    error_page 400 401 403 404 405 413 429 500 503 /ai_error;
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /ai_error { internal; ai_error; }
        location /none/ { ai_pass; }
        location /any/ { ai_pass; ai_cors *; }
        location /some/ {
            ai_pass;
            ai_cors https://app.example.com https://*.pages.example.com:8443
                    http://localhost:3000 credentials max_age=1h;
            ai_forward_header request x-mine;
            ai_forward_header response x-theirs;
            allow all;
        }
        location /org/ { ai_pass; ai_cors *; ai_tenant header=X-Org key; }
        location /denied/ { ai_pass; ai_cors *; satisfy all; deny all; }
        location /few/ { ai_pass; ai_cors *; limit_except GET { allow all; } }
        location /proxied/ { proxy_pass http://127.0.0.1:%%PORT%%/any/; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        ai_cors https://app.example.com;
        location = /ai_error { internal; ai_error; }
        location /v1/ { ai_pass; limit_req zone=one; }
        location /off/ { ai_pass; ai_cors off; }
        location /health { ai_health; }
        location /static/ { return 200 'x'; }
    }
}
CONF
my $edge = $t->edge(conf => $conf)->start;
$t->{key} = $fake->key('demo');
wait_for(sub { $t->get('/none/v1/models')->status == 200 }, 30, 'the edge');
my $origin = 'https://app.example.com';

sub ask {
    my ($path, $from, %o) = @_;
    return AiHttp->request(port => $edge->port($o{port}), path => $path,
        method => $o{method} || 'GET', key => exists $o{key} ? $o{key} : $t->{key},
        headers => { defined $from ? (Origin => $from) : (), %{ $o{headers} || {} } });
}

sub preflight {
    my ($path, $from, $headers, %o) = @_;
    return ask($path, $from, %o, method => 'OPTIONS', key => undef, headers => {
        'Access-Control-Request-Method' => 'POST',
        defined $headers ? ('Access-Control-Request-Headers' => $headers) : () });
}

sub allowed { $_[0]->header('access-control-allow-origin') }

# The headers that the SDKs send from a browser.
my $openai = 'authorization,content-type,openai-organization,openai-project,'
    . 'x-stainless-arch,x-stainless-lang,x-stainless-os,'
    . 'x-stainless-package-version,x-stainless-retry-count,'
    . 'x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout';
my $anthropic = 'anthropic-dangerous-direct-browser-access,anthropic-version,'
    . 'content-type,x-api-key,x-stainless-helper-method';

my $res = preflight('/some/v1/chat/completions', $origin, $openai);
is($res->status, 204, 'a preflight: 204, without a key');
is($res->body, '', 'without a body');
is(allowed($res), $origin, 'for this origin');
is($res->header('access-control-allow-credentials'), 'true', 'with credentials');
is($res->header('access-control-allow-headers'), join(', ', split /,/, $openai),
    "the OpenAI SDK's headers");
like($res->header('access-control-allow-methods'), qr/\bPOST\b/, 'POST');
is($res->header('access-control-max-age'), 3600, 'for an hour');
like($res->header('vary'), qr/Origin.*Access-Control-Request-Headers/,
    'and says what it depends on');
$res = preflight('/any/v1/messages', 'https://anywhere.test', $anthropic);
is($res->status, 204, 'a preflight to everybody');
is(allowed($res), '*', '*');
is($res->header('access-control-allow-credentials'), undef, 'no credentials');
is($res->header('access-control-allow-headers'), join(', ', split /,/, $anthropic),
    "the Anthropic SDK's headers");
is($res->header('access-control-max-age'), 600, 'ten minutes');
is(preflight('/some/v1/models', $origin, ' X-Mine ,,Cookie,x-forwarded-for, x_y,'
    . "bad;name, Content-Type\t")->header('access-control-allow-headers'),
    'x-mine, content-type', 'what ai_forward_header adds, and nothing unknown');
is(preflight('/org/v1/models', $origin, 'x-org,x-or,x-orgs')->header(
    'access-control-allow-headers'), 'x-org', 'the header that names the tenant');
is(preflight('/any/v1/models', $origin, 'x-org,if-none-match')->header(
    'access-control-allow-headers'), 'if-none-match', 'and an ETag that was read');
is(preflight('/some/v1/models', $origin, 'x' x 5000)->status, 204,
    'more than anybody asks');
is(preflight('/some/v1/models', $origin)->header('access-control-allow-headers'),
    undef, 'none asked for');

for my $from ('https://evil.example', 'http://app.example.com', 'null',
    'https://app.example.com.evil.test', 'https://app.example.com:444',
    'https://pages.example.com:8443', 'https://a.pages.example.com',
    'https://evil.test/.pages.example.com:8443', 'https://evil.test#.pages.example.com:8443',
    'https://' . 'a' x 300 . '.pages.example.com:8443', '')
{
    $res = preflight('/some/v1/models', $from, 'authorization');
    is($res->status, 403, substr("not $from", 0, 60));
    is(allowed($res), undef, 'and is told nothing');
    ok($res->json->{error}{message}, 'in JSON');
    $res = ask('/some/v1/models', $from);
    is($res->status, 200, 'a request is no matter of ours');
    is(allowed($res), undef, 'but a page may not read it');
    is($res->header('access-control-expose-headers'), undef, 'nor its headers');
    is($res->header('vary'), 'Origin', 'and caches know');
}
for my $from ('https://a.pages.example.com:8443', 'https://a-1.b.pages.example.com:8443',
    'HTTPS://App.Example.com', 'http://localhost:3000')
{
    is(allowed(preflight('/some/v1/models', $from, '')), $from, $from);
}

# Answers.
$res = ask('/some/v1/models', $origin);
is($res->status, 200, 'a request');
is(allowed($res), $origin, 'may be read');
is($res->header('vary'), 'Origin', 'by this origin');
like($res->header('access-control-expose-headers'), qr/\b$_\b/, "with $_")
    for qw(x-request-id x-ai-job retry-after x-ratelimit-remaining-tokens
        anthropic-ratelimit-requests-limit ratelimit x-theirs);
is($res->header('access-control-max-age'), undef, 'no more than that');
is($res->header('cache-control'), 'no-store', 'and is kept by nobody');
$res = ask('/some/v1/models', undef);
is(allowed($res), undef, 'without an Origin: none');
is($res->header('vary'), 'Origin', 'but caches know');
$res = ask('/any/v1/models', $origin);
is(allowed($res), '*', 'everybody');
is($res->header('vary'), undef, 'needs no Vary');
$res = ask('/some/v1/models', $origin, key => undef);
is($res->status, 401, 'no key');
is(allowed($res), $origin, 'a page may read why');
$res = ask('/some/v1/nothing', $origin);
is($res->status, 404, 'no such endpoint');
is(allowed($res), $origin, 'as well');
is($res->header('cache-control'), 'no-store', 'errors are kept by nobody either');

# Without ai_cors.
$res = preflight('/none/v1/models', $origin, 'authorization');
is($res->status, 401, 'no ai_cors: no preflight');
is(allowed($res), undef, 'nothing');
is(allowed(ask('/none/v1/models', $origin)), undef, 'nor for a request');
is(ask('/none/v1/models', undef)->header('vary'), undef, 'no Vary');

# OPTIONS that is no preflight.
is(ask('/any/v1/models', undef, method => 'OPTIONS')->status, 405,
    'OPTIONS without Origin');
is(ask('/any/v1/models', $origin, method => 'OPTIONS')->status, 405,
    'OPTIONS that asks for no method');
is(ask('/any/v1/models', $origin, method => 'OPTIONS', key => undef)->status, 401,
    'and has no key');

# With nginx's own.
is(preflight('/denied/v1/models', $origin, '')->status, 204,
    'a preflight tells nothing: deny is for the request');
$res = ask('/denied/v1/models', $origin);
is($res->status, 403, 'which it denies');
is(allowed($res), '*', 'and the page may read so');
is(preflight('/few/v1/models', $origin, '')->status, 204, 'beside limit_except');
is(allowed(ask('/proxied/v1/models', $origin)), '*', 'through a proxy');

# In server, for all that is below.
my %second = (port => 1);
is(allowed(ask('/v1/models', $origin, %second)), $origin, 'inherited');
is(allowed(ask('/off/v1/models', $origin, %second)), undef, 'ai_cors off');
is(allowed(ask('/off/v1/models', $origin, %second, key => undef)), undef,
    'also of its errors');
is(allowed(ask('/static/', $origin, %second)), undef, 'not what is not ours');
is(allowed(ask('/health', $origin, %second)), undef, 'nor health');
$res = ask('/nowhere', $origin, %second);
is($res->status, 404, "nginx's own error");
is(allowed($res), $origin, 'that ai_error words');
$res = ask('/v1/models?limit=1', $origin, %second) for 1, 2;
is($res->status, 429, 'limit_req');
is(allowed($res), $origin, 'may be read');

# nginx -t.
for (['ai_cors https://a:443;', qr/browsers leave out/],
    ['ai_cors http://*.a:80;', qr/browsers leave out/],
    ['ai_cors https://a/;', qr/behind the host/], ['ai_cors a.example;', qr/scheme/],
    ['ai_cors https://;', qr/scheme/], ['ai_cors * https://a;', qr/both "\*" and/],
    ['ai_cors * credentials;', qr/allows credentials to everybody/],
    ['ai_cors credentials;', qr/names no origin/], ['ai_cors off *;', qr/behind "off"/],
    ['ai_cors * max_age=2d;', qr/a day at most/], ['ai_cors * max_age=x;', qr/a day at most/],
    ['ai_cors *; ai_cors *;', qr/is duplicate/], ['ai_cors https://*;', qr/behind the host/],
    ['ai_cors https://a.*.b;', qr/behind the host/], ['ai_cors;', qr/number of arguments/],
    ['ai_cors ' . join(' ', map { "https://a$_.test" } 1 .. 65) . ';', qr/more than 64/])
{
    my ($line, $why) = @$_;
    my ($code, $out) = $edge->test_conf($conf =~ s/ai_cors \*;/$line/r);
    like($out, qr/\[emerg\].*$why/, substr $line, 0, 50);
}

done_testing();
