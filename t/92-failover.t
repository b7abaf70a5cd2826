#!/usr/bin/perl
# Failover: what is asked of whom after a failure, until the first word; what
# the client sees of it, and what the ledger says.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;
my $dir = $t->dir;

sub sse { my ($out, @data) = @_; $out->chunk("data: $_\n\n") for @data }
my $role = '{"id":"c","choices":[{"index":0,"delta":{"role":"assistant",'
    . '"content":""},"finish_reason":null}]}';
my $word = '{"id":"c","choices":[{"index":0,"delta":{"content":"12345678"},'
    . '"finish_reason":null}]}';
my $error = '{"error":{"message":"overloaded","type":"server_error",'
    . '"code":503}}';
my $blame = '{"error":{"message":"too long","type":"invalid_request_error"}}';

# A provider that misbehaves as the model's name says.
my $bad = $t->provider(name => 'bad', script => sub {
    my ($req, $out) = @_;
    my $model = ($req->{json} || {})->{model} || '';
    my @sse = (200, 'Content-Type' => 'text/event-stream');

    if ($model =~ /^s(\d+)[a-z]?(?:-(\d+))?$/) {
        return $out->answer($1, '{"error":{"message":"bad"}}',
            'X-Request-Id' => 'req_bad', defined $2 ? ('Retry-After' => $2)
            : ());
    } elsif ($model eq 'noretry') {
        return $out->answer(503, '{"error":{"message":"no"}}',
            'X-Should-Retry' => 'false');
    } elsif ($model =~ /^once(\d+)-?(\d*)/) {
        return $out->answer($1, '{"error":{"message":"once"}}',
            length $2 ? ('Retry-After' => $2) : ())
            if $req->{headers}{'idempotency-key'} ne 'x' && !-e "seen-"
            . $req->{headers}{'idempotency-key'} && open my $fh, '>', 'seen-'
            . $req->{headers}{'idempotency-key'};
        return AiProvider::openai()->($req, $out);
    } elsif ($model eq 'gate') {
        $out->stall unless -e "$dir/open";
        return $out->answer(500, '{}');
    } elsif ($model eq 'stall') {
        return $out->stall;
    } elsif ($model eq 'reset') {
        return $out->cut(1);
    } elsif ($model eq 'closed') {
        return $out->cut;
    } elsif ($model eq 'noise') {
        $out->raw("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        return $out->cut;
    } elsif ($model eq 'html') {
        return $out->answer(200, '<html>', 'Content-Type' => 'text/html');
    } elsif ($model eq 'empty') {
        return $out->answer(200, '');
    } elsif ($model eq 'errbody') {
        return $out->answer(200, $error);
    } elsif ($model eq 'blamebody') {
        return $out->answer(200, $blame);
    } elsif ($model eq 'half') {
        $out->raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choi");
        return $out->cut;
    }

    $out->head(@sse);
    if ($model eq 'hello') {
        sse($out, $role);
    } elsif ($model eq 'hellostall') {
        sse($out, $role);
        $out->stall;
    } elsif ($model eq 'helloping') {
        sse($out, $role);
        while (1) {
            $out->wait(0.1);
            $out->chunk(": ping\n\n");
        }
    } elsif ($model eq 'hellocut') {
        sse($out, $role);
        $out->chunk('data: {"choi');
        return $out->cut(1);
    } elsif ($model eq 'helloerror') {
        sse($out, $role, $error);
    } elsif ($model eq 'error') {
        sse($out, $error);
    } elsif ($model eq 'blame') {
        sse($out, $blame);
    } elsif ($model eq 'broken') {
        sse($out, $role, '{"choices":[{');
    } elsif ($model eq 'wordcut') {
        sse($out, $role, $word);
        return $out->cut;
    } elsif ($model eq 'worderror') {
        sse($out, $role, $word, $error);
    } elsif ($model eq 'wordstall') {
        sse($out, $role, $word);
        $out->stall;
    }
    $out->end;
});

my $abad = $t->provider(name => 'abad', script => sub {
    my ($req, $out) = @_;
    my $model = $req->{json}{model};
    return $out->answer($1, { type => 'error', error => {
        type => 'overloaded_error', message => 'busy' } })
        if $model =~ /^s(\d+)$/;
    my $event = sub { my $type = shift; $out->chunk("event: $type\ndata: "
        . encode_json({ type => $type, @_ }) . "\n\n") };
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $event->('message_start', message => { id => 'msg_bad', type => 'message',
        role => 'assistant', model => 'claude', content => [],
        usage => { input_tokens => 40, output_tokens => 1 } });
    $event->('ping');
    $event->('content_block_start', index => 0, content_block => {
        type => 'text', text => '' });
    $out->chunk("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
        . "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n");
    $out->end;
});
my $good = $t->provider(name => 'good');
my $agood = $t->provider(name => 'agood', script => AiProvider::anthropic());
my $down = free_port();

my %p = (api => 'openai', key => [], timeout => { connect => 20000,
    first => 60000, idle => 60000, total => 60000 });
my %model;

# Every misbehaviour of bad has a model whose fallback is good.
sub with {
    my ($name, $provider, $model, $fallback, %more) = @_;
    $model{$name} = { routes => [{ provider => $provider, model => $model }],
        fallbacks => [map { /(.*?)\/(.*)/ && { provider => $1, model => $2,
            weight => 1 } } ref $fallback ? @$fallback : $fallback || ()],
        %more };
}
my @status = (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 501,
    502, 503, 504, 529);
with("s$_", 'bad', "s$_", 'good/fine') for @status;
with("b-$_", 'bad', $_, 'good/fine') for qw(reset closed noise hello hellocut
    helloerror error blame broken wordcut worderror html empty errbody
    blamebody half noretry);
with("h-$_", 'hasty', $_, 'good/fine') for qw(stall hellostall helloping
    wordstall);
with('down', 'down', 'x', 'good/fine');
with('keyless', 'keyless', 'x', 'good/fine');
with('badurl', 'badurl', 'x', 'good/fine');
with('chain', 'bad', 's503', ['bad/reset', 'bad/error', 'down/x',
    'good/fine']);
with('allbad', 'bad', 's500', ['bad/s503-7', 'bad/s529'], retry => 0);
with('lastinside', 'bad', 's500', 'bad/helloerror', retry => 0);
with('lasthello', 'bad', 's500', 'bad/hello', retry => 0);
with('alone', 'bad', 's503a');
with('alone0', 'bad', 's503', undef, retry => 0);
with('alone400', 'bad', 's400');
with('wish', 'bad', 's429-60');
with("once$_", 'bad', "once$_") for '503', '429', '429-1';
with('noretry', 'bad', 'noretry');
with('toanthropic', 'bad', 'helloerror', 'agood/claude');
with('fromanthropic', 'abad', 'hello', 'good/fine');
with('aa', 'abad', 'hello', 'agood/claude');
with('a529', 'abad', 's529', 'good/fine');
with('unfit', 'abad', 's529', 'good/fine');
with('many', 'bad', 's500', [map { "bad/s50$_" } 1 .. 4, 2, 3, 4, 2]);
with('killed', 'bad', 'gate', [map { "bad/s51$_" } 0 .. 9]);
$model{weights} = { routes => [{ provider => 'bad', model => 's500',
    weight => 1000 }, { provider => 'good', model => 'fine', weight => 1 }],
    fallbacks => [] };

$w->catalog({
    models => \%model,
    prices => { map { $_ => { input => 1_000_000_000,
        output => 2_000_000_000 } } qw(good/fine bad/helloerror
        bad/hellostall hasty/hellostall hasty/stall abad/hello) },
    providers => {
        bad => { %p, url => [$bad->url('/v1')] },
        abad => { %p, api => 'anthropic', url => [$abad->url] },
        hasty => { %p, url => [$bad->url('/v1')], timeout => {
            connect => 20000, first => 400, idle => 400, total => 60000 } },
        good => { %p, url => [$good->url('/v1')] },
        agood => { %p, api => 'anthropic', url => [$agood->url] },
        down => { %p, url => ["http://127.0.0.1:$down"] },
        keyless => { %p, url => [$good->url], key => ['env:NOT_API_KEY'] },
        badurl => { %p, url => ['env:NOT_BASE_URL'] },
    },
});
$w->start;

my $key = 0;
sub ask {
    my ($model, %o) = @_;
    my $stream = delete $o{stream};
    return $w->answer($w->job(body => { model => $model, messages => [
        { role => 'user', content => 'hello' }], $stream ? (stream => $yes)
        : (), %{ delete $o{with} || {} } },
        headers => ['Idempotency-Key: k' . ++$key], %o));
}
sub sum_up {
    my ($got) = @_;
    return join ' ', $got->{status} || $got->{error},
        $got->{end}{state}, $got->{end}{provider}, $got->{end}{attempts};
}


# What a failure of the first makes of the answer, by status.

my %final = map { $_ => 1 } 400, 405, 409, 413, 415, 422;
for my $s (@status) {
    my $want = $final{$s} ? "$s failed bad 1" : '200 done good 2';
    is(sum_up(ask("s$s")), $want, "status $s");
    is(sum_up(ask("s$s", stream => 1)), $want, "status $s, a stream");
}


# And by what else may be wrong.  A word that has left is the last of it.

my %want = ((map { $_ => '200 done good 2' } qw(reset closed noise hello
    hellocut helloerror error broken)),
    blame => '200 failed bad 1', wordcut => '200 failed bad 1',
    worderror => '200 failed bad 1');
for my $name (sort keys %want) {
    my $got = ask("b-$name", stream => 1);
    is(sum_up($got), $want{$name}, "stream: $name");
    if ($want{$name} =~ /good/) {
        unlike($got->{body}, qr/"id":"c"/, "$name: nothing of it is told");
        like($got->{body}, qr/\[DONE\]\n\n\z/, "$name: the other's is whole");
    }
}
for my $name (qw(html empty errbody half)) {
    is(sum_up(ask("b-$name")), '200 done good 2', "object: $name");
}
is(sum_up(ask('b-blamebody')), '200 failed bad 1',
    'an error in a 200 that is the client\'s fault');
is(sum_up(ask('b-noretry')), '200 done good 2',
    'x-should-retry: false: another may be asked');
for my $name (qw(stall hellostall helloping)) {
    is(sum_up(ask("h-$name", stream => 1)), '200 done good 2',
        "stream: $name: no token in time");
}
my $got = ask('h-wordstall', stream => 1);
is(sum_up($got), '200 failed hasty 1', 'silence after a word is the end');
is($got->{error}, 'provider_timeout', 'and says so');
is(sum_up(ask($_)), '200 done good 2', $_) for 'down';
is(sum_up(ask($_)), '200 done good 1', "$_: is not called")
    for qw(keyless badurl);
is(sum_up(ask('chain', stream => 1)), '200 done good 5',
    'one after the other');
is(sum_up(ask('weights')), '200 done good 2', 'another route');


# The last failure is what the client sees.

$got = ask('allbad');
is(sum_up($got), '529 failed bad 3', 'all fail: the last');
is($got->{headers}{'x-request-id'}, 'req_bad', 'with its headers');
is(sum_up(ask('lastinside', stream => 1)), '200 failed bad 2',
    'all fail: the last, an error in a stream');
$got = ask('lasthello', stream => 1);
is(sum_up($got), 'provider_bad failed bad 2', 'all fail: the last said hello');
is($got->{head}, undef, 'which nobody gets');
is(ask('many')->{end}{attempts}, 8, 'calls have a bound');


# The same one again.

is(sum_up(ask('alone')), '503 failed bad 3', 'twice again');
is(sum_up(ask('alone0')), '503 failed bad 1', 'retry 0');
is(sum_up(ask('alone400')), '400 failed bad 1', "the client's fault");
is(sum_up(ask('noretry')), '503 failed bad 1', 'x-should-retry: false');
is(sum_up(ask('once503')), '200 done bad 2', 'once is enough');
is(sum_up(ask('once503', stream => 1)), '200 done bad 2', 'of a stream, too');
my $n = $bad->requests;
$got = ask('once429-1');
is(sum_up($got), '200 done bad 2', 'Retry-After');
my @asked = ($bad->requests)[$n, $n + 1];
cmp_ok($asked[1]{at} - $asked[0]{at}, '>=', 1, 'is waited for');
is($asked[1]{body}, $asked[0]{body}, 'the same request');
is($asked[1]{headers}{'idempotency-key'}, $asked[0]{headers}{
    'idempotency-key'}, 'with the same key');
$got = ask('wish');
is(sum_up($got), '429 failed bad 1', 'a long Retry-After is not waited for');
is($got->{headers}{'retry-after'}, 60, 'the client is told');
is(ask('wish', timeout => 500)->{status}, 429, 'nor one past the deadline');
is(ask('h-stall', timeout => 200, stream => 1)->{error}, 'provider_timeout',
    "the job's time bounds all");


# Across dialects.

$got = ask('toanthropic', stream => 1);
is(sum_up($got), '200 done agood 2', 'to Anthropic');
like($got->{body}, qr/Hello.*\[DONE\]\n\n\z/s, 'in the words of OpenAI');
unlike($got->{body}, qr/message_start|"id":"c"/, 'and no others');
$got = ask('fromanthropic', stream => 1);
is(sum_up($got), '200 done good 2', 'from Anthropic');
unlike($got->{body}, qr/msg_bad/, 'of which nothing is told');
is(sum_up(ask('a529')), '200 done good 2', 'its 529');
$got = ask('unfit', with => { n => 2 }, spec => sub { $_[0]
    . "strict 1\n1\n" });
is(sum_up($got), '200 done good 1', 'what cannot be carried goes elsewhere');
for my $stream (0, 1) {
    $got = ask('aa', dialect => 'anthropic', stream => $stream,
        with => { max_tokens => 5, stream => $yes });
    is(sum_up($got), '200 done agood 2', 'an Anthropic client');
    is(scalar(() = $got->{body} =~ /event: message_start/g), 1,
        'one message_start');
}
$got = ask('b-helloerror', dialect => 'anthropic', stream => 1,
    with => { max_tokens => 5 });
is(sum_up($got), '200 done good 2', 'an Anthropic client of OpenAI providers');
like(join(' ', $got->{body} =~ /^event: (.*)$/mg),
    qr/^message_start .*message_stop$/, 'whole');


# What it costs.

sub rows {
    my ($model, %o) = @_;
    my $job = $w->job(body => { model => $model, stream => $yes, messages => [
        { role => 'user', content => 'hello' }] }, %o);
    my $got = $w->answer($job);
    my @rows = map { my $u = AiWork::usage($_->{u}); join ' ', $_->{c},
        @$u{qw(state provider input output cost estimated attempts)} }
        $w->outbox($job);
    return ($got, @rows);
}
my $len = length JSON::PP->new->canonical->encode({ model => 'h-stall',
    stream => $yes, messages => [{ role => 'user', content => 'hello' }] });
my $in = int(($len + 3) / 4);
($got, my @rows) = rows('h-stall');
is_deeply(\@rows, ["0 failed hasty $in 0 @{[$in * 1000]} 1 1",
    '1 done good 5 2 9000 0 2'], 'a call that was taken and not answered');
is($got->{end}{cost}, $in * 1000 + 9000, 'the job costs both');
is("@{$got->{end}}{qw(input output estimated)}", '5 2 1',
    'tokens are those of the answer');
($got, @rows) = rows('fromanthropic');
is_deeply(\@rows, ['0 failed abad 40 1 42000 1 1', '1 done good 5 2 9000 0 2'],
    'what the provider counted before it failed');
($got, @rows) = rows('s503');
is_deeply(\@rows, ['0 done good 5 2 9000 0 2'],
    'what a provider refused costs nothing');
($got, @rows) = rows('down');
is_deeply(\@rows, ['0 done good 5 2 9000 0 2'], 'nor does one that is away');


# A worker dies in the middle of a call: the next one has fewer left.

my $job = $w->job(body => { model => 'killed', messages => [] });
wait_for(sub { grep { $_->{body} =~ /gate/ } $bad->requests }, 10, 'the call');
open my $fh, '>', "$dir/open" or die $!;
close $fh;
my ($pid) = map { /^(?:\S+)-(\d+)-\d+$/ } $w->r->cmd('HGET',
    "$w->{p}job:$job", 'owner');
kill 'KILL', $pid;
$got = $w->answer($job);
is(sum_up($got), '515 failed bad 7', 'the call of the dead one counts');
like($got->{events}[0], qr/^2-/, 'in the second attempt');
wait_for(sub { !$w->leases }, 10, 'all slots to be free');

$w->close;
done_testing();
