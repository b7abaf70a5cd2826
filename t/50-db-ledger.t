#!/usr/bin/perl
# The outbox on its way to the ledger: nothing lost, nothing twice, bad rows
# buried, outages waited for; the entries are written here by hand.
use AiTest;

my $t = AiTest->new(allow_log => [qr/dead letter/, qr/Postgres is away/,
    qr/cannot be written/]);
my $redis = $t->redis;
my $pg = $t->pg;
my $outbox = $t->prefix . 'outbox';
my $at = 1_790_000_000_123_457;     # 2026-09-21T14:13:20.123457Z
my $n = 0;

$t->start_workers(n => 2);

sub job { sprintf 'job_%032x', ++$n }

sub usage {
    my (%o) = @_;
    my @columns = qw(state status provider model request_id finish input
        output cached_read cached_write reasoning cost estimated ttft duration
        queue attempts cause);
    my %v = (state => 'done', status => 200, provider => 'openai',
        model => 'gpt', request_id => 'req-1', finish => 'stop', input => 10,
        output => 20, cached_read => 4, cost => 1500, estimated => 0,
        ttft => 900, duration => 5000, queue => 120, attempts => 1, %o);
    return join "\t", map { $v{$_} // '-' } @columns;
}

sub entry {
    my (%o) = @_;
    my %v = (j => $o{j} || job(), a => 1, c => 0, t => $at, n => 'acme',
        b => "key:key_1\tbob\tchat\topenai\tgpt-4o", u => usage(), %o);
    $redis->cmd('XADD', $outbox, '*', map { $_ => $v{$_} } sort keys %v);
    return $v{j};
}

sub rows { $pg->value('select count(*) from ledger') }
sub dead { $pg->value('select count(*) from dead_letters') }
sub drained { wait_for(sub { $redis->cmd('XLEN', $outbox) == 0 }, 60, 'drain') }

sub pending { $redis->cmd('XPENDING', $outbox, 'ledger')->[0] }


# Columns.
my $job = entry(a => 2, c => 1);
my $bare = entry(b => "-\t-\t-\t-\t-", u => join("\t", 'failed', ('-') x 17));
drained();
is_deeply([$pg->query("select attempt, call, to_char(at at time zone 'utc',
    'YYYY-MM-DD HH24:MI:SS.US'), tenant, principal, user_name, op, dialect,
    model, state, status, provider, provider_model, request_id, finish, input,
    output, cached_read, cached_write, reasoning, cost, estimated, ttft,
    duration, queue, attempts, cause from ledger where job = '$job'")],
    [[2, 1, '2026-09-21 14:13:20.123457', 'acme', 'key:key_1', 'bob', 'chat',
        'openai', 'gpt-4o', 'done', 200, 'openai', 'gpt', 'req-1', 'stop', 10,
        20, 4, '', '', 1500, 'f', 900, 5000, 120, 1, '']], 'every column');
is($pg->value("select num_nulls(principal, user_name, op, dialect, model,
    status, provider, input, cost, estimated, cause) from ledger
    where job = '$bare'"), 11, 'what is unknown is NULL');
my $odd = entry(b => "key:\"a\\b\",{NULL}\tM\xc3\xbcller, '\tchat\topenai\tNULL");
drained();
is_deeply([$pg->query("select principal, user_name, model from ledger
    where job = '$odd'")], [['key:"a\\b",{NULL}', "M\xc3\xbcller, '", 'NULL']],
    'quotes, braces and the word NULL are text');

# Many, and all of them again.
my @jobs = map { entry() } 1 .. 1300;
drained();
is(rows(), 1303, 'many rows');
entry(j => $_) for @jobs[0 .. 699];
entry(j => $jobs[0]) for 1 .. 3;
drained();
is(rows(), 1303, 'a repeat is no second row');
entry(j => $jobs[0], c => 1);
drained();
is(rows(), 1304, 'another call is');
is(pending(), 0, 'nothing is left unacknowledged');
is($pg->value('select count(distinct tableoid) from ledger'), 1,
    'all in one partition');

# Bad ones among good ones.
my %bad = (
    'a cost that is no number' => { u => usage(cost => 'many') },
    'a tenant that is none' => { n => '../etc' },
    'no time' => { t => 'soon' },
    'a time before there were any' => { t => 5 },
    'no job id' => { j => 'nobody' },
    'bytes that are no UTF-8' => { b => "key:\xff\xfe\tbob\tchat\topenai\tm" },
    'a zero byte' => { b => "key:a\0b\tbob\tchat\topenai\tm" },
    'a status that does not fit' => { u => usage(status => 99999) },
    'a state that is none' => { u => usage(state => 'lost') },
    'a sum that does not fit' => { u => usage(attempts => 3_000_000_000) },
);
my $before = rows();
for my $name (sort keys %bad) {
    entry() for 1 .. 37;
    entry(%{ $bad{$name} });
}
entry() for 1 .. 37;
drained();
is(rows() - $before, 37 * 11, 'good rows among bad ones are in');
is(dead(), scalar(keys %bad), 'bad ones are dead letters');
is(pending(), 0, 'and acknowledged');
is($pg->value("select count(*) from dead_letters where tenant = 'acme'"), 9,
    'with their tenant, where it can be one');
like($pg->value("select translate(encode(record, 'escape'),
    E'\\n\\t', '| ') from dead_letters where error = 't is no time'
    and position('soon' in encode(record, 'escape')) > 0"),
    qr/^a 1\|1\|b \d+\|key:key_1.*\|t 4\|soon\|/,
    'and their fields as they came');
like(join('|', map { $_->[0] } $pg->query('select error from dead_letters')),
    qr/invalid byte sequence/, 'and what Postgres said');
like($t->worker_log, qr/"tenant":"acme".*dead letter/, 'and in the log');

# Out of every partition.
my $old = entry(t => 1_600_000_000_000_000);
drained();
is($pg->value("select tableoid::regclass from ledger where job = '$old'"),
    'ledger_default', 'a month without a partition: the default one');

# Entries that a reader was given, faster than the workers: read in the
# transaction that adds.
sub given {
    my ($reader, $n) = @_;
    my $c = $redis->client;

    $c->cmd('MULTI');
    $c->cmd('XADD', $outbox, '*', j => job(), a => 1, c => 0, t => $at,
        n => 'acme', b => '-', u => usage()) for 1 .. $n;
    $c->cmd('XREADGROUP', 'GROUP', 'ledger', $reader, 'COUNT', $n, 'STREAMS',
        $outbox, '>');
    my $got = $c->cmd('EXEC');
    return map { $_->[0] } @{ $got->[-1][0][1] };
}

sub beat { $redis->cmd('ZADD', $t->prefix . 'alive', $_[1], "w:$_[0]") }

sub readers {
    return map { $_->[1] } @{ $redis->cmd('XINFO', 'CONSUMERS', $outbox,
        'ledger') };
}

# And while that month's is being made: the statement is refused once, for
# what was true when it began.
{
    my $next = $pg->value("select 'ledger_' || to_char(date_trunc('month',
        now()) + interval '1 month', 'YYYYMM')");
    $pg->psql('ngxai', "drop table ngxai.$next");
    my $other = $pg->session('ngxai_worker');
    $other->do('begin', 'select ngxai.make_partitions()');
    my $soon = entry(t => $pg->value("select (extract(epoch from
        date_trunc('month', now()) + interval '1 month') * 1e6)::bigint"));
    wait_for(sub { $pg->value("select count(*) from pg_stat_activity
        where application_name = 'ledger' and wait_event_type = 'Lock'") },
        20, 'a writer that waits');
    $other->do('commit');
    drained();
    is($pg->value("select tableoid::regclass from ledger where job = '$soon'"),
        $next, 'a partition made meanwhile: the row is in it');
    is(dead(), scalar(keys %bad), 'and no dead letter');
}

# Another reader died with entries in its hands: its heartbeat says so,
# however long or short it has had them.
wait_for(sub { ($redis->cmd('HGET', $t->prefix . 'sweep', 'grace_until') || 0)
    < time() * 1000 }, 30, 'the end of the grace');
$before = rows();
beat('ghost', time() * 1000 + 600_000);
my @ids = given('ghost', 1200);
is(scalar(@ids), 1200, 'a ghost has some');
$redis->cmd('XCLAIM', $outbox, 'ledger', 'ghost', 0, @ids[0 .. 4], 'IDLE',
    3_600_000, 'JUSTID');
sleep 2.5;
is(rows(), $before, 'they are its own while it lives, idle or not');
beat('ghost', time() * 1000 - 10_000);
drained();
wait_for(sub { pending() == 0 }, 10, 'acknowledged');
is(rows(), $before + 1200, 'they are taken over when it is dead');
wait_for(sub { !grep { $_ eq 'ghost' } readers() }, 10, 'no ghost');
pass('and it is forgotten');

# A reply that was lost with its connection, and one half acknowledged.
my $dead = dead();
my ($alive) = grep { /-\d+-\d+$/ } readers();
given($alive, 30);
@ids = given($alive, 3);
$redis->cmd('XDEL', $outbox, @ids);
drained();
wait_for(sub { pending() == 0 }, 10, 'acknowledged');
is(rows(), $before + 1230, 'what a worker was given and never got');
is(dead(), $dead, 'what is only not acknowledged is no dead letter');

# Postgres stops; the outbox stays; it comes back.
$before = rows();
$pg->stop;
entry() for 1 .. 700;
sleep 1;
is($redis->cmd('XLEN', $outbox), 700, 'without Postgres the outbox waits');
$pg->start;
drained();
is(rows(), $before + 700, 'and is written when it is back');

# It crashes while rows flow.
$before = rows();
for my $round (1 .. 2) {
    entry() for 1 .. 600;
    $pg->kill9;
    entry() for 1 .. 600;
    $pg->start;
}
drained();
wait_for(sub { pending() == 0 }, 60, 'acknowledged');
is(rows(), $before + 2400, 'a crash of Postgres costs and doubles nothing');

# A migration that is not there is not the rows' fault.
$before = rows();
$dead = dead();
$pg->psql('ngxai', 'alter table ledger rename to elsewhere');
entry() for 1 .. 10;
wait_for(sub { $t->worker_log =~ /cannot be written/ }, 30, 'the log');
$pg->psql('ngxai', 'alter table elsewhere rename to ledger');
drained();
is(rows(), $before + 10, 'a missing table is waited for');
is(dead(), $dead, 'and nothing buried');

# A worker is killed in between, and the group is lost.
entry() for 1 .. 1000;
my ($pid) = $t->worker_pids;
kill 'KILL', $pid;
entry() for 1 .. 1000;
drained();
wait_for(sub { pending() == 0 }, 30, 'acknowledged');
is(rows(), $before + 2010, 'a killed worker costs and doubles nothing');
$redis->cmd('DEL', $outbox);
entry() for 1 .. 3;
drained();
is(rows(), $before + 2013, 'a lost group is made again');

# SIGTERM while rows flow: what is there by then is written.
entry() for 1 .. 1500;
$_->stop('TERM') for @{ delete $t->{workers} };
is($redis->cmd('XLEN', $outbox), 0, 'a drain empties the outbox');
is(rows(), $before + 2013 + 1500, 'into the ledger');

# Without Postgres it does not wait for it.
$t->start_workers(n => 1, name => 'again');
$pg->stop;
entry() for 1 .. 20;
sleep 0.3;
my $began = time();
$_->stop('TERM') for @{ delete $t->{workers} };
cmp_ok(time() - $began, '<', 10, 'a drain without Postgres ends');
is($redis->cmd('XLEN', $outbox), 20, 'and leaves the outbox');
$pg->start;
$t->start_workers(n => 1, name => 'last');
drained();
is(rows(), $before + 2013 + 1520, 'to the next process');

done_testing();
