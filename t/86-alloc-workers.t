#!/usr/bin/perl
# Every allocation of the workers fails once, in jobs of each kind, with the
# real nginx, Redis and Postgres around them: each client gets an answer or an
# error of its dialect, each job ends once and has one row, no process dies.
#
#   AI_T_ALLOC=full    every start of a process, and the libraries, too
use AiFail;
use AiTest;
use AiWork;
use Digest::SHA qw(sha256_hex);
use List::Util qw(max);

my $full = ($ENV{AI_T_ALLOC} || '') eq 'full';
my $t = AiTest->new(allow_log => [qr/cannot be ended|no memory/],
    quiet_time => 30);
my $fail = AiFail->new($t);
$t->{built}{'ai-workers'} = $fail->workers;

# Its model says what it does.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $model = ($req->{json} || {})->{model} || '';

    if ($model eq 'error') {
        $out->answer(429, '{"error":{"message":"slow down"}}',
            'Retry-After' => 7);
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

$t->start(workers => { args => ['--drain', 5] }, edge => { ai => <<"CONF" });
    ai_provider p { api openai; url @{[ $p->url('/v1') ]}; }
    ai_provider a { api anthropic; url @{[ $a->url ]}; }
CONF
my $edge = $t->edge;
my ($child) = $t->worker_pids;
my $w = AiWork->new($t, start => 0);
my $chat = '/v1/chat/completions';
my $words = join ' ', map { "word$_" } 1 .. 12;

sub ask { my ($model, %more) = @_;
    return { model => $model, messages => [{ role => 'user',
        content => $words }], %more } }
sub metric {
    my ($name) = @_;
    my ($n) = $t->get('/metrics', key => undef)->body =~ /^$name ([\d.]+)$/m;
    return $n;
}

my %kinds = (
    'an answer' => sub { return (path => $chat, json => ask('echo/echo')) },
    'a stream' => sub {
        return (path => $chat, json => ask('echo/echo', stream => \1)) },
    'a stream to come back to' => sub {
        return (path => $chat, json => ask('echo/echo', stream => \1),
            headers => { 'X-AI-Resumable' => '1' }) },
    'a body of 20 KB' => sub {
        return (path => $chat, json => ask('p/m', x => 'y' x 20_000)) },
    'a body of 300 KB' => sub {
        return (path => $chat, json => ask('echo/echo', x => 'y' x 300_000)) },
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
    'an unknown model' => sub {
        return (path => $chat, json => ask('nothing/m')) },
    'in the background' => sub {
        return (path => $chat, json => ask('p/m'),
            headers => { Prefer => 'respond-async' }) },
    'an unknown key' => sub {
        return (path => $chat, json => ask('p/m'),
            key => sprintf 'ngx-%043d', rand 1e9) },
);

my %good = ('an error' => 429, 'an unknown model' => qr/400|404/,
    'in the background' => 202, 'an unknown key' => 401,
    'a stream that breaks off' => qr/200|502/);

# What is wrong with an answer, '' where nothing is.
sub wrong {
    my ($kind, $res, $json) = @_;
    my $body = $res->body;

    return 'cut' if $res->{cut};
    if ($res->status >= 400) {
        my $error = ($res->json || {})->{error};
        return 'status ' . $res->status . ": $body"
            unless ref $error eq 'HASH' && length $error->{message};
        return '' if $res->status >= 500 || $kind eq 'an error';
        return $res->status =~ /^(?:$good{$kind})$/ ? ''
            : 'status ' . $res->status if $good{$kind};
        return 'status ' . $res->status;
    }
    if (!$json->{stream}) {
        return ref $res->json eq 'HASH' ? '' : "not JSON: $body";
    }
    return 'no stream: ' . ($res->header('content-type') || '')
        unless ($res->header('content-type') || '') =~ m{^text/event-stream};
    return '' if $body =~ /(?:data: \[DONE\]|"type":"message_stop"\})\n\n\z/;
    my ($last) = $body =~ /data: ([^\n]*)\n\n\z/;
    my $data = eval { decode_json($last // '') };
    return ref $data && $data->{error} ? '' : 'an end of: '
        . substr $body, -200;
}

sub one {
    my ($kind, %ask) = @_;
    my $http = AiHttp->new(port => $edge->port);
    my $res = eval {
        $http->send_request(key => $t->{key}, %ask);
        $http->response(12);
    };
    my $error = $@;

    $http->close;
    return $res ? wrong($kind, $res, $ask{json}) : $error;
}

# Every n of a kind: what was wrong, the last n, how many answers were errors.
sub each_n {
    my ($kind, $do, %o) = @_;
    my ($n, $asked, @bad) = (0, 1);

    while ($n < $asked && $n < ($o{most} || 400)) {
        $fail->at($n += $o{step} || 1, $o{span});
        my $wrong = $do->();
        $asked = $fail->asked;
        $fail->off;
        push @bad, "$n: $wrong" if $wrong;
        last if @bad > 3;
    }

    return ($n, @bad);
}

for my $kind (sort keys %kinds) {
    one($kind, $kinds{$kind}->());
    my ($n, @bad) = each_n($kind, sub { one($kind, $kinds{$kind}->()) });
    is(join("\n", @bad), '', "$kind: ends well whichever of $n fails");
}

# One after the other, as where there is no memory for a while.
for my $kind ('a stream', 'a call that streams', 'a body of 300 KB') {
    my ($n, @bad) = each_n($kind, sub { one($kind, $kinds{$kind}->()) },
        span => 7, step => 3);
    is(join("\n", @bad), '', "$kind: ends well whichever seven of $n fail");
}

# A catalog that was never seen.
my $i = 0;
my ($n, @bad) = each_n('a catalog', sub {
    $w->catalog({ providers => { echo => { api => 'echo' } },
        prices => { 'echo/echo' => { input => ++$i } } });
    my $got = eval { $w->answer($w->job(body => ask('echo/echo')), 30) };
    return $got ? $got->{end} && ($got->{error} || $got->{json}) ? ''
        : 'no end' : $@;
});
is(join("\n", @bad), '', "a catalog: ends well whichever of $n fails");
$w->close;

is_deeply([$t->worker_pids], [$child], 'no process has died');

# The jobs.
my $jobs;
eval {
    wait_for(sub {
        $jobs = $t->redis->keys($t->prefix . 'job:*');
        return !grep {
            $t->redis->cmd('HGET', $_, 'state')
                !~ /^(?:done|failed|cancelled)$/
        } keys %$jobs;
    }, 40);
};
my %left = map { ($_ => $t->redis->cmd('HGET', $_, 'state')) } keys %$jobs;
is(join(' ', map { "$_ $left{$_}" } grep { $left{$_}
    !~ /^(?:done|failed|cancelled)$/ } sort keys %left), '', 'each job ended');
my $rows = 0;
eval {
    wait_for(sub { ($rows = $t->pg->value('select count(*) from ledger'))
        >= keys %$jobs }, 30);
};
is($rows, scalar keys %$jobs, 'and has a row');
is($t->pg->value('select count(distinct job) from ledger'), $rows, 'of its own');
is($t->pg->value('select count(*) from dead_letters'), 0, 'no dead letter');

done_testing();
