#!/usr/bin/perl
# Every allocation of the module fails once, in requests of each kind, at the
# start of a process and in the configuration: the client gets an answer, an
# error of its dialect or an end, nothing crashes, nothing stays.  The module
# is linked once more from the objects of the build, with the allocators
# wrapped (t/fail).
#
#   AI_T_KIND=models   that kind alone
use AiFail;
use AiTest;

my $only = $ENV{AI_T_KIND};
my $t = AiTest->new;
my $fail = AiFail->new($t);
my $so = $fail->module or AiTest::skip_all('no objects of the module in build/');

$t->start(edge => { module => $so, ai => 'ai_zone cache 1m; ai_plan default { '
    . 'requests 1000000/h; tokens 1000000000/h; concurrency 1000; '
    . 'budget 1000usd/month; }',
    location => 'ai_stream_buffers 2 1k; '
    . 'ai_resume 1s; ai_body_memory 512k; ai_max_streams 2;'
    . ' } location /c/ { ai_pass; ai_cache 1h any; ai_coalesce on;'
    . ' ai_stream_buffers 2 1k; ai_body_memory 512k;' });
my $edge = $t->edge;
my ($pid) = $edge->workers;
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => [{ role => 'user',
    content => join ' ', map { "word$_" } 1 .. 12 }]);
my @resumable = ('X-AI-Resumable' => 1);
my $key = sub { sprintf 'ngx-%043d', rand 1e9 };

# A job that has ended, its events to come back to.
my $done = $t->post($chat, \%ask, headers => { Prefer => 'respond-async' });
my $id = $done->json->{id};
wait_for(sub { $t->get("/v1/jobs/$id")->json->{state} eq 'done' }, 20, 'it');
my $s = $t->stream($chat, { %ask, stream => \1 }, headers => [@resumable]);
my $told = $s->head->header('x-ai-job');
my ($event) = $s->events;

# What comes before its turn takes longer than it would be kept.
wait_for(sub { $t->redis->cmd('HGET', "ai1:{0}:job:$told", 'fin') }, 20, 'fin');
$t->redis->cmd('PEXPIRE', "ai1:{0}:$_:$told", 3_600_000) for qw(job ev);

# Answers that are kept, small and large.
my $kept = '/c/v1/chat/completions';
my %large = (%ask, messages => [{ role => 'user', content => 'y' x 90_000 }]);
for my $ask (\%ask, \%large) {
    wait_for(sub {
        $t->post($kept, $ask)->header('x-ai-cache') eq 'HIT';
    }, 20, 'a hit');
}

my %kinds = (
    'to be kept' => sub {
        return (path => $kept, json => { %ask, n => int rand 1e9 }) },
    'a kept answer' => sub {
        $t->redis->cmd('PUBLISH', 'ai1:keys', 'P' . '0' x 64);
        return (path => $kept, json => \%ask) },
    'a hot answer' => sub { return (path => $kept, json => \%ask) },
    'a hot stream' => sub {
        return (path => $kept, json => { %ask, stream => \1 }) },
    'a large kept answer' => sub { return (path => $kept, json => \%large) },
    'an answer' => sub { return (path => $chat, json => \%ask) },
    'a message' => sub {
        return (path => '/v1/messages', json => { %ask, max_tokens => 9 }) },
    'a stream' => sub {
        return (path => $chat, json => { %ask, stream => \1 }) },
    'a stream to come back to' => sub {
        return (path => $chat, json => { %ask, stream => \1 },
            headers => [@resumable]) },
    'a long body' => sub {
        return (path => $chat, json => { %ask, x => 'y' x 300_000 }) },
    'a long body in pieces' => sub {
        my $body = encode_json({ %ask, x => 'y' x 300_000 });
        return (path => $chat, method => 'POST', chunked => [unpack '(a9000)*', $body]) },
    'a body in front' => sub {
        return (path => $chat, json => { %ask, x => 'y' x 20_000 }) },
    'background' => sub {
        return (path => $chat, json => \%ask,
            headers => { Prefer => 'respond-async' }) },
    'a job' => sub { return (path => "/v1/jobs/$id") },
    'its events' => sub { return (path => "/v1/jobs/$id/events") },
    'the rest of a stream' => sub {
        return (path => "/v1/jobs/$told/events",
            headers => { 'Last-Event-ID' => $event->{id} || '1-1' }) },
    'its cancel' => sub {
        return (path => "/v1/jobs/$id/cancel", method => 'POST', body => '') },
    'no job' => sub { return (path => '/v1/jobs/job_' . '0' x 32) },
    'models' => sub { return (path => '/v1/models') },
    'refused' => sub { return (path => '/v1/nothing', json => \%ask) },
    'no JSON' => sub { return (path => $chat, body => '{"model":') },
    'no key' => sub { return (path => $chat, json => \%ask, key => undef) },
    'a new key' => sub { return (path => '/v1/models', key => $key->()) },
    'a new key of a stream' => sub {
        return (path => $chat, json => { %ask, stream => \1 },
            key => $key->()) },
    'metrics' => sub { return (path => '/metrics') },
    'health' => sub { return (path => '/health/ready') },
);
my %status = (background => 202, 'its cancel' => '200|202|409',
    'no job' => 410, refused => 404, 'no JSON' => 400, 'no key' => 401,
    'a new key' => 401, 'a new key of a stream' => 401);

# Nothing to end with is a reason to close.
sub one {
    my ($kind, $span) = @_;
    my %o = (key => $t->{key}, $kinds{$kind}->());
    my $http = AiHttp->new(port => $edge->port);
    my $res = eval {
        $http->send_request(%o);
        $http->response(12);
    };
    my $error = $@;

    $http->close;
    if (!$res) {
        return $error =~ /closed before the header|^write:/ ? '' : $error;
    }
    return '' if $res->{cut};
    return "status " . $res->status unless $res->status >= 500
        || $res->status =~ /^(?:@{[ $status{$kind} || 200 ]})$/;
    return '' if $res->status == 200 && $kind =~ /events|rest|metrics|health/;
    return '' if $kind eq 'health';
    # Where there is no memory for our words there are nginx's.
    return '' if $span && $res->status == 500;
    return AiFail::wrong($res, $o{json}{stream});
}

for my $kind (grep { !$only || $_ eq $only } sort keys %kinds) {
    my ($n, $bad) = $fail->each_n(sub { one($kind) });
    is($bad, '', "$kind: ends well whichever of $n fails");
}
for my $kind (grep { !$only || $_ eq $only } 'a stream to come back to',
    'a long body', 'a new key')
{
    my ($n, $bad) = $fail->each_n(sub { one($kind, 1) }, span => 5, step => 2);
    is($bad, '', "$kind: ends well whichever five of $n fail");
}

is_deeply([$edge->workers], [$pid], 'no process has died');
my $metrics;
eval {
    wait_for(sub {
        $metrics = AiHttp->get($edge->port, '/metrics')->body;
        return $metrics =~ /^ngx_ai_active_jobs 0$/m
            && $metrics =~ /^ngx_ai_slots_used 0$/m;
    }, 20);
};
like($metrics, qr/^ngx_ai_active_jobs 0$/m, 'nothing is open');
like($metrics, qr/^ngx_ai_slots_used 0$/m, 'no slot is taken');
is($t->post($chat, { %ask, x => 'y' x 400_000 })->status, 200,
    'no memory for bodies has been lost');
my @streams = map { $t->stream($chat, { %ask, stream => \1 }) } 1, 2;
is_deeply([map { $_->head->status } @streams], [200, 200],
    'nor a place for a stream');
$_->events for @streams;

# The jobs.
my @open;
eval {
    wait_for(sub {
        @open = grep { $t->redis->cmd('HGET', $_, 'state')
            !~ /^(?:done|failed|cancelled)$/ }
            keys %{ $t->redis->keys($t->prefix . 'job:*') };
        return !@open;
    }, 30);
};
is(join(' ', @open), '', 'each job ended');

# The configuration, and then the start of a process.
my $conf = <<'CONF';
%%GLOBALS%%
events { worker_connections 64; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_zone principals 1m;
    ai_provider p {
        api openai; url env:P_URL http://127.0.0.1:9/v1; key env:P_KEY file:p;
        header X-One 1; timeout connect=1s;
    }
    ai_model m { route p model=a weight=2; route echo model=b; }
    ai_price p/a input=2.50 cached=1.25 output=10;
    log_format ai "$ai_tenant $ai_job $ai_cost";
    map $ai_tenant $who { default x; demo y; }
    server {
        listen 127.0.0.1:%%PORT%%;
        ai_auth key;
        location /v1/ { ai_pass; }
        location /health { ai_health; }
        location = /metrics { ai_metrics; }
        error_page 500 /ai_error;
        location = /ai_error { internal; ai_error; }
    }
}
CONF
my $two = $t->edge(name => 'nginx-2', module => $so, conf => $conf);
pop @{ $t->{edges} };
$two->write_conf;
my $text = slurp("$two->{dir}/nginx.conf");
$text =~ s/master_process on;/master_process off;/;
open my $fh, '>', "$two->{dir}/nginx.conf" or die $!;
print $fh $text;
close $fh;
my %env = (%{ $two->{env} });
$env{ASAN_OPTIONS} .= ':detect_leaks=0';
my $nginx = sub {
    return AiProc->spawn(name => 'nginx-2', env => \%env, cwd => $two->{dir},
        out => "$two->{dir}/$_[0].out", cmd => [$two->command(@_[1 .. $#_])]) };
is($nginx->('test', '-t')->wait(20), 0, 'a good configuration')
    or diag(slurp("$two->{dir}/test.out"));
my $taken = 0;
my ($n, $bad) = $fail->each_n(sub {
    my $status = $nginx->('test', '-t')->wait(20);
    $taken++ if $status == 0 && $fail->failed;
    return $status == 0 || $status == 1 << 8 ? '' : "status $status";
});
is($bad, '', "a configuration: ends in order whichever of $n fails");
cmp_ok($taken, '<=', 1, 'and is refused; a zone finds a smaller size');

my $first = $n;
($n, $bad) = (0, '');
while ($n < 300) {
    $fail->at($first - 3 + $n++);
    my $proc = $nginx->('start');
    my $up = eval {
        wait_for(sub {
            return 1 unless $proc->alive;
            my $res = eval { AiHttp->get($two->port, '/health/ready') };
            return $res && $res->status == 200;
        }, 15);
        1;
    };
    my $failed = $fail->failed;
    $fail->off;
    if ($proc->alive) {
        $bad .= "$n: not ready\n" unless $up;
        $proc->stop('TERM');
    } elsif ($proc->status & 127) {
        $bad .= "$n: status " . $proc->status . "\n";
    }
    last if !$failed || $bad =~ /\n.*\n/;
}
is($bad, '', "a process: ends in order or serves whichever of $n fails");

done_testing();
