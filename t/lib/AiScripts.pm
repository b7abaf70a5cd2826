# The Redis scripts as functions, for their own tests: no edge and no worker,
# this test is both.  Replies are strings, joined by spaces unless said
# otherwise; an error reply is its text.
package AiScripts;

use strict;
use warnings;
use AiRedis;

my $count = 0;


# t: the AiTest world.
sub new {
    my ($class, $t) = @_;
    my $self = bless { r => $t->redis, p => $t->prefix }, $class;

    AiRedis->scripts($t->root, $t->subdir('gen'));

    return $self;
}


sub r { $_[0]{r} }
sub cmd { my $self = shift; return $self->{r}->cmd(@_) }
sub key { $_[0]{p} . $_[1] }


# The reply of a script as a list.  A worker that beats listens from then on,
# and is alive until the test says otherwise (silent).
sub call {
    my ($self, $name, @args) = @_;
    my $up = $name eq 'beat' && @args == 4 && $args[0] eq 'w'
        && $args[3] !~ /^(?:bye|dead)$/
        && $args[1] =~ /^[\w.-]+$/;

    $self->ear($args[1]) if $up;
    my $got = eval {
        $self->{r}->script($name, [$name eq 'principal' ? 'ai1:' : $self->{p}],
            @args);
    };

    if (my $err = $@) {
        die $err unless $err =~ /^redis: (.*)/;
        return $1;
    }
    eval { $self->silent("w:$args[1]", -1e9) } if $up;      # not without memory
    return @$got;
}


# The subscription of a worker.
sub ear {
    my ($self, $worker) = @_;

    return $self->{ear}{$worker}
        ||= $self->{r}->subscribe($self->key("worker:$worker"));
}


# Who hears nothing any more: its process is gone.
sub deaf {
    my ($self, $worker) = @_;
    my $ear = delete $self->{ear}{$worker} or return;

    # Redis may see a closed socket later than the next command.
    eval {
        $ear->send('UNSUBSCRIBE');
        1 while $ear->read(10)->[0] ne 'unsubscribe';
    };
}


# What was published to a worker since it was asked last.
sub heard {
    my ($self, $worker) = @_;
    my $ear = $self->{ear}{$worker} or return;
    my @got;

    my $ok = eval {
        $ear->send('PING');
        while (my $m = $ear->read(10)) {
            last if $m->[0] eq 'pong';
            push @got, $m->[2] if $m->[0] eq 'message';
        }
        1;
    };
    if (!$ok) {
        delete $self->{ear}{$worker};
        $self->ear($worker);
    }
    return @got;
}


# A delivery (docs/wire.md, 4) as a hash.
sub delivery {
    my ($text) = @_;
    my %d;

    $text =~ /^J(\S+) (\d+) (\S+) (\d+) (\d+) (\d+) (\d+) (\d+)\n(.*)/s
        or die "not a delivery: $text\n";
    @d{qw(job attempt cause at queue bytes pieces)} = ($1, $2, $3, $4, $5, $6,
        $7);
    @d{qw(spec body)} = (substr($9, 0, $8), substr($9, $8));
    return \%d;
}


sub run {
    my $self = shift;
    return join ' ', map { defined $_ ? $_ : '(nil)' } $self->call(@_);
}


sub id { return sprintf 'job_%032x', ++$count }


sub now_ms {
    my $t = $_[0]->cmd('TIME');
    return $t->[0] * 1000 + int($t->[1] / 1000);
}


# Empties Redis; `slots` each of the workers named, an edge e1, sweeps that
# have run.
sub fresh {
    my ($self, %workers) = @_;

    $self->cmd('FLUSHALL');
    delete @$self{qw(ear handed)};
    $self->settled;
    $self->run('beat', 'e', 'e1', 0, 'up');
    $self->run('beat', 'w', $_, $workers{$_}, 'up') for sort keys %workers;
}


# Sweeps have run all the time: outside of any grace.
sub settled {
    my ($self) = @_;

    $self->cmd('HSET', $self->key('sweep'), 'last', $self->now_ms,
        'grace_until', 0);
}


# A sweep that is due, as if the last was 600 ms ago.
sub sweep {
    my ($self, %o) = @_;

    $self->cmd('HSET', $self->key('sweep'), 'last', $self->now_ms - 600,
        'grace_until', 0) unless $o{as_is};
    return $self->run('sweep', 'w1', $o{dead_ms} || 3000,
        $o{grace_ms} || 10000, $o{max} || 100, $o{memory} || 90);
}


# As if it had beaten last `ms` ago.
sub silent {
    my ($self, $who, $ms) = @_;

    $self->cmd('ZADD', $self->key('alive'), $self->now_ms - $ms, $who);
}


# A policy (docs/wire.md, 13) of lines: "<input> <output, or -> <cost> <price>
# <name>", then "<kind> <window> <max> <- or n> <subject>" a limit.
sub policy {
    my ($head, @lines) = map { [split ' '] } split /\n/, $_[0];
    my $int = sub { pack 'C Q>', 0xcf, $_[0] };
    my $text = sub { pack 'C C/a', 0xd9, $_[0] };
    my $bool = sub { pack 'C', $_[0] ? 0xc3 : 0xc2 };

    return '' unless $head;
    my ($input, $output, $cost, $price, $name) = @$head;
    return join '', $int->($input),
        $output eq '-' ? $bool->(0) : $int->($output), $int->($cost),
        $int->($price), $text->($name), map {
            my ($kind, $window, $max, $flag, $subject) = @$_;
            ($text->("$kind$window:$subject"), $text->($kind), $text->($window),
                $int->($max), $bool->($flag eq 'n')) } @lines;
}


sub admit {
    my ($self, $job, $tenant, %o) = @_;
    my @args = ($job, $tenant, $o{weight} || 1, $o{class} || 'interactive',
        defined $o{flags} ? $o{flags} : 's', $o{resume} || 0,
        $o{result} || 0, exists $o{edge} ? $o{edge} : 'e1',
        $o{spec} || "spec of $job", $o{body} || '{"a":1}',
        $o{base} || "key:1\t-\tchat\topenai\tm",
        exists $o{max_jobs} ? $o{max_jobs} : 1000,
        exists $o{max_bytes} ? $o{max_bytes} : 1e6,
        defined $o{bytes} ? $o{bytes} : 7,
        $o{key_id} || '', $o{key_version} || '',
        defined $o{policy} ? policy($o{policy}) : '');

    return $self->run('admit', @args, @{ $o{more} || [] });
}


# What was handed to a worker, as deliveries, at most n of them.
sub take {
    my ($self, $worker, $n) = @_;
    my $list = $self->{handed}{$worker} ||= [];

    push @$list, map { delivery($_) } grep { /^J/ } $self->heard($worker);
    return splice @$list, 0, $n || 1;
}


# The next that was handed to it: ($job, 'RUN', attempt, spec, body, at, queue
# time, bytes, pieces) or ($job, 'END', attempt, cause, spec, at, queue time).
sub next_job {
    my ($self, $worker) = @_;
    my ($d) = $self->take($worker);

    return unless $d;
    return ($d->{job}, words($d));
}


sub words {
    my ($d) = @_;

    return $d->{cause} eq '-'
        ? ('RUN', @$d{qw(attempt spec body at queue bytes pieces)})
        : ('END', @$d{qw(attempt cause spec at queue)});
}


# The reply of claim in the same words.
sub claim {
    my ($self, $job, $worker, $attempt) = @_;
    my ($word, $text) = $self->call('claim', $job, $worker, $attempt || 0);

    return $word eq 'OK' ? words(delivery($text)) : $word;
}


sub emit {
    my ($self, $job, $attempt, $seq, @events) = @_;
    return $self->run('emit', $job, $attempt, $self->owner($job), $seq, 65536,
        @events);
}


sub usage {
    my ($state, $cost) = @_;
    return join "\t", $state, 200, 'p', 'm', 'r', 'stop', 1, 2, 0, 0, 0, $cost,
        0, 10, 20, 30, 1, '-';
}


sub settle {
    my ($self, $job, $attempt, $seq, %o) = @_;
    my $state = $o{state} || 'done';
    my $usage = $o{usage} || usage($state, 5);

    return $self->run('settle', $job, $attempt, $o{worker} || $self->owner($job), $seq,
        65536, $state, defined $o{ttl} ? $o{ttl} : '', $o{tenant} || 't',
        $o{base} || "key:1\t-\tchat\topenai\tm", $o{at} || 1000, $usage,
        @{ $o{events} || ['e', $usage] });
}


# Who was handed it last.
sub owner { return $_[0]->cmd('HGET', $_[0]->key("job:$_[1]"), 'owner') || 'w1' }


sub job { return $_[0]->r->hash('HGETALL', $_[0]->key("job:$_[1]")) }


# The log as "id type payload" lines: of the Stream, or of the job where the
# whole answer lies there.
sub log {
    my ($self, $job) = @_;
    my $whole = $self->cmd('HGET', $self->key("job:$job"), 'log');
    return [map { join ' ', @$_ } frames($whole)] if defined $whole;
    return [map { my ($id, $events) = @$_; my ($attempt, $seq) = split /-/, $id;
            my $first = $seq + 1 - @$events / 2;
            map { "$attempt-" . ($first + $_)
                . " $events->[2 * $_] $events->[2 * $_ + 1]" }
                0 .. @$events / 2 - 1 }
        @{ $self->cmd('XRANGE', $self->key("ev:$job"), '-', '+') }];
}


# [id, type, payload] of each event that a bell carries.
sub frames {
    my ($text) = @_;
    my @frames;
    $text =~ /\AE\S+\n/g or die "no bell: $text";
    while ($text =~ /\G(\S+) (.) (\d+)\n/gc) {
        my ($id, $type, $len) = ($1, $2, $3);
        push @frames, [$id, $type, substr $text, pos $text, $len];
        pos($text) += $len;
    }
    die 'what is no frame' if pos $text != length $text;
    return @frames;
}


# The outbox as hashes.
sub outbox {
    my ($self) = @_;
    return map { +{ @{ $_->[1] } } }
        @{ $self->cmd('XRANGE', $self->key('outbox'), '-', '+') };
}


sub len {
    my ($self, $command, $name) = @_;
    return $self->cmd($command, $self->key($name));
}


# What all workers hold, as "<job> <tenant>".
sub leases {
    my ($self) = @_;

    return sort map { @{ $self->cmd('SMEMBERS', $_) } }
        keys %{ $self->r->keys($self->key('held:*')) };
}


# What the queue holds, in one line that is easy to compare.
sub held {
    my ($self, @tenants) = @_;

    return join ' ', 'held', scalar(my @all = $self->leases),
        map { ($_, $self->len('SCARD', "running:$_") . '+'
            . ($self->len('LLEN', "backlog:$_")
                + $self->len('LLEN', "backlog:batch:$_")
                + $self->len('LLEN', "backlog:last:$_"))) } @tenants;
}

1;
