#!/usr/bin/perl
# Recorded streams whose provider sends them in pieces of 1 to 97 bytes, with
# heartbeats each millisecond and next to no buffers: the same bytes.
use AiTest;

my $shared = AiTest::shared();
my $file = "$shared/traffic/recordings.jsonl";
AiTest::skip_all("no $file") unless -f $file;
my $node = (grep { -x } '/usr/bin/node', '/usr/local/bin/node',
    glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
AiTest::skip_all('no node') unless $node;

my $t = AiTest->new;
my $port = free_port();
my $replay = AiProc->spawn(name => 'replay', out => "$t->{dir}/replay.out",
    cmd => [$node, "$shared/traffic/replay.mjs", $port, $file]);
wait_for(sub { slurp("$t->{dir}/replay.out") =~ /recordings on/ }, 60,
    'the replay server');

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

open my $in, '<', $file or die;
while (<$in>) {
    my $r = $json->decode($_);
    next unless $r->{stream}
        && $r->{api} =~ /^(?:openai\.chat|anthropic\.messages)$/;
    next unless $r->{method} eq 'POST' && ref $r->{request} eq 'HASH';
    my $model = $r->{request}{model};
    my $anthropic = $r->{api} =~ /^anthropic/;
    my $path = $anthropic ? $r->{path} : '/v1/chat/completions';
    next if !defined $model || ref $model || $path =~ m{^/v1/messages/};
    next if $seen{ $json->encode($r->{request}) }++;
    last if ($done{1} || 0) >= 12 && ($done{0} || 0) >= 12;
    my $resumable = ($done{$anthropic ? 1 : 0} || 0) % 2;
    next if ($done{$anthropic ? 1 : 0} || 0) >= 12;

    my $direct = AiHttp->post($port, $path, $json->encode($r->{request}),
        timeout => 60);
    next unless $direct->status == 200
        && $direct->header('content-type') =~ /event-stream/;
    my $asked = $r->{request}{stream_options}
        && $r->{request}{stream_options}{include_usage};
    next if !$asked && $direct->body =~ /"choices":\[\],"usage":\{/;

    my $got = $t->post($path, $json->encode({ %{ $r->{request} },
        model => ($anthropic ? 'anthropic/' : 'openai/') . $model }),
        timeout => 60, headers => {
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
    $done{$anthropic ? 1 : 0}++;
}
close $in;

cmp_ok($done{$_} || 0, '>', 5, 'recordings were there') for 0, 1;
cmp_ok($beats, '>', 0, 'with heartbeats between');

$replay->stop;
done_testing();
