#!/usr/bin/perl
# A worker that drains is still handed jobs until Redis has heard of it: they
# are its own, and nobody calls a provider for them twice.  What it has given up
# it does not begin again.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $dir = $t->dir;

my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    $out->wait(0.05) until -e "$dir/answer";
    AiProvider::openai()->($req, $out);
});
$w->catalog({ providers => { p => { api => 'openai', key => [],
    url => [$p->url('/v1')] }, slow => { api => 'echo',
    options => { word_delay => 100 } } } });

# What it says after its first drain, and that, is late.
my $fake = AiRedis::Fake->new(dir => $t->subdir('fake'),
    upstream => $t->redis->path, answer => sub {
        my (undef, @words) = @_;
        return $words[-1] eq 'drain' ? { until => "$dir/go" } : undef;
    });

sub touch { open my $fh, '>', "$dir/$_[0]" or die $! }

sub job { $w->job(body => { model => 'p/m', messages => [] }) }

# The other would be given what this one leaves.
my $proc = $w->start(redis => $fake->url);
$w->start(name => 'workers-other', args => ['--jobs', 1]);
touch('answer');
is($w->answer(job())->{end}{state}, 'done', 'a job');
unlink "$dir/answer";

$proc->signal('TERM');
wait_for(sub { grep { / drain$/ } $fake->log }, 20, 'a drain');

# Longer than it waits for look-ups.
sleep 1.3;
my $job = job();
is($w->state($job), 'running', 'Redis hands it a job');
wait_for(sub { $p->requests == 2 }, 20, 'its call');

# Longer than it waits for the answer to its bye.
sleep 1.1;
touch('go');
touch('answer');
is($w->answer($job)->{end}{state}, 'done', 'which ends well');
is(scalar(my @calls = $p->requests), 2, 'after one call');
is($t->redis->cmd('HGET', "$w->{p}job:$job", 'attempt'), 1,
    'in its first attempt');
is($proc->wait(30), 0, 'and the worker ends');
is($w->alive, 1, 'with a bye');


# Its time is over, and Redis is slow to take the end of one: what it has given
# up meanwhile is not begun by it again.

unlink "$dir/answer";
my $settle = AiRedis->scripts($t->root, $t->subdir('gen'))->{settle};
$fake = AiRedis::Fake->new(dir => $t->subdir('fake'), name => 'slow',
    upstream => $t->redis->path, answer => sub {
        my (undef, undef, $script) = @_;
        return ($script // '') eq $settle->{sha}
            || ($script // '') eq $settle->{text} ? "-ERR slow\r\n" : undef;
    });
$t->allow_log(qr/refused: ERR slow/);
$proc = $w->start(name => 'workers-slow', redis => $fake->url,
    args => ['--drain-timeout', 1]);
my $asked = $p->requests;
my $given_up = job();
my $begun = $w->job(body => { model => 'slow/m', stream => \1, messages => [
    { role => 'user', content => join ' ', 1 .. 600 }] });
$w->begun($begun, 2);
wait_for(sub { $p->requests == $asked + 1 }, 20, 'its call');
$proc->signal('TERM');
is($proc->wait(30), 0, 'one whose time is over ends');
touch('answer');
is($w->answer($given_up)->{end}{state}, 'done',
    'what had not begun is done by another');
is(scalar(@calls = $p->requests), $asked + 2, 'after one call of each');

$w->close;
done_testing();
