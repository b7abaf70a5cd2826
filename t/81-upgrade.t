#!/usr/bin/perl
# A binary upgrade under open streams, zones of another size, and processes
# that must leave: worker_shutdown_timeout with everything under way.
use AiTest;
use AiFake;

my $t = AiTest->new;
$t->redis(aof => 1);
my $fake = AiFake->new($t);
my $chat = '/v1/chat/completions';
my $model = 'ai_model old { route echo; }';
my $module = $t->built('ngx_http_ai_module.so');
my $user = $> == 0 ? 'user root;' : '';

sub globals {
    my ($name, $more) = @_;
    return "load_module $module;\n$user\nworker_processes 1;\n"
        . "env ASAN_OPTIONS;\n"            # a new binary is given no others
        . "pid $t->{dir}/$name/nginx.pid;\n"
        . "error_log $t->{dir}/$name/error.log info;\n$more";
}

# Only a daemon is upgraded: started by hand, and known by its pid file.
my $edge = $t->edge(ai => $model, vars => { GLOBALS => globals('nginx', '') });
$edge->write_conf;
%ENV = (%ENV, $t->san_env);
$ENV{ASAN_OPTIONS} .= ':detect_leaks=0';
is(system($edge->command), 0, 'a daemon');
wait_for(sub { -s "$edge->{dir}/nginx.pid" }, 30, 'its pid file');
$edge->{proc} = Daemon->new(slurp("$edge->{dir}/nginx.pid"));
my $key = $t->{key} = $fake->key('demo');

sub serves { return wait_for(sub {
    $t->get('/v1/models')->status == 200 }, 30, 'the edge') }

sub ask { return { model => $_[0], stream => \1, messages => [] } }

sub models {
    return join ' ', map { $_->{id} } @{ $t->get('/v1/models')->json->{data} };
}

sub gone {
    my (@pids) = @_;
    wait_for(sub { !grep { -d "/proc/$_" } @pids }, 30, 'processes to leave');
    pass("they have left");
}

# Zones: smaller, larger, as they were.
serves();
is($t->post($chat, '{')->status, 400, 'an error, counted');
for my $size ('1m', '16m', '16m') {
    my ($old) = $edge->workers;
    $edge->reload($edge->{conf} =~ s/principals \w+;/principals $size;/r);
    gone($old);
    serves();
    like($t->get('/metrics')->body, qr/errors_total\{cause="bad_json"\} 1$/m,
        "zone principals $size: what was counted stays");
}

# Another binary, with another configuration, beside the one that streams.
my $s = $t->stream($chat, ask('old'));
my $job = $fake->job->head(stream => 1)->data("data: 1\n\n");
$s->event;
my $master = $edge->pid;
my @old = $edge->workers;
$edge->{vars}{AI} = 'ai_model new { route echo; }';
$edge->write_conf;
kill USR2 => $master;
wait_for(sub { -s "$edge->{dir}/nginx.pid.oldbin"
    && -s "$edge->{dir}/nginx.pid" }, 30, 'the new master');
my ($new) = slurp("$edge->{dir}/nginx.pid") =~ /(\d+)/;
isnt($new, $master, 'a new master');
wait_for(sub { grep { slurp("/proc/$_/cmdline") =~ /^nginx: worker/ }
    AiProc::children_of($new) }, 30, 'its workers');
kill WINCH => $master;
# Until then either may take a connection.
wait_for(sub { !grep { slurp("/proc/$_/cmdline") !~ /shutting down/ } @old },
    30, 'the old processes to take no more');
wait_for(sub { models() eq 'new echo/echo' }, 30, 'the new catalog');
pass('the new binary serves');
my $s2 = $t->stream($chat, ask('new'));
my $job2 = $fake->job->head(stream => 1)->data("data: 2\n\n");
is($s2->event->{data}, '2', 'and streams');
is(scalar(@{ $fake->cmd('KEYS', 'ai1:catalog:' . '[0-9a-f]' x 64) }), 2,
    'two catalogs');
isnt($job->spec('catalog'), $job2->spec('catalog'), 'a job of each');
is(scalar(grep { -d "/proc/$_" } @old), 1, 'the old process stays');
$job->end(s => "data: [DONE]\n\n");
is($s->event->{data}, '[DONE]', 'and ends its stream');
$s->close;
gone(@old);
kill QUIT => $master;
gone($master);
$job2->end(s => "data: [DONE]\n\n");
is($s2->event->{data}, '[DONE]', 'the new one goes on');
$s2->close;
serves();
kill QUIT => $new;
gone($new);
$edge->{proc} = undef;

# Processes that are told to go with everything under way.
$edge = $t->edge(name => 'timeout', vars => { GLOBALS =>
    globals('timeout', "daemon off;\nworker_shutdown_timeout 1s;") })->start;
serves();
my @streams = map { $t->stream($chat, ask('echo/echo')) } 1 .. 3;
my @jobs = map { $fake->job->head(stream => 1)->data("data: 1\n\n") } @streams;
$_->event for @streams;
my @waiting = map { $t->stream($chat, ask('echo/echo')) } 1 .. 3;
sleep 0.2;
$t->redis->freeze;
my @asking = map {
    my $http = AiHttp->new(port => $edge->port);
    $http->send_request(method => 'GET', path => $_, key => $fake ? $key : '');
    $http;
} qw(/health /metrics /health/detailed /v1/jobs/job_0123456789abcdef0123456789abcdef);
sleep 0.1;
@old = $edge->workers;
$edge->reload;
gone(@old);
$t->redis->thaw;
$_->close for @streams, @waiting, @asking;
serves();
unlike($edge->log, qr/\[alert\]|exited on signal/, 'without an alert');
my $left;
while (my $job = $fake->job(timeout => 1)) { $job->end; $left++ }
eval { $_->end } for @jobs;

# A master that is told to stop at once.
@streams = map { $t->stream($chat, ask('echo/echo')) } 1 .. 3;
$fake->job->end for @streams;
@waiting = map { $t->stream($chat, ask('echo/echo')) } 1 .. 3;
sleep 0.2;
is($edge->stop('TERM'), 0, 'TERM with requests under way');
$_->close for @streams, @waiting;
while (my $job = $fake->job(timeout => 1)) { eval { $job->end } }

done_testing();

package Daemon;

sub new { my ($class, $pid) = @_; return bless { pid => $pid + 0 }, $class }
sub pid { $_[0]{pid} }
sub alive { -d "/proc/$_[0]{pid}" }
sub signal { kill $_[1] => $_[0]{pid} }

sub stop {
    my ($self, $sig) = @_;
    $self->signal($sig);
    AiProc::wait_for(sub { !$self->alive }, 60, 'the daemon to leave');
    return 0;
}
