#!/usr/bin/perl
# Hot answers in shared memory: no Redis command, bounded, dropped by a purge,
# not trusted without Redis; and what a hit from Redis costs.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
$t->pg;
my $fake = AiFake->new($t);
my $conf = 'ai_zone cache 256k;';
my $location = 'ai_cache 1m any; ai_redis_error 503 cache=on;';
my $edge = $t->edge(ai => $conf, location => $location . ' } '
    . "location /key/ { ai_pass; $location ai_cache_scope key; } "
    . "location /user/ { ai_pass; $location ai_cache_scope user; } "
    . 'location /no/ { ai_pass; ai_cache 1m any; ');
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';

sub ask { return { model => 'echo/echo', messages => [{ role => 'user',
    content => $_[0] }], @_[1 .. $#_] } }

# What a worker says to Redis, in one go: the answer, kept.
sub serve {
    my ($body, %o) = @_;
    my $job = $fake->job or die "no job\n";
    my ($sha) = $t->redis->cmd('HGET', $t->prefix . 'job:' . $job->id,
        'share') =~ /^(\S+)/;
    my $got = $fake->s->run('keep', $job->id, $job->{attempt}, $fake->{name},
        'm', usage(), "status 3\n200\n", '', 0, 'e' x 32 . $body, '', '');
    is($got, 'OK', 'kept') unless $o{quiet};
    $job->answer($body);
    return $sha;
}

sub usage { return join "\t", 'done', 200, 'p', 'm', '-', 'stop', (0) x 7, '-',
    '-', 0, 0, 'cache' }

sub fill {
    my ($text, $body, %o) = @_;
    my $s = $t->stream($chat, ask($text), %o);
    my $sha = serve($body, quiet => 1);
    $s->response;
    $s->close;
    return $sha;
}

sub status { return $_[0]->header('x-ai-cache') // 'none' }
sub hot { return $t->get('/metrics')->body
    =~ /^ngx_ai_cache_hot_hits_total (\d+)/m ? $1 : undef }

# The second is from Redis, all others from shared memory.
my $sha = fill('a', '{"n":1}');
my $from_redis = $t->post($chat, ask('a'));
is(status($from_redis), 'HIT', 'from Redis');
is(hot(), 0, 'not from shared memory');
for my $n (1 .. 3) {
    my $res = $t->post($chat, ask('a'));
    is(status($res), 'HIT', 'a hit');
    is($res->body, '{"n":1}', 'its body');
    is($res->header('etag'), '"' . 'e' x 32 . '"', 'its ETag');
    is($res->header('content-type'), 'application/json', 'its type');
    like($res->header('age'), qr/^\d+$/, 'its age');
    is(hot(), $n, 'from shared memory');
}
is($t->post($chat, ask('a'), headers => { 'If-None-Match' => '"'
    . 'e' x 32 . '"' })->status, 304, 'not modified');
is(status($t->post($chat, ask('a'), headers => {
    'Cache-Control' => 'max-age=100' })), 'HIT', 'young enough');

# Each is an answer in the metrics, and none waited for a worker.
sub observed { return ($t->get('/metrics')->body =~ /^ngx_ai_${_[0]}_count (\d+)/m)[0] }
is(observed('request_duration_seconds'), 1 + 6, 'the time that each took');
is(observed('time_to_first_byte_seconds'), 1 + 6, 'to its first byte');
is(observed('queue_time_seconds'), 1, 'one waited for a worker');

# Each is in a record.
wait_for(sub {
    my $n = 0;
    $n += $_ for map { $_->{r} || 1 } grep { $_->{u} =~ /\tcache$/ }
        map { +{ @{ $_->[1] } } }
        @{ $t->redis->cmd('XRANGE', $t->prefix . 'outbox', '-', '+') };
    return $n == 1 + 5;
}, 30, 'six in records');
my %rows = map { my %f = @{ $_->[1] }; ($f{j} => \%f) }
    @{ $t->redis->cmd('XRANGE', $t->prefix . 'outbox', '-', '+') };
my $last = $t->post($chat, ask('a'));
wait_for(sub { grep { { @{ $_->[1] } }->{j} eq $last->header('x-ai-job') }
    @{ $t->redis->cmd('XRANGE', $t->prefix . 'outbox', '-', '+') } }, 30,
    'a record by the job\'s id');
is((grep { $_->{n} ne 'demo' } values %rows), 0, 'of the tenant');
is((grep { $_->{b} !~ /^key:\S+\t\S+\tchat\topenai\techo\/echo$/ }
    grep { $_->{u} =~ /\tcache$/ } values %rows), 0, 'and who asked');

# A full Redis is not filled further: records wait at the edge.
sub hits { my $n = 0;
    $n += $_ for map { $_->{r} || 1 } grep { $_->{u} =~ /\tcache$/ }
        map { +{ @{ $_->[1] } } }
        @{ $t->redis->cmd('XRANGE', $t->prefix . 'outbox', '-', '+') };
    return $n }
sub tries { return ($t->get('/metrics')->body
    =~ /^ngx_ai_redis_errors_total (\d+)/m)[0] }
$t->allow_log(qr/ai: /);
my ($written, $tries) = (hits(), tries());
$t->redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
is(status($t->post($chat, ask('a'))), 'HIT', 'a hit beside a full Redis')
    for 1 .. 5;
eval { wait_for(sub { tries() >= $tries + 2 }, 5, 'a try and another') };
is(hits(), $written, 'no record is written');
$t->redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
eval { wait_for(sub { hits() == $written + 5 }, 30, 'them') };
is(hits(), $written + 5, 'then all of them are');

# Commands of the edge: 1 for a hit from Redis, 0 from shared memory.
sub commands {
    my ($code) = @_;
    my $m = $t->redis->client;
    my @seen;

    $m->send('MONITOR');
    $m->read(10);
    $code->();
    $t->redis->cmd('ECHO', 'the end');
    while (defined(my $line = $m->read(10))) {
        last if $line =~ /"the end"/;
        push @seen, $line;
    }
    my $beat = AiRedis->scripts($t->root, $t->subdir('gen'));
    my %name = map { $beat->{$_}{sha} => $_ } keys %$beat;
    s/"([0-9a-f]{40})"/'"' . ($name{$1} || $1) . '"'/e for @seen;
    return grep { !/ lua\] /
        && !/"(?:beat|hits|sweep)"|"(?:PING|ECHO|INFO|MONITOR)"/i } @seen;
}
fill('b', '{"n":2}');
my @seen = commands(sub { $t->post($chat, ask('b')) });
is(scalar @seen, 1, 'one command for a hit in Redis') or diag("@seen");
like($seen[0] || '', qr/"admit"/, 'an admit');
@seen = commands(sub { $t->post($chat, ask('b')) for 1 .. 20 });
is(join("\n", @seen), '', 'none for one from shared memory');

# Another tenant's, another key's, another user's.
my $other = $fake->key('other');
my $s = $t->stream($chat, ask('b'), key => $other);
serve('{"other":1}', quiet => 1);
is(status($s->response), 'MISS', 'another tenant has its own');
$s->close;
is($t->post($chat, ask('b'), key => $other)->body, '{"other":1}', 'its answer')
    for 1 .. 3;
is($t->post($chat, ask('b'))->body, '{"n":2}', 'and each keeps its own')
    for 1 .. 2;
my $mate = $fake->key('demo');
is($t->post($chat, ask('b'), key => $mate)->body, '{"n":2}',
    'a key of the tenant shares');
my $by_key = '/key/v1/chat/completions';
$s = $t->stream($by_key, ask('b'));
serve('{"key":1}', quiet => 1);
is(status($s->response), 'MISS', 'a scope of its own');
$s->close;
is($t->post($by_key, ask('b'))->body, '{"key":1}', 'for this key') for 1, 2;
$s = $t->stream($by_key, ask('b'), key => $mate);
serve('{"mate":1}', quiet => 1);
is($s->response->body, '{"mate":1}', 'another key asks for itself');
$s->close;
$s = $t->stream('/user/v1/chat/completions', ask('b'));
$fake->job->answer('{}');
is(status($s->response), 'BYPASS', 'who is nobody\'s user shares nothing');
$s->close;

# More than there is room for: bounded, and the hot one stays.
my $big = '{"x":"' . 'x' x 20000 . '"}';
for my $n (1 .. 40) {
    fill("big $n", $big);
    $t->post($chat, ask("big $n"));
    is($t->post($chat, ask('a'))->body, '{"n":1}', "a, after $n")
        if $n % 10 == 0;
}
my $before = hot();
is(length $t->post($chat, ask('big 40'))->body, length $big, 'the newest');
is(hot(), $before + 1, 'is in shared memory');
$t->post($chat, ask('big 1'));
is(hot(), $before + 1, 'the oldest is not');
is(length $t->post($chat, ask('big 1'))->body, length $big, 'but is again');
is(hot(), $before + 2, 'after Redis was asked');

# A purge: by hash, and of all.
is(decode_json($t->aictl("cache", "purge", '--key', $sha, '--json'))->{removed}, 1,
    'a purge of one');
wait_for(sub {
    my $c = $t->stream($chat, ask('a'));
    my $job = $fake->job(timeout => 0.5);
    $job->answer('{"n":3}') if $job;
    my $res = $c->response;
    $c->close;
    return $res->body eq '{"n":3}';
}, 30, 'the answer to go');
is($t->post($chat, ask('b'))->body, '{"n":2}', 'others stay');
cmp_ok(decode_json($t->aictl("cache", "purge", '--tenant', 'demo', '--json'))->{removed},
    '>', 10, 'a purge of a tenant');
wait_for(sub {
    my $c = $t->stream($chat, ask('b'));
    my $job = $fake->job(timeout => 0.5);
    $job->answer('{"n":4}') if $job;
    my $res = $c->response;
    $c->close;
    return $res->body eq '{"n":4}';
}, 30, 'its answers to go');
is($t->post($chat, ask('b'), key => $other)->body, '{"other":1}',
    'and no other tenant\'s');

# A reload with another route is another question; the same is not.
fill('r', '{"r":1}');
$t->post($chat, ask('r')) for 1, 2;
$edge->reload;
is(status($t->post($chat, ask('r'))), 'HIT', 'after a reload');
$edge->{vars}{AI} = $conf . ' ai_model echo/echo { route echo model=other; }';
$edge->reload($edge->{conf});
$s = $t->stream($chat, ask('r'));
$fake->job->answer('{"r":2}');
is($s->response->body, '{"r":2}', 'another route is asked');
$s->close;

# Redis away: hits from shared memory where that is said, else an error.
fill('z', '{"z":1}');
is($t->post($chat, ask('z'))->body, '{"z":1}', 'in shared memory') for 1, 2;
my $no = '/no/v1/chat/completions';
$t->allow_log(qr/ai: |lost|Connection refused|No such file/);
$t->redis->freeze;
sleep 1.5;
my $stale = eval { $t->post($chat, ask('z'), timeout => 20) };
ok($stale, 'an answer');
if ($stale) {
    is($stale->status, 200, 'a hit without Redis') or diag($stale->body);
    is(status($stale), 'STALE', 'which says so');
    is($stale->body, '{"z":1}', 'with its body');
}
my $refused = eval { $t->post($no, ask('z'), timeout => 20) };
is($refused && $refused->status, 503, 'not where it is not said');
$t->redis->thaw;
wait_for(sub {
    my $res = eval { $t->post($chat, ask('z')) };
    return $res && $res->status == 200 && status($res) eq 'HIT';
}, 30, 'Redis to be back');

done_testing();
