#!/usr/bin/perl
# A client leaves while Redis cannot be told, and comes back to the same process
# before it is: it is listened for, and its job goes on.
use AiTest;
use AiFake;

my $t = AiTest->new;
my $redis = $t->redis;
my $fake = AiFake->new($t);
my $scripts = AiRedis->scripts($t->root, $t->subdir('gen'));
my ($leave, $beat) = map { $scripts->{$_}{sha} } qw(leave beat);
my $left = 0;
my $proxy = AiRedis::Fake->new(dir => $t->subdir('proxy'),
    upstream => $redis->path, answer => sub {
        my (undef, $name, $sha) = @_;
        return $name eq 'EVALSHA' && $sha eq $leave && !$left++
            ? { close => 1 } : undef;
    });
$t->edge(redis => $proxy->url, workers => 1)->start;
$t->{key} = $fake->key('demo');

my $s = $t->stream('/v1/chat/completions', { model => 'echo/echo',
    stream => \1, messages => [] }, headers => ['X-AI-Resumable' => 1]);
my $job = $fake->job;
$job->head(stream => 1)->data("data: 1\n\n");
my $ev = $s->event;
is($ev->{data}, 1, 'an event');
my $id = $job->{id};
$s->reset;
wait_for(sub { grep { /EVALSHA $leave / } $proxy->log }, 20, 'leave');

wait_for(sub {
    $s = $t->stream("/v1/jobs/$id/events", undef, method => 'GET',
        headers => ['Last-Event-ID' => $ev->{id}]);
    return $s->head->status == 200;
}, 20, 'to be let in again');
sub beats { return scalar grep { /EVALSHA $beat .* e / } $proxy->log }
my $beats = beats();
wait_for(sub { beats() >= $beats + 3 }, 20, 'three heartbeats');

isnt($fake->cmd('HGET', $t->prefix . "job:$id", 'lst'), '', 'it is listened for');
is($fake->cmd('EXISTS', $t->prefix . 'grace'), 0, 'and will not be cancelled');
$job->data("data: 2\n\n")->end;
is(join(',', map { $_->{data} } $s->events), 2, 'the rest comes');

$s = $t->stream('/v1/chat/completions', { model => 'echo/echo',
    stream => \1, messages => [] }, headers => ['X-AI-Resumable' => 1]);
$job = $fake->job;
$job->head(stream => 1)->data("data: 1\n\n");
$s->event;
$s->reset;
wait_for(sub { $fake->cmd('EXISTS', $t->prefix . 'grace') }, 20,
    'who leaves for good has left');
$job->end;

done_testing();
