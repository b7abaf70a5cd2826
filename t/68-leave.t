#!/usr/bin/perl
# Reload: streams go on in the old worker, new requests in the new one, and
# the old one leaves when it has nothing left.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
my $conf = <<'CONF';
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_model first { route echo model=echo; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location = /metrics { ai_metrics; }
    }
}
CONF
my $edge = $t->edge(conf => $conf);
$edge->start;
$t->{key} = $fake->key('demo');
my $chat = '/v1/chat/completions';
my %ask = (model => 'first', messages => []);

my ($old) = $edge->workers;
my (@streams, @jobs);
for (1 .. 3) {
    push @streams, $t->stream($chat, { %ask, stream => \1 });
    push @jobs, $fake->job;
}
$_->head(stream => 1)->data("data: 1\n\n") for @jobs[0, 1];
$_->head for @streams[0, 1];
my $catalog = $jobs[0]->spec('catalog');

$edge->reload($conf =~ s/ai_model first/ai_model second/r);
my ($new) = $edge->workers;
isnt($new, $old, 'a new worker');
ok(kill(0, $old), 'the old one is still there');
is($t->post($chat, \%ask)->status, 404, 'the old model is gone');
my $s = $t->stream($chat, { %ask, model => 'second' });
my $job = $fake->job;
isnt($job->spec('catalog'), $catalog, 'under another catalog');
ok($fake->cmd('EXISTS', 'ai1:catalog:' . $job->spec('catalog')), 'that is there');
ok($fake->cmd('EXISTS', "ai1:catalog:$catalog"), 'as the old one is');
$job->answer('{}');
is($s->response->status, 200, 'the new model is served');
$s->close;

$jobs[2]->head(stream => 1)->data("data: 1\n\n");
for my $n (0 .. 2) {
    $jobs[$n]->data("data: 2\n\n")->end;
    is(join(',', map { $_->{data} } $streams[$n]->events), '1,2',
        "stream $n ends in the old worker");
    $streams[$n]->close;
}
wait_for(sub { !kill(0, $old) }, 20, 'the old worker to leave');
ok(!kill(0, $old), 'and then that leaves');
is(scalar(grep { /edge:/ } @{ $fake->cmd('PUBSUB', 'CHANNELS', '*') }), 1,
    'with its subscription');
is(scalar(grep { /^e:/ } @{ $fake->cmd('ZRANGE', $fake->s->key('alive'), 0,
    -1) }), 1, 'and its heartbeat');

# A worker that waits for nothing leaves at once, also while a key is looked up.
$edge->reload($conf);
wait_for(sub { !kill(0, $new) }, 10, 'the idle worker to leave');

# A killed worker takes its streams with it, and its jobs are cancelled.
$s = $t->stream($chat, { %ask, stream => \1 });
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
$s->event;
$edge->kill_worker('KILL');
ok($s->closed, 'a killed worker');
$s->close;
$t->allow_log(qr/exited on signal 9/);
wait_for(sub { eval { $t->get('/v1/models')->status == 200 } }, 10,
    'another one');
my ($dead) = $fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'lst');
$fake->s->silent("e:$dead", 10000);
$fake->s->sweep;
is($fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'cancel'),
    'disconnect', 'its job is cancelled by the sweep');
my $usage = AiFake::Job::usage('cancelled', 499);
$job->settle('cancelled', $usage, e => $usage);

done_testing();
