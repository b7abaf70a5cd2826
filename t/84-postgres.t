#!/usr/bin/perl
# Postgres is away under load, and a key that is known notices nothing: every row
# is there once when it is back.  Then rows that cannot be in, and a month that
# has no partition.  AI_T_FULL makes it ten minutes.
use AiTest;
use AiLoad;

my $t = AiTest->new(allow_log => [qr/dead letter/]);
my $seconds = $ENV{AI_T_FULL} ? 600 : 20;
my $p = AiLoad->provider($t, delay => 0.01);
$t->start(workers => { n => 2 }, edge => { ai => AiLoad->conf($p) });
my $load = AiLoad->new($t, $p);
my $pg = $t->pg;
my $redis = $t->redis;
my $outbox = $t->prefix . 'outbox';
my $other = $t->key('other');

sub rows { $pg->value('select count(*) from ngxai.ledger') }
sub drained { wait_for(sub { $redis->cmd('XLEN', $outbox) == 0 }, 120, 'drain') }

# A process that asks the echo, always four at a time, and notes each answer:
# status, job, seconds.
sub loader {
    my ($name) = @_;
    my $path = "$t->{dir}/$name";
    my ($port, $key) = ($t->edge->port, $t->{key});
    my $proc = AiProc->spawn(name => $name, out => "$path.err", sub => sub {
        open my $out, '>', $path or die;
        $out->autoflush(1);
        my $end;
        $SIG{TERM} = sub { $end = 1 };
        while (!$end) {
            my @four = map {
                my $http = AiHttp->new(port => $port, timeout => 30);
                $http->send_request(path => '/v1/chat/completions',
                    key => $key, json => { model => 'echo/echo',
                        stream => $_ % 2 ? \1 : \0, messages => [{
                            role => 'user', content => 'one two three' }] });
                [$http, time];
            } 1 .. 4;
            for (@four) {
                my ($http, $at) = @$_;
                my $res = eval { $http->response };
                printf $out "%s %s %.3f\n", $res ? $res->status : 0,
                    $res ? $res->header('x-ai-job') : '-', time - $at;
                $http->close;
            }
            sleep 0.02;
        }
    });
    return { proc => $proc, path => $path };
}

sub answers {
    my ($l) = @_;
    return map { [split ' '] } split /\n/, slurp($l->{path});
}

# All jobs of these answers are in the ledger, and nothing else is, once each.
sub same_as {
    my ($name, $before, @jobs) = @_;
    my %want = map { $_ => 1 } @jobs;
    my %have = map { $_->[0] => $_->[1] } $pg->query('select job, count(*)
        from ngxai.ledger group by job');

    is((grep { !$have{$_} } @jobs), 0, "$name: every job is in the ledger");
    is((grep { $_ > 1 } values %have), 0, "$name: once");
    is(rows() - $before, scalar(@jobs), "$name: and nothing else");
}

my $before = rows();
my $l = loader('load');
wait_for(sub { answers($l) > 20 }, 20, 'load');
$pg->stop;
my $away = time();
my $mark = answers($l);
my @unknown;
while (time() < $away + $seconds) {
    $load->mixed;
    sleep 2;
    push @unknown, $t->post('/v1/chat/completions', { model => 'echo/echo',
        messages => [] }, key => 'ngx-' . 'a' x 43);
}
my $during = answers($l) - $mark;
cmp_ok($redis->cmd('XLEN', $outbox), '>=', $during - 4,
    'while it is away the outbox grows');
is((grep { $_->status == 503 && $_->header('retry-after') } @unknown),
    scalar(@unknown), 'a key that nobody knows: 503, for none can say');
$pg->start;
drained();
sleep 1;
$l->{proc}->stop('TERM');
my @o = $load->finish;
is_deeply($load->count(@o), { whole => scalar @o }, 'every kind goes on');
my @answers = answers($l);
is((grep { $_->[0] != 200 } @answers), 0, 'each of ' . @answers
    . ' answers was 200');
my @times = sort { $a <=> $b } map { $_->[2] } @answers;
cmp_ok($times[@times * 0.99], '<', 2, 'none of them slow');
cmp_ok($during, '>', $seconds, "$during of them while it was away");
drained();
wait_for(sub { sleep 0.2; rows() - $before >= @answers + @o }, 30, 'the rows');
same_as('away', $before, map({ $_->[1] } @answers), map { $_->{job} } @o);
$load->accounts('and the provider was asked once for each');
is($redis->cmd('XPENDING', $outbox, 'ledger')->[0], 0,
    'nothing is left unacknowledged');

# It stops answering instead: a connection that hangs is as good as none.
$before = rows();
$l = loader('frozen');
wait_for(sub { answers($l) > 20 }, 20, 'load');
$pg->freeze;
$mark = answers($l);
sleep 6;
cmp_ok(answers($l) - $mark, '>', 20, 'silent: answers go on');
$pg->thaw;
$l->{proc}->stop('TERM');
@answers = answers($l);
is((grep { $_->[0] != 200 } @answers), 0, 'silent: each was 200');
drained();
wait_for(sub { sleep 0.2; rows() - $before >= @answers }, 30, 'the rows');
same_as('silent', $before, map { $_->[1] } @answers);

# It crashes, again and again.
$before = rows();
$l = loader('crashes');
for (1 .. 3) {
    sleep 1;
    $pg->kill9;
    sleep 0.5;
    $pg->start;
}
$l->{proc}->stop('TERM');
@answers = answers($l);
is((grep { $_->[0] != 200 } @answers), 0, 'crashes: each was 200');
drained();
wait_for(sub { sleep 0.2; rows() - $before >= @answers }, 30, 'the rows');
same_as('crashes', $before, map { $_->[1] } @answers);

# Rows that Postgres refuses, in the middle of others.
$before = rows();
$pg->psql('ngxai', q{alter table ngxai.ledger add constraint odd
    check (tenant <> 'other')});
$l = loader('bad-row');
wait_for(sub { answers($l) > 20 }, 20, 'load');
my @bad = map { $t->chat('mine', key => $other) } 1 .. 3;
is((grep { $_->status == 200 } @bad), 3, 'bad rows: their clients do not know');
wait_for(sub {
    sleep 0.2;
    $pg->value('select count(*) from ngxai.dead_letters') >= 3;
}, 30, 'dead letters');
$l->{proc}->stop('TERM');
@answers = answers($l);
drained();
wait_for(sub { sleep 0.2; rows() - $before >= @answers }, 30, 'the rows');
same_as('bad rows', $before, map { $_->[1] } @answers);
is_deeply([sort map { $_->[0] } $pg->query(q{select substring(encode(record,
    'escape') from 'job_[0-9a-f]{32}') from ngxai.dead_letters})],
    [sort map { $_->header('x-ai-job') } @bad],
    'bad rows: they and no other are dead letters');
$pg->psql('ngxai', 'alter table ngxai.ledger drop constraint odd');

# No partition for the month: its rows wait in the default one, and move when it
# is made, while others come.
my $month = $pg->value("select 'ledger_' || to_char(now() at time zone 'utc',
    'YYYYMM')");
sub tables {
    return join ' ', map { $_->[0] =~ s/^ngxai\.//r } $pg->query("select distinct
        tableoid::regclass from ngxai.ledger where job in ('"
        . join("','", map { $_->[1] } @_) . "')");
}
$pg->psql('ngxai', $_) for "alter table ngxai.ledger detach partition
    ngxai.$month", "alter table ngxai.$month rename to elsewhere";
$before = rows();
$l = loader('month');
wait_for(sub { answers($l) > 40 }, 20, 'load');
my @early = answers($l);
wait_for(sub { sleep 0.2; rows() - $before >= @early }, 30, 'the first rows');
is(tables(@early), 'ledger_default', 'no partition: the default one');
$pg->psql('ngxai', 'select ngxai.make_partitions()', 'ngxai_worker');
wait_for(sub { answers($l) > @early + 40 }, 20, 'load');
$l->{proc}->stop('TERM');
@answers = answers($l);
is((grep { $_->[0] != 200 } @answers), 0, 'no partition: each was 200');
drained();
wait_for(sub { sleep 0.2; rows() - $before >= @answers }, 30, 'the rows');
same_as('no partition', $before, map { $_->[1] } @answers);
is($pg->value('select count(*) from ngxai.dead_letters'), 3,
    'no partition: nothing is buried');
is(tables(@answers), $month, 'and then all are where they belong');

$t->baseline;
done_testing();
