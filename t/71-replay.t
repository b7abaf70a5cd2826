#!/usr/bin/perl
# Recorded answers of real providers through the gateway: the client gets the
# bytes that a direct call gets, and the ledger the usage they state.
use AiTest;
use AiReplay;

my $file = AiReplay::here() . '/recordings.jsonl';

my $t = AiTest->new;
my $replay = AiReplay->start($t);
my $port = $replay->{port};

$t->{workers_env} = { OPENAI_BASE_URL => "http://127.0.0.1:$port/v1",
    ANTHROPIC_BASE_URL => "http://127.0.0.1:$port",
    OPENAI_API_KEY => 'sk-test', ANTHROPIC_API_KEY => 'sk-ant-test' };
$t->start(edge => { ai => <<'CONF' });
client_max_body_size 32m;
ai_provider openai { api openai; url env:OPENAI_BASE_URL; key env:OPENAI_API_KEY; }
ai_provider anthropic { api anthropic; url env:ANTHROPIC_BASE_URL; key env:ANTHROPIC_API_KEY; }
ai_provider responses { api responses; url env:OPENAI_BASE_URL; key env:OPENAI_API_KEY; }
CONF

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my (%seen, %of);
my $n = 0;
my $ours = 0;

open my $in, '<', $file or die;
while (<$in>) {
    my $r = $json->decode($_);
    next unless $r->{api} =~ /^(?:openai\.(?:chat|embeddings|responses)
        |compatible\.chat|anthropic\.(?:messages|count_tokens))$/x;
    next unless $r->{method} eq 'POST' && ref $r->{request} eq 'HASH';
    my $model = $r->{request}{model};
    next unless defined $model && !ref $model;

    my $anthropic = $r->{api} =~ /^anthropic/;
    my $responses = $r->{api} =~ /responses/;
    my $path = $anthropic || $responses || $r->{api} eq 'openai.embeddings'
        ? $r->{path} : '/v1/chat/completions';
    next if $anthropic && $path !~ m{^/v1/messages(?:/count_tokens)?(?:\?|$)};

    # What the gateway answers by itself (docs/wire.md, 9): a job in the
    # background has another answer, a conversation is made whole first
    # (92-conversations-sdk.t has those).
    if ($responses && grep { $r->{request}{$_} } qw(background conversation)) {
        $ours++;
        next;
    }
    my $text = $json->encode($r->{request});
    next if $seen{"$path $text"}++;

    # The replay server answers a request that equals the recorded one.
    my $direct = AiHttp->post($port, $path, $text, timeout => 60);
    # It takes no notice of stream_options: the answer may be of a request that
    # asked for usage, where a real provider would not have given it.
    my $asked = $r->{request}{stream_options}
        && $r->{request}{stream_options}{include_usage};
    next if !$asked && $direct->body =~ /"choices":\[\],"usage":\{/;
    my $through = $json->encode({ %{ $r->{request} },
        model => ($anthropic ? 'anthropic/' : $responses ? 'responses/'
            : 'openai/') . $model });
    my $got = $t->post($path, $through, timeout => 60,
        $anthropic ? (headers => { 'anthropic-version' => '2023-06-01' }) : ());

    my $name = "$r->{api} $r->{id}" . ($r->{stream} ? ' stream' : '');
    my $same = $got->status == $direct->status && $got->body eq $direct->body
        && ($got->header('content-type') // '')
            eq ($direct->header('content-type') // '');
    ok($same, $name) or diag('status ' . $got->status . ' instead of '
        . $direct->status . ', ' . length($got->body) . ' bytes instead of '
        . length($direct->body) . "\n" . substr($got->body, 0, 300));
    $n++;
    $of{$r->{api}}++;
}
close $in;

diag("$ours requests for state of the gateway's own are not tried") if $ours;
cmp_ok($n, '>', 100, 'recordings were there');
diag("same dialect: $_ $of{$_}") for sort keys %of;
cmp_ok($of{'openai.embeddings'} // 0, '>=', 17, 'of embeddings, too');
is($of{'anthropic.count_tokens'}, 3, 'and of counting');
wait_for(sub {
    $t->pg->value('select count(*) from ngxai.ledger') >= $n
}, 60, 'the ledger');
is($t->pg->value('select count(*) from ngxai.ledger'), $n, 'a row each');

$replay->stop;
done_testing();
