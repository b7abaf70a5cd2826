# What the test of a provider's dialect shares with the others: a turn of tools
# through the stock SDKs.
package AiDialect;

use strict;
use warnings;
use AiTest;

# The SDKs' turn of tools; what => { text, model, input, output }.
sub sdk {
    my ($t, $model, $what) = @_;
    my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node")
        )[0];

    if (!$node) {
        diag('SKIPPED: no SDKs: run npm ci in t/node');
        return;
    }
    open my $out, '-|', $node, "$AiTest::root/t/node/dialect.mjs",
        'http://127.0.0.1:' . $t->edge->port, $t->{key}, $model,
        encode_json($what) or die;
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
    cmp_ok($said, '>=', 38, 'and tried all');
}

1;
