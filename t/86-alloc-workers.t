#!/usr/bin/perl
# Every allocation of the workers fails once, in jobs of each kind, with the
# real nginx, Redis and Postgres around them: each client gets an answer or an
# error of its dialect, each job ends once and has one row, no process dies.
#
#   AI_T_ALLOC=libs    those of the libraries, too; a process that one of them ends
#                      is started again, a call that one forgets times out
#   AI_T_KIND=a call   that kind alone
use AiFail;
use AiTest;
use AiWork;

my $libs = ($ENV{AI_T_ALLOC} || '') eq 'libs';
my $only = $ENV{AI_T_KIND};
my $t = AiTest->new(allow_log => [qr/cannot be ended|no memory/],
    quiet_time => 30);
my $fail = AiFail->new($t);
my %env;
if ($libs) {
    $env{LD_PRELOAD} = $fail->preload(child => 1);
    $t->allow_log(qr/signal 6/);
} else {
    $t->{built}{'ai-workers'} = $fail->workers;
}

# Its model says what it does.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $model = ($req->{json} || {})->{model} || '';

    if ($model eq 'error') {
        $out->answer(429, '{"error":{"message":"slow down"}}',
            'Retry-After' => 7);
    } elsif ($model eq 'down') {
        $out->answer(503, '{"error":{"message":"down"}}');
    } elsif ($model eq 'late') {
        $out->wait(0.4);
        AiProvider::openai()->($req, $out);
    } elsif ($model eq 'cut') {
        $out->head(200, 'Content-Type' => 'text/event-stream');
        $out->chunk(qq(data: {"choices":[{"index":0,"delta":{"content":"1"},)
            . qq("finish_reason":null}]}\n\n));
        $out->chunk('data: {"choices":[{"ind');
        $out->cut;
    } elsif ($model eq 'long') {
        $out->answer(200, { choices => [{ index => 0, finish_reason => 'stop',
            message => { content => 'abcdefgh' x 60_000 } }],
            usage => { prompt_tokens => 1, completion_tokens => 2 } },
            map { ("X-Ratelimit-Limit-$_" => 'y' x 300) } 'Requests', 'Tokens');
    } else {
        AiProvider::openai(words => [map { "w$_ " } 1 .. 8])->($req, $out);
    }
});
my $a = $t->provider(script => AiProvider::anthropic());

$t->start(workers => { env => \%env, args => ['--drain', 5] }, edge => { ai => <<"CONF" });
    ai_provider e { api echo; option word_delay=0; }
    ai_provider p { api openai; url @{[ $p->url('/v1') ]};
        timeout first=10s idle=10s; }
    ai_provider a { api anthropic; url @{[ $a->url ]};
        timeout first=10s idle=10s; }
    ai_model again { route p model=down; fallback a/m p/down; retry 1; }
    ai_model hedged { route p model=late; fallback a/m; hedge 100ms; }
CONF
my $edge = $t->edge;
my ($child) = $t->worker_pids;
my $w = AiWork->new($t, start => 0);
my (%jobs, %calls);
my $chat = '/v1/chat/completions';
my $words = join ' ', map { "word$_" } 1 .. 12;

sub ask { my ($model, %more) = @_;
    return { model => $model, messages => [{ role => 'user',
        content => $words }], %more } }
my %kinds = (
    'an answer' => sub { return (path => $chat, json => ask('e/e')) },
    'a stream' => sub {
        return (path => $chat, json => ask('e/e', stream => \1)) },
    'a stream to come back to' => sub {
        return (path => $chat, json => ask('e/e', stream => \1),
            headers => { 'X-AI-Resumable' => '1' }) },
    'a body of 20 KB' => sub {
        return (path => $chat, json => ask('p/m', x => 'y' x 20_000)) },
    'a body of 300 KB' => sub {
        return (path => $chat, json => ask('e/e', x => 'y' x 300_000)) },
    'a call' => sub { return (path => $chat, json => ask('p/m')) },
    'a call that streams' => sub {
        return (path => $chat, json => ask('p/m', stream => \1)) },
    'a call of Anthropic' => sub {
        return (path => '/v1/messages', json => ask('a/m', max_tokens => 9)) },
    'a stream of Anthropic' => sub {
        return (path => '/v1/messages', json => ask('a/m', max_tokens => 9,
            stream => \1)) },
    'a long answer' => sub { return (path => $chat, json => ask('p/long')) },
    'an error' => sub { return (path => $chat, json => ask('p/error')) },
    'a stream that breaks off' => sub {
        return (path => $chat, json => ask('p/cut', stream => \1)) },
    'a call that is asked again' => sub {
        return (path => $chat, json => ask('again')) },
    'a stream that is asked again' => sub {
        return (path => $chat, json => ask('again', stream => \1)) },
    'a call that is hedged' => sub {
        return (path => $chat, json => ask('hedged')) },
    'a stream that is hedged' => sub {
        return (path => $chat, json => ask('hedged', stream => \1)) },
    'an unknown model' => sub {
        return (path => $chat, json => ask('nothing/m')) },
    'in the background' => sub {
        return (path => $chat, json => ask('p/m'),
            headers => { Prefer => 'respond-async' }) },
    'the ledger' => sub { return (path => $chat, json => ask('e/e')) },
    'an unknown key' => sub {
        return (path => $chat, json => ask('p/m'),
            key => sprintf 'ngx-%043d', rand 1e9) },
);

my %status = ('an error' => 429, 'an unknown model' => '400|404',
    'in the background' => 202, 'an unknown key' => 401,
    'a stream that breaks off' => '200|502');

sub one {
    my ($kind, %ask) = @_;
    my $http = AiHttp->new(port => $edge->port);
    my $res = eval {
        $http->send_request(key => $t->{key}, %ask);
        $http->response($libs ? 60 : 12);
    };
    my $error = $@;

    $http->close;
    return $error unless $res;
    my $job = $res->header('x-ai-job');
    $jobs{$job} = 1 if $job;
    $calls{$job} = 1 if $job && $kind =~ /hedged|again/;
    # What has begun can only be cut.
    return $kind eq 'a long answer' ? '' : 'cut' if $res->{cut};
    # The built-in provider reads with a library, which does not say why not.
    return '' if $libs && $res->status == 400 && $ask{json}{model} eq 'e/e';
    my $wrong = AiFail::wrong($res, $ask{json}{stream});
    return $wrong if $wrong;
    return 'status ' . $res->status unless $res->status >= 500
        || $res->status =~ /^(?:@{[ $status{$kind} || 200 ]})$/;

    my $ended = eval {
        wait_for(sub { $t->get("/v1/jobs/$job")->json->{state}
            =~ /^(?:done|failed)$/ }, 12) if $res->status == 202;
        wait_for(sub { $t->redis->cmd('XLEN', $t->prefix . 'outbox') == 0 },
            $libs ? 45 : 12, 'the outbox') if $kind eq 'the ledger';
        1;
    };
    return $ended ? '' : $@;
}

for my $kind (grep { !$only || $_ eq $only } sort keys %kinds) {
    one($kind, $kinds{$kind}->());
    my ($n, $bad) = $fail->each_n(sub { one($kind, $kinds{$kind}->()) });
    is($bad, '', "$kind: ends well whichever of $n fails");
}

# One after the other, as where there is no memory for a while.
for my $kind (grep { !$only || $_ eq $only } 'a stream',
    'a call that streams', 'a body of 300 KB')
{
    my ($n, $bad) = $fail->each_n(sub { one($kind, $kinds{$kind}->()) },
        span => 7, step => 3);
    is($bad, '', "$kind: ends well whichever seven of $n fail");
}

# A catalog that was never seen.
my $i = 0;
my ($n, $bad) = $fail->each_n(sub {
    $w->catalog({ providers => { echo => { api => 'echo' } },
        prices => { 'echo/echo' => { input => ++$i } } });
    my $job = $w->job(body => ask('echo/echo'));
    $jobs{$job} = 1;
    my $got = eval { $w->answer($job, 12) };
    return $got ? $got->{end} && ($got->{error} || $got->{json}) ? ''
        : 'no end' : $@;
});
is($bad, '', "a catalog: ends well whichever of $n fails");
$w->close;

is_deeply([$t->worker_pids], [$child], 'no process has died') unless $libs;

# Each job ended, and has one row, and one more for a second call.
my @open;
eval {
    wait_for(sub {
        # A key may expire between the two.
        @open = grep { ($t->redis->cmd('HGET', $_, 'state') // 'done')
            !~ /^(?:done|failed|cancelled)$/ }
            keys %{ $t->redis->keys($t->prefix . 'job:*') };
        return !@open;
    }, 30);
};
is(join(' ', @open), '', 'each job ended');
eval { wait_for(sub { $t->pg->value('select count(*) from ledger')
    >= keys %jobs }, 45) };
my %seen;
my @rows = sort grep { !$calls{$_} || !$seen{$_}++ }
    map { $_->[0] } $t->pg->query('select job from ledger');
is_deeply(\@rows, [sort keys %jobs], 'and has one row');
is($t->pg->value('select count(*) from dead_letters'), 0, 'no dead letter');

done_testing();
