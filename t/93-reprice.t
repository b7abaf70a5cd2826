#!/usr/bin/perl
# aictl usage --reprice: what the ledger's calls would cost by the prices of
# now.  It moves no budget and no row.
use AiTest;

my $t = AiTest->new(allow_log => [qr/./]);
my $usage = { prompt_tokens => 1000, completion_tokens => 100,
    prompt_tokens_details => { cached_tokens => 400 },
    completion_tokens_details => { reasoning_tokens => 30 } };
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    return $out->answer(500, { error => { message => 'no' } })
        if $req->{json}{model} eq 'broken';
    return $out->answer(200, { input_tokens => 5 })
        if $req->{path} =~ /count_tokens/;
    $out->answer(200, { id => 'c', choices => [{ index => 0,
        finish_reason => 'stop', message => { role => 'assistant',
        content => 'yes' } }], usage => $usage });
});
my $conf = 'ai_provider o { api openai; url ' . $p->url('/v1') . '; }
    ai_provider a { api anthropic; url ' . $p->url('') . '; }
    ai_price a/one input=1 request=1;
    ai_cache_size 1m; ai_plan default { budget 1000usd/month; }';
$t->start(workers => { n => 1 }, edge => { ai => "$conf
    ai_price o/one input=1 output=10; ai_price o/two input=5 output=5;
    ai_price o/gone input=1; ai_price o/broken input=1 request=1;" });
my $redis = $t->redis;
my $pg = $t->pg;

sub ask {
    my ($model) = @_;
    my $res = $t->post('/v1/chat/completions', { model => $model,
        messages => [{ role => 'user', content => 'hi' }] });
    my $job = $res->header('x-ai-job');
    wait_for(sub { $pg->value("select count(*) from ledger
        where job = '$job'") }, 30, 'the ledger') if $job;
    return $res;
}

ask('o/one') for 1 .. 2;
ask('o/two');
ask('o/gone');
ask('o/broken');
ask('echo/echo');
my $count = $t->post('/v1/messages/count_tokens', { model => 'a/one',
    messages => [{ role => 'user', content => 'hi' }] },
    headers => { 'anthropic-version' => '2023-06-01' });
is($count->status, 200, 'a count of tokens');
wait_for(sub { $pg->value("select count(*) from ledger
    where op = 'count_tokens'") }, 30, 'which the ledger has');

sub reprice {
    my $out = $t->aictl('--json', 'usage', '--reprice', @_);
    return { map { $_->{model} // $_->{provider} => $_ } @{ decode_json($out) } };
}

# By the same prices nothing has changed.
wait_for(sub { $redis->cmd('EXISTS', 'ai1:catalog:newest') }, 30, 'the newest');
my $same = reprice();
is($same->{$_}{difference}, 0, "$_ costs what it cost") for keys %$same;
ok(!$same->{'a/one'}, 'which costs nothing at any price');
is($same->{'o/one'}{calls}, 2, 'two calls');
is($same->{'o/one'}{charged}, 2 * (1000 * 1000 + 100 * 10_000), 'of so much');

# Others.
my $old = $redis->cmd('GET', 'ai1:catalog:newest');
$t->edge->{vars}{AI} = "$conf
    ai_price o/one input=1.5 output=10 cached=0.5 reasoning=20;
    ai_price o/two input=5 output=5 above=999 input=4;
    ai_price o/broken input=3 request=2;";
$t->edge->reload($t->edge->{conf});
wait_for(sub { $redis->cmd('GET', 'ai1:catalog:newest') ne $old }, 30,
    'the new prices');
my %before = map { $_ => $redis->cmd('GET', $_) }
    grep { $_ !~ /:est:/ } keys %{ $redis->keys($t->prefix . 'lim:demo:b*') };
ok(scalar(%before), 'there is a budget');
my $rows = $pg->value('select md5(string_agg(l::text, chr(10) order by job))
    from ledger l');
my $now = reprice();
is($now->{'o/one'}{repriced}, 2 * (600 * 1500 + 400 * 500 + 70 * 10_000
    + 30 * 20_000), 'by kinds, from the ledger');
is($now->{'o/one'}{difference}, $now->{'o/one'}{repriced}
    - $now->{'o/one'}{charged}, 'and the difference');
is($now->{'o/two'}{difference}, -1000 * 1000, 'which may be less');
is($now->{'o/two'}{difference_usd}, '-0.001', 'in USD');
is($now->{'o/gone'}{unpriced}, 1, 'a price that has gone');
is($now->{'o/gone'}{difference}, 0, 'makes no difference');
is($now->{'o/broken'}{repriced}, 0, 'what failed is free at any price');
is($now->{'echo/echo'}{unpriced}, 0, 'echo needs no price');
is_deeply([sort { $a cmp $b } keys %{ reprice('--by', 'provider') }],
    [qw(echo o)], 'by other columns');
is_deeply(reprice('--tenant', 'other'), {}, 'of another tenant: nothing');
my $text = $t->aictl('usage', '--reprice');
like($text, qr/DIFFERENCE/, 'as a table');
like($text, qr/^total.* -?0\.\d+$/m, 'with a sum');

my %after = map { $_ => $redis->cmd('GET', $_) } keys %before;
is_deeply(\%after, \%before, 'no budget moved');
is($pg->value('select md5(string_agg(l::text, chr(10) order by job))
    from ledger l'), $rows, 'and no row');

# Without a catalog.
$redis->cmd('SET', 'ai1:catalog:newest', 'f' x 64, 'EX', 100);
my ($code, $out) = $t->try_aictl('usage', '--reprice');
is($code, 3, 'a catalog that is not there');
like($out, qr/catalog f+\.\.\. cannot be read/, 'by name');

$t->baseline;
done_testing();
