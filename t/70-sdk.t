#!/usr/bin/perl
# The stock SDKs of OpenAI and Anthropic against the gateway, unchanged.
use AiTest;

my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
AiTest::skip_all('no SDKs: run npm ci in t/node') unless $node;

my $t = AiTest->new->start(edge => { ai => <<'CONF' });
ai_provider echo { api echo; option word_delay=2; }
CONF

open my $out, '-|', $node, "$AiTest::root/t/node/sdk.mjs",
    'http://127.0.0.1:' . $t->edge->port, $t->{key} or die;
my $said = 0;
while (<$out>) {
    if (/^(not )?ok \d+ - (.*)/) {
        ok(!$1, $2);
        $said++;
    } elsif (/^# (.*)/) {
        diag($1);
    }
}
close $out;
is($?, 0, 'the SDKs ended well');
cmp_ok($said, '>=', 30, 'and checked what they should');

done_testing();
