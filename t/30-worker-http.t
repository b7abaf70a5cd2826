#!/usr/bin/perl
# Provider calls as HTTP: what is never done twice or elsewhere, odd answers,
# coded ones, HTTP/2 over TLS whose certificate is checked.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $dir = $t->dir;
my $json = { choices => [{ index => 0, finish_reason => 'stop',
    message => { content => 'plain' } }],
    usage => { prompt_tokens => 3, completion_tokens => 4 } };
my $text = JSON::PP->new->canonical->encode($json);
my $length = length $text;

my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $model = ($req->{json} || {})->{model} || '';
    my $ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

    if ($model eq 'deaf') {
        $out->cut;
    } elsif ($model eq 'gzip') {
        require IO::Compress::Gzip;
        IO::Compress::Gzip::gzip(\$text, \my $packed);
        $out->answer(200, $packed, 'Content-Encoding' => 'gzip');
    } elsif ($model eq 'bulk') {
        $out->answer(200, 'x' x 2_000_000);
    } elsif ($model eq 'zebra') {
        $out->answer(200, $text, 'Content-Encoding' => 'zebra');
    } elsif ($model eq 'redirect') {
        $out->answer(307, '{"error":{}}', Location => '/v1/other');
    } elsif ($model eq 'early') {
        $out->raw("HTTP/1.1 103 Early Hints\r\nX-Request-Id: early\r\n\r\n");
        $out->answer(200, $json, 'X-Request-Id' => 'final');
    } elsif ($model eq 'empty') {
        $out->raw("HTTP/1.1 204 No Content\r\n\r\n");
    } elsif ($model eq 'long') {
        $out->raw("${ok}Content-Length: " . ($length + 9) . "\r\n\r\n$text");
        $out->cut;
    } elsif ($model eq 'short') {
        $out->raw("${ok}Content-Length: $length\r\n\r\n${text}HTTP/1.1 200 "
            . "OK\r\n\r\nsmuggled");
        $out->cut;
    } elsif ($model eq 'old') {
        $out->raw($text);
        $out->cut;
    } elsif ($model eq 'trailer') {
        $out->raw(sprintf("%sTransfer-Encoding: chunked\r\nTrailer: X-Request-Id"
            . "\r\n\r\n%x\r\n%s\r\n0\r\nX-Request-Id: late\r\n\r\n", $ok,
            $length, $text));
    } elsif ($model eq 'folded') {
        $out->raw("${ok}X-Request-Id: a\r\n Set-Cookie: b\r\nRequest-Id: c\x01d"
            . "\r\nBad Name: e\r\nContent-Length: $length\r\n\r\n$text");
    } elsif ($model eq 'many') {
        $out->raw($ok . join('', map { "X-Ratelimit-$_: y\r\n" } 1 .. 1000)
            . "Content-Length: $length\r\n\r\n$text");
    } elsif ($model eq 'line') {
        $out->head(200, 'Content-Type' => 'Text/Event-Stream;charset=utf-8');
        $out->chunk('data: ' . 'x' x 1_000_000) for 1 .. 10;
        $out->end;
    } elsif ($model eq 'drip') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        while (1) {
            $out->chunk('x');
            $out->wait(0.2);
        }
    } else {
        $out->answer(200, $json);
    }
});

my %provider = (api => 'openai', url => [$p->url('/v1')], key => []);
my $tls = free_port();
my $tls1 = free_port();
my %secure = (%provider, url => ["https://localhost:$tls/v1"]);
my $silent = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1')
    or die $!;
$w->catalog({ providers => {
    p => { %provider, timeout => { connect => 20000, first => 60000,
        idle => 60000, total => 60000 } },
    hasty => { %provider, timeout => { connect => 500, first => 500,
        idle => 500, total => 2000 } },
    mute => { %secure, url => ['https://127.0.0.1:' . $silent->sockport],
        timeout => { connect => 500 } },
    dns => { %provider, url => ['http://no-such-host.invalid'] },
    s => \%secure,
    s1 => { %secure, url => ["https://localhost:$tls1/v1"] },
    wrong => { %secure, url => ["https://127.0.0.1:$tls/v1"] },
} });
my %env = (http_proxy => 'http://127.0.0.1:' . free_port(), no_proxy => '');
my $proc = $w->start(env => \%env);

sub job { my ($model, %o) = @_;
    return $w->job(body => { model => $model, messages => [], %o }) }
sub ask { return $w->answer(job(@_)) }
sub requests { return scalar(my @all = $p->requests) }


# A proxy that the environment names is nobody's wish.

is(ask('p/x')->{end}{state}, 'done', 'no proxy from the environment');


# A request on a connection that was used before is sent once, whatever ends
# the connection.

my $before = requests();
my $got = ask('p/deaf');
is($got->{error}, 'provider_unreachable', 'a connection that ends: cause');
is(requests(), $before + 1, 'one call');
my @conns = map { $_->{conn} } ($p->requests)[-2, -1];
is($conns[0], $conns[1], 'on a connection that had served');
like($t->worker_log, qr/lost after the request was sent/, 'said so');
is(ask('p/x')->{end}{state}, 'done', 'the next call goes well');


# Codings.

is(($p->requests)[-1]{headers}{'accept-encoding'}, 'identity', 'none is asked');
$got = ask('p/gzip');
is($got->{body}, $text, 'one that comes unasked is undone');
is($got->{end}{output}, 4, 'and usage read');
is(ask('p/zebra')->{error}, 'provider_bad', 'an unknown one is an error');


# Odd answers.

$before = requests();
$got = ask('p/redirect');
is("$got->{status} $got->{body}", '307 {"error":{}}', 'a redirect passes');
is(requests(), $before + 1, 'and is not followed');
is($got->{headers}{location}, undef, 'its address does not');
$got = ask('p/early');
is("$got->{status} $got->{headers}{'x-request-id'}", '200 final', '1xx first');
$got = ask('p/empty');
is("$got->{status} '$got->{body}' $got->{end}{state}", "204 '' done",
    'an answer without a body');
is(ask('p/long')->{error}, 'provider_bad', 'a body too short for its length');
$got = ask('p/short');
is($got->{body}, $text, 'bytes behind a body are no part of it');
is(ask('p/x')->{end}{state}, 'done', 'nor of the next answer');
is(ask('p/old')->{error}, 'provider_bad', 'HTTP/0.9');
$got = ask('p/trailer');
is($got->{body}, $text, 'trailers: the body');
is($got->{end}{request_id}, '-', 'they are no headers');
$got = ask('p/folded');
is($got->{body}, $text, 'odd headers: the body');
is_deeply([sort keys %{ $got->{headers} }], ['content-type', 'x-request-id'],
    'what is no header does not pass');
unlike($got->{headers}{'x-request-id'}, qr/[\r\n]/, 'nor a line of one');
is(ask('p/many')->{body}, $text, '1,000 headers');
is(ask('p/line', stream => \1)->{error}, 'provider_bad', 'a line of 10 MB');


# The buffers of a call that found no address, in a stream, do not serve a
# larger answer.

my @pids = $t->worker_pids;
is(ask('dns/x', stream => \1)->{error}, 'provider_unreachable', 'no address');
is(length ask('p/bulk')->{body}, 2_000_000, 'and then a large answer');
is_deeply([$t->worker_pids], \@pids, 'in the same process');


# Each wait has its end.

is(ask('hasty/drip', stream => \1)->{error}, 'provider_timeout',
    'bytes that never make an answer');
is(ask('mute/x')->{error}, 'provider_timeout', 'TLS that never answers');


# As many files as the machine allows.

$proc->stop;
$proc = $w->start(name => 'workers-few', env => \%env,
    under => ['prlimit', '--nofile=128:4096']);
my ($pid) = map { $_->pid == $proc->pid ? $t->worker_pids : () } $proc;
like(slurp("/proc/$pid/limits"), qr/^Max open files\s+4096\s+4096/m,
    'the soft limit of open files is raised');
$proc->stop;


# Through a proxy, where that is wanted.

$proc = $w->start(name => 'workers-proxy', args => ['--proxy-environment'],
    env => { http_proxy => $p->url, no_proxy => '' });
is(ask('p/x')->{end}{state}, 'done', 'through a proxy');
is(($p->requests)[-1]{path}, $p->url('/v1/chat/completions'), 'whole address');
$proc->stop;


# HTTP/2 over TLS.

certificate($dir, $_) for qw(good other);
open my $fh, '>', "$dir/h2.conf" or die $!;
print $fh <<"CONF";
daemon off;
master_process off;
pid $dir/h2.pid;
error_log $dir/h2.log;
events { }
http {
    log_format main '\$server_protocol \$connection \$status';
    access_log $dir/h2.access main;
    client_body_temp_path $dir/h2.body;
    proxy_temp_path $dir/h2.proxy;
    fastcgi_temp_path $dir/h2.f;
    uwsgi_temp_path $dir/h2.u;
    scgi_temp_path $dir/h2.s;
    server {
        listen 127.0.0.1:$tls ssl http2;
        ssl_certificate $dir/good.pem;
        ssl_certificate_key $dir/good.key;
        keepalive_requests 20;
        location / { proxy_pass @{[ $p->url ]}; }
    }
    server {
        listen 127.0.0.1:$tls1 ssl;
        access_log $dir/tls1.access main;
        ssl_certificate $dir/good.pem;
        ssl_certificate_key $dir/good.key;
        error_page 502 = \@close;
        location / { proxy_pass @{[ $p->url ]}; }
        location \@close { return 444; }
    }
}
CONF
close $fh;
my $nginx = AiProc->spawn(name => 'h2', cwd => $dir, out => "$dir/h2.out",
    cmd => ['nginx', '-e', "$dir/h2.log", '-c', "$dir/h2.conf"]);
wait_for(sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$tls") }, 20, 'h2');

$proc = $w->start(name => 'workers-h2', env => {
    SSL_CERT_FILE => "$dir/good.pem" });
is(ask('s/x')->{end}{state}, 'done', 'TLS');
my @jobs = map { job('s/x') } 1 .. 60;
my %states;
$states{ $w->answer($_)->{end}{state} }++ for @jobs;
is_deeply(\%states, { done => 60 }, 'calls at once, the server renewing its '
    . 'connections');
my @access = split /\n/, slurp("$dir/h2.access");
is(scalar(grep { !m{^HTTP/2\.0 \d+ 200$} } @access), 0, 'all by HTTP/2');
my %conns = map { (split ' ')[1] => 1 } @access;
cmp_ok(scalar keys %conns, '<', @access, 'that are used again');
is(ask('wrong/x')->{error}, 'provider_unreachable', 'another host is refused');

# HTTP/1.1 over TLS, and a server that closes a connection that it has kept when
# it has read the next request: that is sent once, too.
is(ask('s1/x')->{end}{state}, 'done', 'TLS without HTTP/2');
$before = requests();
is(ask('s1/deaf')->{error}, 'provider_unreachable', 'closed unanswered: cause');
is(requests(), $before + 1, 'one call');
my @served = map { [split ' '] } split /\n/, slurp("$dir/tls1.access");
is(join(' ', map { "$_->[0] $_->[2]" } @served), 'HTTP/1.1 200 HTTP/1.1 444',
    'of two requests');
is($served[0][1], $served[1][1], 'on one connection');
like($t->worker_log('workers-h2'), qr/lost after the request was sent/,
    'said so');
$proc->stop;
$proc = $w->start(name => 'workers-ca', env => {
    SSL_CERT_FILE => "$dir/other.pem" });
$before = requests();
is(ask('s/x')->{error}, 'provider_unreachable', "a stranger's certificate");
is(requests(), $before, 'no call');
$nginx->stop;

$w->close;
done_testing();
