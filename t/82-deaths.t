#!/usr/bin/perl
# kill -9 of worker processes, the whole way: what had said nothing is run again,
# what had ends with a well-formed error and is charged for what it gave, and a
# job that kills each worker that takes it ends after three.
use AiTest;

my $t = AiTest->new;
my $dir = $t->dir;
my @words = map { "word$_ " } 0 .. 9;
my $p = $t->provider(script => \&script);
my $json = JSON::PP->new->utf8->canonical;

sub touch { open my $fh, '>', "$dir/$_[0]" or die }


# A model's name says what it does:
#   wait-  nothing before the file "go" is there
#   slow-  ten words, and then nothing more
#   big-   1,000,000 bytes of a body (pages of the log), and then nothing more
#   kill-  kills who asks; the third time waits for the file "third"
sub script {
    my ($req, $out) = @_;
    my ($what) = $req->{json}{model} =~ /^(\w+)-/;
    my $dialect = $req->{path} =~ /messages$/ ? 'anthropic' : 'openai';
    my $pid = process_of($out->{sock}, $dir);

    open my $fh, '>>', "$dir/calls" or die;
    syswrite $fh, "$req->{json}{model} $pid\n";
    close $fh;

    if ($what eq 'wait') {
        $out->wait(0.05) until -e "$dir/go";
        AiProvider->can($dialect)->(words => \@words)->($req, $out);

    } elsif ($what eq 'slow') {
        AiProvider->can($dialect)->(words => \@words)->($req,
            AiStall->new($out, 9 + ($dialect eq 'anthropic' ? 3 : 1)));

    } elsif ($what eq 'big') {
        $out->head(200, 'Content-Type' => 'application/json',
            'x-request-id' => 'req-big');
        $out->chunk('{"content":"' . 'x' x 49_988);
        $out->chunk('y' x 50_000) for 2 .. 20;
        $out->stall;

    } else {
        my $n = () = slurp("$dir/calls") =~ /^\Q$req->{json}{model}\E /mg;
        $out->wait(0.05) while $n == 3 && !-e "$dir/third";
        kill KILL => $pid;
        $out->stall;
    }
}


# An answer that stops after so many chunks.
package AiStall;

sub new { return bless { out => $_[1], left => $_[2] }, $_[0] }
sub head { shift->{out}->head(@_) }
sub chunk {
    my ($self, $bytes) = @_;
    $self->{out}->chunk($bytes);
    $self->{out}->stall unless --$self->{left};
}

package main;

# An answer whose head has come; the request's own bytes are kept.
sub ask {
    my ($model, %o) = @_;
    my $anthropic = $model =~ m{^a/};
    my $text = $json->encode({ model => $model, max_tokens => 100,
        messages => [{ role => 'user', content => 'x' x 41 }],
        $o{stream} ? (stream => \1) : () });
    my $http = AiHttp->new(port => $t->edge->port, timeout => 90);

    $http->send_request(method => 'POST', body => $text, key => $t->{key},
        path => $anthropic ? '/v1/messages' : '/v1/chat/completions',
        headers => ['Content-Type' => 'application/json',
            $o{background} ? (Prefer => 'respond-async') : (),
            $anthropic ? ('anthropic-version' => '2023-06-01') : ()]);
    return { http => $http, bytes => length $text, model => $model };
}

sub text_of {
    my ($raw) = @_;
    return join '', map {
        my $d = eval { decode_json($_) } || {};
        ref $d->{choices} ? $d->{choices}[0]{delta}{content} // ''
            : ref $d->{delta} ? $d->{delta}{text} // '' : ''
    } $raw =~ /^data: (\{.*)/mg;
}

my @columns = qw(state status provider provider_model input output cost
    estimated attempt cause attempts);

# The one row of a job, once it is there.
sub row {
    my ($job) = @_;
    my @rows;
    wait_for(sub { @rows = $t->pg->query('select '
        . join(',', map { $_ eq 'estimated' ? "$_\::int" : $_ } @columns)
        . " from ngxai.ledger where job = '$job'") }, 30, "the row of $job");
    return join ' ', map { $_ eq '' ? '-' : $_ } @{ $rows[0] };
}

sub up4 { return int(($_[0] + 3) / 4) }

# The whole answer, of which some may have been read.
sub whole {
    my ($http) = @_;
    $http->head unless $http->{res};
    eval { 1 while defined $http->piece; 1 } or $@ =~ /was cut/ or die $@;
    return $http->{res};
}

sub got_all {
    my ($s, $n) = @_;
    $s->{http}->event for 1 .. $n;
}

sub calls {
    my ($model) = @_;
    my @pids = slurp("$dir/calls") =~ /^\Q$model\E (\d+)$/mg;
    return @pids;
}

$t->start(workers => { n => 1 }, edge => { ai => <<CONF });
ai_provider p { api openai; url @{[$p->url('/v1')]}; }
ai_provider a { api anthropic; url @{[$p->url]}; }
ai_provider free { api openai; url @{[$p->url('/v1')]}; }
ai_price p/wait-1 input=1 output=1;
ai_price p/slow-1 input=2 output=8;
ai_price p/slow-2 input=2.5 output=10;
ai_price p/big-1 input=2 output=8;
ai_price a/slow-1 input=3 output=15;
CONF
$t->allow_log(qr/on signal 9/);


# All at once, then the only worker is killed.
my %job;
my %s = (
    plain => ask('p/wait-1'),
    stream => ask('p/wait-2', stream => 1),
    messages => ask('a/wait-3'),
    mstream => ask('a/wait-4', stream => 1),
    cut => ask('p/slow-1', stream => 1),
    mcut => ask('a/slow-1', stream => 1),
    free => ask('free/slow-3', stream => 1),
    big => ask('p/big-1'),
);
my %background = map { $_ => ask(@{ {
    later => ['p/wait-5'], bcut => ['p/slow-2', stream => 1],
    bbig => ['p/big-2'] }->{$_} }, background => 1) } qw(later bcut bbig);
for my $name (keys %background) {
    my $res = whole($background{$name}{http});
    is($res->status, 202, "$name is in the background");
    $job{$name} = $res->json->{id};
}
wait_for(sub { 11 == (() = slurp("$dir/calls") =~ /\n/g) }, 30, 'all calls');
for my $name (qw(cut free)) {
    got_all($s{$name}, 10);
}
got_all($s{mcut}, 12);
my $big = $s{big}{http}->head;
$s{big}{http}->piece while length $big->{body} < 1_000_000;
for my $name (qw(bcut bbig)) {
    my $least = $name eq 'bcut' ? 10 * 100 : 1_000_000;
    wait_for(sub {
        my $n = 0;
        $n += length for map { @{ $_->[1] } } @{ $t->redis->cmd('XRANGE',
            $t->prefix . "ev:$job{$name}", '-', '+') };
        return $n >= $least;
    }, 30, "the log of $name");
}

my ($victim) = $t->worker_pids;
kill KILL => $victim;
$p->request(16);
touch('go');


# What had said nothing: the whole answer.
my $want = join '', @words;
my $res = whole($s{plain}{http});
is($res->status, 200, 'a call that had said nothing');
is($res->json->{choices}[0]{message}{content}, $want, 'is answered in full');
$job{plain} = $res->header('x-ai-job');
$res = whole($s{messages}{http});
is($res->json->{content}[0]{text}, $want, "Anthropic's, too");
$job{messages} = $res->header('x-ai-job');
for my $name (qw(stream mstream)) {
    $res = whole($s{$name}{http});
    is(text_of($res->body), $want, "the $name is whole");
    unlike($res->body, qr/error/, 'with no error in it');
    $job{$name} = $res->header('x-ai-job');
}
wait_for(sub { $t->get("/v1/jobs/$job{later}")->json->{state} eq 'done' }, 30,
    'the background job');
is($t->get("/v1/jobs/$job{later}")->json->{result}{choices}[0]{message}
    {content}, $want, 'the job in the background has its result');
for my $n (1 .. 5) {
    my @pids = calls("wait-$n");
    is(scalar(@pids), 2, "wait-$n: two calls");
    isnt($pids[0], $pids[1], 'by two processes');
}
is(row($job{plain}), 'done 200 p wait-1 5 10 15000 0 2 - 1', 'its row');
for my $name (qw(stream messages mstream later)) {
    like(row($job{$name}), qr/^done 200 \w wait-\d 5 10 - 0 2 - 1$/,
        "the row of $name");
}


# What had begun: an error in the dialect, and what it had is charged.
$res = whole($s{cut}{http});
$job{cut} = $res->header('x-ai-job');
my ($error) = $res->body =~ /^data: (\{"error".*)\n\n\z/m;
is($error && decode_json($error)->{error}{code}, 'stream_lost',
    "OpenAI's stream ends with an error event");
is(text_of($res->body), $want, 'behind what it had');
unlike($res->body, qr/\[DONE\]/, 'and no [DONE]');
$res = whole($s{mcut}{http});
$job{mcut} = $res->header('x-ai-job');
($error) = $res->body =~ /^event: error\ndata: (\{.*)\n\n\z/m;
is($error && decode_json($error)->{type}, 'error',
    "Anthropic's stream ends with an error event");
is(decode_json($error)->{error}{type}, 'api_error', 'of its kind');
is(text_of($res->body), $want, 'behind what it had');
$job{free} = whole($s{free}{http})->header('x-ai-job');
$res = whole($s{big}{http});
ok($res->{cut}, 'a body that had begun is cut, not ended');
is(length $res->body, 1_000_000, 'behind what it had');
$job{big} = $res->header('x-ai-job');

my ($got, $part);
for my $name (qw(bcut bbig)) {
    wait_for(sub {
        $got = $t->get("/v1/jobs/$job{$name}")->json;
        return $got->{state} !~ /queued|running/;
    }, 30, 'its end');
    is($got->{state}, 'failed', "$name: the job failed");
    is($got->{error}{code}, 'lost', 'and says why');
    ok($got->{usage}{estimated}, 'with a guess of its usage');
}
$part = '{"content":"' . 'x' x 49_988 . 'y' x 950_000;
is($got->{status}, 200, 'what its answer began with');
ok($got->{result} eq $part, 'and its partial output is there, as a string');
is($got->{usage}{output_tokens}, 250_000, 'of what the body had');
is($got->{usage}{cost_nano_usd}, undef, 'and no cost without a price');
$got = $t->get("/v1/jobs/$job{bcut}")->json;
is($got->{usage}{provider}, 'p', 'the provider');
is($got->{usage}{model}, 'slow-2', 'the model');
$res = $t->get("/v1/jobs/$job{bcut}/events");
is(text_of($res->body), $want, 'its partial output can be read');
like($res->body, qr/^data: \{"error":.*stream_lost.*\n\n\z/m,
    'and its error behind');
$res = $t->get("/v1/jobs/$job{bbig}/events");
($part, $error) = ("data: $part\n\n", $res->body);
ok($part eq substr($error, 0, length $part, ''),
    'half a body is one event, without an id');
like($error, qr/\Adata: \{"error":.*stream_lost.*\n\n\z/,
    'and its error behind');

# 60 bytes of text are 15 tokens.  Anthropic said what its input was.
my $in = up4($s{cut}{bytes});
is(row($job{cut}), "failed 502 p slow-1 $in 15 "
    . ($in * 2000 + 15 * 8000) . ' 1 2 lost 1', "the stream's row");
$in = up4($background{bcut}{bytes});
is(row($job{bcut}), "failed 502 p slow-2 $in 15 "
    . ($in * 2500 + 15 * 10000) . ' 1 2 lost 1', "the background stream's row");
is(row($job{mcut}), 'failed 502 a slow-1 5 15 ' . (5 * 3000 + 15 * 15000)
    . ' 1 2 lost 1', "Anthropic's row");
$in = up4($s{free}{bytes});
is(row($job{free}), "failed 502 free slow-3 $in 15 - 1 2 lost 1",
    'a row without a price');
$in = up4($s{big}{bytes});
is(row($job{big}), "failed 502 p big-1 $in 250000 "
    . ($in * 2000 + 250_000 * 8000) . ' 1 2 lost 1', "the body's row");
is($t->pg->value("select request_id from ngxai.ledger where job = '$job{big}'"),
    'req-big', "with the provider's id");
is(scalar(calls("slow-$_")), $_ == 1 ? 2 : 1, "slow-$_ was not asked again")
    for 1 .. 3;
is(scalar(calls("big-$_")), 1, "nor was big-$_") for 1 .. 2;
is($t->pg->value('select count(*) from ngxai.ledger'), 11, 'one row a job');
$_->{http}->close for values %s, values %background;


# A job that kills each worker that takes it, among others.  Who runs which is
# seen at the provider, so what is expected of each is exact.  The others end
# before it kills a third time: they have been with it before.
unlink "$dir/go";
$t->{workers}[-1]->stop;
my $sup = $t->start_workers(name => 'workers-two', n => 2);
wait_for(sub { $t->worker_pids == 2 }, 30, 'two processes');

my @wait = map { ask('p/wait-' . (100 + $_), stream => $_ % 2) } 1 .. 12;
my @slow = map { ask('p/slow-' . (100 + $_), stream => 1) } 1 .. 8;
got_all($_, 10) for @slow;
$p->request(16 + 20);
my $killer = ask('p/kill-1');
wait_for(sub { calls('kill-1') == 3 }, 60, 'the third call');
touch('go');
for my $w (@wait) {
    $w->{res} = whole($w->{http});
}
touch('third');
$res = whole($killer->{http});
is($res->status, 502, 'who kills every worker ends with 502');
is($res->json->{error}{code}, 'attempts_exhausted', 'that says why');
is($res->header('x-should-retry'), 'false', 'and must not be repeated');
my @killed = calls('kill-1');
is(scalar(@killed), 3, 'after three calls');
my %killed = map { $_ => 1 } @killed;
is(scalar(keys %killed), 3, 'and three processes');
is(row($res->header('x-ai-job')), 'failed 502 - - - - - 0 4 attempts 0',
    'one row: what it used is unknown');

my ($whole, $again, $lost) = (0, 0, 0);
for my $w (@wait) {
    my ($name) = $w->{model} =~ m{/(.*)};
    my ($last, @died) = reverse calls($name);
    $again += @died;
    my $text = $w->{res}->body =~ /^data/m      # a heartbeat may be first
        ? text_of($w->{res}->body)
        : ($w->{res}->json || {})->{choices}[0]{message}{content} // '';
    if ($text eq $want && !grep { !$killed{$_} } @died) {
        $whole++;
    } else {
        diag("$name: ", $w->{res}->status, " ", $w->{res}->body, "; @died, $last; killed: @killed");
    }
    $w->{http}->close;
}
is($whole, 12, 'who had said nothing is answered, with no call too many');
cmp_ok($again, '>', 0, 'some of them by a second process');
my $right = 0;
for my $w (@slow) {
    my ($name) = $w->{model} =~ m{/(.*)};
    my @pids = calls($name);
    if ($killed{ $pids[0] }) {
        $lost++;
        my $body = whole($w->{http})->body;
        $right++ if @pids == 1 && $body =~ /stream_lost/;
    } else {
        $right++ if @pids == 1;
    }
    $w->{http}->close;
}
is($right, 8, 'who had begun is lost with its own process alone');
note("$lost of 8 streams lost, $again calls again");

wait_for(sub { $t->worker_pids == 2 }, 60, 'two processes again');
ok($sup->alive, 'the supervisor goes on');
is($t->chat('still here')->json->{choices}[0]{message}{content}, 'still here',
    'and jobs are run');
wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger')
    == 11 + 12 + 8 + 1 + 1 }, 30, 'a row each');
sleep 0.5;
is($t->pg->value('select count(*) from ngxai.ledger'), 33, 'and no more');

# Processes that die young are started again later and later.
my @gaps;
for (1 .. 4) {
    my %before = map { $_ => 1 } my @now = $t->worker_pids;
    my $at = time;
    kill KILL => @now;
    wait_for(sub { 2 == grep { !$before{$_} } $t->worker_pids }, 60,
        'new processes');
    push @gaps, time - $at;
}
note(sprintf 'started again after %s s', join ', ',
    map { sprintf '%.2f', $_ } @gaps);
cmp_ok($gaps[3], '>', 0.5, 'the supervisor takes its time with who dies young');
is($t->chat('and on')->json->{choices}[0]{message}{content}, 'and on',
    'jobs are run again');

$t->baseline;
done_testing();
