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


# The reply of a script as a list.
sub call {
    my ($self, $name, @args) = @_;
    my $got = eval {
        $self->{r}->script($name, [$name eq 'principal' ? 'ai1:' : $self->{p}],
            @args);
    };

    if (my $err = $@) {
        die $err unless $err =~ /^redis: (.*)/;
        return $1;
    }
    return @$got;
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
# have run, the groups made.
sub fresh {
    my ($self, %workers) = @_;

    $self->cmd('FLUSHALL');
    $self->groups;
    $self->settled;
    $self->run('beat', 'e', 'e1', 0, 'up');
    $self->run('beat', 'w', $_, $workers{$_}, 'up') for sort keys %workers;
}


sub groups {
    my ($self) = @_;

    $self->cmd('XGROUP', 'CREATE', $self->key($_), 'workers', '0', 'MKSTREAM')
        for 'jobs', 'jobs:batch';
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
        $o{key_id} || '', $o{key_version} || '', '');

    return $self->run('admit', @args, @{ $o{more} || [] });
}


# What XREADGROUP hands to a worker: [entry, job] …
sub take {
    my ($self, $worker, $n, $queue) = @_;
    my $got = $self->cmd('XREADGROUP', 'GROUP', 'workers', $worker, 'COUNT',
        $n || 1, 'STREAMS', $self->key($queue || 'jobs'), '>');

    return map { [$_->[0], $_->[1][1]] } @{ $got ? $got->[0][1] : [] };
}


# Takes the next entry and claims it; ($job, $entry, @reply).
sub next_job {
    my ($self, $worker, $queue) = @_;
    my ($e) = $self->take($worker, 1, $queue);

    return unless $e;
    return ($e->[1], $e->[0],
        $self->call('claim', $e->[1], $worker, $e->[0], $queue || 'jobs'));
}


sub emit {
    my ($self, $job, $attempt, $seq, @events) = @_;
    return $self->run('emit', $job, $attempt, $seq, 65536, @events);
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

    return $self->run('settle', $job, $attempt, $o{worker} || 'w1', $seq,
        65536, $state, defined $o{ttl} ? $o{ttl} : '', $o{tenant} || 't',
        $o{base} || "key:1\t-\tchat\topenai\tm", $o{at} || 1000, $usage,
        @{ $o{events} || ['e', $usage] });
}


sub job { return $_[0]->r->hash('HGETALL', $_[0]->key("job:$_[1]")) }


# The log as "id type payload" lines.
sub log {
    my ($self, $job) = @_;
    return [map { my ($id, $events) = @$_; my ($attempt, $seq) = split /-/, $id;
            my $first = $seq + 1 - @$events / 2;
            map { "$attempt-" . ($first + $_)
                . " $events->[2 * $_] $events->[2 * $_ + 1]" }
                0 .. @$events / 2 - 1 }
        @{ $self->cmd('XRANGE', $self->key("ev:$job"), '-', '+') }];
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


# What the queue holds, in one line that is easy to compare.
sub held {
    my ($self, @tenants) = @_;

    return join ' ', 'leases', $self->len('ZCARD', 'leases'),
        'entries',
        $self->len('XLEN', 'jobs') + $self->len('XLEN', 'jobs:batch'),
        map { ($_, $self->len('SCARD', "running:$_") . '+'
            . ($self->len('LLEN', "backlog:$_")
                + $self->len('LLEN', "backlog:batch:$_"))) } @tenants;
}

1;
