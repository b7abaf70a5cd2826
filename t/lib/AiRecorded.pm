# What the tests that translate recordings share: a gateway with a provider of
# each dialect, and what a script of Node says about it.
package AiRecorded;

use strict;
use warnings;
use AiTest;
use AiReplay;


# Runs t/node/$script over all recordings (AI_T_FULL) or over $most of each
# pair; AI_T_SEED=n repeats a choice.
sub run {
    my ($script, $most) = @_;
    my $file = AiReplay::here() . '/recordings.jsonl';
    my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node")
        )[0];
    AiTest::skip_all('no SDKs: run npm ci in t/node') unless $node;

    my $seed = $ENV{AI_T_SEED} || 1 + int rand 4_000_000_000;
    diag("AI_T_SEED=$seed");
    $most = 0 if $ENV{AI_T_FULL};

    my $t = AiTest->new;
    my $port = free_port();
    my $at = "http://127.0.0.1:$port";
    open my $token, '>', $t->subdir('secrets') . '/token' or die $!;
    print $token "ya29.static\n";
    close $token;
    $t->start(edge => { ai => <<CONF });
client_max_body_size 32m;
ai_provider openai { api openai; url $at/v1; }
ai_provider azure { api azure; url $at/openai/v1; key file:token; }
ai_provider anthropic { api anthropic; url $at; }
ai_provider bedrock { api bedrock; url $at; }
ai_provider gemini { api gemini; url $at; }
ai_provider vertex { api vertex; key file:token;
    url $at/v1/projects/p/locations/l; }
ai_provider responses { api responses; url $at/v1; }
ai_provider ollama { api ollama; url $at; }
ai_provider cohere { api cohere; url $at; }
CONF
    $t->{pooled} = 16;

    open my $out, '-|', $node, "$AiTest::root/t/node/$script",
        'http://127.0.0.1:' . $t->edge->port, $t->{key}, $file, $port, $seed,
        $most or die;
    my ($rows, $tried, $passed) = (0, 0, 0);
    while (<$out>) {
        if (/^(not )?ok \d+ - (.*)/) {
            my ($bad, $name) = ($1, $2);
            ok(!$bad, $name);
            next unless $name =~ /: (\d+) of \d+ tried, (\d+) passed/;
            diag($name);
            $rows++;
            $tried += $1;
            $passed += $2;
        } elsif (/^# (.*)/) {
            diag($1);
        }
    }
    close $out;
    is($?, 0, 'the SDKs ended well');
    diag("$rows pairs: $tried tried, $passed passed");

    return $rows;
}

1;
