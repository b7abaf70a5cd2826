#!/usr/bin/perl
# What a provider is asked, what passes of its answers, and how it may fail.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;

# One provider whose model's name says how it behaves.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $model = ($req->{json} || {})->{model} || '';
    my $event = sub { $out->chunk("data: $_[0]\n\n") };

    if ($model eq 'error') {
        $out->answer(429, '{"error": {"message":"slow down"}}',
            'Retry-After' => 7, 'X-Request-Id' => 'req_1',
            'Set-Cookie' => 'a=b', 'Connection' => 'keep-alive',
            'X-Extra' => 'kept', 'X-Other' => 'dropped');
    } elsif ($model eq 'stall') {
        $out->stall;
    } elsif ($model eq 'idle') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $event->('{"choices":[{"index":0,"delta":{"content":"12345678"},'
            . '"finish_reason":null}]}');
        $out->stall;
    } elsif ($model =~ /^cut(r?)$/) {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $event->('{"choices":[{"index":0,"delta":{"content":"12345678"},'
            . '"finish_reason":null}]}');
        $out->chunk('data: {"choices":[{"ind');
        $out->cut($1 ? 1 : 0);
    } elsif ($model eq 'nohead') {
        $out->cut;
    } elsif ($model eq 'noise') {
        $out->raw("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        $out->cut;
    } elsif ($model eq 'noend') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $event->('{"choices":[{"index":0,"delta":{"content":"1"}}]}');
        $out->end;
    } elsif ($model eq 'inside') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $event->('{"error":{"message":"overloaded","code":502}}');
        $out->end;
    } elsif ($model eq 'odd') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk(": PROCESSING\r\n\r\nevent: chunk\r\ndata: {\"choices\":"
            . "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
            . "\"usage\":null , \"x\":1}\r\n\r\n");
        $out->chunk("data: {\"usage\":null,\"choices\":[]}\n\n");
        $out->chunk("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,"
            . "\"completion_tokens\":4}}\n\n");
        $out->chunk("data: [DONE]");
        $out->end;
    } elsif ($model eq 'nousage') {
        $out->answer(200, { choices => [{ index => 0, finish_reason => 'stop',
            message => { content => 'x' x 400 } }] });
    } elsif ($model eq 'large') {
        $out->answer(200, { choices => [{ index => 0, finish_reason => 'stop',
            message => { content => 'abcdefgh' x 400_000 } }],
            usage => { prompt_tokens => 1, completion_tokens => 2 } });
    } elsif ($model eq 'flood') {
        $out->head(200, 'Content-Type' => 'text/event-stream', map {
            ("X-Ratelimit-$_" => 'y' x 1000) } 1 .. 100);
        $out->end;
    } elsif ($model eq 'pace') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        for (1 .. 100) {
            $event->('{"choices":[{"index":0,"delta":{"content":"tick"}}]}');
            $out->wait(0.05);
        }
        $out->end;
    } else {
        AiProvider::openai()->($req, $out);
    }
});
my $a = $t->provider(script => AiProvider::anthropic());

my $down = free_port();
open my $fh, '>', $t->subdir('secrets') . '/key' or die $!;
print $fh "sk-file\n";
close $fh;
open $fh, '>', $t->subdir('outside') . '/key' or die $!;
print $fh 'sk-outside';
close $fh;

my %provider = (api => 'openai', url => [$p->url('/v1')], key => ['file:key'],
    timeout => { connect => 20000, first => 60000, idle => 60000,
        total => 60000 });
$w->catalog({
    models => {
        'gpt-x' => { routes => [{ provider => 'p', model => 'real-x' }] },
        half => { routes => [{ provider => 'p', model => 'one', weight => 3 },
            { provider => 'p', model => 'two', weight => 1 }] },
        long => { routes => [{ provider => 'p', model => '"' x 512 }] },
        longer => { routes => [{ provider => 'p', model => '"' x 513 }] },
    },
    prices => { 'p/real-x' => { input => 2_500_000_000,
        output => 10_000_000_000, cached => 1_250_000_000 } },
    providers => {
        p => { %provider, headers => ['X-Title: ngx', 'x-extra'] },
        a => { %provider, api => 'anthropic', url => [$a->url] },
        hasty => { %provider, timeout => { connect => 20000, first => 500,
            idle => 500, total => 60000 } },
        quiet => { %provider, options => { stream_usage => 'off' } },
        down => { %provider, url => ["http://127.0.0.1:$down"] },
        dns => { %provider, url => ['http://no-such-host.invalid'] },
        away => { %provider, key => ['env:NOT_SET_API_KEY'] },
        sneak => { %provider, key => ['file:../outside/key',
            'file:/etc/hostname', 'env:HOME', 'file:.hidden'] },
        env => { %provider, key => ['env:NOT_SET_API_KEY', 'env:SET_API_KEY'],
            url => ['env:NOT_SET_BASE_URL', 'env:P_BASE_URL'] },
        free => { %provider, key => [] },
    },
});
$w->start(env => { SET_API_KEY => 'sk-env', P_BASE_URL => $p->url('/v1/') });

sub body { return { model => $_[0], messages => [{ role => 'user',
    content => 'hello' }], @_[1 .. $#_] } }
sub ask { my ($model, %o) = @_;
    my %more = %{ delete $o{with} || {} };
    return $w->answer($w->job(body => body($model, %more), %o)) }
sub last_request {
    my $req = ($p->requests)[-1];
    return { %$req, json => scalar eval { decode_json($req->{body}) } };
}


# What is asked.

my $text = ' { "temperature":0.7,"top_p":1e0, "n":1.0, "model" : "gpt-x",'
    . "\n\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9 / \\/\"}] } ";
my $got = $w->answer($w->job(body => $text, headers => ['OpenAI-Beta: x=1',
    'Idempotency-Key: 7'], query => 'beta=true'));
is($got->{status}, 200, 'answered');
my $req = last_request();
(my $want = $text) =~ s/"gpt-x"/"real-x"/;
is($req->{body}, $want, 'only the model changed in the request');
is($req->{path}, '/v1/chat/completions', 'path');
is($req->{headers}{authorization}, 'Bearer sk-file', 'key from a file');
is($req->{headers}{'openai-beta'}, 'x=1', 'a header passes');
is($req->{headers}{'x-title'}, 'ngx', "the provider's own header");
is($req->{headers}{expect}, undef, 'no Expect');
is($got->{end}{model}, 'real-x', 'usage names the model that was asked');
is($got->{end}{cost}, 5 * 2500 + 2 * 10000, 'cost in nano-USD');

ask('p/small', with => { stream => $yes });
is(last_request()->{json}{stream_options}{include_usage}, 1,
    'usage is asked for');
for my $case (['{"stream_options":{},"stream":true,', 1],
    ['{"stream_options": { "x":1 },"stream":true,', 1],
    ['{"stream":true,"stream_options":{"include_usage":false},', 1],
    ['{"stream":true,"stream_options":null,', 1],
    ['{"stream":true,"stream_options":{"include_usage":true},', 1])
{
    $w->answer($w->job(body => $case->[0] . '"model":"p/m","messages":[]}',
        usage_asked => 0));
    my $sent = last_request();
    ok($sent->{json} && $sent->{json}{stream_options}{include_usage}
        && $sent->{json}{model} eq 'm', "$case->[0]");
}
ask('quiet/m', with => { stream => $yes });
is(last_request()->{json}{stream_options}, undef, 'stream_usage=off');

ask('env/m');
is(last_request()->{headers}{authorization}, 'Bearer sk-env', 'first key set');
ask('free/m');
is(last_request()->{headers}{authorization}, undef, 'no key needed');

my %seen;
$seen{ $_->{end}{model} }++ for map { ask('half') } 1 .. 40;
cmp_ok($seen{one}, '>', $seen{two} || 0, 'weights');
ok($seen{two}, 'the lighter route, too');
is(ask('long')->{end}{state}, 'done', 'a long name');
is(last_request()->{json}{model}, '"' x 512, 'as a whole');
is(ask('longer')->{error}, 'model_not_found', 'one that is too long');

$got = $w->answer($w->job(dialect => 'anthropic', headers =>
    ['anthropic-beta: b1'], query => 'beta=true',
    body => body('a/claude', max_tokens => 5, stream => $yes)));
$req = ($a->requests)[-1];
is($req->{path}, '/v1/messages', 'anthropic: path');
is($req->{query}, 'beta=true', 'anthropic: query');
is($req->{headers}{'x-api-key'}, 'sk-file', 'anthropic: key');
is($req->{headers}{'anthropic-version'}, '2023-06-01', 'anthropic: version');
is($req->{headers}{'anthropic-beta'}, 'b1', 'anthropic: beta');
is("@{$got->{end}}{qw(state input output finish request_id)}",
    "done 5 2 end_turn req_$req->{n}", 'anthropic: usage');
$got = $w->answer($w->job(dialect => 'anthropic', headers =>
    ['anthropic-version: 2026-10-21'], body => body('a/claude')));
is(($a->requests)[-1]->{headers}{'anthropic-version'}, '2026-10-21',
    'anthropic: the version of the client');
is($got->{headers}{'request-id'}, ($a->requests)[-1]->{n} && 'req_'
    . ($a->requests)[-1]->{n}, 'anthropic: request-id passes');
$got = ask('a/claude', headers => ['anthropic-version: 2026-10-21',
    'openai-beta: b1']);
is($got->{state} || $got->{end}{state}, 'done', 'dialects mix');
is(($a->requests)[-1]->{headers}{'openai-beta'}, undef,
    "but not one's headers with the other's");


# What passes.

$got = ask('p/error', with => { stream => $yes });
is($got->{status}, 429, "the provider's error: status");
is($got->{body}, '{"error": {"message":"slow down"}}', 'its bytes');
is($got->{stream}, 0, 'is no stream');
is($got->{headers}{'retry-after'}, 7, 'retry-after');
is($got->{headers}{'x-request-id'}, 'req_1', 'x-request-id');
is($got->{headers}{'set-cookie'}, undef, 'no cookie');
is($got->{headers}{'x-extra'}, 'kept', 'one more header, as declared');
is($got->{headers}{'x-other'}, undef, 'none that is not');
is("@{$got->{end}}{qw(state status input request_id)}", 'failed 429 0 req_1',
    'usage of an error');

$got = ask('p/odd', with => { stream => $yes });
is($got->{body}, ": PROCESSING\r\n\r\nevent: chunk\r\ndata: {\"choices\":"
    . "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]"
    . " , \"x\":1}\r\n\r\ndata: {\"choices\":[]}\n\ndata: [DONE]",
    'comments, CRLF, usage cut out, an end without a blank line');
is($got->{end}{output}, 4, 'and its usage');

$got = ask('p/inside', with => { stream => $yes });
is($got->{status} . $got->{body},
    "200data: {\"error\":{\"message\":\"overloaded\",\"code\":502}}\n\n",
    'an error inside a stream passes');
is($got->{end}{state}, 'failed', 'and counts as one');

$got = ask('p/nousage');
is($got->{end}{estimated}, 1, 'no usage: a guess');
is($got->{end}{output}, 100, 'of bytes / 4');


# How it fails.

my %cause = ('down/m' => 'provider_unreachable', 'dns/m' =>
    'provider_unreachable', 'p/nohead' => 'provider_unreachable',
    'hasty/stall' => 'provider_timeout',
    'hasty/idle' => 'provider_timeout',
    'p/cut' => 'provider_bad',
    # A reset may overtake the head.
    'p/cutr' => 'provider_bad|provider_unreachable',
    'p/noise' => 'provider_bad', 'p/noend' => 'provider_bad',
    'p/flood' => 'provider_bad', 'away/m' => 'no_key', 'sneak/m' => 'no_key');
my %job = map { $_ => $w->job(body => body($_, stream => $yes)) } keys %cause;
for my $model (sort keys %cause) {
    $got = $w->answer($job{$model});
    like($got->{error}, qr/^(?:$cause{$model})$/, "$model: cause");
    is($got->{end}{state}, 'failed', "$model: state");
}
$got = $w->read($job{'p/cut'});
is($got->{status}, 200, 'a broken stream had begun');
like($got->{body}, qr/\n\n\z/, 'half an event does not pass');
is($got->{end}{output}, 2, 'what came is counted');
is(scalar(my @rows = $w->outbox($job{'p/cut'})), 1, 'one ledger record');
is($w->read($job{'hasty/stall'})->{head}, undef, 'no head before an early end');
unlike($w->t->redis->cmd('GET', "ai1:catalog:$w->{catalog}"), qr/sk-/,
    'no secret in the catalog');
unlike($t->worker_log, qr/sk-(?:file|env|outside)/, 'no secret in the log');

is(ask('p/stall', timeout => 300)->{error}, 'provider_timeout',
    "the job's own time");


# Cancelled: the call ends at once.

my $job = $w->job(body => body('p/pace', stream => $yes));
$w->begun($job, 2);
my $before = $p->aborts;
my $began = time;
my $done = $w->script('cancel', $job, 't', 'client', 'now', 'cancelled', '');
is($done->[0], 'CANCELLING', 'cancelled');
$got = $w->answer($job);
is($got->{error}, 'cancelled', 'its end says so');
cmp_ok(time - $began, '<', 2, 'soon');
wait_for(sub { $p->aborts > $before }, 10, 'the provider to notice');
cmp_ok(($p->aborts)[-1]{at} - $began, '<', 1, 'the provider call has ended');
is("@{$got->{end}}{qw(state status estimated)}", 'cancelled 499 1',
    'its usage');
is($w->state($job), 'cancelled', 'its state');

$job = $w->job(body => body('p/pace', stream => $yes));
$w->begun($job, 2);
$got = $w->script('leave', $job, $w->{edge});
is($got->[2], 'cancelling', 'nobody listens');
wait_for(sub { $w->state($job) eq 'cancelled' }, 10, 'the job to end');
pass('and it ends');

# A catalog that nobody has: the edge is asked for it.
my $missing = 'f' x 64;
$job = $w->job(body => body('p/m'), catalog => $missing);
my $asked;
wait_for(sub {
    my $msg = $w->{bell}->message(1) or return;
    $asked = $msg->[1] =~ /^C$missing$/m;
}, 10, 'the bell');
ok($asked, 'an edge is asked for a catalog');
is($w->answer($job)->{error}, 'internal', 'without it the job fails');


# What is large.

$got = ask('p/large');
is(length $got->{json}{choices}[0]{message}{content}, 3_200_000,
    'an answer of 3 MB');
is($got->{end}{output}, 2, 'and its usage');
is(scalar(grep { length > 65536 } @{ $got->{pieces} }), 0,
    'in events of 64 KB');
like(join('', map { /([a-z])$/ } @{ $got->{events} }), qr/^hsc+e$/,
    'whose pieces continue the first');

my $big = 'z' x 1_000_000;
$got = $w->answer($w->job(body => { model => 'p/big', messages => [
    { role => 'user', content => $big }] }));
is(length last_request()->{json}{messages}[0]{content}, 1_000_000,
    'a request of 1 MB');

my @conns = map { $_->{conn} } $p->requests;
my %conns = map { $_ => 1 } @conns;
cmp_ok(scalar keys %conns, '<', @conns / 2, 'connections are used again');
wait_for(sub { !$w->leases }, 10,
    'all slots to be free');

$w->close;
done_testing();
