#!/usr/bin/perl
# Everything at once: streams, calls and background jobs while clients hang up
# and everything else is killed, stopped, reloaded or upgraded (AiChaos), at
# random from a seed that is printed.  t/95-chaos-replay.t does it with recorded
# streams.
#
#   AI_T_SEED     replays a run, as far as timing allows
#   AI_T_STREAMS  clients (100; with AI_T_FULL 300); the time grows with them
#   AI_T_CALM     1: the clients alone, nothing is killed
use AiTest;
use AiChaos;
use List::Util qw(max);

my $seed = $ENV{AI_T_SEED} || 1 + int rand 1_000_000;
my $clients = $ENV{AI_T_STREAMS} || ($ENV{AI_T_FULL} ? 300 : 100);
my $length = max(15, $clients / 20);
my $chat = '/v1/chat/completions';

diag("AI_T_SEED=$seed AI_T_STREAMS=$clients");
srand $seed;


# What the provider says to a model, but for the number of the call, which
# makes two calls for one model two different answers.
sub content {
    my ($model) = @_;
    my $x = 0;
    $x = ($x * 31 + $_) % 2147483647 for unpack 'C*', "$seed $model";
    my $next = sub {
        $x = ($x * 48271 + 11) % 2147483647;
        return int($x / 2147483647 * $_[0]);
    };

    $next->(2) for 1 .. 5;
    my @words = map {
        my $long = $next->(40) == 0 ? 3000 : 30;
        join '', map { ('a' .. 'z', ' ', "\x{e9}", "\\", '"')[$next->(30)] }
            0 .. $next->($long);
    } 0 .. 4 + $next->(36);

    return { words => \@words, wait => $next->(3) ? $next->(100) / 200
        : $next->(1000) / 300, pace => (0.01, 0.05, 0.1)[$next->(3)] };
}


sub usage_of {
    my ($words) = @_;
    return { prompt_tokens => 7, completion_tokens => 0 + @$words,
        total_tokens => 7 + @$words };
}


my $json = JSON::PP->new->utf8->canonical;

# Its server-sent events, as the bytes of the nth call.
sub sse {
    my ($model, $n, $usage) = @_;
    my $words = content($model)->{words};
    my %base = (id => "chatcmpl-$n", object => 'chat.completion.chunk',
        model => $model);

    return ((map { 'data: ' . $json->encode({ %base, choices => [{
            index => 0, delta => { content => $words->[$_] },
            finish_reason => $_ == $#$words ? 'stop' : undef }] }) . "\n\n" }
        0 .. $#$words),
        $usage ? 'data: ' . $json->encode({ %base, choices => [],
            usage => usage_of($words) }) . "\n\n" : (),
        "data: [DONE]\n\n");
}


sub plain {
    my ($model, $n) = @_;
    my $words = content($model)->{words};

    return $json->encode({ id => "chatcmpl-$n", object => 'chat.completion',
        model => $model, choices => [{ index => 0, finish_reason => 'stop',
            message => { role => 'assistant', content => join '', @$words } }],
        usage => usage_of($words) });
}


my $t = AiTest->new;
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $model = $req->{json}{model};
    my $c = content($model);

    $out->wait($c->{wait});
    if (!$req->{json}{stream}) {
        $out->wait($c->{pace} * @{ $c->{words} });
        return $out->answer(200, plain($model, $req->{n}));
    }
    $out->head(200, 'Content-Type' => 'text/event-stream');
    for my $ev (sse($model, $req->{n},
        $req->{json}{stream_options}{include_usage}))
    {
        $out->chunk($ev);
        $out->wait($c->{pace});
    }
    $out->end;
});

my $chaos = AiChaos->new(t => $t, spare => [$p->port],
    ai => 'ai_stream_heartbeat 300ms; ai_resume 20s; ai_result_ttl 20s;'
        . ' ai_provider p { api openai; url ' . $p->url('/v1')
        . '; timeout connect=30s; }');
my $edge = $t->edge;


# The answer whose head was read, with its body; undef when that was cut.
sub rest {
    my ($http) = @_;

    eval {
        1 while defined $http->piece;
        1;
    } or return undef;
    return $http->{res};
}


# One client, in a process of its own: what it saw, as data.  Each POST asks
# for a model of its own, so that the provider and the ledger know it apart.
sub client {
    my ($c) = @_;
    my %saw = (n => $c->{n}, kind => $c->{kind}, posts => [], log => [],
        usage => $c->{usage} ? 1 : 0);
    my $until = time + 150;
    my $note = sub { push @{ $saw{log} }, sprintf '%.2f %s', time, "@_" };
    my $open = sub {
        my (%o) = @_;
        my $http = AiHttp->new(port => $edge->port, timeout => 80);
        $http->send_request(key => $chaos->key($c->{tenant}), %o);
        return $http;
    };
    my @leave = @{ $c->{leave} };

    while (time < $until) {
        my $post = { model => "c$c->{n}-" . @{ $saw{posts} } };
        push @{ $saw{posts} }, $post;
        my %ask = (model => "p/$post->{model}", messages => [{ role => 'user',
            content => 'x' x $c->{size} }],
            $c->{stream} ? (stream => \1) : (),
            $c->{usage} && $c->{stream}
                ? (stream_options => { include_usage => \1 }) : ());
        my $http = eval { $open->(method => 'POST', path => $chat,
            json => \%ask, headers => [
                $c->{kind} eq 'resumable' ? ('X-AI-Resumable' => 1) : (),
                $c->{kind} eq 'job' ? (Prefer => 'respond-async') : ()]) };
        if ($http && $c->{gone_first}) {
            sleep $c->{gone_first};
            $http->reset;
            $saw{end} = 'left';
            last;
        }
        my $head = $http && eval { $http->head };
        if (!$head) {
            my $err = $@;
            $note->("post: $err");
            if ($err =~ /timed out/) {
                $saw{end} = 'stuck';
                last;
            }
            sleep 0.1;
            next;
        }
        $post->{job} = $head->header('x-ai-job') || '';
        $post->{status} = $head->status;
        if ($head->status == 503 || $head->status == 429) {
            my $res = rest($http);
            $note->($head->status, $res ? $res->body : '');
            if (!$head->header('retry-after')
                || ($res && !$res->json->{error}{type}))
            {
                $saw{end} = 'bad refusal';
                last;
            }
            $http->close;
            sleep 0.3;
            next;
        }

        if ($c->{kind} eq 'call') {
            my $res = rest($http);
            if (!$res) {
                $note->('cut');
                next;
            }
            $saw{body} = $res->body;
            $saw{end} = $res->status == 200 ? 'whole' : 'error';
            last;
        }
        if ($c->{kind} eq 'job') {
            rest($http);
            $saw{end} = $head->status == 202 ? 'stuck' : 'error';
            while ($head->status == 202 && time < $until) {
                sleep 0.2;
                my $res = eval { AiHttp->get($edge->port,
                    "/v1/jobs/$post->{job}", key => $chaos->key($c->{tenant})) }
                    or next;
                next if $res->{cut} || $res->status == 503;
                my $job = $res->json;
                if (!$job || $res->status != 200) {
                    $note->($res->status, $res->body);
                    $saw{end} = 'error';
                    last;
                }
                next if $job->{state} =~ /^(?:waiting|running)$/;
                $saw{body} = $res->body;
                $saw{end} = $job->{state} eq 'done' ? 'whole' : 'error';
                last if !$c->{stream} || $saw{end} eq 'error';
                my @events = eval { $open->(
                    path => "/v1/jobs/$post->{job}/events")->events } or next;
                $saw{events} = [map { [$_->{id}, $_->{raw}] } @events];
                last;
            }
            last;
        }

        # A stream, until it is whole.
        if ($head->status != 200) {
            $saw{body} = eval { rest($http)->body };
            $saw{end} = 'error';
            last;
        }
        $saw{events} = [];
        my ($last, $n) = ('', 0);
        STREAM: while (1) {
            my $whole = eval {
                while (my $ev = $http->event) {
                    next unless defined $ev->{data} || defined $ev->{event};
                    push @{ $saw{events} }, [$ev->{id}, $ev->{raw}];
                    $last = $ev->{id} if defined $ev->{id};
                    last if $ev->{raw} =~ /^data: \{"error":/;
                    last if @leave && ++$n >= $leave[0];
                }
                1;
            };
            my $err = $@;
            $http->reset;
            if ($whole && @{ $saw{events} }
                && $saw{events}[-1][1] =~ /^data: \{"error":/)
            {
                $saw{end} = 'whole';
                last STREAM;
            }
            if (@leave && $n >= $leave[0]) {
                shift @leave;
                $n = 0;
                if ($c->{kind} ne 'resumable') {
                    $saw{end} = 'left';
                    last STREAM;
                }
                $note->("left at $last");
                sleep $c->{away};
            } elsif ($whole) {
                $saw{end} = 'whole';
                last STREAM;
            } elsif ($err =~ /timed out/) {
                $note->($err);
                $saw{end} = 'stuck';
                last STREAM;
            } elsif ($c->{kind} ne 'resumable') {
                $saw{end} = 'cut';
                last STREAM;
            }
            $note->("at $last: $err");

            while (1) {
                if (time > $until) {
                    $saw{end} = 'stuck';
                    last STREAM;
                }
                $http = eval { $open->(path => "/v1/jobs/$post->{job}/events",
                    headers => [$last ? ('Last-Event-ID' => $last) : ()]) };
                my $again = $http && eval { $http->head };
                if ($again && $again->status == 200) {
                    last;
                }
                $note->($again ? ($again->status,
                    eval { rest($http)->body } || '') : "again: $@");
                if ($again && $again->status != 503) {
                    $saw{end} = 'refused';
                    last STREAM;
                }
                sleep 0.2;
            }
        }
        last;
    }
    $saw{end} ||= 'stuck';

    return \%saw;
}


# The plan: who comes when, and what happens.
srand $seed;
my @plan;
for my $n (1 .. $clients) {
    my $dice = rand;
    my $kind = $dice < 0.65 ? 'resumable' : $dice < 0.78 ? 'stream'
        : $dice < 0.9 ? 'call' : 'job';
    my $stream = $kind eq 'resumable' || $kind eq 'stream'
        || ($kind eq 'job' && rand() < 0.5) ? 1 : 0;
    my @leave = $kind eq 'resumable' ? map { 1 + int rand 12 } 1 .. rand 4
        : $kind eq 'stream' && rand() < 0.4 ? (1 + int rand 8) : ();
    my $first = $kind =~ /stream|call/ && rand() < 0.25 ? 0.02 + rand 1 : 0;
    my $size = rand;
    push @plan, [rand $length, { n => $n, kind => $kind,
        stream => $stream, leave => \@leave, gone_first => $first,
        usage => rand() < 0.5, away => rand() < 0.5 ? 0 : rand 1.5,
        size => $size < 0.85 ? 10 : $size < 0.95 ? 20_000 : 400_000,
        tenant => ($chaos->tenants)[rand 3] }];
}
@plan = sort { $a->[0] <=> $b->[0] } @plan;
if (!$ENV{AI_T_CALM}) {
    $chaos->plan($length + 2, 0.6, nginx => 2, worker => 4, stop => 3,
        normal => 4, pubsub => 2, reload => 1, scripts => 1, workers => 1,
        frozen => 1);
    $chaos->also($length * (0.2 + rand 0.6), $_, rand, rand 5)
        for qw(redis upgrade postgres drain drain);
}
my $dead = qr/^(?:lost|attempts)$/;

my $out = $t->subdir('clients');
my $begin = time;
my %open;
while ($chaos->tick + @plan + keys %open) {
    while (@plan && $plan[0][0] <= time - $begin) {
        my $c = (shift @plan)->[1];
        $open{ $c->{n} } = AiProc->spawn(out => "$out/$c->{n}.err",
            sub => sub {
                my $saw = client($c);
                open my $fh, '>', "$out/$c->{n}.json" or die;
                print $fh $json->encode($saw);
                close $fh;
            });
    }
    delete @open{ grep { !$open{$_}->alive } keys %open };
    sleep 0.02;
}
diag(sprintf '%.0f s: %s', time - $begin, $chaos->did);

$chaos->rest(sub {
    my %n;
    $n{$_}++ for slurp($p->{log}) =~ /"what":"(\w+)"\}$/mg;
    return ($n{request} || 0) - ($n{done} || 0) - ($n{abort} || 0);
});
$chaos->forgotten(60);     # 30, but where a client was slow to read

# What clients saw, what the provider was asked, what the ledger has.
my (%call, %row, %end);
for my $r ($p->requests) {
    my $model = $json->decode($r->{body})->{model};
    push @{ $call{$model} }, $r->{n};
}
for my $row ($t->pg->query("select job, attempt, call, model, state,
    coalesce(cause, '-'), output from ngxai.ledger"))
{
    my %r;
    @r{qw(job attempt call model state cause output)} = @$row;
    $r{model} =~ s{^p/}{};
    push @{ $row{ $r{model} } }, \%r;
}

my @wrong;
my %of_job;
for my $n (1 .. $clients) {
    my $saw = eval { $json->decode(slurp("$out/$n.json")) };
    if (!$saw) {
        push @wrong, "client $n said nothing: " . slurp("$out/$n.err");
        next;
    }
    my $say = sub {
        push @wrong, "client $n ($saw->{kind}): @_\n  "
            . join("\n  ", @{ $saw->{log} }, map { $json->encode($_) }
                @{ $saw->{posts} }, map { @{ $row{ $_->{model} } || [] } }
                @{ $saw->{posts} });
    };
    $end{"$saw->{kind} $saw->{end}"}++;
    $end{retried} += @{ $saw->{posts} } - 1;

    for my $post (@{ $saw->{posts} }) {
        my $model = $post->{model};
        my @rows = @{ $row{$model} || [] };
        my @calls = @{ $call{$model} || [] };
        my $job = $post->{job} || ($rows[0] ? $rows[0]{job} : '');
        my $hurt = $chaos->hurt($job);
        $of_job{ $_->{job} } = $_ for @rows;

        $say->(scalar(@rows) . " rows of $model") if @rows > 1;
        $say->("no row of $model") if !@rows && (@calls
            || ($post->{status} && $post->{status} < 300));
        $say->("$model is job $post->{job} and $rows[0]{job}")
            if @rows && $post->{job} && $post->{job} ne $rows[0]{job};
        my $tries = @rows ? $rows[0]{attempt} : 1;
        $tries-- if @rows && $rows[0]{cause} =~ $dead;
        $say->(scalar(@calls) . " calls of $model in $tries attempts")
            if @calls > $tries;
        $say->(scalar(@calls) . " calls of $model, $hurt workers of it died")
            if @calls > 1 + $hurt;
        $say->("$model ended $rows[0]{cause}, $hurt workers of it died")
            if @rows && $rows[0]{cause} =~ $dead && !$hurt;
        $say->("$model took three workers, of which $hurt died")
            if @rows && $rows[0]{cause} eq 'attempts' && $hurt < 3;
        $say->("$model was cancelled, and nobody left it")
            if @rows && $rows[0]{state} eq 'cancelled'
            && $post == $saw->{posts}[-1] && $saw->{end} eq 'whole';
        if (@rows && $rows[0]{state} eq 'done') {
            my $words = @{ content($model)->{words} };
            $say->("$model had $rows[0]{output} tokens, not $words")
                if $rows[0]{output} != $words;
            $say->("$model is done without a call") unless @calls;
        }
    }

    my $model = $saw->{posts}[-1]{model};
    my ($row) = @{ $row{$model} || [] };
    my $state = $row ? $row->{state} : '';
    if ($saw->{end} =~ /^(?:stuck|refused|bad refusal)$/) {
        $say->($saw->{end});

    } elsif ($saw->{end} eq 'error') {
        my $body = eval { $json->decode($saw->{body}) } || {};
        $say->('an error: ' . ($saw->{body} // ''))
            unless $body->{error} && $body->{error}{code}
            && $body->{error}{code}
                =~ /^(?:stream_)?lost$|^attempts(?:_exhausted)?$/
            && $row && $row->{cause} =~ $dead;

    } elsif ($saw->{events}) {
        my @got = @{ $saw->{events} };
        my @bytes = map { my $raw = $_->[1]; $raw =~ s/^id: .*\n//; $raw } @got;
        my ($call) = @bytes ? $bytes[0] =~ /"chatcmpl-(\d+)"/ : ();
        my $may = join '', sse($model, $call || 0, $saw->{usage});
        my $error = @bytes && $bytes[-1] =~ /^data: (\{"error":.*\})\n\n\z/
            ? eval { $json->decode($1) } : undef;
        pop @bytes if $error;
        my $text = join '', @bytes;

        if ($error) {
            $say->("an error event: $got[-1][1]")
                unless $error->{error}{code}
                =~ /^(?:stream_lost|attempts_exhausted)$/
                && $row && $row->{cause} =~ $dead;
            $say->("a wrong beginning: $text") if index($may, $text) != 0;
        } elsif ($saw->{end} eq 'whole') {
            $say->("not the original: $text") if $text ne $may;
            $say->("whole, its row is $state") unless $state eq 'done';
        } else {
            $say->("a wrong beginning: $text") if index($may, $text) != 0;
        }
        if ($saw->{kind} ne 'stream') {
            my ($attempt, $seq) = (0, 0);
            # An error is told again to who asks again: it has no id.
            for my $ev (@got[0 .. $#got - !!$error]) {
                my ($a, $s) = ($ev->[0] // '') =~ /^(\d+)-(\d+)$/;
                if (!$a || $a < $attempt || ($a == $attempt && $s <= $seq)) {
                    $say->("event $ev->[1] behind $attempt-$seq");
                    last;
                }
                ($attempt, $seq) = ($a, $s);
            }
        }

    } elsif ($saw->{end} eq 'whole' && $saw->{kind} eq 'call') {
        my ($call) = $saw->{body} =~ /"chatcmpl-(\d+)"/;
        $say->("not the original: $saw->{body}")
            if $saw->{body} ne plain($model, $call || 0);

    } elsif ($saw->{end} eq 'whole') {
        my $result = $json->decode($saw->{body})->{result};
        my ($call) = $saw->{body} =~ /"chatcmpl-(\d+)"/;
        $say->("not the original: $saw->{body}") if $result
            && $json->encode($result) ne plain($model, $call || 0);
    }
}

is(scalar(@wrong), 0, 'every client has what it is due')
    or diag(join "\n", splice(@wrong, 0, 8), $chaos->events);
diag(join ', ', map { "$end{$_} $_" } sort keys %end);
my @lost = grep { !$of_job{$_} } $chaos->jobs;
is("@lost", '', 'every job has its row');
is(scalar(map { @$_ } values %row), keys %of_job, 'and only one');
cmp_ok(scalar keys %of_job, '>=', $clients * 0.8, 'there were jobs');

# Descriptors were counted above.
delete $t->{base};
done_testing();
