#!/usr/bin/perl
# The access log that comes with it: each line is JSON, whatever was asked, and
# says what a request was.
use AiTest;

my $t = AiTest->new;
$t->start(edge => { conf => <<"CONF" });
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    include "$AiTest::root/conf/ai-log.conf";
    access_log %%DIR%%/ai.log ai_json;
    ai_redis %%REDIS%%;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /health { ai_health; }
        error_page 400 /ai-error;
        location = /ai-error { internal; ai_error; }
    }
}
CONF
my $log = $t->edge->{dir} . '/ai.log';
my $n = 0;

# The line of the request that was just sent.
sub line {
    wait_for(sub { -s $log && (() = slurp($log) =~ /\n/g) > $n }, 10, 'a line');
    my $text = (split /\n/, slurp($log))[$n++];
    my $json = eval { JSON::PP->new->utf8->decode($text) };
    ok($json, 'is JSON') or diag($text);
    return $json || {};
}

sub raw {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $t->edge->port)
        or die "connect: $!";
    print $s $_[0];
    1 while sysread $s, my $buf, 4096;
    return line();
}

$n = () = (-s $log ? slurp($log) : '') =~ /\n/g;

my $res = $t->post('/v1/chat/completions?a=secret', { model => 'echo/echo',
    messages => [{ role => 'user', content => 'two words' }] });
is($res->status, 200, 'answered');
my $said = line();
is($said->{uri}, '/v1/chat/completions', 'path without arguments');
is($said->{status}, 200, 'status');
is($said->{job}, $res->header('x-ai-job'), 'job');
is($said->{model}, 'echo/echo', 'model');
is("$said->{input_tokens}/$said->{output_tokens}", '2/2', 'tokens');
is($said->{state}, 'done', 'state');
like($said->{ttft}, qr/^\d+\.\d{6}$/, 'time to the first byte');

$t->post('/v1/chat/completions', { model => "no \"\x{263a}\\\n", messages => [] });
line();

is(raw("GET /v1/\xff\xfe\"x HTTP/1.0\r\n\r\n")->{uri}, '/v1/',
    'bytes that are no UTF-8');
is(raw("GET /v1/a\"b\\c?\xff HTTP/1.0\r\n\r\n")->{uri}, '/v1/a"b\\c', 'quotes');
is(raw("GET /health/live\r\n")->{status}, 200, 'HTTP/0.9');
is(raw("\xff\xfe\"x\r\n\r\n")->{status}, 400, 'no HTTP at all');

done_testing();
