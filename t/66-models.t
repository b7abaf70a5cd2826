#!/usr/bin/perl
# GET /v1/models: what is listed, for whom, in pages, among 10,000 prices.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);

# In no order, as a configuration may be.
my @names = map { sprintf 'm-%05d', ($_ * 7919) % 10007 } 1 .. 10000;
open my $fh, '>', "$t->{dir}/prices.conf" or die;
print $fh map { "ai_price far/$_ input=1;\n" } @names;
close $fh;
my $edge = $t->edge(ai => "include $t->{dir}/prices.conf;");
my $far = "ai_provider far { api openai; url http://127.0.0.1:1; }\n";
my $some = <<"CONF";
$far
ai_model zeta { route far; }
ai_model far/two { route far model=other; }
ai_model alpha { route far; }
ai_price far/two input=1;
ai_price far/three input=1;
ai_price far/three output=1;
ai_price echo/echo input=0;
ai_price nobody/x input=1;
CONF
$edge->{vars}{AI} = $some;
$edge->start;
$t->{key} = $fake->key('demo');
wait_for(sub { $t->get('/v1/models')->status == 200 }, 30, 'the edge');

sub ids { return map { $_->{id} } @{ $_[0]->json->{data} } }

sub page {
    my ($query) = @_;
    return $t->get("/v1/models$query",
        headers => { 'anthropic-version' => '2023-06-01' });
}

is_deeply([ids($t->get('/v1/models'))],
    [qw(alpha far/two zeta echo/echo far/three)],
    'models, echo, and what has a price, each once');
is_deeply([map { $_->{owned_by} } @{ $t->get('/v1/models')->json->{data} }],
    [qw(ngx-ai ngx-ai ngx-ai echo far)], 'whose they are');
is_deeply([ids($t->get('/v1/models',
    key => $fake->key('demo', models => 'zeta far/three none')))],
    [qw(zeta far/three)], 'what a key may use');

# One.
is($t->get('/v1/models/alpha')->json->{id}, 'alpha', 'one model');
is($t->get('/v1/models/far/any')->json->{owned_by}, 'far', 'any of a provider');
is($t->get('/v1/models/far%2Ftwo')->json->{owned_by}, 'ngx-ai', 'encoded');
for my $bad ('nobody/x', 'far/', '/x', 'x' x 300, '%00', 'alpha%00', '..%2f',
    '%ff%fe', 'alpha/')
{
    my $status = $t->get("/v1/models/$bad")->status;
    like($status, qr/^40[04]$/, substr($bad, 0, 20) . ' is none');
}
my $odd = $t->get('/v1/models/far/%22%5c%01%ff%e2%82')->json;
is($odd->{id}, "far/\"\\\x01\x{fffd}\x{fffd}", 'a strange name is still JSON');

# Pages.
my $p = page('?limit=2');
is_deeply([ids($p)], [qw(alpha far/two)], 'the first page');
is($p->json->{has_more} ? 1 : 0, 1, 'there are more');
is($p->json->{last_id}, 'far/two', 'after this one');
$p = page('?limit=2&after_id=far%2Ftwo');
is_deeply([ids($p)], [qw(zeta echo/echo)], 'the next page, by an encoded id');
is_deeply([ids(page('?limit=2&after_id=far/two'))], [qw(zeta echo/echo)],
    'or a plain one');
$p = page('?after_id=echo%2fecho');
is_deeply([ids($p)], [qw(far/three)], 'the last page');
is($p->json->{has_more} ? 1 : 0, 0, 'no more');
$p = page('?after_id=far%2fthree');
is_deeply([ids($p)], [], 'behind the last');
is($p->json->{last_id}, undef, 'no id');
$p = page('?limit=2&before_id=echo%2fecho');
is_deeply([ids($p)], [qw(far/two zeta)], 'the page before');
is($p->json->{has_more} ? 1 : 0, 1, 'more before it');
$p = page('?before_id=far%2ftwo');
is_deeply([ids($p)], [qw(alpha)], 'the first again');
is($p->json->{has_more} ? 1 : 0, 0, 'nothing before it');
is(page("?$_")->status, 400, "$_ is refused") for qw(limit=0 limit=-1 limit=x
    limit=1001 limit=99999999999999999999 after_id=none after_id=%zz after_id=
    before_id=none limit=);

# All of a long list, in pages, each once and in order.
$edge->{vars}{AI} = "$far include $t->{dir}/prices.conf;";
$edge->reload($edge->{conf});
$t->{key} = $fake->key('demo');
wait_for(sub { $t->get('/v1/models')->status == 200 }, 30, 'the edge');
my @all = ids($t->get('/v1/models'));
is(scalar(@all), 10000, 'a list is bounded');
is_deeply([@all[0, 1]], [qw(echo/echo far/m-00001)], 'in order');
my @seen;
my $query = '?limit=1000';
for (1 .. 12) {
    $p = page($query)->json;
    push @seen, map { $_->{id} } @{ $p->{data} };
    last unless $p->{has_more};
    $query = "?limit=1000&after_id=" . ($p->{last_id} =~ s{/}{%2F}gr);
}
is_deeply(\@seen, \@all, 'the pages make the list');
my $began = time;
$t->get('/v1/models') for 1 .. 20;
note(sprintf 'a list of 10,000 takes %.1f ms', (time - $began) * 50);

done_testing();
