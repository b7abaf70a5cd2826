#!/usr/bin/perl
# Hits from shared memory in the ledger: those that are alike are one row with
# their number, of two edges, of several tenants and users, with Redis away, a
# killed edge, and as a month's counter is seeded.
use AiTest;

my $t = AiTest->new(allow_log => [qr/ai: |lost|exited on signal|Connection refused|No such file/]);
my $hits = $ENV{AI_T_FULL} ? 50_000 : 10_000;
my $conf = 'ai_zone cache 1m; log_format job "$ai_job $ai_cache_status";
    access_log %%DIR%%/job.log job;';
my $location = 'ai_cache 1h any; ai_redis_error 503 cache=on; }
    location /limited/v1/ { ai_pass; ai_cache 1h any;
        ai_limit tenant requests=1000000/month;
        ai_limit user requests=30/h; }
    location /where/v1/ { ai_pass; ai_cache 1h any;
        ai_limit address requests=1000/h; }
    location /open/v1/ { ai_pass; ai_cache 1h any; ai_auth off;
        ai_tenant header=X-Tenant-ID; ';
$t->start(workers => { n => 1 }, edge => { ai => $conf,
    location => $location });
my ($redis, $pg) = ($t->redis, $t->pg);
my $first = $t->edge;
my %key = (demo => $t->{key}, other => $t->key('other'),
    bob => $t->key('demo', '--user', 'bob'),
    eve => $t->key('demo', '--user', 'eve'));
my $chat = '/v1/chat/completions';

sub ask { return { model => 'echo/echo', messages => [{ role => 'user',
    content => $_[0] }] } }

sub cached { return ($_[0]->header('x-ai-cache') // 'none') =~ /^(HIT|STALE)$/ }

# Until shared memory has it; how many hits of Redis and of it that took.
sub warm {
    my ($path, $text, %o) = @_;
    my $n = 0;
    for (1 .. 50) {
        my $res = $t->post($path, ask($text), %o);
        $n++ if cached($res);
        return $n if $n == 2;
    }
    die "not kept: $text\n";
}

# Many, 500 a connection: hits among them.
sub many {
    my ($path, $text, $n, %o) = @_;
    my ($got, $http) = 0;
    for my $i (0 .. $n - 1) {
        $http = AiHttp->new(port => ($o{edge} || $t->edge)->port,
            timeout => 60) if $i % 500 == 0;
        $http->send_request(path => $path, key => $o{key} || $t->{key},
            json => ask($text));
        $got += cached($http->response);
    }
    $http->close;
    return $got;
}

sub written {
    wait_for(sub { $redis->cmd('XLEN', $t->prefix . 'outbox') == 0 }, 60,
        'the outbox');
}

sub rows {
    my ($what, $where) = @_;
    return $pg->value("select $what from ngxai.ledger where cause = 'cache'"
        . ($where ? " and $where" : ''));
}

sub counted { my ($n, $where) = @_;
    eval { wait_for(sub { written(); rows('coalesce(sum(requests), 0)', $where)
        == $n }, 30, "$n hits") };
    is(rows('coalesce(sum(requests), 0)', $where), $n, $_[2]) }

# Many requests, few rows.
my $n = warm($chat, 'a');
my $got = 0;
my ($began, @pids) = time;
for my $part (1 .. 4) {
    pipe my $in, my $out or die;
    my $pid = fork;
    if (!$pid) {
        close $in;
        print $out many($chat, 'a', $hits / 4);
        close $out;
        require POSIX;
        POSIX::_exit(0);
    }
    close $out;
    push @pids, [$pid, $in];
}
for (@pids) {
    my ($pid, $in) = @$_;
    $got += <$in>;
    waitpid $pid, 0;
}
my $took = time - $began;
is($got, $hits, "$hits hits");
$n += $hits;
counted($n, "tenant = 'demo'", 'are all in the ledger');
my $rows = rows('count(*)');
cmp_ok($rows, '<=', 3 + 10 * (1 + $took), "in a row a tenth of a second: $rows");
is(rows("count(*)", "not (input = 0 and output = 0 and cost = 0 and attempt = 1
    and call = 0 and state = 'done')"), 0, 'of no tokens and no money');
my %job = map { $_ => 1 } slurp("$first->{dir}/job.log") =~ /^(job_\S+)/mg;
cmp_ok(scalar(keys %job), '>=', $hits, 'each with an id of its own');
is((grep { !$job{ $_->[0] } } $pg->query("select job from ngxai.ledger where
    cause = 'cache'")), 0, 'and a row that of one of them');
my ($usage) = @{ decode_json($t->aictl('usage', '--by', 'provider', '--tenant',
    'demo', '--json')) };
my $calls = $pg->value("select count(*) from ngxai.ledger where tenant = 'demo'
    and cause is null");
is_deeply([@$usage{qw(jobs calls failed)}], [($n + $calls) x 2, 0],
    'aictl usage counts each');

# What differs in anything is another row: tenant, key, user, answer, dialect.
my %n = (demo => $n);
$n{other} = warm($chat, 'a', key => $key{other});
for my $round (1 .. 20) {
    for my $who (qw(demo other bob eve)) {
        $n{ $who eq 'other' ? $who : 'demo' } += my $hit = many($chat, 'a', 1,
            key => $key{$who});
        $n{$who} += $hit if $who =~ /bob|eve/;
    }
}
counted($n{$_}, "tenant = '$_'", "tenant $_") for qw(demo other);
counted($n{$_}, "user_name = '$_'", "user $_") for qw(bob eve);
is($pg->value('select count(*) from (select job from ngxai.ledger group by job
    having count(distinct tenant || coalesce(principal, \'\')) > 1) x'), 0,
    'no row of two');

# Tenants of whom nothing else is known, in turn.
my %open = map { $_ => [headers => { 'X-Tenant-ID' => $_ }] } qw(demo other);
$n{"open $_"} = warm("/open$chat", 'o', @{ $open{$_} }) for keys %open;
for my $round (1 .. 20) {
    $n{"open $_"} += cached($t->post("/open$chat", ask('o'), @{ $open{$_} }))
        for keys %open;
}
counted($n{"open $_"}, "tenant = '$_' and principal = 'anonymous'",
    "anonymous, tenant $_") for keys %open;
$n{$_} += $n{"open $_"} for keys %open;

# Two edges at once.
my $second = $t->edge(name => 'second', ai => $conf, location => $location);
$second->start;
$t->ready;
wait_for(sub { $t->post($chat, ask('a'))->header('x-ai-cache') eq 'HIT'
    and ++$n{demo} }, 30, 'the second');
@pids = ();
for my $edge ($first, $second) {
    pipe my $in, my $out or die;
    my $pid = fork;
    if (!$pid) {
        close $in;
        print $out many($chat, 'a', 500, edge => $edge);
        close $out;
        require POSIX;
        POSIX::_exit(0);
    }
    close $out;
    push @pids, [$pid, $in];
}
for (@pids) {
    my ($pid, $in) = @$_;
    $n{demo} += <$in>;
    waitpid $pid, 0;
}
counted($n{demo}, "tenant = 'demo'", 'of two edges');

# A month's and an hour's counter count as many as there were; the latter no
# more than it holds.
my $limited = '/limited/v1/chat/completions';
my $of = warm($limited, 'l', key => $key{bob}) + $n{bob};
$of += many($limited, 'l', 100, key => $key{bob});
counted($of, "user_name = 'bob'", 'with limits, all are in the ledger');
my ($hour) = @{ $redis->cmd('KEYS', $t->prefix . 'lim:demo:rh:user:bob') };
is((split / /, $redis->cmd('GET', $hour))[1], 30, 'a limit counts what fits');

# A counter that is lost is seeded with what the ledger has.
sub month { return (split / /, $redis->cmd('GET', $t->prefix
    . 'lim:demo:rM:tenant') // '- -')[1] }
$redis->cmd('DEL', $t->prefix . 'lim:demo:rM:tenant');
is($t->post($limited, ask('seed'), key => $key{eve})->status, 200, 'a seed');
written();
wait_for(sub { $pg->value("select count(*) from ngxai.ledger where tenant =
    'demo' and user_name = 'eve' and cause is null") == 1 }, 30, 'its row');
is(month(), $pg->value("select count(distinct job) + sum(requests - 1) from
    ngxai.ledger where tenant = 'demo'"), 'as many as were answered');
cmp_ok(month(), '>', $hits, 'not as many as there are rows');

# Limits of an address, whoever asks: rows by whom, as all.
my $at = warm('/where' . $chat, 'w');
my $where = many('/where' . $chat, 'w', 50);
is($where, 50, 'hits within a limit of the address');
wait_for(sub {
    my ($address) = @{ $redis->cmd('KEYS', $t->prefix . 'lim:demo:rh:address:*') };
    return $address && (split / /, $redis->cmd('GET', $address))[1] >= 52;
}, 30, 'its count');

# Redis away: they are kept and written when it is back, once.
my $sum = $n{demo} + $n{other} + $of - $n{bob} + $at + $where;
counted($sum, '', 'all until now');
$rows = rows('count(*)');
$redis->freeze;
my $stale = many($chat, 'a', 300, edge => $second);
sleep 1.5;
$stale += many($chat, 'a', 300, edge => $second);
$redis->thaw;
is($stale, 600, 'hits without Redis');
counted($sum + 600, '', 'are in the ledger');
sleep 1;
counted($sum + 600, '', 'once');
cmp_ok(rows('count(*)') - $rows, '<=', 30, 'in few rows');

# A killed edge loses what it had not told, no more, and tells nothing twice.
$sum += 600;
for (1 .. 5) {
    my $told = many($chat, 'a', 100, edge => $second);
    counted($sum + $told, '', 'what was told');
    my $not = many($chat, 'a', 20, edge => $second);
    my $pid = $second->kill_worker;
    wait_for(sub { !grep { $_ == $pid } $second->workers }, 30, 'its death');
    wait_for(sub { $second->workers }, 30, 'another');
    wait_for(sub { my $res = eval { $t->get('/health/ready') };
        $res && $res->status == 200 }, 30, 'it to be ready');
    written();
    my $now = rows('sum(requests)');
    cmp_ok($now, '>=', $sum + $told, 'is there');
    cmp_ok($now, '<=', $sum + $told + $not, 'and no more than was given');
    $sum = $now;
}

# One that ends in order loses nothing.
$got = many($chat, 'a', 100, edge => $second);
$second->reload;
counted($sum + $got, '', 'a reload');
is($pg->value('select count(*) from ngxai.dead_letters'), 0, 'no dead letter');

# One that must not wait says what it takes with it.
counted($sum + $got + many($chat, 'a', 3, edge => $second), '', 'all so far');
$redis->freeze;
$got = many($chat, 'a', 7, edge => $second);
$second->stop('TERM');
$redis->thaw;
my ($lost) = $second->log =~ /ledger records of (\d+) kept answers are lost/;
is($got, 7, 'hits without Redis');
is($lost, $got, "nginx -s stop: $got are lost, and the log says so");

$t->{edge} = $first;
$t->baseline;
done_testing();
