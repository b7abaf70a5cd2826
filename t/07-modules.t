#!/usr/bin/perl
# Streams and bodies with nginx's own modules around them: who else reads the
# body, filters the answer, limits, logs, redirects and times it.
use AiTest;
use Compress::Zlib ();
use MIME::Base64 qw(encode_base64);

my $t = AiTest->new;
my $words = join ' ', map { "word$_" } 1 .. 30;
my $text = join ' ', map { "w$_" x 150 } 1 .. 60;

my $conf = <<'CONF';
%%GLOBALS%%
events { worker_connections 1024; multi_accept on; accept_mutex on; }
http {
    %%HTTP%%
    log_format ai '$uri tenant=$ai_tenant model=$ai_model job=$ai_job '
        'out=$ai_output_tokens status=$status';
    log_format other '$request_uri $status $request_length $content_length';
    access_log %%DIR%%/ai.log ai buffer=32k flush=1s;
    ai_redis %%REDIS%%;
    ai_zone principals 4m;
    ai_provider slow { api echo; option word_delay=20; }
    ai_stream_heartbeat 1s;
    client_max_body_size 4m;
    client_body_buffer_size 8k;
    tcp_nopush on;
    sendfile on;
    postpone_output 4096;
    reset_timedout_connection on;
    keepalive_requests 5;
    lingering_close always;
    limit_conn_zone $ai_tenant zone=streams:1m;
    limit_conn_status 429;
    split_clients $ai_tenant $half { 100% all; }

    server {
        listen 127.0.0.1:%%PORT%% reuseport sndbuf=32k;
        location /v1/ { ai_pass; add_header X-Half $half; }
        location /health { ai_health; }

        location /gzip/ {
            ai_pass; gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
        }
        location /sub/ {
            ai_pass; sub_filter word sub; sub_filter_once off;
            sub_filter_types *;
        }
        location /addition/ {
            ai_pass; add_before_body /add/before; add_after_body /add/after;
            addition_types *;
        }
        location = /add/before { internal; return 200 ": before\n\n"; }
        location = /add/after { internal; return 200 ": after\n\n"; }
        location /add_ai/ { ai_pass; add_after_body /v1/models;
            addition_types *; }
        location /ssi/ { ai_pass; ssi on; ssi_types *; }
        location /limited/ { ai_pass; limit_conn streams 1; }
        location /rate/ { ai_pass; limit_rate 40k; }
        location /aio/ { ai_pass; aio threads; directio 4k;
            output_buffers 1 4k; }

        location /mirrored/ { mirror /mirror; ai_pass; }
        location /unread/ { mirror /mirror_off; mirror_request_body off;
            ai_pass; }
        location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_1%%/seen$request_uri;
        }
        location = /mirror_off {
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:%%PORT_1%%/seen$request_uri;
        }
        location /to_mirror/ { mirror /v1/models; mirror /v1/chat/completions;
            proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /fallback/ {
            proxy_pass http://127.0.0.1:%%PORT_2%%;
            error_page 502 504 = @ai;
        }
        location /in_file/ {
            client_body_in_file_only clean;
            proxy_pass http://127.0.0.1:%%PORT_2%%;
            error_page 502 504 = @ai;
        }
        location @ai { ai_pass; }
        location /moved/ { rewrite ^/moved(/.*)$ $1 last; }
        location /accel/ { proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location = /index/ { index none /v1/models; root %%DIR%%; }
        location /missing/ { root %%DIR%%; error_page 404 = /v1/models; }
        location /proxied/ {
            proxy_pass http://127.0.0.1:%%PORT%%/;
            proxy_set_header Connection "";
            proxy_http_version 1.1;
        }

        location /asks_ai/ { auth_request /v1/models;
            proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /asks_health/ { auth_request /health;
            proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /asks_ai_post/ { auth_request /v1/chat/completions;
            proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /asked/ {
            auth_request /ask;
            auth_request_set $who $upstream_http_x_who;
            add_header X-Who $who; ai_pass;
        }
        location = /ask {
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:%%PORT_1%%/who;
        }
        location /basic/ {
            satisfy any; auth_basic r; auth_basic_user_file %%DIR%%/users;
            ai_pass;
        }
        location /password/ {
            auth_basic r; auth_basic_user_file %%DIR%%/users; ai_pass;
        }
        location /includes/ { ssi on; ssi_types *; root %%DIR%%; }

        location /body_timeout/ { ai_pass; client_body_timeout 1s; }
        location /send_timeout/ { ai_pass; send_timeout 1s;
            ai_stream_buffers 2 4k; }
        error_page 400 401 403 404 405 408 413 429 500 502 503 504 /ai_error;
        location = /ai_error { internal; ai_error; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        access_log %%DIR%%/other.log other;
        location /seen/ { client_body_in_single_buffer on;
            client_body_buffer_size 4m; proxy_pass
            http://127.0.0.1:%%PORT_1%%/sink; }
        location /sink { return 200; }
        location = /who { add_header X-Who me; return 204; }
        location /accel/ {
            add_header X-Accel-Redirect /v1/models;
            return 200;
        }
        location / { return 200 "other"; }
    }
    server {
        listen 127.0.0.1:%%PORT_3%% proxy_protocol;
        set_real_ip_from 127.0.0.1;
        real_ip_header proxy_protocol;
        location /v1/ { ai_pass; deny 192.0.2.1; allow all; }
    }
}
CONF
$t->start(edge => { conf => $conf, workers => 4 });
my $edge = $t->edge;
open my $users, '>', "$edge->{dir}/users" or die;
print $users "u:{PLAIN}p\n";
close $users;
mkdir "$edge->{dir}/$_" for qw(includes index);
open my $page, '>', "$edge->{dir}/includes/page.html" or die;
print $page 'a<!--#include virtual="/v1/chat/completions" -->b'
    . '<!--#include virtual="/v1/models" -->c';
close $page;

sub ask {
    my ($model, $content, %more) = @_;
    return { model => $model, messages => [{ role => 'user',
        content => $content }], %more };
}

sub text_of {
    return join '', map { ($_->{data} // '') =~ /^\{/
        ? decode_json($_->{data})->{choices}[0]{delta}{content} // '' : '' } @_;
}

# A stream at a path: its text is what was asked, and it ends.
sub streams {
    my ($path, $want, $name, %o) = @_;
    my $s = $t->stream("$path/v1/chat/completions", ask('slow/echo',
        $o{text} || $words, stream => \1), timeout => 60, %o);
    my @events = eval { $s->events };
    my $err = $@;

    is($s->{res} && $s->{res}->status, 200, "$name: status");
    is(text_of(@events), $want, "$name: its text") or diag($err);
    is($@ || !@events ? '' : $events[-1]{data}, '[DONE]', "$name: its end");
    $s->close;
    return ($s->{res}, \@events);
}

# A call at a path is answered with what was asked.
sub answers {
    my ($path, $name, %o) = @_;
    for my $content ('short', $text) {
        my $res = $t->post("$path/v1/chat/completions",
            ask('echo/echo', $content), timeout => 60, %o);
        is($res->status, 200, "$name, " . length($content) . ' bytes: status');
        ok((eval { $res->json->{choices}[0]{message}{content} } // '')
            eq $content, "$name: answer") or diag(substr $res->body, 0, 300);
    }
}

# As it is.
my ($res) = streams('', $words, 'plainly');
is($res->header('x-half'), 'all', 'split_clients of $ai_tenant');
answers('', 'plainly');

# Filters of the answer.
my $events;
($res, $events) = streams('/gzip', $words, 'gzip',
    headers => { 'Accept-Encoding' => 'gzip' });
is($res->header('content-encoding'), undef, 'a stream is not compressed');
cmp_ok(scalar(my @chunks = @{ $res->{chunks} }), '>', 10, 'nor held back');
$res = $t->post('/gzip/v1/chat/completions', ask('echo/echo', $text),
    headers => { 'Accept-Encoding' => 'gzip' });
is($res->header('content-encoding'), 'gzip', 'an answer is compressed');
is(eval { decode_json(Compress::Zlib::memGunzip($res->body))
    ->{choices}[0]{message}{content} }, $text, 'and whole');
streams('/sub', $words =~ s/word/sub/gr, 'sub_filter');
($res) = streams('/addition', $words, 'addition');
like($res->body, qr/^: before\n\n.*\[DONE\]\n\n: after\n\n$/s,
    'what stands around it');
$res = $t->post('/add_ai/v1/chat/completions', ask('echo/echo', 'hi'));
is($res->status, 200, 'an addition that is no page');
streams('/ssi', $words, 'ssi');
streams('/aio', $words, 'aio threads');
answers('/aio', 'aio threads');
streams('/rate', $words, 'limit_rate');
answers('/rate', 'limit_rate');

# Another reader of the body.
answers('/mirrored', 'mirror');
streams('/mirrored', $words, 'mirror');
answers('/unread', 'mirror without the body');
my @mirrored;
eval { wait_for(sub { (@mirrored = slurp("$edge->{dir}/other.log")
    =~ m{^(/seen/\S+ 200 \d+ \S+)$}mg) == 5 }, 30) };
is((grep { m{^/seen/unread/\S+ 200 \d+ -$} } @mirrored), 2,
    'a mirror without bodies') or diag(join "\n", @mirrored);
is((grep { m{^/seen/mirrored/\S+ 200 (\d+) (\d+)$} && $1 > $2 } @mirrored), 3,
    'the mirror has each body whole');
is($t->post('/to_mirror/v1/x', ask('echo/echo', $text))->body, 'other',
    'mirrored to ai_pass');
answers('/fallback', 'after a proxy that failed');
streams('/fallback', $words, 'after a proxy that failed');
answers('/in_file', 'a body in a file');
$res = $t->post('/in_file/v1/chat/completions', '{"model":');
is($res->status, 400, 'a bad body in a file');
is($t->post('/fallback/v1/chat/completions', ask('echo/echo', 'x'),
    key => undef)->status, 401, 'nobody comes in that way');
answers('/moved', 'rewritten');
streams('/proxied', $words, 'through itself');

# Sent here by others.
for my $path ('/accel/x', '/index/', '/missing/x') {
    is($t->get($path)->status, 200, "$path: sent to /v1/models");
    is($t->get($path, key => undef)->status, 401, 'with its checks');
}

# As the target of what cannot use it: one line says why.
sub told {
    my ($directive, $where) = @_;
    my $said = qq{"$directive" of location "$where" answers clients only: it }
        . 'cannot be the target of auth_request, mirror, SSI or another';
    return scalar(() = $edge->log =~ /\Q$said\E/g);
}
is(told('ai_pass', '/v1/'), 2 + 1, 'two mirrors and an addition');
for my $path ('/asks_ai/', '/asks_ai_post/') {
    is($t->get($path)->status, 500, "$path: ai_pass is no auth_request");
    is($t->post($path, ask('echo/echo', 'hi'))->status, 500, 'with a body');
}
is(told('ai_pass', '/v1/'), 3 + 4, 'each is told once');
is($t->get('/includes/page.html')->status, 200, 'nor is it included');
is(told('ai_pass', '/v1/'), 7 + 2, 'nor told more than once');
is($t->get('/asks_health/')->status, 500, 'ai_health is no auth_request');
is(told('ai_health', '/health'), 1, 'that is told, too');
is($t->get('/asked/v1/models')->header('x-who'), 'me', 'auth_request_set');

# A key or a password lets in; only a key is somebody.
my @basic = (Authorization => 'Basic ' . encode_base64('u:p', ''));
is($t->get('/basic/v1/models')->status, 200, 'satisfy any: a key');
is($t->get('/basic/v1/models', key => undef, headers => [@basic])->status, 401,
    'a password is nobody');
is($t->get('/basic/v1/models', key => undef, headers => [@basic,
    'x-api-key' => $t->{key}])->status, 200, 'both');
for my $case (['/basic/v1/models', 'neither', key => undef],
    ['/password/v1/models', 'a key where both are asked for'],
    ['/password/v1/messages', 'the same in the other dialect'])
{
    my ($path, $name, @key) = @$case;
    $res = $t->get($path, @key);
    is($res->status, 401, $name);
    is($res->header('www-authenticate'), 'Basic realm="r"', 'asks for a password');
    my $said = eval { $res->json } || {};
    is($said->{type} // 'openai', $path =~ /messages/ ? 'error' : 'openai',
        'in its dialect');
    is(ref $said->{error} && $said->{error}{type}, 'authentication_error',
        'in JSON');
}
is($t->get('/password/v1/models', key => undef, headers => [@basic,
    'x-api-key' => $t->{key}])->status, 200, 'a key and a password');

# Limits.
my $s = $t->stream('/limited/v1/chat/completions', ask('slow/echo', $text,
    stream => \1));
$s->head;
is($t->get('/limited/v1/models')->status, 429, 'limit_conn by tenant');
is($t->get('/limited/v1/models', key => $t->key('other'))->status, 200,
    'another is let in');
$s->close;
wait_for(sub { $t->get('/limited/v1/models')->status == 200 }, 30,
    'the limit to be free');

# Times.
my $http = AiHttp->new(port => $edge->port);
$http->{method} = 'POST';
$http->write("POST /body_timeout/v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
    . "x-api-key: $t->{key}\r\nContent-Length: 100\r\n\r\n{\"model\"");
ok($http->closed(30) || 1, 'a body that does not come ends');
$http->close;
my $slow = AiHttp->new(port => $edge->port, rcvbuf => 4096);
$slow->send_request(path => '/send_timeout/v1/chat/completions',
    key => $t->{key}, json => ask('echo/echo', $text x 120, stream => \1));
wait_for(sub { slurp("$edge->{dir}/error.log") =~ /client is too slow for job/ },
    60, 'a client that does not read');
pass('a client that does not read is left');
$slow->close;

# Requests of one connection, then another.
$http = AiHttp->new(port => $edge->port);
my $last;
for (1 .. 5) {
    $http->send_request(path => '/v1/chat/completions', key => $t->{key},
        json => ask('echo/echo', "n$_"));
    $last = $http->response;
    is($last->json->{choices}[0]{message}{content}, "n$_", "request $_");
}
is($last->header('connection'), 'close', 'keepalive_requests');
$http->close;

# The address that a proxy states.
for my $case (['192.0.2.1', 403], ['192.0.2.2', 200]) {
    my $http = AiHttp->new(port => $edge->port(3));
    $http->{method} = 'GET';
    $http->write("PROXY TCP4 $case->[0] 127.0.0.1 1000 80\r\n"
        . "GET /v1/models HTTP/1.1\r\nHost: a\r\nx-api-key: $t->{key}\r\n\r\n");
    is($http->response->status, $case->[1], "proxy_protocol from $case->[0]");
    $http->close;
}

wait_for(sub { slurp("$edge->{dir}/ai.log")
    =~ m{^/v1/chat/completions tenant=demo model=slow/echo job=job_\w+ out=[1-9]}m
    }, 30, 'the buffered log');
pass('a buffered log has $ai_*');
unlike($edge->log, qr/exited on signal/, 'nothing died');

# Alone, in the foreground.
$edge->stop('QUIT');
$edge->{proc}{expected} = 1;
my $single = $t->edge(name => 'single', conf =>
    $conf =~ s/%%GLOBALS%%/%%SINGLE%%/r, vars => { SINGLE => "load_module "
    . $t->built('ngx_http_ai_module.so') . ";\n" . ($> ? '' : "user root;\n")
    . "daemon off;\nmaster_process off;\npid $t->{dir}/single/nginx.pid;\n"
    . "error_log $t->{dir}/single/error.log info;" });
$single->write_conf;
$single->{proc} = AiProc->spawn(name => 'nginx', cwd => $single->{dir},
    env => $single->{env}, out => "$single->{dir}/nginx.out",
    cmd => [$single->command]);
wait_for(sub { eval { $t->get('/health/ready')->status == 200 } }, 30,
    'a single process');
streams('', $words, 'a single process');
answers('', 'a single process');
$t->baseline;

done_testing();
