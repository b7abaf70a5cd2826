#!/usr/bin/perl
# Errors, retries, aborts and timeouts as the stock SDKs show them: as they do in
# a direct call, where the provider is heard; else by the table in docs/wire.md.
use AiTest;

my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
AiTest::skip_all('no SDKs: run npm ci in t/node') unless $node;

my $t = AiTest->new;
my ($port, $closed) = (free_port(), free_port());
my $ai = "client_max_body_size 2m;\n";
for ([oa => 'openai', '/v1'], [an => 'anthropic', '']) {
    my ($k, $api, $path) = @$_;
    my $url = "http://127.0.0.1:$port$path";
    $ai .= 'ai_provider p' . substr($k, 0, 1) . " { api $api; url $url; }\n"
        . "ai_provider ${k}_hasty { api $api; url $url; timeout first=500ms; }\n"
        . "ai_provider ${k}_nokey { api $api; url $url; key env:NO_API_KEY; }\n"
        . "ai_provider ${k}_nobody { api $api; url "
        . "http://127.0.0.1:$closed$path; }\n";
}
$t->start(edge => { ai => $ai });
$t->{pooled} = 16;
$t->allow_log(qr/on signal 9/);

open my $out, '-|', $node, "$AiTest::root/t/node/errors.mjs", $port,
    'http://127.0.0.1:' . $t->edge->port, $t->{key} or die;
my $said = 0;
while (<$out>) {
    if (/^(not )?ok \d+ - (.*)/) {
        ok(!$1, $2);
        $said++;
    } elsif (/^kill/) {
        kill 'KILL', $t->worker_pids;
    } elsif (/^# (.*)/) {
        diag($1);
    }
}
close $out;
is($?, 0, 'the SDKs ended well');
cmp_ok($said, '>=', 289, 'and checked what they should');

done_testing();
