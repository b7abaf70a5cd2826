# The workers alone: this test is the edge.  It admits jobs and hears their
# events; no nginx, no Postgres.
#
#   my $w = AiWork->new($t, catalog => { … });
#   my $job = $w->job(body => { … }, stream => 1);
#   my $got = $w->answer($job);         # { status, headers, body, end, … }
package AiWork;

use strict;
use warnings;
use AiProc qw(wait_for slurp);
use AiRedis;
use AiScripts ();
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Time::HiRes qw(time sleep);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

our @usage = qw(state status provider model request_id finish input output
    cached_read cached_write reasoning cost estimated ttft duration queue
    attempts cause);


# catalog => { models, prices, providers }, n => processes, args => [...],
# env => {...}; start => 0: no workers yet.
sub new {
    my ($class, $t, %o) = @_;
    my $self = bless { t => $t, r => $t->redis, p => $t->prefix,
        edge => 'edge-1-1', seen => {}, ended => {} }, $class;

    AiRedis->scripts($t->root, $t->subdir('gen'));
    $self->catalog($o{catalog} || {});
    $self->{bell} = $self->{r}->subscribe("$self->{p}edge:$self->{edge}");
    $self->beat;
    $self->{beat} = $self->beater($self->{edge});
    $self->start(%o) unless defined $o{start} && !$o{start};

    return $self;
}


# Before the closing checks, when no job needs its edge any more.
sub close {
    my ($self) = @_;

    $self->{beat}->stop('KILL') if $self->{beat};
    delete @$self{qw(beat bell)};
}


sub t { $_[0]{t} }
sub r { $_[0]{r} }


sub script {
    my ($self, $name, @args) = @_;

    return $self->{r}->script($name, [$self->{p}], @args);
}


sub beat {
    my ($self) = @_;

    $self->script('beat', 'e', $self->{edge}, 0, 'up');
}


# A process that keeps an edge alive until it is stopped.
sub beater {
    my ($self, $edge) = @_;
    my ($r, $p) = @$self{qw(r p)};

    return AiProc->spawn(name => "beat $edge", cwd => $self->{t}->dir,
        sub => sub {
            my $parent = getppid;
            delete $r->{client};
            while (getppid == $parent) {
                eval { $r->script('beat', [$p], 'e', $edge, 0, 'up') };
                delete $r->{client} if $@;
                sleep 0.3;
            }
        });
}


# Starts workers; their AiProc.
sub start {
    my ($self, %o) = @_;
    my $t = $self->{t};
    my $name = $o{name} || 'workers';
    my $before = $self->alive;

    my $proc = AiProc->spawn(name => $name, cwd => $t->dir,
        out => $t->dir . "/$name.out",
        env => { $t->san_env, %{ $o{env} || {} } },
        cmd => [@{ $o{under} || [] }, $t->built('ai-workers'),
            '--redis', $o{redis} || $t->redis->url,
            '--secrets-dir', $t->subdir('secrets'), '--workers', $o{n} || 1,
            '--log', $t->dir . "/$name.log", @{ $o{args} || [] }]);

    push @{ $t->{workers} }, $proc;
    wait_for(sub {
        die "$name: " . slurp($t->dir . "/$name.out")
            . slurp($t->dir . "/$name.log") . "\n" unless $proc->alive;
        return $self->alive >= $before + ($o{n} || 1);
    }, 60, 'a worker heartbeat');

    return $proc;
}


# What workers hold, as "<job> <tenant>".
sub leases {
    my ($self) = @_;
    my $r = $self->{r};

    return sort map { @{ $r->cmd('SMEMBERS', $_) } }
        keys %{ $r->keys("$self->{p}held:*") };
}


# Workers that beat.
sub alive {
    my ($self) = @_;

    return scalar grep { /^w:/ }
        @{ $self->{r}->cmd('ZRANGE', "$self->{p}alive", 0, -1) };
}


# SETs a catalog, the one of the jobs that follow; its hash.
sub catalog {
    my ($self, $catalog) = @_;
    my $text = $json->encode({ models => {}, prices => {}, providers => {},
        v => 1, %$catalog });

    $self->{catalog_text} = $text;
    $self->{catalog} = sha256_hex($text);
    $self->{r}->cmd('SET', "ai1:catalog:$self->{catalog}", $text, 'PX',
        172800000);

    return $self->{catalog};
}


my $count = 0;

sub id {
    return sprintf 'job_%012x%020x', int(time * 1000), ++$count + $$ * 100000;
}


sub record {
    my (@fields) = @_;
    my $text = '';

    while (my ($name, $value) = splice @fields, 0, 2) {
        $text .= "$name " . length($value) . "\n$value\n";
    }

    return $text;
}


sub fields {
    my ($text) = @_;
    my %got;

    while ($text =~ /\G([a-z0-9_]+) (\d+)\n/gc) {
        my ($name, $len) = ($1, $2);
        push @{ $got{$name} }, substr $text, pos $text, $len;
        pos($text) += $len + 1;
    }

    return \%got;
}


# Admits a job; its id.  body: data or text; stream, usage_asked, dialect,
# headers => [...], flags, tenant, model, query, timeout, edge, catalog; spec:
# a sub that makes another one of it.
sub job {
    my ($self, %o) = @_;
    my $id = $o{id} || id();
    my $dialect = $o{dialect} || 'openai';
    my $tenant = $o{tenant} || 't';
    my $body = ref $o{body} ? $json->encode($o{body}) : $o{body};
    my $data = defined $o{model} && defined $o{stream}
        && defined $o{usage_asked} ? {} : $json->decode($body);
    my $model = $o{model} || $data->{model};
    my $stream = defined $o{stream} ? $o{stream} : $data->{stream} ? 1 : 0;
    my $flags = ($o{flags} || '') . ($stream ? 's' : '');
    my $edge = exists $o{edge} ? $o{edge} : $self->{edge};
    my $asked = defined $o{usage_asked} ? $o{usage_asked}
        : $data->{stream_options} && $data->{stream_options}{include_usage}
        ? 1 : 0;

    my $spec = record(v => 1, id => $id, tenant => $tenant,
        principal => 'key:k1', user => '',
        op => $dialect eq 'anthropic' ? 'messages' : 'chat',
        dialect => $dialect, model => $model,
        catalog => $o{catalog} || $self->{catalog}, edge => $edge,
        $o{query} ? (query => $o{query}) : (), stream => $stream,
        usage_asked => $asked, resumable => $flags =~ /r/ ? 1 : 0,
        background => $flags =~ /b/ ? 1 : 0, timeout => $o{timeout} || 600000,
        map { (header => $_) } @{ $o{headers} || [] });

    $spec = $o{spec}->($spec) if $o{spec};
    my $sent = $body;
    if (length $body > 8192) {
        $self->{r}->cmd('SET', "$self->{p}body:$id", $body, 'PX', 600000);
        $sent = '@';
    }
    my $got = $self->script('admit', $id, $tenant, 1,
        $o{class} || 'interactive', $flags, $o{resume} || 300000, 86400000,
        $edge, $spec, $sent, join("\t", 'key:k1', '-',
            $dialect eq 'anthropic' ? 'messages' : 'chat', $dialect, $model),
        1000, 100_000_000, length $body, '', '', '');
    die "admit: @$got\n" unless $got->[0] eq 'OK';

    return $id;
}


# The next bell as [job, [[id, type, payload], …]].
sub hear {
    my ($self, $seconds) = @_;
    my $got = $self->{bell}->message($seconds) or return;
    my $text = $got->[1];

    return $self->hear($seconds) unless $text =~ /\AE(\S+)\n/gc;
    return [$1, [AiScripts::frames($text)]];
}


# The log of a job as [[id, type, payload], …], of its Stream or of itself.
sub log {
    my ($self, $job) = @_;
    my $whole = $self->{r}->cmd('HGET', "$self->{p}job:$job", 'log');

    return AiScripts::frames($whole) if defined $whole;
    return map { my ($id, $events) = @$_;
            my ($attempt, $seq) = split /-/, $id;
            my $first = $seq + 1 - @$events / 2;
            map { ["$attempt-" . ($first + $_), @$events[2 * $_, 2 * $_ + 1]] }
                0 .. @$events / 2 - 1 }
        @{ $self->{r}->cmd('XRANGE', "$self->{p}ev:$job", '-', '+') };
}


# Waits for the last event of a job; its log read as an answer.
sub answer {
    my ($self, $job, $seconds) = @_;
    my $until = time + ($seconds || 60);

    until ($self->{ended}{$job}) {
        my $left = $until - time;
        die "timed out waiting for the end of $job: "
            . join(' ', map { "$_->[0]$_->[1]" } $self->log($job)) . "\n"
            if $left <= 0;
        my $got = $self->hear($left > 1 ? 1 : $left) or next;
        $self->{ended}{ $got->[0] } = 1
            if grep { $_->[1] =~ /[ex]/ } @{ $got->[1] };
        $self->{ended}{ $got->[0] } ||= 1
            if grep { $_->[1] eq '!' } @{ $got->[1] }
            and grep { $_->[1] =~ /[ex]/ } $self->log($got->[0]);
    }

    return $self->read($job);
}


# The log read as an answer, ended or not.
sub read {
    my ($self, $job) = @_;
    my %got = (events => [], body => '', pieces => []);

    for my $ev ($self->log($job)) {
        my ($id, $type, $payload) = @$ev;
        push @{ $got{events} }, "$id$type";
        if ($type eq 'a') {
            @got{qw(body pieces)} = ('', []);
            delete @got{qw(head status headers)};
        } elsif ($type eq 'h') {
            my $h = $got{head} = fields($payload);
            $got{status} = $h->{status}[0];
            $got{stream} = $h->{stream}[0];
            $got{headers} = { map { /^([^:]+): (.*)/s ? (lc $1, $2) : () }
                @{ $h->{header} || [] } };
        } elsif ($type =~ /[sc]/) {
            $got{body} .= $payload;
            push @{ $got{pieces} }, $payload;
        } elsif ($type eq 'e') {
            $got{end} = usage($payload);
        } elsif ($type eq 'x') {
            my $x = fields($payload);
            $got{error} = $x->{cause}[0];
            $got{message} = $x->{message}[0];
            $got{end} = usage($x->{usage}[0]);
        }
    }
    $got{json} = eval { $json->decode($got{body}) };

    return \%got;
}


sub usage {
    my ($line) = @_;
    my %got;

    @got{@usage} = split /\t/, $line, -1;
    return \%got;
}


# Waits until the log of a job has n events.
sub begun {
    my ($self, $job, $n) = @_;

    wait_for(sub { $self->log($job) >= ($n || 1) }, 30, "events of $job");
}


sub state {
    my ($self, $job) = @_;

    return $self->{r}->cmd('HGET', "$self->{p}job:$job", 'state') || 'gone';
}


# Ledger entries of a job.
sub outbox {
    my ($self, $job) = @_;

    return grep { $_->{j} eq $job } map { +{ @{ $_->[1] } } }
        @{ $self->{r}->cmd('XRANGE', "$self->{p}outbox", '-', '+') };
}

1;
