#!/usr/bin/perl
# A dry run refuses nothing: not what is over a limit, and not where nobody can
# say what a month has seen.
use AiTest;

my $t = AiTest->new(allow_log => [qr/./]);
$t->start(workers => { n => 1 }, edge => { ai => <<'CONF', location =>
ai_plan default { requests 1/h; tokens 1/month; }
log_format limits '$ai_limit|$status';
access_log %%DIR%%/limits.log limits;
CONF
    'ai_limit_dry_run on;' });
my $redis = $t->redis;

my @got = map { $t->chat($_) } qw(one two);
is($got[0]->status . $got[1]->status, '200200', 'beyond the limit');
is($got[1]->header('x-ratelimit-limit-requests'), undef, 'no headers');
# nginx writes its line behind the answer.
my $line = qr/^tenant limit of 1 request per hour\|200$/m;
eval { wait_for(sub { slurp($t->edge->{dir} . '/limits.log') =~ $line }, 20) };
is($@, '', 'it says which would have refused');
is((split ' ', $redis->cmd('GET', $t->prefix . 'lim:demo:rh:tenant'))[1], 2,
    'both are counted');

$t->pg->stop;
$redis->cmd('DEL', $t->prefix . 'lim:demo:tM:tenant');
is($t->chat('three')->status, 200, 'what nobody knows refuses nothing');
$t->pg->start;

$t->baseline;
done_testing();
