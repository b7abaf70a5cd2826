#!/usr/bin/perl
# discover: lists of models that workers fetch from providers.  They are shown
# with context and price, count for budgets and in the ledger; what goes wrong
# leaves the last good list.
use AiTest;

my $t = AiTest->new(allow_log => [qr/./]);
my $said = $t->subdir('said');

# What a provider says at a path is what lies in a file.
sub says {
    my ($path, $body, $status) = @_;
    open my $fh, '>', "$said/$path.new" or die;
    print $fh ($status || 200), "\n", ref $body ? encode_json($body) : $body;
    close $fh;
    rename "$said/$path.new", "$said/$path" or die;
}

my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    if ($req->{method} eq 'GET') {
        my ($status, $body) = split /\n/,
            slurp("$said/" . $req->{path} =~ s{/}{_}gr), 2;
        return $out->answer(404, 'none') unless $body;
        return $out->answer(401, 'key?') if $req->{path} =~ /router/
            && ($req->{headers}{authorization} // '') ne 'Bearer sesame';
        return $out->answer($status, $body, $status == 302
            ? (Location => '/elsewhere') : ());
    }
    $out->answer(200, { id => 'c', choices => [{ index => 0,
        finish_reason => 'stop', message => { role => 'assistant',
        content => 'yes' } }], usage => { prompt_tokens => 1000,
        completion_tokens => 100, prompt_tokens_details => {
            cached_tokens => 500 } } });
});
my %router = (data => [
    { id => 'meta/llama', context_length => 131072, pricing => {
        prompt => '0.0000005', completion => '0.000001',
        input_cache_read => '0.0000001', image => '0.001', request => '0',
        internal_reasoning => '0' }, top_provider => {
        max_completion_tokens => 8192 } },
    { id => 'auto', pricing => { prompt => '-1', completion => '-1' } },
    { id => 'a:free', context_length => 4096, pricing => { prompt => '0',
        completion => '0' } },
    { id => 'meta/llama', context_length => 1 },
    { id => 'dear', pricing => { prompt => '1', completion => '1' } },
    { id => "tab\tin", pricing => {} }, { id => '' }, { name => 'x' }, 'x',
]);
says('_router_v1_models', \%router);
says('_api_tags', { models => [{ name => 'llama3.2:latest', size => 5 },
    { name => 'big:cloud', remote_host => 'https://ollama.com:443' }] });
says('_plain_v1_models', { object => 'list', data => [
    { id => 'one', object => 'model', context_window => 32768,
        pricing => { prompt => '0.1', completion => '0.1' } },
    { id => 'two', max_model_len => 2048, max_completion_tokens => 512 }] });

my $conf = '
    ai_provider router { api openai; url ' . $p->url('/router/v1') . ';
        key env:ROUTER_API_KEY; discover openrouter; }
    ai_provider local { api openai; url ' . $p->url('/v1') . ';
        discover ollama every=1m; }
    ai_provider plain { api openai; url ' . $p->url('/plain/v1') . ';
        discover openai; }
    ai_provider broken { api openai; url ' . $p->url('/broken/v1') . ';
        discover openai; }
    ai_model named { route router model=meta/llama; route router model=a:free; }
    ai_price router/a:free input=1 output=1;
    ai_plan default { budget 1000usd/month; }
';
$t->start(workers => { n => 2, env => { ROUTER_API_KEY => 'sesame' } },
    edge => { workers => 2, ai => $conf });
my $redis = $t->redis;
my $pg = $t->pg;

sub models {
    my %all = map { $_->{id} => $_ } @{ $t->get('/v1/models')->json->{data} };
    return \%all;
}

# Both edges have all lists.
my $all;
wait_for(sub {
    !grep { $all = models(); !($all->{'router/meta/llama'}
        && $all->{'local/big:cloud'} && $all->{'plain/two'}) } 1 .. 10;
}, 60, 'the lists');
is_deeply([sort keys %$all], [sort 'named', 'echo/echo', 'router/a:free',
    'router/meta/llama', 'router/auto', 'router/dear', 'local/big:cloud',
    'local/llama3.2:latest', 'plain/one', 'plain/two'], 'all, each once');
my $llama = $all->{'router/meta/llama'};
is($llama->{context_length}, 131072, 'its context');
is($llama->{max_output_tokens}, 8192, 'its longest answer');
is($llama->{owned_by}, 'router', 'whose it is');
is_deeply($llama->{pricing}, { prompt => '0.0000005',
    completion => '0.000001', input_cache_read => '0.0000001' }, 'its price');
ok(!$all->{'router/auto'}{pricing}, 'none where it depends');
is_deeply($all->{'router/a:free'}{pricing}, { prompt => '0.000001',
    completion => '0.000001' }, 'a line of ours wins');
is($all->{'router/a:free'}{context_length}, 4096, 'and has its context');
is_deeply($all->{'local/llama3.2:latest'}{pricing}, { prompt => '0',
    completion => '0' }, 'what runs here is free');
ok(!$all->{'local/big:cloud'}{pricing}, 'what runs elsewhere is not');
is($all->{'plain/one'}{context_length}, 32768, 'another word for context');
ok(!$all->{'plain/one'}{pricing}, 'prices are believed of OpenRouter alone');
is($all->{'plain/two'}{max_output_tokens}, 512, 'and another');
is($all->{named}{context_length}, 4096, 'a model has the smallest of its routes');
is_deeply($all->{named}{pricing}, { prompt => '0.000001',
    completion => '0.000001', input_cache_read => '0.000001' },
    'and the highest price');
is_deeply($t->get('/v1/models/router/meta/llama')->json, $llama, 'alone');

# Money.
sub ask {
    my ($model) = @_;
    return $t->post('/v1/chat/completions', { model => $model,
        messages => [{ role => 'user', content => 'hi' }] });
}
sub cost {
    my ($job) = @_;
    my $cost;
    wait_for(sub { ($cost) = $pg->query("select coalesce(cost, -1) from ledger
        where job = '$job'"); $cost }, 30, 'the ledger');
    return $cost->[0];
}
my $res = ask('router/meta/llama');
is($res->status, 200, 'a budget knows its price') or diag($res->body);
my $llama_cost = 500 * 500 + 500 * 100 + 100 * 1000;
is(cost($res->header('x-ai-job')), $llama_cost, 'and so does the ledger');
is(cost(ask('router/a:free')->header('x-ai-job')), 1000 * 1000 + 100 * 1000,
    'ours is charged');
is(cost(ask('local/llama3.2:latest')->header('x-ai-job')), 0, 'free is free');
is(ask($_)->status, 403, "$_ has no price") for qw(router/auto plain/one
    local/big:cloud router/unknown);
my $again = decode_json($t->aictl('--json', 'usage', '--reprice'));
is($_->{difference}, 0, "$_->{model} costs the same again") for @$again;
is((grep { $_->{unpriced} } @$again) + 0, 0, 'and all are known');

# Lists that are none: the last good one stays, and the log says why.
my %list = map { $_ => $redis->cmd('GET', $_) }
    keys %{ $redis->keys('ai1:models:*') };
is(scalar(keys %list), 3, 'three lists in Redis');
sub again {
    kill 'KILL', $_ for $t->worker_pids;
    $redis->cmd('DEL', 'ai1:jwks:lease');
}

says('_router_v1_models', '{"data":[');
says('_api_tags', '{"models":{}}');
says('_plain_v1_models', { data => [] });
says('_broken_v1_models', 'moved', 302);
again();
wait_for(sub {
    my $log = $t->worker_log;
    4 == grep { $log =~ /no models from $_->[0]: it (?:is|has) $_->[1]/ }
        ['router', 'no list'], ['local', 'no list'], ['broken', 'a redirect'],
        ['plain', 'no model'];
}, 60, 'the failures');
is($redis->cmd('GET', $_), $list{$_}, 'the list stays') for sort keys %list;
is_deeply(models(), $all, 'and all is as it was');
cmp_ok($redis->cmd('PTTL', (sort keys %list)[0]), '>', 47 * 3600_000,
    'for two days more');

# Another one.
$router{data} = [{ id => 'new', pricing => { prompt => '0.000002',
    completion => '0.000002' } }];
says('_router_v1_models', \%router);
again();
wait_for(sub { models()->{'router/new'} }, 60, 'the new list');
ok(!models()->{'router/meta/llama'}, 'what has gone has gone');
wait_for(sub {
    my $res = ask('router/new');
    $res->status == 200 && cost($res->header('x-ai-job')) == 1100 * 2000;
}, 60, 'its price is charged');

# Who can write to Redis must not say what anything costs.
my ($key) = grep { $redis->cmd('GET', $_) =~ /^new\t/m } keys %list;
my $good = $redis->cmd('GET', $key);
(my $cheap = $good) =~ s/2000000000/0000000001/g;
$redis->cmd('SET', $key, $cheap, 'PX', 100_000_000);
$redis->cmd('PUBLISH', 'ai1:keys', 'M' . ($key =~ /(\w{64})/)[0] . "\n");
wait_for(sub { $t->edge->log_like(qr/list of models \w{16} in Redis is not signed/) },
    30, 'the refusal');
is(models()->{'router/new'}{pricing}{prompt}, '0.000002', 'the price stays');
$redis->cmd('SET', $key, $good, 'PX', 100_000_000);

# Lines that are none.
for my $bad ('discover;', 'discover other;', 'discover openai every=1s;',
    'discover openai every=x;', 'discover openai often;', 'discover openai 1h;',
    'discover openai; discover openai;')
{
    my ($code) = $t->edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n"
        . "%%HTTP%%\nai_redis %%REDIS%%;\nai_provider p { api openai;"
        . " url http://127.0.0.1:1; $bad }\n"
        . "server { listen 127.0.0.1:%%PORT%%; location /v1/ { ai_pass; } } }");
    isnt($code, 0, "$bad is refused");
}

# More than workers would fetch.
sub lists {
    my ($code, $said) = $t->edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n"
        . "%%HTTP%%\nai_redis %%REDIS%%;\n" . join('', map { "ai_provider p$_ {"
        . " api openai; url http://127.0.0.1:1; discover openai; }\n" }
        1 .. $_[0]) . "server { listen 127.0.0.1:%%PORT%%;"
        . " location /v1/ { ai_pass; } } }");
    return $code ? $said : '';
}
is(lists(64), '', '64 lists');
like(lists(65), qr/more than 64 lists of models/, 'no more');

$t->baseline;
done_testing();
