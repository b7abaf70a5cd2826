#!/usr/bin/perl
# Recorded embeddings byte for byte, and embeddings, legacy completions and
# counts through the stock SDKs.
use AiTest;
use AiReplay;

my $file = AiReplay::here() . '/recordings.jsonl';
my $t = AiTest->new;
my $replay = AiReplay->start($t);
my $port = $replay->{port};
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my $other = $t->provider(name => 'other', script => sub {
    my ($req, $out) = @_;
    return $out->answer(200, { totalTokens => 23 })
        if $req->{path} =~ /:countTokens$/;
    my @vector = (0.5, -0.25, 0.3333333432674408);
    my $ask = $req->{json};
    $out->answer(200, { embeddings => $req->{path} eq '/api/embed'
        ? [map { \@vector } @{ $ask->{input} }] : $req->{path} eq '/v2/embed'
        ? { float => [map { \@vector } @{ $ask->{texts} }] }
        : [map { { values => \@vector } } @{ $ask->{requests} }] });
});

my @records;
open my $in, '<', $file or die;
while (<$in>) {
    my $r = $json->decode($_);
    push @records, $r if $r->{api} eq 'openai.embeddings';
}
close $in;

my $ai = "ai_provider g { api gemini; url ${\$other->url}; }\n"
    . "ai_provider o { api ollama; url ${\$other->url}; }\n"
    . "ai_provider c { api cohere; url ${\$other->url}; }\n"
    . "ai_provider echo { api echo; option word_delay=0; }\n";
$ai .= "ai_provider e-$_->{id} { api openai; "
    . "url http://127.0.0.1:$port/by-id/$_->{id}/v1; }\n" for @records;
$t->start(edge => { ai => $ai });

for my $r (@records) {
    my $text = $json->encode($r->{request});
    my $direct = AiHttp->post($port, "/by-id/$r->{id}/v1/embeddings", $text);
    my $got = $t->post('/v1/embeddings', $json->encode({ %{ $r->{request} },
        model => "e-$r->{id}/$r->{request}{model}" }));
    ok($got->status == $direct->status && $got->body eq $direct->body
        && $got->header('content-type') eq $direct->header('content-type'),
        "embeddings $r->{id}") or diag($got->status . ' ' . $got->body);
}
cmp_ok(scalar(@records), '>=', 21, 'recordings were there');

my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
SKIP: {
    if (!$node) {
        diag('SKIPPED: no SDKs, run npm ci in t/node');
        skip 'no SDKs', 1;
    }
    open my $out, '-|', $node, "$AiTest::root/t/node/embeddings.mjs",
        'http://127.0.0.1:' . $t->edge->port, $t->{key}, $file or die;
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
    cmp_ok($said, '>=', 33, 'and checked what they should');
}

$replay->stop;
done_testing();
