# A gateway in which things die at random, from a seed: it is started as a
# daemon, so that its binary can be upgraded, and its faults are AiChaos::faults.
# Notes every job there ever was; which of them lost a worker, Redis' log of what
# was written says afterwards.
#
#   my $chaos = AiChaos->new(ai => 'ai_provider …;');
#   my @plan = $chaos->plan(15, qw(nginx worker stop …));
#   while (…) { $chaos->tick; }
#   $chaos->rest(sub { open provider calls });
package AiChaos;

use strict;
use warnings;
use AiProc qw(wait_for slurp);
use AiTest ();
use Test::More ();
use Time::HiRes qw(time sleep);

my $workers = 3;
my $edges = 2;


# t: an AiTest; ai, globals, env: for its nginx and workers; seed: of the plan.
sub new {
    my ($class, %o) = @_;
    my $t = $o{t};
    my $dir = "$t->{dir}/nginx";
    my $as = $> == 0 ? "user root;\n" : '';
    my $self = bless { t => $t, seed => $o{seed}, struck => {}, stopped => {},
        jobs => {}, events => [], did => {}, plan => [], spare => $o{spare} },
        $class;

    # The kernel has what it wrote before it said so: a kill loses nothing.
    $t->redis(aof => 1, args => ['--appendfsync', 'no',
        '--aof-timestamp-enabled', 'yes', '--auto-aof-rewrite-percentage', 0]);
    $t->pg;
    $t->start_workers(n => $workers);
    my $edge = $self->{edge} = $t->edge(workers => $edges, ai => $o{ai},
        vars => { GLOBALS => 'load_module '
            . $t->built('ngx_http_ai_module.so') . ";\n${as}"
            . "worker_processes $edges;\n"
            . "worker_rlimit_nofile 4096;\nworker_shutdown_timeout 60s;\n"
            . "env ASAN_OPTIONS;\n"        # a new binary is given no others
            . "pid $dir/nginx.pid;\nlock_file $dir/nginx.lock;\n"
            . "error_log $dir/error.log info;" });
    $edge->write_conf;
    {
        local %ENV = (%ENV, $t->san_env);
        $ENV{ASAN_OPTIONS} .= ':detect_leaks=0';
        system($edge->command) == 0 or die 'nginx: ' . $edge->log;
    }
    wait_for(sub { -s "$dir/nginx.pid" }, 30, 'its pid file');
    $edge->{proc} = AiChaos::Daemon->new(slurp("$dir/nginx.pid"));
    $t->{key} = $t->key('demo');
    $self->{keys} = { demo => $t->{key},
        map { $_ => $t->key($_) } qw(red blue) };
    $t->ready;
    $self->{base_keys} = [grep { !/:pv:|^ai1:key:/ } sort keys
        %{ $t->redis->keys }];

    return $self;
}


sub key { $_[0]{keys}{ $_[1] } }
sub tenants { sort keys %{ $_[0]{keys} } }

# "3 nginx, 1 redis": what was done.
sub did {
    my ($self) = @_;
    return join ', ', map { "$self->{did}{$_} $_" } sort keys %{ $self->{did} };
}

# How often a job was taken from a worker that was dead, or had been stopped.
# For who is killed is given jobs until Redis hears of it, no look at what he
# holds is enough.
sub hurt {
    my ($self, $job) = @_;

    $self->{hurt} ||= $self->read_hurt;
    return $self->{hurt}{$job} || 0;
}


sub read_hurt {
    my ($self) = @_;
    my $held = $self->{t}->prefix . 'held:';
    my ($now, %pid, %hurt) = (0);

    # Seconds, cut off; a line with them is behind nothing that is younger.
    for my $file (sort { ($a =~ /(\d+)\.incr/)[0] <=> ($b =~ /(\d+)\.incr/)[0] }
        glob $self->{t}->redis->{dir} . '/appendonlydir/*.incr.aof')
    {
        my $log = slurp($file);
        while ($log =~ /^\#TS:(\d+)\r\n
            |\r\nSADD\r\n\$\d+\r\n\Q$held\E\S+-(\d+)-\d+\r\n
                \$\d+\r\n(job_\w+)[ ]/gmx)
        {
            if (defined $1) {
                $now = $1;
                next;
            }
            my ($pid, $job) = ($2, $3);
            my $struck = $pid{$job} && $self->{struck}{ $pid{$job} };
            $hurt{$job}++ if $struck && $now >= int $struck;
            $pid{$job} = $pid;
        }
    }
    die "no handover in Redis' log\n" unless %pid;

    return \%hurt;
}

sub events { @{ $_[0]{events} } }


# Faults over so many seconds: [at, what, where, how long].
sub plan {
    my ($self, $length, $pause, %odds) = @_;
    my @what = map { ($_) x $odds{$_} } sort keys %odds;

    for (my $at = 0.5; $at < $length; $at += rand 2 * $pause) {
        push @{ $self->{plan} }, [$at, $what[rand @what], rand,
            0.1 + rand 4.9];
    }
}


# One that is to happen in any case.
sub also {
    my ($self, @fault) = @_;

    $self->{plan} = [sort { $a->[0] <=> $b->[0] } @{ $self->{plan} },
        [@fault]];
}


# The next, if it is due; false when nothing is left to do.
sub tick {
    my ($self) = @_;
    my $now = time;
    my $plan = $self->{plan};
    my $begin = $self->{begin} ||= $now;

    # Those that are late, on a busy machine, come no closer to each other.
    if (@$plan && $plan->[0][0] <= $now - $begin) {
        my ($at, $what, @args) = @{ shift @$plan };
        $self->{begin} = $now - $at;
        my $said = eval { $self->$what(@args) } // $@;
        push @{ $self->{events} }, sprintf '%.2f %s %s', $now, $what, $said;
        $self->{did}{$what}++;
    }
    for my $pid (keys %{ $self->{stopped} }) {
        next if $self->{stopped}{$pid} > time;
        kill 'CONT', $pid;
        delete $self->{stopped}{$pid};
        push @{ $self->{events} }, sprintf '%.2f cont %s', time, $pid;
    }
    if ($now > ($self->{scan} || 0) + 3) {
        $self->{scan} = $now;
        eval { $self->note_jobs };
    }

    return @$plan || %{ $self->{stopped} };
}


# Every job there ever was, seen from outside.
sub note_jobs {
    my ($self) = @_;
    my $t = $self->{t};

    for my $key (keys %{ $t->redis->keys($t->prefix . 'job:*') }) {
        my ($job) = $key =~ /(job_\w+)$/;
        $self->{jobs}{$job} = 1;
    }
}


sub jobs { sort keys %{ $_[0]{jobs} } }


# The faults.  Each is given two numbers: 0…1 and seconds.

sub nginx {
    my ($self, $which) = @_;
    my @pids = $self->{edge}->workers or return '';
    my $pid = $pids[$which * @pids];

    kill 'KILL', $pid;
    return $pid;
}


sub worker {
    my ($self, $which) = @_;
    my @pids = $self->{t}->worker_pids or return '';

    return $self->slay($pids[$which * @pids]);
}


# In order: nothing of what it has is lost, or run again.
sub drain {
    my ($self, $which) = @_;
    my @pids = $self->{t}->worker_pids or return '';
    my $pid = $pids[$which * @pids];

    kill 'TERM', $pid;
    return $pid;
}


sub workers { return $_[0]->slay($_[0]{t}->worker_pids) }


sub slay {
    my ($self, @pids) = @_;

    $self->{struck}{$_} ||= time for @pids;
    kill 'KILL', @pids;
    delete @{ $self->{stopped} }{@pids};
    return "@pids";
}


sub stop {
    my ($self, $which, $seconds) = @_;
    my @pids = grep { !$self->{stopped}{$_} } $self->{t}->worker_pids
        or return '';
    my $pid = $pids[$which * @pids];

    $self->{struck}{$pid} ||= time;
    kill 'STOP', $pid;
    $self->{stopped}{$pid} = time + $seconds;
    return sprintf '%s for %.1f s', $pid, $seconds;
}


sub normal { $_[0]{t}->redis->cmd(qw(CLIENT KILL TYPE normal)) }
sub pubsub { $_[0]{t}->redis->cmd(qw(CLIENT KILL TYPE pubsub)) }
sub scripts { $_[0]{t}->redis->cmd(qw(SCRIPT FLUSH)) }


sub reload {
    my ($self) = @_;

    $self->{edge}{proc}->signal('HUP');
    return '';
}


sub redis {
    my ($self, undef, $seconds) = @_;
    my $redis = $self->{t}->redis;

    $redis->kill9;
    sleep $seconds / 5;
    $redis->start;
    return sprintf 'away for %.1f s', $seconds / 5;
}


sub frozen {
    my ($self, undef, $seconds) = @_;

    $self->{t}->redis->freeze;
    sleep $seconds / 3;
    $self->{t}->redis->thaw;
    return sprintf 'for %.1f s', $seconds / 3;
}


sub postgres {
    my ($self) = @_;

    $self->{t}->pg->kill9;
    $self->{t}->pg->start;
    return '';
}


# The old processes leave when their last streams end.
sub upgrade {
    my ($self) = @_;
    my $edge = $self->{edge};
    my $dir = $edge->{dir};
    my $old = $edge->pid;

    return 'not again yet' if -e "$dir/nginx.pid.oldbin";
    kill 'USR2', $old;
    wait_for(sub { slurp("$dir/nginx.pid") =~ /^(\d+)/ && $1 != $old }, 30,
        'a new master');
    my $new = AiChaos::Daemon->new(slurp("$dir/nginx.pid"));
    wait_for(sub { grep { slurp("/proc/$_/cmdline") =~ /^nginx: worker/ }
        AiProc::children_of($new->pid) }, 30, 'its processes');
    kill 'QUIT', $old;
    $edge->{proc} = $new;
    push @{ $self->{old} }, $old;
    return "$old to " . $new->pid;
}


# Descriptors of a process, but for connections to providers that are kept.
sub fds {
    my ($self, $pid) = @_;
    my $ports = join '|', map { sprintf '%04X', $_ } @{ $self->{spare} };
    my %kept = map { my @f = split; ("socket:[$f[9]]" => 1) }
        grep { (split)[2] =~ /:(?:$ports)$/ }
        split /\n/, slurp('/proc/net/tcp');

    return scalar grep { !$kept{ readlink($_) || '' } } glob "/proc/$pid/fd/*";
}


# Bodies of jobs.  One that was cut off before there was a job is kept for its
# ten minutes where its edge died, or lost Redis.
sub bodies {
    my ($self) = @_;
    my $redis = $self->{t}->redis;
    my $pre = $self->{t}->prefix;
    my $ttl = $redis->keys("${pre}body:*");

    $self->note_jobs if %$ttl;
    return grep {
        my ($job) = /(job_\w+)$/;
        $self->{jobs}{$job} || $ttl->{$_} < 0 || $ttl->{$_} > 600_000;
    } sort keys %$ttl;
}


# What is not as it was before anybody came.
sub unrest {
    my ($self, $open) = @_;
    my $t = $self->{t};
    my $edge = $self->{edge};
    my $redis = $t->redis;
    my $pre = $t->prefix;
    my @not;

    my $is = sub {
        my ($what, $got, $want) = @_;
        push @not, "$what: $got, not $want" if $got ne $want;
    };
    my @alive = @{ $redis->cmd('ZRANGE', "${pre}alive", 0, -1) };
    $is->('nginx workers', scalar $edge->workers('all'), $edges);
    $is->('old nginx', scalar(grep { -d "/proc/$_" } @{ $self->{old} }), 0);
    $is->('worker processes', scalar $t->worker_pids, $workers);
    $is->('edges alive', scalar(grep { /^e:/ } @alive), $edges);
    $is->('workers alive', scalar(grep { /^w:/ } @alive), $workers);
    $is->('capacity', $redis->cmd('HLEN', "${pre}capacity"), $workers);
    for my $name (qw(grace waiting waiting:batch waiting:last suspects
        backlog_bytes))
    {
        $is->($name, $redis->cmd('EXISTS', $pre . $name), 0);
    }
    for my $name (qw(held:* running:* backlog:*)) {
        $is->($name, join(' ', sort keys %{ $redis->keys("$pre$name") }), '');
    }
    $is->('bodies', join(' ', $self->bodies), '');
    $is->('outbox', $redis->cmd('XLEN', "${pre}outbox"), 0);
    my $pending = eval { $redis->cmd('XPENDING', "${pre}outbox", 'ledger') };
    $is->('pending of it', $pending->[0], 0) if $pending;
    for my $pid ($edge->workers) {
        my $n = $self->fds($pid);
        push @not, "nginx $pid holds $n descriptors, $t->{base_edge} before"
            if $n > $t->{base_edge} + 4;
    }
    for my $pid ($t->worker_pids) {
        my $n = $self->fds($pid);
        push @not, "worker $pid holds $n descriptors, $t->{base_worker} before"
            if $n > $t->{base_worker} + 4;
    }
    my @channels = @{ $redis->cmd('PUBSUB', 'CHANNELS', 'ai*') };
    $is->('channels', scalar @channels, $t->{base_channels});
    $is->('open provider calls', $open->(), 0);

    return @not;
}


# Soon after the end everything is as before.  Who was killed last has to be
# found dead first.
sub rest {
    my ($self, $open) = @_;
    my $from = time;
    my (@not, @last);

    $self->{t}->allow_log(qr/exited on signal 9/, qr/on signal 9/);
    my $ok = eval {
        wait_for(sub {
            sleep 0.1;
            @last = @not if @not;
            return !(@not = $self->unrest($open));
        }, 40);
    };
    $self->note_jobs;
    # Ten seconds where the machine is ours.
    Test::More::ok($ok, sprintf 'at rest %.1f s after the last client',
        time - $from) or Test::More::diag(join "\n", $@, @not);
    Test::More::note(join "\n", 'last:', @last);
}


# What ended is forgotten when it is due, and no other key is left, but what
# fades for some minutes.
sub forgotten {
    my ($self, $seconds) = @_;
    my $redis = $self->{t}->redis;
    my $pre = $self->{t}->prefix;
    my %base = map { $_ => 1 } @{ $self->{base_keys} };
    my @left;

    my $ttl = $redis->keys;
    my @late = grep { /^\Q$pre\E(?:job|ev):/
        && ($ttl->{$_} < 0 || $ttl->{$_} > $seconds * 1000) } sort keys %$ttl;
    Test::More::is("@late", '', "what ended is forgotten in $seconds s");
    return unless $ENV{AI_T_FULL};

    eval {
        wait_for(sub {
            sleep 1;
            @left = grep { !$base{$_}
                && !/^ai1:metrics:|:(?:pv|body):|:fair$|^ai1:key:/ }
                sort keys %{ $redis->keys };
            return !@left;
        }, $seconds + 15);
    };
    Test::More::is("@left", '', 'and then the keys are as they were');
}


package AiChaos::Daemon;

use strict;
use warnings;


sub new { my ($class, $pid) = @_; return bless { pid => $pid + 0 }, $class }
sub pid { $_[0]{pid} }
sub alive { -d "/proc/$_[0]{pid}" }
sub signal { kill $_[1] => $_[0]{pid} }


sub stop {
    my ($self, $sig, $seconds) = @_;

    $self->signal($sig || 'TERM');
    eval { AiProc::wait_for(sub { !$self->alive }, $seconds || 60); 1 } or do {
        $self->{killed} = 1;
        $self->signal('KILL');
    };
    return 0;
}

1;
