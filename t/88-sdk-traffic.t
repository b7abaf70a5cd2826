#!/usr/bin/perl
# Recorded answers of real providers through the stock SDKs: what a direct call
# gives them they get through the gateway, whatever pieces it came in, and the
# ledger has the usage that the recording states.
#
# AI_T_SEED=n repeats a run; AI_T_FULL=1 cuts all of them, in many ways.
use AiTest;
use AiReplay;

my $file = AiReplay::here() . '/recordings.jsonl';
my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
AiTest::skip_all('no SDKs: run npm ci in t/node') unless $node;

my $seed = $ENV{AI_T_SEED} || 1 + int rand 4_000_000_000;
diag("AI_T_SEED=$seed");
srand $seed;
my %cut = (cut => 1 + int rand 97);
if ($ENV{AI_T_FULL}) {
    $cut{"cut$_"} = $_ for 1, 2, 3, 7, 19, 97, 4096;
}

my $t = AiTest->new;
my $replay = AiReplay->start($t);
my $port = $replay->{port};

my $ai = "client_max_body_size 32m;\nai_resume 60s;\n";
for my $name ('whole', sort keys %cut) {
    my $url = "http://127.0.0.1:$port"
        . ($cut{$name} ? "/with/cut=$cut{$name}" : '');
    $ai .= "ai_provider openai$name { api openai; url $url/v1; }\n"
        . "ai_provider anthropic$name { api anthropic; url $url; }\n";
}
$t->start(edge => { ai => $ai });
$t->{pooled} = 16;

open my $out, '-|', $node, "$AiTest::root/t/node/traffic.mjs",
    "http://127.0.0.1:$port", 'http://127.0.0.1:' . $t->edge->port, $t->{key},
    $file, $seed, join(',', $ENV{AI_T_FULL} ? 'whole' : (), sort keys %cut),
    $ENV{AI_T_FULL} ? 1000 : 5 or die;
my (@usage, $said);
while (<$out>) {
    if (/^(not )?ok \d+ - (.*)/) {
        ok(!$1, $2);
        $said++;
    } elsif (/^usage (.*)/) {
        push @usage, decode_json($1);
    } elsif (/^# (.*)/) {
        diag($1);
    }
}
close $out;
is($?, 0, 'the SDKs ended well');
cmp_ok($said, '>=', 300, 'and checked what they should');

my %row;
wait_for(sub {
    %row = map { $_->[0] => $_ } $t->pg->query('select job, state, status, '
        . 'input, output, cached_read, estimated from ngxai.ledger');
    return !grep { !$row{ $_->{job} // '' } } @usage;
}, 60, 'the ledger');
for my $u (@usage) {
    my (undef, $state, $status, $in, $out, $cached, $guess)
        = @{ $row{ $u->{job} } };
    is($status, $u->{status}, "$u->{name}: status in the ledger");
    next unless defined $u->{input} && defined $u->{output};
    is("$in $out $cached $guess", join(' ', @$u{qw(input output)},
        $u->{cached} // '', 'f'), "$u->{name}: usage as it states");
}

$replay->stop;
done_testing();
