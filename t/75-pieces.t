#!/usr/bin/perl
# Recorded streams whose provider sends them in pieces of 1 to 97 bytes, with
# heartbeats each millisecond and next to no buffers: the same bytes.
use AiTest;
use AiReplay;

my $file = AiReplay::here() . '/recordings.jsonl';

my $t = AiTest->new;
my $replay = AiReplay->start($t);
my $port = $replay->{port};

my $cut = "http://127.0.0.1:$port/with/cut=97";
$t->{workers_env} = { OPENAI_BASE_URL => "$cut/v1",
    ANTHROPIC_BASE_URL => $cut, OPENAI_API_KEY => 'sk-test',
    ANTHROPIC_API_KEY => 'sk-ant-test' };
$t->start(edge => { ai => <<'CONF' });
client_max_body_size 32m;
ai_stream_heartbeat 1ms;
ai_stream_buffers 2 1k;
ai_header_delay 0;
ai_provider openai { api openai; url env:OPENAI_BASE_URL; key env:OPENAI_API_KEY; }
ai_provider anthropic { api anthropic; url env:ANTHROPIC_BASE_URL; key env:ANTHROPIC_API_KEY; }
CONF

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my (%seen, %done);
my $beats = 0;
my $list = "$t->{dir}/streams.jsonl";

open my $in, '<', $file or die;
open my $out, '>', $list or die;
while (<$in>) {
    my $r = $json->decode($_);
    next unless $r->{stream}
        && $r->{api} =~ /^(?:openai\.chat|compatible\.chat|anthropic\.messages)$/;
    next unless $r->{method} eq 'POST' && ref $r->{request} eq 'HASH';
    my $model = $r->{request}{model};
    my $anthropic = $r->{api} =~ /^anthropic/ ? 1 : 0;
    my $path = $anthropic ? $r->{path} : '/v1/chat/completions';
    next if !defined $model || ref $model || $path =~ m{^/v1/messages/};
    next if $seen{ $json->encode([$path, $r->{request}]) }++;
    my $resumable = ($done{ $r->{api} } || 0) % 2;

    my $direct = AiHttp->post($port, $path, $json->encode($r->{request}),
        timeout => 60);
    next unless $direct->status == 200
        && $direct->header('content-type') =~ /event-stream/;
    my $asked = $r->{request}{stream_options}
        && $r->{request}{stream_options}{include_usage};
    next if !$asked && $direct->body =~ /"choices":\[\],"usage":\{/;

    my $got = $t->post($path, $json->encode({ %{ $r->{request} },
        model => ($anthropic ? 'anthropic/' : 'openai/') . $model }),
        timeout => 120, headers => {
            ($anthropic ? ('anthropic-version' => '2023-06-01') : ()),
            ($resumable ? ('X-AI-Resumable' => 1) : ()) });
    my $body = $got->body;
    # Only between events: anywhere else it stays and is a difference.
    $beats += $body =~ s/(?:\A|(?<=\n\n)|(?<=\r\n\r\n)):\n\n//g;
    my $ids = $body =~ s/^id: \d+-\d+\n//mg;
    ok($body eq $direct->body,
        "$r->{api} $r->{id}" . ($resumable ? ' with ids' : ''))
        or diag(length($body) . ' bytes, not ' . length($direct->body));
    ok($resumable ? $ids : !$ids, 'ids where they were asked for');
    print $out $json->encode({ name => "$r->{api} $r->{id}",
        anthropic => $anthropic, request => $r->{request} }), "\n";
    $done{ $r->{api} }++;
}
close $in;
close $out;

cmp_ok($done{$_} || 0, '>', 5, "recordings of $_ were there")
    for qw(openai.chat compatible.chat anthropic.messages);
cmp_ok($beats, '>', 0, 'with heartbeats between');

SKIP: {
    my ($sdk) = glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node");
    skip('no SDKs: run npm ci in t/node', 2) unless $sdk;
    open my $tap, '-|', $sdk, "$AiTest::root/t/node/pieces.mjs",
        "http://127.0.0.1:$port", 'http://127.0.0.1:' . $t->edge->port,
        $t->{key}, $list or die;
    my $said = 0;
    while (<$tap>) {
        if (/^(not )?ok \d+ - (.*)/) {
            ok(!$1, $2);
            $said++;
        } elsif (/^# (.*)/) {
            diag($1);
        }
    }
    close $tap;
    is($?, 0, 'the SDKs ended well');
    my $sum = 0;
    $sum += $_ for values %done;
    is($said, $sum, 'and read them all');
}

$replay->stop;
done_testing();
