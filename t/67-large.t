#!/usr/bin/perl
# Large bodies, both ways: whole at every bound they are handled differently
# at, against the edge's memory, left in the middle, and after a worker's death.
use AiTest;
use AiProc qw(children_of free_port wait_for);
use Digest::SHA qw(sha256_hex);
use IO::Socket::INET;
use Time::HiRes qw(sleep);

my $MB = 1_000_000;
my $t = AiTest->new;
my $seen = $t->subdir('provider');

# Text that shows what is missing, doubled or out of place.
sub text {
    my ($len, $seed) = @_;
    my $line = '';

    $line .= sprintf '%08x.', $_ * 2654435761 % 4294967296
        for $seed .. $seed + 1000;
    my $out = '';
    for (my $n = 0; length $out < $len; $n++) {
        $out .= sprintf('<%07d>', $n) . $line;
    }
    return substr $out, 0, $len;
}

# A body of exactly so many bytes, for a model; at its end, or at its start.
sub body {
    my ($model, $size, %o) = @_;
    my $head = $o{last} ? '{"messages":[{"role":"user","content":"'
        : qq({"model":"$model","messages":[{"role":"user","content":");
    my $tail = $o{last} ? qq("}],"model":"$model"})
        : $o{stream} ? '"}],"stream":true}' : '"}]}';

    return $head . text($size - length("$head$tail"), $size) . $tail;
}

sub answer_of { return '{"x":"' . text($_[0] - 8, 7) . '"}' }

sub line_of {
    return 'data: {"choices":[{"index":0,"delta":{"content":"'
        . text($_[0], 9) . "\"}}]}\n\n";
}

# The provider: the model's name says what it answers.
sub serve {
    my ($sock) = @_;
    my $in = '';

    while (1) {
        while ($in !~ /\r\n\r\n/) {
            sysread $sock, $in, 65536, length $in or return;
        }
        $in =~ s/^(.*?\r\n\r\n)//s;
        my ($len) = $1 =~ /^content-length: (\d+)/mi;
        while (length $in < $len) {
            sysread $sock, $in, 1 << 20, length $in or return;
        }
        my $body = substr $in, 0, $len, '';
        my $ends = substr($body, 0, 80) . substr $body, -80;
        my ($what, $n) = $ends =~ /"model":"(\w+)(?:-(\d+))?"/;

        if ($what eq 'once' && open my $first, '+<', "$seen/once") {
            close $first;
            unlink "$seen/once";
            open my $got, '>', "$seen/first" or die;
            close $got;
            sysread $sock, $in, 1;
            return;
        }
        my ($type, $out) = ('application/json',
            $what eq 'answer' ? answer_of($n)
            : sprintf '{"len":%d,"sha":"%s"}', $len, sha256_hex($body));
        if ($what eq 'line') {
            $type = 'text/event-stream';
            $out = line_of($n) . "data: [DONE]\n\n";
        }
        $out = "HTTP/1.1 200 OK\r\nContent-Type: $type\r\nContent-Length: "
            . length($out) . "\r\n\r\n$out";
        while (length $out) {
            my $sent = syswrite $sock, $out, 1 << 20 or return;
            substr $out, 0, $sent, '';
        }
    }
}

my $port = free_port();
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64,
    LocalPort => $port, ReuseAddr => 1) or die "provider: $!\n";
my $provider = AiProc->spawn(name => 'provider', cwd => $seen,
    out => "$seen/out", sub => sub {
        $SIG{CHLD} = 'IGNORE';
        $SIG{PIPE} = 'IGNORE';
        while (1) {
            my $sock = $listen->accept or next;
            next if fork;
            serve($sock);
            POSIX::_exit(0);
        }
    });
close $listen;
push @{ $t->{providers} }, $provider;

# Who left is told to Redis once; a busy machine must not cut that off.
$t->start(edge => { redis => $t->redis(aof => 1)->url . ' command_timeout=10s',
    ai => "ai_provider p { api openai; url "
    . "http://127.0.0.1:$port/v1; }",
    location => 'client_max_body_size 32m; ai_body_memory 24m;' });
$t->{pooled} = 8;
my $chat = '/v1/chat/completions';

sub send_body {
    my ($body, %o) = @_;

    return AiHttp->post($t->edge->port, $chat, $body, key => $t->{key},
        timeout => 120, headers => { 'Content-Type' => 'application/json' },
        %o);
}

# What the provider must have got: the model's name without the provider.
sub arrives {
    my ($name, $body, $model, %o) = @_;
    (my $expect = $body) =~ s{"model":"p/\Q$model\E"}{"model":"$model"};
    my $res = send_body($o{chunked} ? (undef, method => 'POST') : $body, %o);

    is($res->status, 200, "$name: answered");
    is($res->body, sprintf('{"len":%d,"sha":"%s"}', length $expect,
        sha256_hex($expect)), "$name: byte for byte");
}

sub bodies { return scalar keys %{ $t->redis->keys('ai1:{*}:body:*') } }

# The bounds: inline, one string, pieces; a piece is a little under 64 KB.

for my $bound (8192, 65408, 65536, 262_144, 262_144 + 65408) {
    arrives("$_ bytes", body('p/sha', $_), 'sha')
        for $bound - 1, $bound, $bound + 1;
}
arrives('5 MB', body('p/sha', 5 * $MB), 'sha');
arrives('5 MB, the model last', body('p/sha', 5 * $MB, last => 1), 'sha');
arrives('20 MB', body('p/sha', 20 * $MB), 'sha');

my $body = body('p/sha', 5 * $MB);
arrives('5 MB in chunks', $body, 'sha', chunked => [$body =~ /(.{1,50000})/gs]);
$body = body('p/sha', 300_000);
arrives('300 KB in small pieces', $body, 'sha', split => 1000);
arrives('the same again', $body, 'sha');
wait_for(sub { !bodies() }, 20, 'bodies to go');
is(bodies(), 0, 'no body outlives its job');

# Several at once come in turns.

my @open;
for my $n (1 .. 4) {
    my $http = AiHttp->new(port => $t->edge->port, timeout => 120);
    my $text = body('p/sha', 2 * $MB + $n);
    $http->send_request(path => $chat, method => 'POST', key => $t->{key},
        body => $text, headers => { 'Content-Type' => 'application/json' });
    $text =~ s{"p/sha"}{"sha"};
    push @open, [$http, sha256_hex($text)];
}
like($_->[0]->response->body, qr/"$_->[1]"/, 'one of several') for @open;
$_->[0]->close for @open;

# More than the edge may hold: one is refused, the others are not.

@open = ();
$body = body('p/sha', 10 * $MB);
for my $n (1 .. 3) {
    my $http = AiHttp->new(port => $t->edge->port, timeout => 120);
    $http->{method} = 'POST';
    push @open, $http;
    eval { $http->write(AiHttp->format_request(path => $chat,
        method => 'POST', key => $t->{key}, body => '', headers => {
            'Content-Type' => 'application/json',
            'Content-Length' => length $body })
        . substr $body, 0, -1) };
}
my @refused;
wait_for(sub {
    @refused = grep { $_->_ready(0, time + 0.01) } @open;
    return @refused;
}, 30, 'one to be refused');
is(scalar(@refused), 1, 'three of 10 MB do not fit into 24');
my $res = $refused[0]->response;
is($res->status, 503, 'that is 503');
is($res->json->{error}{code}, 'overloaded', 'and says why');
ok($res->header('retry-after'), 'and when to try again');
for my $http (grep { $_ != $refused[0] } @open) {
    $http->write(substr $body, -1);
    is($http->response->status, 200, 'another is served');
}
$_->close for @open;

# A client that leaves in the middle, or when all is sent.

$body = body('p/sha', 5 * $MB);
my $request = AiHttp->format_request(path => $chat, method => 'POST',
    key => $t->{key}, body => $body,
    headers => { 'Content-Type' => 'application/json' });
for my $part (0.3, 0.5, 0.9, 1, 1, 1) {
    my $http = AiHttp->new(port => $t->edge->port);
    $http->write(substr $request, 0, int($part * length $request));
    sleep 0.01 if $part == 1;
    $http->reset;
}
arrives('20 MB after clients that left', body('p/sha', 20 * $MB), 'sha');
wait_for(sub { !bodies() }, 30, 'their bodies to go');
is(bodies(), 0, 'they leave no body');

# The answer's way.

for my $size (8192, 65536, 65537, 300_000, 5 * $MB) {
    $res = send_body(body("p/answer-$size", 200));
    is($res->status, 200, "an answer of $size bytes");
    ok($res->body eq answer_of($size), 'byte for byte');
}
for my $size (65536, 1 * $MB, 7 * $MB) {
    $res = send_body(body("p/line-$size", 200, stream => 1));
    is($res->status, 200, "an event of $size bytes");
    ok($res->body eq line_of($size) . "data: [DONE]\n\n", 'byte for byte');
}

# The body is there until the answer is: the next worker sends it again.

open my $mark, '>', "$seen/once" or die;
close $mark;
$body = body('p/once', 5 * $MB);
my $http = AiHttp->new(port => $t->edge->port, timeout => 120);
$http->send_request(path => $chat, method => 'POST', key => $t->{key},
    body => $body, headers => { 'Content-Type' => 'application/json' });
wait_for(sub { -e "$seen/first" }, 30, 'the provider to have it');
kill 'KILL', $t->worker_pids;
$res = $http->response;
(my $expect = $body) =~ s{"p/once"}{"once"};
is($res->status, 200, 'a worker died before the answer');
is($res->body, sprintf('{"len":%d,"sha":"%s"}', length $expect,
    sha256_hex($expect)), 'another sent the same');
$http->close;
$t->allow_log(qr/on signal 9/);

wait_for(sub { !bodies() }, 30, 'the last body to go');
is(bodies(), 0, 'no body is left');

done_testing();
