#!/usr/bin/perl
# A delivery and the claim of the same job cross, and Redis has to be told the
# script of the claim: what the worker has emitted meanwhile is not forgotten.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $r = $t->redis;
my $scripts = AiRedis->scripts($t->root, $t->subdir('gen'));
my ($claim, $emit, $settle, $beat)
    = map { $scripts->{$_}{sha} } qw(claim emit settle beat);

# What says that the claim is unknown stays on its way until the job has been
# emitted for, or, where it is not, for two heartbeats.
my $beats;
my $fake = AiRedis::Fake->new(dir => $t->subdir('fake'),
    upstream => $r->path, answer => sub {
        my (undef, $name, $sha) = @_;
        return unless $name eq 'EVALSHA';
        if ($sha eq $claim && !defined $beats) {
            $beats = 2;
            return { hold => 1 };
        }
        $beats = 0 if $beats && ($sha eq $emit || $sha eq $settle);
        $beats-- if $beats && $sha eq $beat;
        return defined $beats && !$beats ? { hold => 0 } : undef;
    });
$w->start(redis => $fake->url);
my ($me) = map { /^w:(.+)/ } @{ $r->cmd('ZRANGE', "$w->{p}alive", 0, -1) };

my @ask = (body => { model => 'echo/echo', stream => \1, messages => [
    { role => 'user', content => 'one two three four five six' }] },
    stream => 1, flags => 'bs');
is($w->answer($w->job(@ask), 20)->{end}{state}, 'done', 'a job');

# A bell that is late: somebody else heard it.
sub late {
    $w->script('beat', 'w', 'nobody', 1, 'up');
    my $ear = $r->subscribe("$w->{p}worker:nobody");
    my ($job, $bell);
    # A sweep may come between, and list the worker again.
    for (1 .. 20) {
        $r->cmd('HSET', "$w->{p}sweep", 'workers', "1\nnobody 1\n", 'listed',
            2 ** 50);
        $job = $w->job(@ask);
        $bell = eval { $ear->message(1)->[1] };
        last if $bell;
        $w->answer($job, 20);
    }
    $r->cmd('HSET', "$w->{p}job:$job", 'owner', $me);
    $r->cmd('SMOVE', "$w->{p}held:nobody", "$w->{p}held:$me", "$job t");
    return ($job, $bell);
}

# The worker's first claim brings the script, which Redis then forgets alone.
my ($job, $bell) = late();
is($w->answer($job, 20)->{end}{state}, 'done', 'a job that was claimed');
$r->cmd('MULTI');
$r->cmd('SCRIPT', 'FLUSH');
$r->cmd('SCRIPT', 'LOAD', $scripts->{$_}{text})
    for grep { $_ ne 'claim' } keys %$scripts;
$r->cmd('EXEC');
is($r->cmd('SCRIPT', 'EXISTS', $claim)->[0], 0, 'and claim was forgotten');

($job, $bell) = late();
wait_for(sub { grep { /EVALSHA $claim .* $job / } $fake->log }, 20, 'a claim');
$r->cmd('PUBLISH', "$w->{p}worker:$me", $bell);

my $got = $w->answer($job, 20);
is($got->{end}{state}, 'done', 'a job whose claim and delivery crossed');
is($r->cmd('HGET', "$w->{p}job:$job", 'attempt'), 1, 'in its first attempt');
is($r->cmd('SCRIPT', 'EXISTS', $claim)->[0], 1, 'the claim was made');

$w->script('beat', 'w', 'nobody', 0, 'bye');
$w->close;
done_testing();
