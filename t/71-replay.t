#!/usr/bin/perl
# Recorded answers of real providers through the gateway: the client gets the
# bytes that a direct call gets, and the ledger the usage they state.
#
# AI_T_SEED=n repeats a choice; AI_T_FULL=1 tries all of those, too, whose
# request was recorded more than once.
use AiTest;
use AiReplay;

my $file = AiReplay::here() . '/recordings.jsonl';

my $seed = $ENV{AI_T_SEED} || 1 + int rand 4_000_000_000;
diag("AI_T_SEED=$seed");
srand $seed;

my $t = AiTest->new;
my $replay = AiReplay->start($t);
my $port = $replay->{port};
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# The one that the model names.
my %by_id;
open my $in, '<', $file or die;
while (<$in>) {
    my $r = $json->decode($_);
    utf8::encode($r->{response});
    $by_id{ $r->{id} } = $r;
}
close $in;
my $again = $t->provider(name => 'again', script => sub {
    my ($req, $out) = @_;
    my $r = $by_id{ $req->{json}{model} };

    return $out->answer($r->{status}, $r->{response},
        'Content-Type' => $r->{content_type}) unless $r->{stream};
    $out->head($r->{status}, 'Content-Type' => $r->{content_type});
    $out->chunk($_) for unpack '(a4001)*', $r->{response};
    $out->end;
});
my $at = $again->url;

$t->{workers_env} = { OPENAI_BASE_URL => "http://127.0.0.1:$port/v1",
    ANTHROPIC_BASE_URL => "http://127.0.0.1:$port",
    OPENAI_API_KEY => 'sk-test', ANTHROPIC_API_KEY => 'sk-ant-test' };
$t->start(edge => { ai => <<CONF });
client_max_body_size 32m;
ai_provider openai { api openai; url env:OPENAI_BASE_URL; key env:OPENAI_API_KEY; }
ai_provider anthropic { api anthropic; url env:ANTHROPIC_BASE_URL; key env:ANTHROPIC_API_KEY; }
ai_provider responses { api responses; url env:OPENAI_BASE_URL; key env:OPENAI_API_KEY; }
ai_provider again-openai { api openai; url $at/v1; }
ai_provider again-anthropic { api anthropic; url $at; }
ai_provider again-responses { api responses; url $at/v1; }
CONF

my (%seen, %of, %passed, %not);
my $n = 0;

open $in, '<', $file or die;
while (<$in>) {
    my $r = $json->decode($_);
    my $left = sub { $not{"$r->{api}: $_[0]"}++ };
    if ($r->{api} =~ /^(?:gemini|bedrock)/) {
        $left->('a dialect that no client speaks');
        next;
    }
    if ($r->{api} =~ /^openai\.(?:conversations|responses\.object)$/) {
        $left->('state, which is the gateway\'s own');
        next;
    }
    my $model = ref $r->{request} eq 'HASH' ? $r->{request}{model} : undef;
    if ($r->{method} ne 'POST' || !defined $model || ref $model) {
        $left->('a request without a model');
        next;
    }

    my $anthropic = $r->{api} =~ /^anthropic/;
    my $responses = $r->{api} =~ /responses/;
    my $path = $anthropic || $responses || $r->{api} eq 'openai.embeddings'
        ? $r->{path} : '/v1/chat/completions';
    if ($path !~ m{^/v1/(?:messages(?:/count_tokens)?|chat/completions
            |responses|embeddings)(?:\?|$)}x) {
        $left->("an endpoint that is none here: $path");
        next;
    }

    # What the gateway answers by itself (docs/wire.md, 9): a job in the
    # background has another answer, a conversation is made whole first
    # (92-conversations-sdk.t has those).
    if ($responses && grep { $r->{request}{$_} } qw(background conversation)) {
        $left->('state, which is the gateway\'s own');
        next;
    }
    my $text = $json->encode($r->{request});

    # The replay server answers a request that equals the recorded one.  Some
    # were recorded more than once: the others are named by the model.
    my $again = $seen{"$path $text"}++;
    if ($again && !$ENV{AI_T_FULL} && rand 4 >= 1) {
        $left->('its request was tried');
        next;
    }
    my ($status, $body, $type) = @$r{qw(status response content_type)};
    if ($again) {
        utf8::encode($body);
    } else {
        my $direct = AiHttp->post($port, $path, $text, timeout => 60);
        ($status, $body, $type) = ($direct->status, $direct->body,
            $direct->header('content-type'));
    }
    # It takes no notice of stream_options: the answer may be of a request that
    # asked for usage, where a real provider would not have given it.
    my $asked = $r->{request}{stream_options}
        && $r->{request}{stream_options}{include_usage};
    if (!$asked && $body =~ /"choices":\[\],"usage":\{/) {
        $left->('usage that was not asked for');
        next;
    }
    my $through = $json->encode({ %{ $r->{request} },
        model => ($again ? 'again-' : '') . ($anthropic ? 'anthropic/'
            : $responses ? 'responses/' : 'openai/')
            . ($again ? $r->{id} : $model) });
    my $got = $t->post($path, $through, timeout => 60,
        $anthropic ? (headers => { 'anthropic-version' => '2023-06-01' }) : ());

    my $name = "$r->{api} $r->{id}" . ($r->{stream} ? ' stream' : '');
    my $same = $got->status == $status && $got->body eq $body
        && ($got->header('content-type') // '') eq ($type // '');
    ok($same, $name) or diag('status ' . $got->status . " instead of $status, "
        . length($got->body) . ' bytes instead of ' . length($body) . "\n"
        . substr($got->body, 0, 300));
    $n++;
    $of{$r->{api}}++;
    $passed{$r->{api}} += $same;
}
close $in;

cmp_ok($n, '>', 100, 'recordings were there');
diag("same dialect: $_ $of{$_} tried, $passed{$_} passed") for sort keys %of;
diag("not tried: $_ $not{$_}") for sort keys %not;
cmp_ok($of{'openai.embeddings'} // 0, '>=', 17, 'of embeddings, too');
is($of{'anthropic.count_tokens'}, 3, 'and of counting');
wait_for(sub {
    $t->pg->value('select count(*) from ngxai.ledger') >= $n
}, 60, 'the ledger');
is($t->pg->value('select count(*) from ngxai.ledger'), $n, 'a row each');

$replay->stop;
done_testing();
