#!/usr/bin/perl
# Lists of models that are hard to come by: too long, too slow, without a key,
# lost by Redis, another key after a reload, another worker that fetches.  And
# where the prices found in them count beside the end of a call.
use AiTest;

my $t = AiTest->new(allow_log => [qr/./]);
my $stall = $t->subdir('said') . '/stall';
my $free = { prompt => '0', completion => '0' };

my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my ($name) = $req->{path} =~ m{^/(\w+)/};

    if ($req->{method} eq 'POST') {
        return $out->answer(200, { id => 'c', choices => [{ index => 0,
            finish_reason => 'stop', message => { role => 'assistant',
            content => $name } }], usage => { prompt_tokens => 10,
            completion_tokens => 10 } }) if $name ne 'fails';
        return $out->answer(200, { error => { message => 'no',
            type => 'server_error' }, usage => { prompt_tokens => 1000,
            completion_tokens => 7 } });
    }

    return $out->stall if $name eq 'slow'
        || ($name eq 'keyed' && -e $stall);
    return $out->answer(200, '{"data":[' . '{},' x 3_000_000 . '{}]}')
        if $name eq 'long';
    return $out->answer(200, '{"data":[' . '{},' x 5000 . '{}]}')
        if $name eq 'many';
    $out->answer(200, { data => [
        { id => 'x', pricing => $name ne 'fails' ? $free
            : { prompt => '0.000002', completion => '0.000003' } },
        { id => 'y', pricing => $free }, { id => 'z', pricing => $free }] });
});

sub conf {
    my ($key) = @_;
    return join("\n", map { "ai_provider $_ { api openai; url "
        . $p->url("/$_/v1") . "; discover openrouter; "
        . ($_ eq 'keyed' ? "key env:${key}_API_KEY; models y z;" : '')
        . ($_ eq 'fails' ? 'models x;' : '') . ' }' }
        qw(long many slow keyed fails)) . '
    ai_provider unset { api openai; url env:NOT_BASE_URL; discover openai; }
    ai_provider dear { api openai; url ' . $p->url('/dear/v1') . '; }
    ai_price dear/x input=0.001 output=0.001;
    ai_model cheap { strategy cost; route dear model=x; route keyed model=y; }
    ai_model both { retry 2; route fails model=x; fallback dear/x; }
    ai_plan default { budget 1000usd/month; }';
}
$t->start(workers => { n => 1, env => { ONE_API_KEY => 'one',
    TWO_API_KEY => 'two' } }, edge => { ai => conf('ONE') });
my $redis = $t->redis;
my $pg = $t->pg;

sub models { map { $_->{id} => $_ } @{ $t->get('/v1/models')->json->{data} } }

# Of a list only what its provider may be asked for is shown.
my %all;
wait_for(sub { %all = models(); $all{'keyed/y'} && $all{'fails/x'} }, 30,
    'two lists');
is_deeply([grep { m{^(?:keyed|fails)/} } sort keys %all],
    [qw(fails/x keyed/y keyed/z)], 'what may be asked for');

sub ask {
    my ($model, %more) = @_;
    return $t->post('/v1/chat/completions', { model => $model,
        messages => [{ role => 'user', content => 'hi' }], %more });
}

# A price that was found makes a route the cheapest.
wait_for(sub { ask('cheap')->json->{choices}[0]{message}{content} eq 'keyed' },
    30, 'the cheapest');
is(ask('cheap')->json->{choices}[0]{message}{content}, 'keyed',
    'what is free is cheaper') for 1 .. 5;

# And is what a failed call costs before another one answers.
my $res = ask('both');
my $job = $res->header('x-ai-job');
is($res->json->{choices}[0]{message}{content}, 'dear', 'another answers')
    or diag($res->body);
my @rows;
wait_for(sub { @rows = $pg->query("select provider, input, output, cost
    from ledger where job = '$job' order by call"); @rows == 2 }, 30,
    'two rows');
is_deeply($rows[0], ['fails', 1000, 7, 1000 * 2000 + 7 * 3000],
    'a failed call at the price found');

# Why there is none of the others.
sub said {
    my ($name, $why) = @_;
    wait_for(sub { $t->worker_log =~ /no models from $name: \Q$why\E/ }, 30,
        "$name: $why");
    pass("$name: $why");
}
said('long', 'it is too large');
said('many', 'it has too many models');
said('unset', 'it has no URL now, or no key that can ask');

# What Redis has lost is asked for again long before an hour has passed, by the
# key that the newest configuration names.
sub keys_asked {
    return map { $_->{headers}{authorization} }
        grep { $_->{method} eq 'GET' && $_->{path} =~ /^.keyed/ } $p->requests;
}
my ($list) = grep { $redis->cmd('GET', $_) !~ /2000000000/ }
    keys %{ $redis->keys('ai1:models:*') };
is_deeply([keys_asked()], ['Bearer one'], 'asked once');
my $newest = $redis->cmd('GET', 'ai1:catalog:newest');
$t->edge->{vars}{AI} = conf('TWO');
$t->edge->reload($t->edge->{conf});
wait_for(sub { $redis->cmd('GET', 'ai1:catalog:newest') ne $newest
    && $redis->cmd('ZCARD', 'ai1:jwks') == 2 }, 30, 'the new key');
open my $fh, '>', $stall or die;
close $fh;
# The lease's holder has then looked at both catalogs.
sleep 2;
$redis->cmd('DEL', $list);
wait_for(sub { keys_asked() > 1 }, 30, 'the question');
is((keys_asked())[1], 'Bearer two', 'by the new key');

# Who is not to fetch any more drops what is under way; who is begins.
said('slow', 'it takes too long');
my $calls = () = $p->aborts;
$redis->cmd('SET', 'ai1:jwks:lease', 'another', 'PX', 30_000);
wait_for(sub { (() = $p->aborts) > $calls }, 30, 'its end');
unlink $stall;
$redis->cmd('DEL', 'ai1:jwks:lease');
wait_for(sub { $redis->cmd('EXISTS', $list) }, 30, 'the list');
is($redis->cmd('EXISTS', $list), 1, 'the list is there again');

$t->baseline;
done_testing();
