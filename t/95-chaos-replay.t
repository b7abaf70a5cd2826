#!/usr/bin/perl
# Recorded streams of real providers, asked for by many clients, while clients
# hang up and everything else is killed, stopped, reloaded or upgraded (AiChaos),
# at random from a seed that is printed: each transcript that a client assembles
# is the recording.
#
#   AI_T_SEED     replays a run, as far as timing allows
#   AI_T_STREAMS  clients (150; with AI_T_FULL 1000); the time grows with them
#   AI_T_CALM     1: the clients alone, nothing is killed
#   AI_T_NGINX    an nginx with AddressSanitizer, AI_T_BUILD workers with it
use AiTest;
use AiChaos;
use AiCrowd;
use AiReplay;
use List::Util qw(max min sum);

my $shared = AiReplay::here();
AiTest::skip_all('no 4096 descriptors') unless AiCrowd::descriptors(4096);

my $seed = $ENV{AI_T_SEED} || 1 + int rand 1_000_000;
my $clients = $ENV{AI_T_STREAMS} || ($ENV{AI_T_FULL} ? 1000 : 150);
my $length = max(15, $clients / 20);
my $resume = 20;

diag("AI_T_SEED=$seed AI_T_STREAMS=$clients");

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @recordings;
open my $in, '<:raw', "$shared/recordings.jsonl" or die $!;
while (<$in>) {
    my $r = $json->decode($_);
    next unless $r->{stream} && $r->{method} eq 'POST' && $r->{api}
        =~ /^(?:openai\.chat|compatible\.chat|anthropic\.messages)$/;
    utf8::encode($r->{response});
    push @recordings, $r;
}
close $in;
cmp_ok(scalar @recordings, '>', 100, 'recordings');

# A server remembers a thousand requests: as many servers as keep all of them.
my $t = AiTest->new;
my @servers = map { AiReplay->start($t, "replay-$_") }
    1 .. 1 + int $clients / 500;

# A provider for each, which takes its time in one of several ways.
srand $seed;
my $ai = "ai_stream_heartbeat 300ms;\nai_resume ${resume}s;\n";
for my $i (0 .. $#recordings) {
    my $r = $recordings[$i];
    my $long = length $r->{response};
    my $frames = () = $r->{response} =~ /\n\n/g;
    my $pace = int((100 + rand 3500) / $frames);
    my $cut = 1 + int rand 97;
    my @with = $long * 2 / $cut < 2000 && rand() < 0.3 ? "cut=$cut"
        : $pace ? "pace=$pace" : ();
    push @with, 'delay=' . int rand 1500 if rand() < 0.5 || !@with;
    $r->{anthropic} = $r->{api} =~ /^anthropic/;
    $ai .= "ai_provider r$i { api "
        . ($r->{anthropic} ? 'anthropic' : 'openai') . '; url http://127.0.0.1:'
        . $servers[$i % @servers]{port} . '/with/' . join(',', @with)
        . "/by-id/$r->{id}; timeout connect=30s; }\n";
}

my $chaos = AiChaos->new(t => $t, ai => $ai,
    spare => [map { $_->{port} } @servers]);
my $edge = $t->edge;

# Who comes when, what for, and whether to stay.
srand $seed;
my @plan;
for my $n (1 .. $clients) {
    my $i = int rand @recordings;
    my $r = $recordings[$i];
    my $frames = () = $r->{response} =~ /^data: /mg;
    my $kind = rand() < 0.75 ? 'resumable' : 'stream';
    my @leave = $kind eq 'resumable'
        ? map { 1 + int rand 0.6 * $frames } 1 .. rand 4
        : rand() < 0.4 ? 1 + int rand $frames : ();
    push @plan, { n => $n, recording => $i, kind => $kind, at => rand $length,
        leave => \@leave, away => rand() < 0.5 ? 0 : rand 1.5,
        tenant => ($chaos->tenants)[rand 3],
        $kind eq 'stream' && rand() < 0.3 ? (gone => 0.02 + rand 1.5) : () };
}
@plan = sort { $a->{at} <=> $b->{at} } @plan;
if (!$ENV{AI_T_CALM}) {
    $chaos->plan($length + 2, 0.6, nginx => 2, worker => 4, stop => 3,
        normal => 4, pubsub => 3, reload => 1, scripts => 1, workers => 1,
        frozen => 1);
    for my $what (qw(redis upgrade postgres drain drain)) {
        $chaos->also($length * (0.2 + rand 0.6), $what, rand, rand 5)
            for 1 .. 1 + $clients / 500;
    }
}

# The clients are one process: what they saw, as data.
my $limit = $length + 150;
my $crowd = AiProc->spawn(name => 'clients', out => "$t->{dir}/clients.err",
    sub => sub {
        my $crowd = AiCrowd->new(port => $edge->port);
        my $begin = time;
        $crowd->run($limit, sub {
            while (@plan && $plan[0]{at} <= time - $begin) {
                come($crowd, shift @plan);
            }
            return !@plan && $crowd->ended == $crowd->clients;
        });
        my @saw = map {
            my $c = $_;
            $c->{bytes} = AiCrowd::bytes($c);
            +{ map { ($_ => $c->{$_}) } qw(n recording kind end ended bytes
                posts log came back status) };
        } $crowd->clients;
        open my $out, '>', "$t->{dir}/clients.json" or die;
        print $out $json->encode(\@saw);
        close $out;
    });

sub come {
    my ($crowd, $p) = @_;
    my $r = $recordings[ $p->{recording} ];

    $crowd->client(%$p, key => $chaos->key($p->{tenant}),
        resumable => $p->{kind} eq 'resumable',
        path => $r->{anthropic} ? '/v1/messages' : '/v1/chat/completions',
        header => $r->{anthropic} ? "anthropic-version: 2023-06-01\r\n" : '',
        again => sub {
            # A model of its own: provider and ledger know it apart.
            my $model = "c$p->{n}-$_[0]";
            return ($model, $json->encode({ %{ $r->{request} },
                model => "r$p->{recording}/$model", stream => \1,
                $r->{anthropic} ? ()
                    : (stream_options => { include_usage => \1 }) }));
        });
}

my $begin = time;
while ($chaos->tick + $crowd->alive) {
    sleep 0.02;
}
diag(sprintf '%.0f s: %s', time - $begin, $chaos->did);


sub ask { return $json->decode(AiHttp->get($_[0]{port}, $_[1])->body) }

$chaos->rest(sub { sum map { ask($_, '/stats')->{open} } @servers });
# 60 s where a client was slow to read.
$chaos->forgotten(max(60, $resume));


# What clients saw, what the providers were asked, what the ledger has.
my (%calls, %row, %end, $requests);
for my $server (@servers) {
    my $n = ask($server, '/stats')->{requests};
    die "$n requests are more than a replay server remembers\n" if $n > 1000;
    $requests += $n;
    for my $got (@{ ask($server, '/log') }) {
        my ($model) = $got->{body} =~ /"model":"([^"]*)"/;
        $calls{$model}++;
    }
}
for my $row ($t->pg->query("select job, attempt, call, model, state,
    coalesce(cause, '-') from ngxai.ledger"))
{
    my %r;
    @r{qw(job attempt call model state cause)} = @$row;
    push @{ $row{ $r{model} =~ s{^r\d+/}{}r } }, \%r;
}
my $dead = qr/^(?:lost|attempts)$/;
my ($again, @wrong, %of_job) = 0;

my $saw = $json->decode(slurp("$t->{dir}/clients.json") || '[]');
is(scalar @$saw, $clients, 'clients') or diag(slurp("$t->{dir}/clients.err"));
for my $c (@$saw) {
    my $r = $recordings[ $c->{recording} ];
    my $end = $c->{end} || 'stuck';
    my $text = $c->{bytes};
    my $say = sub {
        push @wrong, "client $c->{n} ($c->{kind}, r$c->{recording}): @_\n  "
            . join("\n  ", @{ $c->{log} }, map { $json->encode($_) }
                @{ $c->{posts} }, map { @{ $row{ $_->{model} } || [] } }
                @{ $c->{posts} });
    };
    $end{"$c->{kind} $end"}++;
    $end{'asked again'} += @{ $c->{posts} } - 1;
    $end{'cut off'} += $c->{back};
    $end{'came back'} += grep { / left / } @{ $c->{log} };

    for my $post (@{ $c->{posts} }) {
        my $model = $post->{model};
        my @rows = @{ $row{$model} || [] };
        my $calls = $calls{$model} || 0;
        my $hurt = $chaos->hurt($post->{job} || ($rows[0] || {})->{job} || '');
        $of_job{ $_->{job} } = 1 for @rows;

        $say->(scalar(@rows) . " rows of $model") if @rows > 1;
        $say->("no row of $model") if !@rows
            && ($calls || ($post->{status} && $post->{status} < 300));
        $say->("$model is job $post->{job} and $rows[0]{job}")
            if @rows && $post->{job} && $post->{job} ne $rows[0]{job};
        my $tries = @rows ? $rows[0]{attempt} : 1;
        $tries-- if @rows && $rows[0]{cause} =~ $dead;
        $say->("$calls calls of $model in $tries attempts") if $calls > $tries;
        $say->("$calls calls of $model, $hurt workers of it died")
            if $calls > 1 + $hurt;
        $again += $calls - 1 if $calls > 1;
        $say->("$model ended $rows[0]{cause}, $hurt workers of it died")
            if @rows && $rows[0]{cause} =~ $dead && !$hurt;
        $say->("$model took three workers, of which $hurt died")
            if @rows && $rows[0]{cause} eq 'attempts' && $hurt < 3;
        $say->("$model was cancelled, and nobody left it")
            if @rows && $rows[0]{state} eq 'cancelled'
            && $post == $c->{posts}[-1] && $end eq 'whole';
    }

    my ($row) = @{ $row{ $c->{posts}[-1]{model} } || [] };
    my $state = $row ? $row->{state} : '';
    my $error;
    if ($text ne $r->{response}
        && $text =~ s/(?:event: error\n)?data: (\{.*"error":\{.*\})\n\n\z//)
    {
        $error = eval { $json->decode($1) };
    }
    if ($error) {
        # What the event before it was cut at is no event.
        $text =~ s/\n\n\z// unless index($r->{response}, $text) == 0;
        $say->("an error event: " . $json->encode($error))
            unless $row && $row->{cause} =~ $dead;
        $say->("a wrong beginning: $text")
            if index($r->{response}, $text) != 0;
        $end{$row->{cause}}++ if $row;
    } elsif ($end eq 'whole') {
        $say->('not the recording: ' . length($text) . " bytes\n$text")
            if $text ne $r->{response};
        $say->("whole, its row is $state") unless $state eq 'done'
            || ($state eq 'failed' && $r->{response} =~ /"error":\{/);
    } elsif ($end =~ /^status /) {
        my $body = eval { $json->decode($c->{bytes}) } || {};
        $say->("$end: $c->{bytes}") unless $body->{error}
            && $row && $row->{cause} =~ $dead;
    } elsif ($c->{kind} eq 'stream' && $end =~ /^(?:left|cut)$/) {
        $say->("a wrong beginning: $text")
            if index($r->{response}, $text =~ s/[^\n]*\z//r) != 0;
    } else {
        $say->($end);
    }
}

is(scalar(@wrong), 0, 'every client has what it is due')
    or diag(join "\n", splice(@wrong, 0, 8), $chaos->events);
diag(join ', ', map { "$end{$_} $_" } sort keys %end);
my @lost = grep { !$of_job{$_} } $chaos->jobs;
is("@lost", '', 'every job has its row');
my $rows = sum map { scalar @$_ } values %row;
is($rows, keys %of_job, 'and only one');
is(sum(values %calls), $requests, 'every call is somebody\'s');
cmp_ok($requests, '<=', $rows + $again,
    "$requests calls, $rows jobs, $again run again");
cmp_ok($rows, '>=', $clients * 0.8, 'there were jobs');

# Descriptors were counted above.
delete $t->{base};
$_->stop for @servers;
done_testing();
