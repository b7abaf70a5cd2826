#!/usr/bin/perl
# Nobody to ask: Redis is away for longer, no worker is alive, or the workers sit
# on another database.  503 with Retry-After, in time; and then as before.
use AiTest;
use AiLoad;

my $t = AiTest->new;
my $p = AiLoad->provider($t);
my $wait = 3;
my $tcp = free_port();
$t->start(redis => { tcp => $tcp }, workers => { n => 1 },
    edge => { ai => AiLoad->conf($p),
        location => "ai_queue_timeout ${wait}s;" });
my $load = AiLoad->new($t, $p);
my $redis = $t->redis;

# Each is refused within its time, in its dialect.
sub refused {
    my ($name, $code, $skip) = @_;

    my @others = splice @{ $load->{open} }, 0, $skip || 0;
    $load->mixed;
    my @o = $load->finish;
    unshift @{ $load->{open} }, @others;
    $load->well("$name: well-formed", @o);
    is((grep { $_->{status} == 503 && $_->{retry} =~ /^\d+$/ } @o), 5,
        "$name: 503 with Retry-After");
    is((grep { $_->{code} eq ($_->{dialect} eq 'openai' ? $code
        : 'overloaded_error') } @o), 5, "$name: says so in the dialect");
    my ($longest) = sort { $b <=> $a } map { $_->{took} } @o;
    cmp_ok($longest, '<', $wait + 2, "$name: in time");
}

sub again {
    my ($name) = @_;
    my $took = $load->serves(30);

    ok(defined $took, "$name: and then as before");
    $load->mixed;
    is_deeply($load->count($load->finish), { whole => 5 },
        "$name: every kind again");
    is(join(' ', keys %{ $redis->keys($t->prefix . 'held:*') }), '',
        "$name: no slot is held");
    $load->accounts("$name: no call twice, a row each");
}

# Redis.
$redis->stop;
for (1 .. 3) {
    refused('no Redis', 'unavailable');
    sleep 2;
}
my $health = $t->get('/health/ready');
is($health->status, 503, 'no Redis: not ready');
$redis->start;
again('no Redis');

# A Redis that says nothing at all.
$redis->freeze;
refused('a silent Redis', 'unavailable') for 1, 2;
$redis->thaw;
again('a silent Redis');

# Workers.
$_->stop for @{ delete $t->{workers} };
refused('no worker', 'queue_timeout') for 1, 2;
is($redis->cmd('XLEN', $t->prefix . 'jobs'), 0, 'nothing is left in the queue');
is($t->get('/health/ready')->status, 503, 'no worker: not ready');
$t->start_workers(n => 1, name => 'workers-again');
again('no worker');

# One that is killed with no other to follow: its jobs end when there is one.
$load->running;
my @kids = $t->worker_pids;
# It is given jobs until Redis has seen it die: it hears them in no time.
kill 'STOP', @kids;
$t->{workers}[0]->stop('KILL');
refused('the last worker is killed', 'queue_timeout', 5);
kill 'KILL', @kids;
delete $t->{workers};
$t->start_workers(n => 1, name => 'workers-third');
my @o = $load->finish;
$load->well('the last worker is killed: well-formed', @o);
is_deeply($load->count(grep { $_->{stream} } @o), { error => 3 },
    'the last worker is killed: what had begun is lost');
is((grep { !$_->{stream} && ($_->{is} eq 'whole' || $_->{status} == 503) } @o),
    2, 'the last worker is killed: the rest is run again, or had to wait too long');
$load->forget(@o);
again('the last worker is killed');

# Another database: they beat where nobody looks.
$_->stop for @{ delete $t->{workers} };
my $lost = AiProc->spawn(name => 'lost', cwd => $t->{dir},
    out => "$t->{dir}/workers-lost.out", env => { $t->san_env },
    cmd => [$t->built('ai-workers'), '--redis', "redis://127.0.0.1:$tcp/1",
        '--workers', 1, '--log', "$t->{dir}/workers-lost.log"]);
wait_for(sub {
    my $c = $redis->client;
    $c->cmd('SELECT', 1);
    grep { /^w:/ } @{ $c->cmd('ZRANGE', $t->prefix . 'alive', 0, -1) };
}, 20, 'workers on database 1');
refused('another database', 'queue_timeout');
$lost->stop;
$t->start_workers(n => 1, name => 'workers-last');
again('another database');

$t->baseline;
done_testing();
