#!/usr/bin/perl
# kill -9 of an nginx worker: what its clients and its jobs come to, in the
# middle of streams, of bodies, of admits, and of a look into shared memory.
use AiTest;
use AiCrowd;
no warnings 'portable';    # addresses

AiTest::skip_all('no 4096 descriptors') unless AiCrowd::descriptors(4096);

my $t = AiTest->new;
my $p = AiCrowd::Provider->new(dir => $t->dir, pace => 0.3);
$t->start(workers => { n => 2 }, edge => { workers => 2, conf => <<'CONF',
%%GLOBALS%%
events { worker_connections 4000; accept_mutex on; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_zone principals 4m;
    ai_provider p { api openai; url %%URL%%; }
    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        ai_auth key;
        client_max_body_size 20m;
        location /v1/ { ai_pass; }
        location /health { ai_health; }
        location = /metrics { ai_metrics; }
    }
}
CONF
    vars => { URL => $p->url } });
my $edge = $t->edge;
my $pre = $t->prefix;
my $rows = 0;
$t->allow_log(qr/exited on signal 9/);

sub crowd { return AiCrowd->new(port => $edge->port, key => $t->{key}) }

# Kills one, and waits for the one in its place.
sub kill_one {
    my ($pid) = $edge->workers;

    kill 'KILL', $pid;
    my $at = time;
    wait_for(sub { $edge->workers == 2 && !-d "/proc/$pid" }, 30, 'another');
    return $at;
}

sub edges {
    return scalar grep { /^e:/ } @{ $t->redis->cmd('ZRANGE', "${pre}alive", 0,
        -1) };
}

# No slot, no body, no call is left; each job there was has a row.
sub quiet {
    my ($name) = @_;
    my @not;

    my $ok = eval { wait_for(sub {
        @not = map { "$_ is there" } (grep { $t->redis->cmd('EXISTS',
                $pre . $_) } qw(grace waiting)),
            map({ sort keys %{ $t->redis->keys("$pre$_") } } 'held:*',
                'running:*');
        push @not, edges() . ' edges' if edges() != 2;
        my $open = $p->stats->{open};
        push @not, "$open calls" if $open;
        for my $stream ('outbox') {
            my $n = $t->redis->cmd('XLEN', $pre . $stream);
            push @not, "$n in $stream" if $n;
        }
        return !@not;
    }, 60) };
    ok($ok, "$name: nothing is left") or diag(join "\n", @not);

    my %job = map { /(job_\w+)$/ => 1 } keys %{ $t->redis->keys("${pre}job:*") };
    my %row = map { $_->[0] => $_->[1] } $t->pg->query(
        'select job, count(*) from ngxai.ledger group by job');
    is(join(' ', grep { !$row{$_} } sort keys %job), '',
        "$name: each job has a row");
    is((grep { $_ > 1 } values %row), 0, "$name: and one only");
}

# In mid-stream: half may come back.
# Nobody is called dead in the first seconds.
wait_for(sub {
    my ($now) = @{ $t->redis->cmd('TIME') };
    return $now * 1000 > $t->redis->cmd('HGET', "${pre}sweep", 'grace_until');
}, 60, 'the grace to pass');
my $crowd = crowd();
$crowd->stream("p/s$_", resumable => $_ % 2) for 1 .. 200;
ok($crowd->run(60, sub { $crowd->heard(2) == 200 }), 'streams are under way');
my $before = $p->stats->{aborts};
my $at = kill_one();
ok($crowd->run(60, sub {
    my @cut = grep { ($_->{end} || '') eq 'cut' } $crowd->clients;
    my @back = grep { $_->{back} } $crowd->clients;
    return @cut && @back && !grep { !$_->{sock} } @back;
}), 'some were cut, those that may are back');
my @cut = grep { ($_->{end} || '') eq 'cut' } $crowd->clients;
my @back = grep { $_->{back} } $crowd->clients;
ok($crowd->run(60, sub { $p->stats->{aborts} >= $before + @cut }),
    'the calls of the others are given up');
my $stats = $p->stats;
my $took = $stats->{last_abort} - $at;
diag(sprintf '%d were cut, %d came back, calls ended after %.1f s',
    scalar @cut, scalar @back, $took);
cmp_ok($took, '<', $ENV{AI_T_FULL} ? 5 : 20, 'within five seconds');
is($stats->{aborts} - $before, @cut, 'and no other');
$p->finish;
ok($crowd->run(60), 'the rest ends');
my @wrong = $crowd->wrong(grep { $_->{end} ne 'cut' } $crowd->clients);
is("@wrong[0 .. ($#wrong > 2 ? 2 : $#wrong)]", '', 'each byte for byte');
is($p->stats->{requests}, 200, 'one call each');
quiet('mid-stream');
is($t->pg->value("select count(*) from ngxai.ledger where state = 'cancelled'"),
    scalar @cut, 'the rows of those cut off say so');
$p->hold;

# While bodies come: some pieces of them are in Redis, no job yet.
$crowd = crowd();
my $text = 'x' x 3_000_000;
my @up = map { $crowd->client(model => "b$_", hold => 1000,
    body => "{\"model\":\"p/b$_\",\"messages\":[{\"role\":\"user\","
        . "\"content\":\"$_ $text\"}]}") } 1 .. 12;
my @small = map { $crowd->client(model => "c$_", hold => 10,
    body => "{\"model\":\"p/c$_\",\"messages\":[{\"role\":\"user\","
        . "\"content\":\"$_\"}]}") } 1 .. 12;
ok($crowd->run(60, sub { !grep { length $_->{out} } @up, @small }),
    'bodies are under way');
kill_one();
ok($crowd->run(60, sub { scalar grep { $_->{end} } @up }), 'some are cut');
$crowd->send_held($_) for grep { !$_->{end} } @up, @small;
$crowd->run(60);
is((grep { $_->{end} !~ /^(?:whole|cut)$/ } @up, @small), 0,
    'the others are answered');
cmp_ok(scalar(grep { $_->{end} eq 'whole' } @up, @small), '>', 0,
    'there were others');
quiet('bodies');
my $calls = $p->stats->{calls};
is((grep { $calls->{ $_->{model} } } grep { $_->{end} eq 'cut' } @up, @small),
    0, 'of a body that never was whole there is no call');

# While admits and bodies wait for Redis, which does them when nobody is there.
# Who waits too long for it is told so; then once more.
my $n = 0;
for my $round (1 .. 5) {
    $p->hold;
    $crowd = crowd();
    $t->redis->freeze;
    $n++;
    my @asking = ((map { $crowd->stream("p/a$n.$_", resumable => $_ > 20) }
        1 .. 40), map { $crowd->client(model => "d$n.$_",
            body => "{\"model\":\"p/d$n.$_\",\"messages\":[{\"role\":"
            . "\"user\",\"content\":\"$text\"}]}") } 1 .. 6);
    $crowd->run(60, sub { !grep { length $_->{out} } @asking });
    $crowd->run(0.1, sub { 0 });
    kill_one();
    $crowd->run(0.1, sub { 0 });
    $t->redis->thaw;
    $crowd->run(60, sub { !grep { !$_->{end} && !$_->{came} } @asking });
    $p->finish;
    ok($crowd->run(60), 'all end') or diag(join ' ', map { $_->{model} }
        grep { !$_->{end} } @asking);
    @wrong = $crowd->wrong(grep { $_->{stream}
        && $_->{end} !~ /^(?:cut|status 503)$/ } @asking);
    is("@wrong[0 .. ($#wrong > 2 ? 2 : $#wrong)]", '', 'byte for byte');
    last if grep { $_->{end} eq 'cut' } @asking;
}
ok((grep { $_->{end} eq 'cut' } $crowd->clients), 'some were cut while asking');
quiet('admits');

# With the lock of the shared memory in its hand: the master takes it away.
# The pool's lock is the first word of the zone.
sub zone {
    my ($pid) = @_;
    my ($at) = map { /^([0-9a-f]+)-([0-9a-f]+) rw-s .*\/dev\/zero/
        && hex($2) - hex($1) == 4 << 20 ? hex $1 : () }
        split /\n/, slurp("/proc/$pid/maps");
    return $at;
}

SKIP: {
    my ($pid) = $edge->workers;
    my $at = zone($pid);
    open my $mem, '+<:raw', "/proc/$pid/mem" or skip("no memory of $pid", 3);
    skip('no zone', 3) unless $at;
    sysseek $mem, $at, 0;
    sysread $mem, my $word, 8;
    is(unpack('Q', $word), 0, 'the lock is free');
    kill 'STOP', $pid;
    sysseek $mem, $at, 0;
    syswrite $mem, pack('Q', $pid) or die "mem: $!\n";
    close $mem;
    my $http = AiHttp->new(port => $edge->port, timeout => 60);
    kill 'KILL', $pid;
    wait_for(sub { $edge->workers == 2 && !-d "/proc/$pid" }, 30, 'another');
    is($t->get('/v1/models')->status, 200, 'a key is looked up');
    ok($edge->log =~ /shared memory zone "\w+" was locked by $pid/,
        'the master freed it');
    $t->allow_log(qr/was locked by $pid/);
    $http->close;
}

# While keys are looked up, again and again.
my @keys = map { $t->key('demo') } 1 .. 24;
for my $round (1 .. 6) {
    my $crowd = crowd();
    $crowd->client(key => $_, model => 'k', body => '{"model":"p/k",'
        . '"messages":[{"role":"user","content":"hi"}]}') for @keys;
    $crowd->run(0.005 * $round, sub { 0 });
    kill_one();
    $crowd->run(30);
    $crowd->close;
}
my @status = map { $t->get('/v1/models', key => $_)->status } @keys, 'ngx-no';
is(join(' ', @status), join(' ', (200) x @keys, 401), 'every key is known');
is($t->get('/metrics')->status, 200, 'and counted');
quiet('look-ups');

$p->stop;
$t->allow_keys(qr/:body:/);
$t->{pooled} = 300;
done_testing();
