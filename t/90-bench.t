#!/usr/bin/perl
# The mock provider does what its options promise, and the load generator sees
# it: what is measured with them would mean nothing otherwise.

use strict;
use warnings;
no warnings 'portable';    # 64-bit hexadecimal numbers

use Cwd qw(abs_path);
use Errno qw(ECONNRESET);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time sleep);

my $root = dirname(dirname(abs_path(__FILE__)));
my $dir = tempdir(CLEANUP => 1);
my ($parent, @pids, @outputs) = ($$);

$SIG{PIPE} = 'IGNORE';

system('sh', "$root/bench/build.sh", $dir) == 0
    or BAIL_OUT('bench/build.sh failed');

END {
    my $code = $?;
    if ($$ == $parent) {
        kill 'TERM', @pids;
        waitpid $_, 0 for @pids;
    }
    $? = $code;
}

sub mock {
    my @args = @_;
    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;
    exec qw(setpriv --pdeathsig TERM --), "$dir/mock", @args
        or die "exec: $!" if !$pid;
    push @pids, $pid;
    my $line = <$out> // '';
    die "mock: $line" unless $line =~ /^mock ready: (?:http:)?(.*)$/;
    my ($at) = $1 =~ /:(\d+)$/;
    push @outputs, $out;    # closing it would wait for the mock
    return ($at, $pid);
}

sub post {
    my ($path, $body, @headers) = @_;
    return join "\r\n", "POST $path HTTP/1.1", 'Host: x',
        'Content-Length: ' . length $body, @headers, '', $body;
}

sub connected {
    my ($port) = @_;
    return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port",
        Timeout => 10) // die "connect: $!";
}

# What comes until a pattern is there, the end, or the time is over.
sub answer {
    my ($s, $until, $seconds, $got) = @_;
    my $end = time + ($seconds // 20);
    my $select = IO::Select->new($s);
    $got //= '';
    while (!defined $until || $got !~ $until) {
        my $left = $end - time;
        return ($got, 'timeout') if $left <= 0 || !$select->can_read($left);
        my $n = sysread $s, $got, 1 << 20, length $got;
        return ($got, $!{ECONNRESET} ? 'reset' : "error $!") if !defined $n;
        return ($got, 'end') if $n == 0;
    }
    return ($got, 'found');
}

sub talk {
    my ($port, $request, $until, $seconds) = @_;
    my $s = connected($port);
    syswrite $s, $request;
    return answer($s, $until, $seconds);
}

# The content of a chunked answer, and what lies behind its end.
sub content {
    my ($got) = @_;
    my ($head, $rest) = split /\r\n\r\n/, $got, 2;
    my $text = '';
    while ($rest =~ s/^([0-9a-f]+)\r\n//) {
        my $n = hex $1;
        return ($text, 'whole') if $n == 0 && $rest eq "\r\n";
        last if length $rest < $n + 2;
        $text .= substr $rest, 0, $n;
        substr $rest, 0, $n + 2, '';
    }
    return ($text, 'cut');
}

sub stats {
    my ($port) = @_;
    my ($got) = talk($port, "GET /stats HTTP/1.1\r\nHost: x\r\n\r\n",
        qr/\}\n\z/);
    return decode_json((split /\r\n\r\n/, $got, 2)[1]);
}

sub settled {
    my ($port, $name, $value) = @_;
    my $end = time + 20;
    my $is;
    do {
        $is = stats($port)->{$name};
        return $is if $is == $value;
        sleep 0.02;
    } while time < $end;
    return $is;
}

my $messages = '"messages":[{"role":"user","content":"say \"stream\":true"}]';
my $plain = qq({"model":"m-1",$messages});
my $stream = qq({"stream":true,"model":"m-1",$messages});
my $usage = qq({"model":"m-1","stream_options":{"include_usage": true},)
    . qq("stream" : true,$messages});
my $chat = '/v1/chat/completions';
my $whole = qr/\r\n0\r\n\r\n\z/;
my $mark = qr/~[0-9a-f]{16}\.[0-9a-f]{8}\.[0-9a-f]{16}~/;

my ($port, $pid) = mock('-o', 'chunks=3', '-l', '127.0.0.1:0', '-l',
    "unix:$dir/mock.sock");


# Dialects

{
    my ($got) = talk($port, post($chat, $plain, 'Connection: close'));
    my ($head, $body) = split /\r\n\r\n/, $got, 2;
    like($head, qr{^HTTP/1\.1 200 OK\r\n}, 'openai: status');
    like($head, qr/^Content-Length: @{[length $body]}\r?$/m,
        'openai: length');
    my $j = decode_json($body);
    is($j->{model}, 'm-1', 'openai: model');
    is($j->{object}, 'chat.completion', 'openai: object');
    like($j->{choices}[0]{message}{content}, qr/^${mark}x*$/,
        'openai: mark in the content');
    is($j->{usage}{completion_tokens}, 3, 'openai: usage');

    ($got) = talk($port, post($chat, $stream), $whole);
    my ($text, $end) = content($got);
    is($end, 'whole', 'openai stream: whole');
    my @data = $text =~ /^data: (.*)$/mg;
    is(pop @data, '[DONE]', 'openai stream: [DONE] is last');
    unlike($text, qr/usage/, 'openai stream: usage only where asked for');
    my @chunks = map { decode_json($_) } @data;
    is(scalar(grep { ($_->{choices}[0]{delta}{content} // '') =~ $mark }
        @chunks), 3, 'openai stream: chunks');
    is($chunks[0]{choices}[0]{delta}{role}, 'assistant',
        'openai stream: role first');
    is($chunks[-1]{choices}[0]{finish_reason}, 'stop',
        'openai stream: finish last');

    ($got) = talk($port, post($chat, $usage), $whole);
    ($text) = content($got);
    @chunks = map { decode_json($_) } grep { /^\{/ }
        $text =~ /^data: (.*)$/mg;
    my $last = pop @chunks;
    is_deeply($last->{choices}, [], 'include_usage: no choices');
    is($last->{usage}{completion_tokens}, 3, 'include_usage: usage');
    is(scalar(grep { exists $_->{usage} && !defined $_->{usage} } @chunks),
        scalar @chunks, 'include_usage: null in all others');

    my @seq = map { ($_->{choices}[0]{delta}{content} // '')
        =~ /^~[0-9a-f]{16}\.([0-9a-f]{8})\./ ? hex $1 : () } @chunks;
    is_deeply(\@seq, [0, 1, 2], 'marks count from 0');

    ($got) = talk($port, post('/v1/messages', $stream), $whole);
    ($text) = content($got);
    is(join(' ', $text =~ /^event: (.*)$/mg),
        'message_start content_block_start ping '
        . 'content_block_delta content_block_delta content_block_delta '
        . 'content_block_stop message_delta message_stop',
        'anthropic stream: events');
    @chunks = map { decode_json($_) } $text =~ /^data: (.*)$/mg;
    is(join(' ', map { $_->{type} } @chunks),
        join(' ', $text =~ /^event: (.*)$/mg),
        'anthropic stream: types as the events');
    is($chunks[-2]{usage}{output_tokens}, 3, 'anthropic stream: usage');

    ($got) = talk($port, post('/v1/messages', $plain, 'Connection: close'));
    $j = decode_json((split /\r\n\r\n/, $got, 2)[1]);
    is($j->{type}, 'message', 'anthropic: type');
    like($j->{content}[0]{text}, $mark, 'anthropic: content');
    is($j->{usage}{output_tokens}, 3, 'anthropic: usage');
}


# HTTP

{
    my $s = connected($port);
    syswrite $s, post($chat, $plain) . post('/v1/messages', $plain);
    my ($got) = answer($s, qr/chatcmpl.*"type":"message".*\}\z/s);
    like($got, qr/"object":"chat\.completion".*"type":"message"/s,
        'pipelined requests are answered in order');
    for my $byte (split //, post($chat, $plain)) {
        syswrite $s, $byte;
    }
    ($got) = answer($s, qr/fp_mock"\}\z/);
    like($got, qr{^HTTP/1\.1 200}, 'a request in single bytes');

    my $chunked = "POST $chat HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
               $stream =~ /(.{1,9})/gs)
        . "0\r\n\r\n";
    ($got) = talk($port, $chunked, $whole);
    like($got, qr/"model":"m-1".*\[DONE\]/s, 'a chunked request');

    ($got) = talk($port, "POST $chat HTTP/1.0\r\nContent-Length: "
        . length($stream) . "\r\n\r\n$stream");
    like($got, qr/\r\n\r\ndata: .*\[DONE\]\n\n\z/s,
        'HTTP/1.0: a stream ends with the connection');

    ($got) = talk($port, "POST $chat HTTP/1.1\r\nContent-Length: "
        . length($plain) . "\r\nExpect: 100-continue\r\n\r\n",
        qr/100 Continue\r\n\r\n\z/);
    like($got, qr{^HTTP/1\.1 100 }, '100 Continue');

    my $how;
    ($got, $how) = talk($port, "hello\r\n\r\n");
    is("$got$how", 'end', 'what is not HTTP is hung up on');
    ($got, $how) = talk($port, 'GET / HTTP/1.1' . "\r\nA: b" x 20000);
    isnt($how, 'timeout', 'a header without end is hung up on');

    my $unix = IO::Socket::UNIX->new(Peer => "$dir/mock.sock");
    syswrite $unix, post($chat, $plain);
    ($got) = answer($unix, qr/fp_mock"\}\z/);
    like($got, qr{^HTTP/1\.1 200}, 'a Unix socket');
}


# Options and faults

sub with {
    my ($opts, $path, $body, @rest) = @_;
    return talk($port, post("/with/$opts$path", $body), @rest);
}

{
    my ($got) = talk($port, post($chat, $stream, 'X-Mock: chunks=5'), $whole);
    is(scalar(() = $got =~ /$mark/g), 5, 'options of a header');
    ($got) = with('chunks=7', $chat, $stream, $whole);
    is(scalar(() = $got =~ /$mark/g), 7, 'options of a path');
    ($got) = with('bytes=500,chunks=1', $chat, $stream, $whole);
    like($got, qr/${mark}x{456}"/, 'bytes');
    ($got) = with('chunks=1,nonsense=1', $chat, $stream,
        qr/unknown option.*\}\z/);
    like($got, qr{^HTTP/1\.1 400 }, 'an unknown option is refused');
    ($got) = with('chunks=x', $chat, $stream, qr/bound.*\}\z/);
    like($got, qr{^HTTP/1\.1 400 }, 'a bad value is refused');

    my $start = time;
    ($got) = with('ttft=150,chunks=3,interval=60', $chat, $stream, $mark);
    cmp_ok(time - $start, '>=', 0.15, 'ttft');
    my $sent = Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
    ($got) = with('ttft=150,chunks=3,interval=60', $chat, $stream, $whole);
    cmp_ok(time - $start, '>=', 0.15 + 0.15 + 2 * 0.06, 'interval');
    my @at = map { hex($_) / 1e9 } $got =~ /\.([0-9a-f]{16})~/g;
    cmp_ok($at[$_], '>=', $sent + 0.15 + $_ * 0.06,
        "chunk $_ is dated when it was due, or later") for 0 .. 2;
    $start = time;
    with('ttft=50,chunks=3,interval=50', $chat, $plain, qr/fp_mock"\}\z/);
    cmp_ok(time - $start, '>=', 0.2, 'without a stream it takes as long');

    ($got) = with('status=429,retry_after=7', $chat, $stream, qr/\}\z/);
    like($got, qr{^HTTP/1\.1 429 .*^Retry-After: 7\r$}ms, 'status 429');
    ($got) = with('status=500', $chat, $plain, qr/\}\z/);
    like($got, qr{^HTTP/1\.1 500 .*"error":}s, 'status 500');
    ($got) = with('status=529', '/v1/messages', $plain, qr/\}\z/);
    like($got, qr{^HTTP/1\.1 529 .*"overloaded_error"}s, 'status 529');
    ($got) = talk($port, post('/elsewhere', $plain), qr/\}\z/);
    like($got, qr{^HTTP/1\.1 404 }, 'another path');
}

is(settled($port, 'open', 0), 0, 'nothing is open');
my $before = stats($port);

{
    my $s = connected($port);
    syswrite $s, post("/with/stall=2$chat", $stream);
    my ($got) = answer($s, qr/\.00000001\..*\n\n/s);
    my $how;
    ($got, $how) = answer($s, undef, 0.3, $got);
    is($how, 'timeout', 'stall: open and silent');
    is(scalar(() = $got =~ /$mark/g), 2, 'stall: after 2 chunks');
    is(stats($port)->{open}, 1, 'stall: counted as open');
    close $s;
    is(settled($port, 'aborted', $before->{aborted} + 1),
        $before->{aborted} + 1, 'a client that leaves is counted');

    ($got, $how) = with('stall=0', $chat, $stream, undef, 0.3);
    is("$got$how", 'timeout', 'stall=0: not even a head');
    settled($port, 'open', 0);

    ($got, $how) = with('rst=2', $chat, $stream);
    is($how, 'reset', 'rst: reset');
    ($got, $how) = with('cut=2', $chat, $stream);
    is($how, 'end', 'cut: closed');
    is((content($got))[1], 'cut', 'cut: not ended');
    is(scalar(() = $got =~ /$mark/g), 2, 'cut: after 2 chunks');
    ($got, $how) = with('cut', $chat, $plain);
    is("$got$how", 'end', 'cut: before the head');
    ($got, $how) = with('cut=1', $chat, $plain);
    my ($length) = $got =~ /^Content-Length: (\d+)/m;
    cmp_ok(length((split /\r\n\r\n/, $got, 2)[1]), '<', $length,
        'cut: within a body with a length');

    ($got) = with('error=1', $chat, $stream, $whole);
    like((content($got))[0], qr/${mark}.*\ndata: \{"error":[^\n]+\n\n\z/s,
        'error in a stream, openai');
    ($got) = with('error=1', '/v1/messages', $stream, $whole);
    like((content($got))[0],
        qr/${mark}.*\nevent: error\ndata: [^\n]*overloaded_error[^\n]*\n\n\z/s,
        'error in a stream, anthropic');

    ($got) = with('no_done', $chat, $stream, $whole);
    unlike($got, qr/DONE/, 'no_done, openai');
    ($got) = with('no_done', '/v1/messages', $stream, $whole);
    unlike($got, qr/message_stop/, 'no_done, anthropic');
    ($got) = with('no_usage', $chat, $usage, $whole);
    unlike($got, qr/completion_tokens/, 'no_usage');

    ($got) = with('malformed=1', $chat, $stream, $whole);
    my @bad = grep { $_ ne '[DONE]' && !eval { decode_json($_) } }
        (content($got))[0] =~ /^data: (.*)$/mg;
    is(scalar @bad, 1, 'malformed: one chunk');
    ($got) = with('malformed', $chat, $plain, qr/"model":\z/);
    ok(!eval { decode_json((split /\r\n\r\n/, $got, 2)[1]) },
        'malformed: a body');

    my $start = time;
    ($got, $how) = with('drip=40', $chat, $stream, undef, 0.5);
    cmp_ok(length $got, '<=', (time - $start) / 0.04 + 1,
        'drip: byte by byte');
    cmp_ok(length $got, '>=', 1, 'drip: at all');

    ($got) = with('header', $chat, $stream, $whole);
    like($got, qr/^X-Pad: (h+)\r$/m, 'header: is there');
    is(length(($got =~ /^X-Pad: (h+)/m)[0]), 1024 * 1024,
        'header: of a megabyte');
    ($got) = with('line', $chat, $stream, $whole);
    my ($longest) = sort { $b <=> $a } map { length } split /\n/,
        (content($got))[0];
    cmp_ok($longest, '>=', 10 * 1024 * 1024, 'line: of ten megabytes');
}

{
    my ($many) = mock('-n', '2', '-o', 'chunks=1');
    my @s = map { connected($many) } 1 .. 16;
    my $ok = 0;
    for my $s (@s) {
        syswrite $s, post($chat, $plain);
        my ($got) = answer($s, qr/fp_mock"\}\z/);
        $ok++ if $got =~ m{^HTTP/1\.1 200};
    }
    is($ok, 16, 'two processes answer');
    is(stats($many)->{requests}, 16, 'and count together');
}


# The load generator

sub load {
    my @args = @_;
    open my $out, '-|', "$dir/load", @args or die "load: $!";
    local $/ = undef;
    my $text = <$out>;
    close $out or fail("load @args: status $?");
    return decode_json($text)->{runs};
}

my $at = "http://127.0.0.1:$port";

{
    my $had = settled($port, 'open', 0) + stats($port)->{requests};
    my $runs = load('latency', '--requests', 200, '--warmup', 10, '--rounds',
        2, '--target', "a=$at$chat", '--target',
        "b=http://unix:$dir/mock.sock:/v1/messages", '--stream');
    is(join(' ', map { "$_->{target}$_->{round}" } @$runs), 'a0 b0 a1 b1',
        'latency: targets and rounds');
    is(join(' ', map { $_->{requests} } @$runs), '200 200 200 200',
        'latency: all are answered');
    is(stats($port)->{requests} - $had, 4 * 210, 'latency: warm-up apart');
    my $l = $runs->[0]{latency_us};
    ok(0 < $l->{p50} && $l->{p50} <= $l->{p90} && $l->{p90} <= $l->{p99}
        && $l->{p99} <= $l->{max}, 'latency: percentiles');
    is($runs->[1]{chunks}, 600, 'latency: chunks are seen');

    $had = stats($port)->{requests};
    $runs = load('throughput', '--connections', 8, '--seconds', 1,
        '--body-bytes', 20000, '--proc', "mock=$pid", '--target',
        "a=$at$chat");
    my $r = $runs->[0];
    is(stats($port)->{requests} - $had, $r->{requests},
        'throughput: as the mock counts');
    cmp_ok($r->{requests}, '>', 8, 'throughput: closed loops');
    cmp_ok(abs($r->{per_second} * $r->{seconds} / $r->{requests} - 1), '<',
        0.01, 'throughput: per second');
    cmp_ok($r->{procs}{mock}{cpu_us}, '>', 0, 'throughput: processor time');
    cmp_ok($r->{procs}{mock}{rss_kb}, '>', 0, 'throughput: memory');

    my $connections = stats($port)->{connections};
    $r = load('throughput', '--connections', 2, '--seconds', 0.3,
        '--no-keepalive', '--target', "a=$at$chat")->[0];
    cmp_ok(stats($port)->{connections} - $connections, '>=', $r->{requests},
        'no-keepalive: a connection each');

    $r = load('streams', '--connections', 20, '--seconds', 1, '--ramp', 0.2,
        '--expect-chunks', 10, '--target',
        "a=$at/with/chunks=10,interval=20$chat")->[0];
    cmp_ok($r->{requests}, '>=', 20, 'streams: all came to an end');
    is($r->{chunks}, 10 * $r->{requests}, 'streams: all chunks are seen');
    is($r->{$_}, 0, "streams: $_") for qw(gaps unended stream_errors broken
        timeouts short_streams status_errors);
    is($r->{chunk_delay_us}{n}, $r->{chunks}, 'streams: all delays');

    # Streams that stay open until after the sample, and one that cannot.
    $r = load('streams', '--connections', 30, '--seconds', 2, '--sample', 1.5,
        '--target', "a=$at/with/chunks=2,interval=3000$chat")->[0];
    is($r->{open_at_sample}, 30, 'streams: open at the sample');
    is($r->{requests}, 30, 'streams: begun once');
    $r = load('streams', '--connections', 1, '--seconds', 0.5, '--timeout',
        1, '--sample', 0.3, '--target', "a=$at/with/stall=0$chat")->[0];
    is($r->{open_at_sample}, 0, 'streams: none where no answer has begun');
    is($r->{added_ttft_us}{n}, $r->{requests}, 'streams: all first tokens');
}

for ([qw(status_errors status=500)], [qw(broken cut=2)], [qw(broken rst=2)],
     [qw(unended no_done)], [qw(stream_errors error=1)],
     [qw(short_streams chunks=2)], [qw(timeouts stall=1)])
{
    my ($count, $opts) = @$_;
    my $r = load('streams', '--connections', 1, '--seconds', 0.3,
        '--timeout', 0.2, '--expect-chunks', 3, '--target',
        "a=$at/with/$opts$chat")->[0];
    cmp_ok($r->{$count}, '>', 0, "$opts is counted as $count");
    is($r->{requests}, 0, "$opts is no success");
}

# A server that tells which keys came, and whether bodies were whole.
{
    my @keys = map { sprintf 'ngx-%04d', $_ } 1 .. 3;
    open my $file, '>', "$dir/keys" or die "keys: $!";
    print $file map { "$_\n" } @keys;
    close $file;
    my $listen = IO::Socket::INET->new(Listen => 5,
        LocalAddr => '127.0.0.1') // die "listen: $!";
    pipe my $told, my $tell or die "pipe: $!";
    my $server = fork // die "fork: $!";
    if (!$server) {
        my $client = $listen->accept;
        my $got = '';
        while (sysread $client, $got, 65536, length $got) {
            while ($got =~ /\r\n\r\n/) {
                my $head = substr $got, 0, $-[0];
                my $body = $+[0];
                my ($n) = $head =~ /^Content-Length: (\d+)/m;
                last if length $got < $body + $n;
                my ($key) = $head =~ /^Authorization: Bearer (\S+)\r?$/m;
                my $whole = eval {
                    decode_json(substr $got, $body, $n)->{messages}[0]{content}
                } // '';
                my ($serial) = $whole =~ /^Say hello\. ([0-9a-f]{16})p{50}\z/;
                syswrite $tell, join(' ', $key // '-', $serial // '-') . "\n";
                substr $got, 0, $body + $n, '';
                syswrite $client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                    . "\r\n{}";
            }
        }
        exit 0;
    }
    close $tell;
    push @pids, $server;
    my $r = load('latency', '--requests', 7, '--warmup', 0, '--unique',
        '--body-bytes', 50, '--target', 'a=http://127.0.0.1:'
        . $listen->sockport . '/x', '--keys', "$dir/keys")->[0];
    is($r->{requests}, 7, 'keys: all are answered');
    my @seen = map { [split] } <$told>;
    is(join(' ', map { $_->[0] } @seen), join(' ', @keys, @keys, $keys[0]),
        'keys: each in its turn');
    my %serials = map { ($_->[1] => 1) } grep { $_->[1] ne '-' } @seen;
    is(scalar keys %serials, 7, 'keys: each body whole and another');

    for my $bad ("a\nbb\n", "\n", '') {
        open my $f, '>', "$dir/bad" or die "bad: $!";
        print $f $bad;
        close $f;
        system("exec '$dir/load' latency --target a=$at$chat --keys "
            . "'$dir/bad' >/dev/null 2>&1");
        is($? >> 8, 2, 'keys: a bad file is refused');
    }
}

# A relay that holds every answer back for 30 ms: the one thing to be measured.
{
    my $listen = IO::Socket::INET->new(Listen => 5,
        LocalAddr => '127.0.0.1') // die "listen: $!";
    my $relay = fork // die "fork: $!";
    if (!$relay) {
        my $client = $listen->accept;
        my $server = connected($port);
        my $select = IO::Select->new($client, $server);
        while (1) {
            for my $s ($select->can_read) {
                sysread $s, my $data, 65536 or exit 0;
                sleep 0.03 if $s == $server;
                syswrite $s == $server ? $client : $server, $data;
            }
        }
    }
    push @pids, $relay;
    my $r = load('streams', '--connections', 1, '--seconds', 0.5, '--target',
        'a=http://127.0.0.1:' . $listen->sockport
        . "/with/ttft=100,chunks=5,interval=100$chat")->[0];
    cmp_ok($r->{chunk_delay_us}{p50}, '>=', 30_000, 'a relay delays chunks');
    cmp_ok($r->{added_ttft_us}{p50}, '>=', 30_000,
        'a relay delays the first token');
    cmp_ok($r->{ttft_us}{p50}, '>=', 130_000,
        'the first token takes that and the provider');
    cmp_ok($r->{added_ttft_us}{p50}, '<=', $r->{ttft_us}{p50} - 95_000,
        'what the provider took is not added');
}

is(settled($port, 'open', 0), 0, 'nothing is left open');

done_testing();
