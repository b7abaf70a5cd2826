#!/usr/bin/perl
# Recorded answers of one dialect through the gateway, read by the stock SDK of
# the other: text, calls, finish and usage are those of the recording.
use AiTest;
use AiReplay;

my $file = AiReplay::here() . '/recordings.jsonl';
my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
AiTest::skip_all('no SDKs: run npm ci in t/node') unless $node;

my $t = AiTest->new;
my $port = free_port();
$t->start(edge => { ai => <<CONF });
client_max_body_size 32m;
ai_provider openai { api openai; url http://127.0.0.1:$port/v1; }
ai_provider anthropic { api anthropic; url http://127.0.0.1:$port; }
ai_provider bedrock { api bedrock; url http://127.0.0.1:$port; }
ai_provider gemini { api gemini; url http://127.0.0.1:$port; }
ai_provider responses { api responses; url http://127.0.0.1:$port/v1; }
CONF
$t->{pooled} = 16;

open my $out, '-|', $node, "$AiTest::root/t/node/translate.mjs",
    'http://127.0.0.1:' . $t->edge->port, $t->{key}, $file, $port or die;
my $said = 0;
while (<$out>) {
    if (/^(not )?ok \d+ - (.*)/) {
        my ($bad, $name) = ($1, $2);
        ok(!$bad, $name);
        diag($name) if $name =~ /tried/;
        $said++;
    } elsif (/^# (.*)/) {
        diag($1);
    }
}
close $out;
is($?, 0, 'the SDKs ended well');
cmp_ok($said, '>=', 20, 'and tried all pairs');

done_testing();
