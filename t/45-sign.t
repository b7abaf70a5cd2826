#!/usr/bin/perl
# Signed jobs end to end: what an edge signs, the keys of edges and workers
# that differ, rotation, and forging with write access to Redis.
use AiTest;
use AiSign;
use AiWork;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new;
my $file = $t->sign_file;
my $key = slurp($file) =~ s/\n.*//sr;
$t->start;
my $r = $t->redis;
my $prefix = $t->prefix;


# Bodies of every kind arrive as they were sent.

for (['inline', 10], ['a string', 20_000], ['in pieces', 300_000]) {
    my ($name, $n) = @$_;
    my $res = $t->chat('x' x $n);
    is($res->status, 200, "$name: served");
    is(length $res->json->{choices}[0]{message}{content}, $n,
        "$name: all of it");
}

# One that drips in.
{
    my $body = encode_json({ model => 'echo/echo', messages => [
        { role => 'user', content => 'drip' x 6000 }] });
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->edge->port) or die $!;
    print $sock "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        . "Connection: close\r\nContent-Type: application/json\r\n"
        . "Authorization: Bearer $t->{key}\r\nTransfer-Encoding: chunked\r\n\r\n";
    for my $part (unpack '(a3001)*', $body) {
        printf $sock "%x\r\n%s\r\n", length $part, $part;
        select undef, undef, undef, 0.01;
    }
    print $sock "0\r\n\r\n";
    my $got = do { local $/; <$sock> };
    like($got, qr{^HTTP/1.1 200}, 'a body in chunks: served');
}


# What is in Redis is what docs/wire.md says.

my $res = $t->chat('look at me', headers => { Prefer => 'respond-async' });
is($res->status, 202, 'a job in the background');
my $job = $res->json->{id};
my $spec = $r->cmd('HGET', "${prefix}job:$job", 'spec');
my $f = AiWork::fields($spec);
my ($signed, $mac) = $spec =~ /\A(.*)mac 64\n([0-9a-f]{64})\n\z/s;
is($mac, Digest::SHA::hmac_sha256_hex("ngx-ai job 1\n$signed", $key),
    'the signature is HMAC-SHA256 of the spec');
my $body = encode_json({ model => 'echo/echo',
    messages => [{ role => 'user', content => 'look at me' }] });
like($f->{digest}[0], qr/^[0-9a-f]{64}$/, 'the spec has the hash of the body');
my $catalog = $r->cmd('GET', "ai1:catalog:$f->{catalog}[0]");
my ($text) = $catalog =~ /\A(.*)\n/s;
is(sha256_hex($text), $f->{catalog}[0], 'the catalog is what its name says');
is($catalog, AiSign::catalog($key, $text), 'and is signed');
wait_for(sub { $t->get("/v1/jobs/$job")->json->{state} eq 'done' }, 20, 'its end');


# Forged through Redis: a job that the edge accepted is made another.

{
    my $get = sub { $t->get("/v1/jobs/$_[0]")->json };
    my $forge = sub {
        my ($name, $spec, $body) = @_;
        my $id = AiWork::id();
        $spec =~ s/\Q$job\E/$id/g;
        $r->script('admit', [$prefix], $id, 'demo', 1, 'interactive', 'b',
            60000, 60000, '', $spec, $body, "-\t-\tchat\topenai\techo/echo",
            100, 1e6, length $body, '', '', '');
        wait_for(sub { $get->($id)->{state} eq 'failed' }, 20, $name);
        is($get->($id)->{error}{code}, 'signature', "$name: refused");
        my ($row) = grep { /\Q$id\E/ } split /^/, $t->worker_log;
        like($row, qr/"tenant":"\w+".*refused: /, "$name: logged");
    };
    AiRedis->scripts($t->root, $t->subdir('gen'));
    $forge->('the id of another job', $spec, $body);
    $forge->('no signature', $signed, $body);
    $forge->('a key that edges do not have',
        AiSign::spec('z' x 32, $signed =~ s/digest 64\n.{64}\n//r, $body), $body);
}


# An edge that does not sign.

my $unsigned = <<'CONF';
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    ai_redis %%PLAIN%%;
    ai_zone principals 4m;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /health { ai_health; }
    }
}
CONF
my $first = $t->edge;
my $other = $t->edge(name => 'unsigned', conf => $unsigned,
    vars => { PLAIN => $r->url })->start;
wait_for(sub { $t->get('/health/ready')->status == 200 }, 30, 'ready');
$res = $t->chat('hello');
is($res->status, 500, 'an edge without a key: refused');
is($res->json->{error}{code}, 'signature', 'with a cause of its own');
like($t->worker_log, qr/refused: it is not signed \(has its edge a \\"sign=\\"/,
    'the log says what to do');
$res = $t->post('/v1/messages', { model => 'echo/echo', max_tokens => 9,
    stream => JSON::PP::true, messages => [{ role => 'user',
    content => 'x' }] });
is($res->status, 500, "in Anthropic's dialect, as a stream");
is($res->json->{error}{type}, 'api_error', 'in its words');

# It has the same catalog: what signed edges set is still of use to them.
$t->{edge} = $first;
is($t->chat('still')->status, 200, 'the edge with a key goes on');
$other->quit;
$other->{proc}{expected} = 1;


# Rotation: first both know the new key, then edges sign with it.

my $new = 'the next key has more bytes than 32';
AiSign::file($file, $key, $new);
$t->{workers}[0]->signal('HUP');
wait_for(sub { $t->worker_log =~ /secrets are read again/ }, 10, 'SIGHUP');
is($t->chat('a')->status, 200, 'workers know both: the old edge');
AiSign::file($file, $new, $key);
$first->reload;
is($t->chat('b')->status, 200, 'an edge that signs with the new one');
AiSign::file($file, $new);
$t->{workers}[0]->signal('HUP');
wait_for(sub { my $n = () = $t->worker_log =~ /secrets are read again/g;
    $n == 2 }, 10, 'SIGHUP');
$first->reload;
is($t->chat('c')->status, 200, 'the old key is gone');
AiSign::file($file, $key, $new);
$first->reload;
is($t->chat('d')->status, 500, 'an edge that comes back to it is refused');
AiSign::file($file, $new);
$first->reload;
is($t->chat('e')->status, 200, 'and is heard again');


# What is no key is no configuration.

for (['short', "0123456789\n", qr/a key of it is shorter than 32 bytes/],
    ['empty', "# soon\n", qr/it holds no key/],
    ['long', 'x' x 9000, qr/over 8192 bytes/],
    ['missing', undef, qr/open\(\) .* failed/])
{
    my ($name, $text, $why) = @$_;
    my $path = $t->dir . "/$name.key";
    if (defined $text) {
        open my $fh, '>', $path or die $!;
        print $fh $text;
        close $fh;
    }
    my ($code, $out) = $first->test_conf($unsigned =~
        s/%%PLAIN%%/"unix:\/x sign=file:$path"/er =~ s/"//gr);
    isnt($code, 0, "a key file that is $name: nginx -t fails");
    like($out, qr/\[emerg\].*$why/, "a key file that is $name: said");
    my $out_file = $t->dir . "/$name.out";
    my $status = AiProc->spawn(cmd => [$t->built('ai-workers'),
        '--redis', $r->url, '--sign-file', $path, '--log', '-'],
        out => $out_file)->wait(20);
    is($status >> 8, 2, "a key file that is $name: ai-workers do not start");
    like(slurp($out_file), qr/is no file of keys/,
        "a key file that is $name: and say why");
}
for (['unix:/x sign=0123456789abcdef0123456789abcdef0', qr/sign=file:PATH/],
    ["unix:/x sign=file:$file sign=file:$file", qr/a second "sign"/])
{
    my ($line, $why) = @$_;
    my ($code, $out) = $first->test_conf($unsigned =~ s/%%PLAIN%%/$line/r);
    like($out, qr/\[emerg\].*$why/, "refused: $why");
}

# Keys stand in no log.
unlike(slurp($_), qr/\Q$key\E|\Q$new\E/, "no key in $_")
    for $first->log_path, $t->dir . '/workers.log';

$t->allow_log(qr/refused:/, qr/failed: signature/);
done_testing();
