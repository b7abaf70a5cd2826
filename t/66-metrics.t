#!/usr/bin/perl
# /metrics and /health among hostile records, many workers, a slow Redis, dying
# processes and reloads.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis(aof => 1);
my $fake = AiFake->new($t);
my $edge = $t->edge;
$edge->start;
$t->{key} = $fake->key('demo');
wait_for(sub { $t->get('/v1/models')->status == 200 }, 30, 'the edge');
my $capacity = 'ai1:{0}:capacity';
my $chat = '/v1/chat/completions';
my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};

# The page, checked as a whole: every line, and no sample twice.
sub page {
    my ($name) = @_;
    my $res = $t->get('/metrics');
    my (%seen, %type, @bad);

    is($res->status, 200, "$name: status");
    for (split /\n/, $res->body) {
        if (/^# TYPE (\S+) (?:counter|gauge|histogram)$/) {
            push @bad, "$_ again" if $type{$1}++;
        } elsif (/^([a-z_:][a-z0-9_:]*(?:\{(?:[a-z_]+="[^"\\]*",?)+\})?) -?\d+(?:\.\d+)?$/) {
            push @bad, "$_ again" if $seen{$1}++;
        } elsif (!/^# HELP \S+ \S/) {
            push @bad, $_;
        }
    }
    is(join("\n", @bad), '', "$name: the format");
    like($res->body, qr/\n\z/, "$name: the last line is whole");
    if ($promtool) {
        open my $fh, '>', "$t->{dir}/metrics.txt" or die;
        print $fh $res->body;
        close $fh;
        my $said = `$promtool check metrics < $t->{dir}/metrics.txt 2>&1`;
        is("$?: $said", '0: ', "$name: promtool has nothing to say");
    }
    return $res->body;
}

sub record { return join '', map { "$_->[0] " . length($_->[1]) . "\n$_->[1]\n" } @_ }

page('nothing yet');

# Workers nobody would start.
$fake->cmd('HSET', $capacity, $_, 1)
    for "evil\"} 1\nx{y=\"", 'a b', '', "nul\0byte", 'x' x 65, "good-1-1";
$fake->cmd('SET', 'ai1:metrics:good-1-1', record(['jobs_total', 7],
    ['jobs_total', 8], ['a_usec', 5], ['a_seconds', 6], ['text', "1\nb 2"],
    ['big', '9' x 30], ['neg', -4], ['lag_usec_max', 1500000]));
my $text = page('hostile records');
like($text, qr/^ngx_ai_worker_jobs_total\{worker="good-1-1"\} 7$/m,
    'the first of two');
like($text, qr/^ngx_ai_worker_a_seconds\{worker="good-1-1"\} 0\.000005$/m,
    'microseconds as seconds');
like($text, qr/^ngx_ai_worker_lag_seconds_max\{worker="good-1-1"\} 1\.500000$/m,
    'in the middle of a name');
unlike($text, qr/evil|a b|nul/, 'no strange worker');

for my $bad ("jobs_total 9999\n1\n", 'x' x 300000, "Jobs 1\n1\n",
    "jobs_total 1\n1\nrest", '')
{
    $fake->cmd('SET', 'ai1:metrics:good-1-1', $bad);
    page('a broken record');
}
$fake->cmd('DEL', 'ai1:metrics:good-1-1');
$fake->cmd('LPUSH', 'ai1:metrics:good-1-1', 'a list');
page('a list instead');
$fake->cmd('DEL', 'ai1:metrics:good-1-1', $capacity);

# More than are shown, with more than the page can hold.
for my $n (1 .. 80) {
    $fake->cmd('HSET', $capacity, "host-$n-" . 'x' x 50, 1);
    $fake->cmd('SET', "ai1:metrics:host-$n-" . 'x' x 50,
        record(map { ["n$_", $_] } 1 .. 380), 'PX', 60000);
}
$text = page('a full page');
cmp_ok(length $text, '<=', 512 * 1024, 'is bounded');
my ($last) = reverse $text =~ /^# HELP (ngx_ai_worker_n\d+) /mg;
is(scalar(() = $text =~ /^\Q$last\E\{/mg), 64, 'its last counter is whole');
is($t->get('/health/detailed')->status, 503, 'health, all the same');

# Wrong types everywhere.
my %wrong = map { $_ => "ai1:{0}:$_" } qw(capacity sweep outbox);
for my $key (values %wrong) {
    $fake->cmd('RENAME', $key, "$key.saved") if $fake->cmd('EXISTS', $key);
    $fake->cmd('SET', $key, 'text', 'PX', 60000);
}
page('keys of another type');
is($t->get('/health/ready')->status, 503, 'not ready then');
for my $key (values %wrong) {
    $fake->cmd('DEL', $key);
    $fake->cmd('RENAME', "$key.saved", $key)
        if $fake->cmd('EXISTS', "$key.saved");
}
$fake->cmd('DEL', $capacity);

# Clients that leave while Redis is slow, and one that stays.
sub open_get {
    my $http = AiHttp->new(port => $edge->port);
    $http->send_request(method => 'GET', path => $_[0]);
    return $http;
}
my @gone = map { open_get($_ % 2 ? '/health' : '/metrics') } 1 .. 20;
$_->response for @gone;
$_->close for @gone;
$t->redis->freeze;
@gone = map { open_get($_ % 2 ? '/health/ready' : '/metrics') } 1 .. 100;
my @stay = map { open_get($_ % 2 ? '/health' : '/metrics') } 1 .. 400;
my $began = time;
$_->close for @gone;
my %answers;
$answers{ $_->response->status }++ for @stay;
cmp_ok(time - $began, '<', 15, 'a Redis that says nothing is not waited for');
is_deeply(\%answers, { 200 => 200, 503 => 200 },
    'each has its answer: metrics of this edge, and not ready');
$_->close for @stay;
$t->redis->thaw;
wait_for(sub { $t->get('/v1/models')->status == 200 }, 30, 'Redis again');

# A killed process takes its open jobs along.
$fake->slots(100);
my @open = map { $t->stream($chat, { model => 'echo/echo', stream => \1,
    messages => [] }) } 1 .. 3;
my @jobs = map { $fake->job->head(stream => 1)->data("data: 1\n\n") } @open;
$_->event for @open;
like($t->get('/metrics')->body, qr/^ngx_ai_active_jobs 3$/m, 'three are open');

# Over a reload what was counted stays, and the open ones of both count.
my ($errors) = page('before a reload')
    =~ /^ngx_ai_errors_total\{cause="bad_json"\} (\d+)$/m;
is($t->post($chat, '{')->status, 400, 'an error');
$edge->reload;
like(page('after a reload'), qr/^ngx_ai_active_jobs 3$/m, 'still open');
like($t->get('/metrics')->body,
    qr/^ngx_ai_errors_total\{cause="bad_json"\} @{[$errors + 1]}$/m,
    'and counted');
$jobs[$_]->end(s => "data: [DONE]\n\n") for 0 .. 2;
$_->events for @open;
$_->close for @open;
wait_for(sub { $t->get('/metrics')->body =~ /^ngx_ai_active_jobs 0$/m }, 30,
    'none');
pass('they end in the process that has left');

@open = map { $t->stream($chat, { model => 'echo/echo', stream => \1,
    messages => [] }) } 1 .. 3;
@jobs = map { $fake->job->head(stream => 1)->data("data: 1\n\n") } @open;
$_->event for @open;
$t->allow_log(qr/exited on signal 9/);
my $killed = $edge->kill_worker;
wait_for(sub { grep { $_ != $killed } $edge->workers }, 30, 'another process');
wait_for(sub { (eval { $t->get('/metrics')->body } || '')
    =~ /^ngx_ai_active_jobs 0$/m }, 30, 'nothing open');
pass('a killed process leaves no open jobs');
$_->close for @open;
$_->end(s => "data: [DONE]\n\n") for @jobs;

done_testing();
