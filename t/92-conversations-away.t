#!/usr/bin/perl
# A conversation whose Postgres is away when a response ends, for a moment and
# then for longer: what was said is there once, or its client is told.
use AiTest;

my $t = AiTest->new;
my $gate = $t->dir . '/gate';
my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;

    select undef, undef, undef, 0.02 until -e $gate;
    $out->answer(200, { id => "chatcmpl-$req->{n}", created => 1700000000,
        object => 'chat.completion', model => 'gpt-real',
        choices => [{ index => 0, finish_reason => 'stop',
            message => { role => 'assistant', content => 'said' } }],
        usage => { prompt_tokens => 5, completion_tokens => 2,
            total_tokens => 7 } });
});

$t->start(edge => { ai => <<CONF });
ai_provider o { api openai; url ${\$provider->url('/v1')}; }
CONF

my @c = map { $t->post('/v1/conversations', {})->json->{id} } 0, 1;

for my $long (0, 1) {
    my $n = () = $provider->requests;
    my $open = $t->stream('/v1/responses', { model => 'o/x', input => 'F',
        conversation => $c[$long] }, timeout => 60);
    $provider->request($n + 1);
    $t->pg->stop;
    open my $fh, '>', $gate or die;
    close $fh;
    $t->pg->start if !$long;
    my $res = $open->response;
    $open->close;
    unlink $gate;
    if ($long) {
        is($res->status, 503, 'Postgres stays away: it says so');
        like($res->json->{error}{message}, qr/nothing was added/, 'and what');
        $t->pg->start;
    } else {
        is($res->status, 200, 'Postgres comes again');
        wait_for(sub { $t->get("/v1/conversations/$c[1]")->status == 200 }, 30,
            'Postgres');
    }
    is($t->pg->value("select count(*) from ngxai.conversation_items
        where conversation = '$c[$long]'"), $long ? 0 : 2,
        'it is there once, or not at all');
}

done_testing();
