#!/usr/bin/perl
# Which headers pass: the dialect's table, what ai_forward_header adds in its
# location, and what never does; request and answer.
use AiTest;

my $t = AiTest->new;
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;

    $out->answer(200, { id => 'x', object => 'chat.completion', choices => [],
        usage => { prompt_tokens => 1, completion_tokens => 1 } },
        'x-request-id' => 'req-7', 'x-ratelimit-remaining-requests' => '99',
        'X-Color' => 'blue', 'x-secret' => 'inner', 'Set-Cookie' => 'a=b',
        'Server' => 'scripted', 'retry-after' => '3');
});
$t->start(edge => { ai => 'ai_provider p { api openai; url ' . $p->url('/v1')
    . '; header X-Team green; }', conf => <<'CONF' });
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    %%AI%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /more/ {
            ai_forward_header request X-Ask;
            ai_forward_header response X-Color X-Other;
            ai_pass;
        }
        location /health { ai_health; }
    }
}
CONF

my @headers = ('OpenAI-Beta' => 'assistants=v2', 'X-Ask' => 'me',
    'Cookie' => 'c=d', 'X-Forwarded-For' => '10.0.0.1',
    'Idempotency-Key' => 'once');

for my $more (0, 1) {
    my $res = $t->post(($more ? '/more' : '') . '/v1/chat/completions',
        { model => 'p/m', messages => [] }, headers => [@headers]);
    my $where = $more ? 'with ai_forward_header' : 'by the table';

    is($res->status, 200, "$where: answered");
    is($res->header('x-request-id'), 'req-7', "$where: the provider's id");
    is($res->header('x-ratelimit-remaining-requests'), '99',
        "$where: rate limits");
    is($res->header('retry-after'), '3', "$where: Retry-After");
    is($res->header('x-color'), $more ? 'blue' : undef, "$where: X-Color");
    is($res->header('x-secret'), undef, "$where: nothing else");
    is($res->header('set-cookie'), undef, "$where: no cookie");
    unlike($res->header('server') // '', qr/scripted/, "$where: no Server");

    my $asked = $p->request($more + 1)->{headers};
    is($asked->{'openai-beta'}, 'assistants=v2', "$where: OpenAI-Beta");
    is($asked->{'idempotency-key'}, 'once', "$where: Idempotency-Key");
    is($asked->{'x-team'}, 'green', "$where: the provider's own header");
    is($asked->{'x-ask'}, $more ? 'me' : undef, "$where: X-Ask");
    is($asked->{cookie}, undef, "$where: no cookie goes out");
    is($asked->{'x-forwarded-for'}, undef, "$where: no hop-by-hop");
    unlike($asked->{authorization} // '', qr/ngx-/, "$where: not the key");
}

done_testing();
