#!/usr/bin/perl
# A month's budget is the ledger to the nano-dollar, after random requests with
# random failures: of the provider, of clients, of workers and of Redis' data.
# 2,000 of them; 10,000 with AI_T_FULL.  AI_T_SEED repeats what is asked.
use AiTest;

my $t = AiTest->new(allow_log => [qr/./]);
my $seed = $ENV{AI_T_SEED} || (time ^ $$);
my $requests = $ENV{AI_T_FULL} ? 10_000 : 2_000;
srand $seed;
diag("AI_T_SEED=$seed, $requests requests");

my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my ($how, $in, $output) = split / /, $ask->{messages}[0]{content};
    my $usage = { prompt_tokens => 0 + $in, completion_tokens => 0 + $output };
    my @part = (choices => [{ index => 0, finish_reason => 'stop',
        delta => { content => 'x' x 20 }, message => { role => 'assistant',
            content => 'x' x 20 } }]);

    $out->answer(500, { error => { message => 'no' } }) if $how eq 'error';
    $out->answer(429, { error => { message => 'no' } }) if $how eq 'busy';
    return if $how =~ /error|busy/;
    if (!$ask->{stream}) {
        $out->wait(0.05) if $how eq 'slow';
        return $out->cut if $how eq 'cut';
        return $out->answer(200, { @part, usage => $usage });
    }
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $out->chunk('data: ' . encode_json({ @part }) . "\n\n");
    $out->wait(0.05) if $how eq 'slow';
    return $out->cut if $how eq 'cut';
    $out->chunk('data: ' . encode_json({ choices => [], usage => $usage })
        . "\n\n");
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});
$t->start(workers => { n => 2 }, edge => { workers => 2, ai => '
    ai_provider o { api openai; url ' . $p->url('/v1') . '; }
    ai_model m { route o model=one weight=2; route o model=two; }
    ai_price o/one input=3.33 output=7.77 cached=1; ai_price o/two request=0.0001
        input=1.000000001 output=9;
    ai_plan default { budget 1000usd/month 900usd/day; tokens 100000000/month;
        requests 100000/month; concurrency 64; }
    ai_limit user budget=500usd/month; ai_limit key tokens=1000000000/month;' });
my $redis = $t->redis;
my $pg = $t->pg;
my @keys = map { $t->key('demo', '--user', $_) } qw(bob eve);
my (%status, @open, $away);

sub close_one {
    my ($http, $how) = @{ splice @open, rand @open, 1 };
    my $res = $how eq 'leave' ? undef : eval { $http->response(60) };
    $status{ $res ? $res->status : 'left' }++;
    $http->close;
}

for my $n (1 .. $requests) {
    my $how = (qw(ok ok ok slow slow error busy cut leave leave))[rand 10];
    my $http = AiHttp->new(port => $t->edge->port, timeout => 60);
    $http->send_request(path => '/v1/chat/completions', key => $keys[rand 2],
        json => { model => rand() < 0.8 ? 'm' : 'o/one', stream => rand() < 0.5
            ? \1 : \0, rand() < 0.5 ? (max_tokens => 50) : (),
            messages => [{ role => 'user', content => join ' ', $how,
                int rand 5000, int rand 300 }] });
    push @open, [$http, $how];
    close_one() while @open > 24 || rand() < 0.3 && @open;
    if ($n % int($requests / 4) == 0) {
        my ($worker) = $t->worker_pids;
        kill 'KILL', $worker;
    }
    if ($n == int($requests / 2)) {
        $redis->cmd('FLUSHALL');
        wait_for(sub { $t->get('/health/ready')->status == 200 }, 30, 'ready');
    }
}
close_one() while @open;
diag(join ', ', map { "$_: $status{$_}" } sort keys %status);
cmp_ok($status{200}, '>', $requests / 5, 'many went well');
cmp_ok($status{left}, '>', $requests / 20, 'some clients left');
ok(!$status{403} && !$status{404}, 'none was wrong');
wait_for(sub {
    return !grep { !/:(?:est|epoch)/ && $redis->cmd('TYPE', $_) eq 'set' }
        keys %{ $redis->keys($t->prefix . 'lim:*') };
}, 60, 'the last to end');
wait_for(sub { $redis->cmd('XLEN', $t->prefix . 'outbox') == 0 }, 60, 'ledger');
sleep 1;

# What a counter that was lost would be seeded with is asked for, too: each
# stands again, and says the same.
wait_for(sub { $t->chat('and one more', key => $_)->status == 200 }, 30, 'more')
    for @keys;
wait_for(sub { $redis->cmd('XLEN', $t->prefix . 'outbox') == 0 }, 60, 'ledger');

my %sql = (b => 'sum(coalesce(cost, 0))', r => 'count(distinct job)',
    t => 'sum(coalesce(input, 0) + coalesce(output, 0))');
my %all = %{ $redis->keys($t->prefix . 'lim:demo:*') };
my $n = 0;
for my $key (sort keys %all) {
    my ($kind, $window, $whom) = $key =~ /:([rtb])([dM]):(.*)/ or next;
    my $where = $whom eq 'tenant' ? 'true' : $whom =~ /user:(.*)/
        ? "user_name = '$1'" : $whom =~ /key:(.*)/ ? "principal = 'key:$1'"
        : die $whom;
    my $since = $window eq 'd' ? 'day' : 'month';
    my $sum = $pg->value("select $sql{$kind} from ngxai.ledger
        where tenant = 'demo' and $where
        and at >= date_trunc('$since', now() at time zone 'utc') at time zone 'utc'");
    my (undef, $settled, $reserved) = split ' ', $redis->cmd('GET', $key);
    is("$settled $reserved", "$sum 0", "$kind$window:$whom is the ledger's sum");
    $n++;
}
is($n, 8, 'of all counters');

$t->baseline;
done_testing();
