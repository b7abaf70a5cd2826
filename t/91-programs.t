#!/usr/bin/perl
# Programs on the stock SDKs and frameworks, unchanged but for their base URL:
# each has a turn of tools with a provider of every dialect.
use AiTest;
use AiReplay;

my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
AiTest::skip_all('no SDKs: run npm ci in t/node') unless $node;

my $t = AiTest->new;
my ($port, $at) = (free_port());
$at = "http://127.0.0.1:$port";
my $model = AiProc->spawn(name => 'model', cwd => $t->{dir},
    out => "$t->{dir}/model.out",
    cmd => [$node, "$AiTest::root/t/node/model.mjs", $port, 'true']);
open my $token, '>', $t->subdir('secrets') . '/token' or die $!;
print $token "ya29.static\n";
close $token;
$t->start(edge => { ai => <<CONF });
ai_provider openai { api openai; url $at/v1; }
ai_provider azure { api azure; url $at/openai; key file:token; }
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

open my $out, '-|', $node, "$AiTest::root/t/node/programs.mjs",
    'http://127.0.0.1:' . $t->edge->port, $t->{key},
    'openai,azure,anthropic,responses,gemini,vertex,bedrock,ollama,cohere'
    or die;
my $programs = 0;
while (<$out>) {
    if (/^(not )?ok \d+ - (.*)/) {
        my ($bad, $name) = ($1, $2);
        ok(!$bad, $name);
        next unless $name =~ /tried/;
        diag($name);
        $programs++;
    } elsif (/^# (.*)/) {
        diag($1);
    }
}
close $out;
is($?, 0, 'the programs ended well');
is($programs, 22, 'and all of them ran');

$model->stop;
done_testing();
