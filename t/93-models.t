#!/usr/bin/perl
# GET /v1/models: context and price of what a caller may use, in its dialect.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $edge = $t->edge(ai => <<'CONF');
ai_provider p { api openai; url http://127.0.0.1:1; }
ai_provider q { api openai; url http://127.0.0.1:1; }
ai_model one { route p model=a; context 128000 output=16384; }
ai_model same { route p model=a; route q model=a; }
ai_model two { route p model=a; route q model=b; context 1000; }
ai_model some { route p model=a; route q model=unknown; }
ai_price p/a input=2.5 output=10 cached=0.25 request=0.01
    above=200000 input=5 output=15;
ai_price q/a input=2.5 output=10 cached=0.25 request=0.01
    above=200000 input=5 output=15;
ai_price q/b input=3 output=9 audio=40;
ai_price q/free input=0 output=0;
ai_price q/odd above=5 input=0.000000001;
ai_plan few { models one q/b; }
CONF
$edge->start;
$t->{key} = $fake->key('demo');
wait_for(sub { $t->get('/v1/models')->status == 200 }, 30, 'the edge');

my %a = map { $_->{id} => $_ } @{ $t->get('/v1/models')->json->{data} };
my %price = (prompt => '0.0000025', completion => '0.00001',
    input_cache_read => '0.00000025', request => '0.01', tiers => [{
        above => 200000, prompt => '0.000005', completion => '0.000015',
        input_cache_read => '0.00000025', request => '0.01' }]);
is($a{one}{context_length}, 128000, 'context');
is($a{one}{max_output_tokens}, 16384, 'longest answer');
is_deeply($a{one}{pricing}, \%price, 'price of its route');
is_deeply($a{same}{pricing}, \%price, 'of two routes with the same');
ok(!exists $a{same}{context_length}, 'no context where none is said');
is_deeply($a{two}{pricing}, { prompt => '0.000003', completion => '0.00001',
    input_cache_read => '0.000003', audio => '0.00004', request => '0.01' },
    'the highest of each of several');
is($a{two}{context_length}, 1000, 'context alone');
ok(!exists $a{some}{pricing}, 'none where a route has none');
is_deeply($a{'q/b'}{pricing}, { prompt => '0.000003', completion => '0.000009',
    audio => '0.00004' }, 'of a model with a price');
is_deeply($a{'q/free'}{pricing}, { prompt => '0', completion => '0' }, 'free');
is_deeply($a{'q/odd'}, { id => 'q/odd', object => 'model', owned_by => 'q',
    created => $a{'q/odd'}{created} }, 'a price that is none at first');
ok(!exists $a{'echo/echo'}{pricing}, 'echo has none');

is_deeply($t->get('/v1/models/one')->json, $a{one}, 'one');
is_deeply($t->get('/v1/models/q/b')->json, $a{'q/b'}, 'one of a provider');
ok(!exists $t->get('/v1/models/q/any')->json->{pricing}, 'without a price');

# Anthropic's.
my @anthropic = (headers => { 'anthropic-version' => '2023-06-01' });
my %b = map { $_->{id} => $_ }
    @{ $t->get('/v1/models?limit=1000', @anthropic)->json->{data} };
is_deeply([sort keys %b], [sort keys %a], 'the same models');
is($b{one}{max_input_tokens}, 128000, 'its context');
is($b{one}{max_tokens}, 16384, 'its longest answer');
is_deeply($b{$_}{pricing}, $a{$_}{pricing}, "$_ costs the same") for keys %a;
is_deeply($t->get('/v1/models/one', @anthropic)->json, $b{one}, 'one of them');

# What the plan allows.
my $key = $fake->key('poor', plan => 'few');
is_deeply([map { $_->{id} } @{ $t->get('/v1/models', key => $key)->json
    ->{data} }], [qw(one q/b)], 'what a plan allows');
is($t->get('/v1/models/two', key => $key)->status, 404, 'and no other');

for my $bad ('0', '-1', 'x', '1000000001', '5 10', '5 output=0', '5 output=',
    '5; context 6')
{
    my ($code, $said) = $edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n"
        . "%%HTTP%%\nai_redis %%REDIS%%;\nai_provider p { api openai;"
        . " url http://127.0.0.1:1; } ai_model m { route p; context $bad; }\n"
        . "server { listen 127.0.0.1:%%PORT%%; location /v1/ { ai_pass; } } }");
    isnt($code, 0, "context $bad is refused");
}

done_testing();
