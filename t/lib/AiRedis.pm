# A private redis-server on a Unix socket, and a small client for it.
# AiRedis::Fake stands in front of it, or instead of it, and misbehaves.
package AiRedis;

use strict;
use warnings;
use AiProc qw(wait_for slurp);
use IO::Socket::UNIX;
use IO::Socket::INET;
use Time::HiRes qw(time);


# dir: its folder.  args => [...] for redis-server; aof => 1; tcp => port.
sub new {
    my ($class, %o) = @_;
    my $self = bless { dir => $o{dir}, sock => "$o{dir}/redis.sock",
        args => $o{args} || [], aof => $o{aof}, tcp => $o{tcp} || 0 }, $class;

    return $self->start;
}


# Only starts it: it may load for a while.
sub spawn {
    my ($self) = @_;

    $self->{proc} = AiProc->spawn(name => 'redis-server', cwd => $self->{dir},
        out => "$self->{dir}/redis.log",
        cmd => ['redis-server', '--port', $self->{tcp}, '--bind', '127.0.0.1',
            '--unixsocket', $self->{sock}, '--unixsocketperm', '777',
            '--dir', $self->{dir}, '--save', '', '--daemonize', 'no',
            '--maxmemory-policy', 'noeviction', '--enable-debug-command',
            'local', '--appendonly', $self->{aof} ? 'yes' : 'no',
            @{ $self->{args} }]);
    delete $self->{client};

    return $self;
}


sub start {
    my ($self) = @_;

    $self->spawn;
    wait_for(sub {
        die 'redis-server: ' . slurp("$self->{dir}/redis.log") . "\n"
            unless $self->{proc}->alive;
        return eval { $self->client->cmd('PING') eq 'PONG' };
    }, 30, 'redis-server');

    return $self;
}


sub path { $_[0]{sock} }
sub url { "unix:$_[0]{sock}" }
sub pid { $_[0]{proc}->pid }


sub stop {
    my ($self, $sig) = @_;

    delete $self->{client};
    return $self->{proc}->stop($sig || 'TERM');
}


# Without a shutdown, as a crash is.
sub kill9 { $_[0]->stop('KILL') }
sub freeze { $_[0]{proc}->signal('STOP') }
sub thaw { $_[0]{proc}->signal('CONT') }


sub restart {
    my ($self, $sig) = @_;

    $self->stop($sig);
    return $self->start;
}


# A new connection.
sub client { AiRedis::Client->new(unix => $_[0]{sock}) }


# A command on the connection this object keeps; dies on an error reply.
sub cmd {
    my ($self, @args) = @_;

    $self->{client} ||= $self->client;
    my $got = eval { $self->{client}->cmd(@args) };
    if (my $err = $@) {
        delete $self->{client} if $err =~ /^redis: (?:closed|timed out)/;
        die $err;
    }

    return $got;
}


# A reply of field, value, field, value as a hash.
sub hash {
    my ($self, @args) = @_;

    return { @{ $self->cmd(@args) || [] } };
}


# A connection subscribed to these channels: ->message(seconds).
sub subscribe {
    my ($self, @channels) = @_;
    my $client = $self->client;

    $client->send('SUBSCRIBE', @channels);
    $client->read for @channels;

    return $client;
}


# Every key: { key => ttl in ms, -1 without expiry }.
sub keys {
    my ($self, $pattern) = @_;
    my ($cursor, %ttl) = (0);

    do {
        my $got = $self->cmd('SCAN', $cursor, 'MATCH', $pattern || '*',
            'COUNT', 1000);
        $cursor = $got->[0];
        $ttl{$_} = $self->cmd('PTTL', $_) for @{ $got->[1] };
    } while ($cursor ne '0');
    delete $ttl{$_} for grep { $ttl{$_} == -2 } keys %ttl;

    return \%ttl;
}


# The compiled scripts by name: { sha, text }.
my $scripts;

sub scripts {
    my ($class, $root, $dir) = @_;

    return $scripts if $scripts;
    # Or scripts that say what of them ran (tools/cover-lua.pl).
    my $from = $ENV{AI_T_SCRIPTS} || "$root/src/scripts";
    system('sh', "$root/src/scripts/compile.sh", $from, $dir) == 0
        or die "compile.sh failed\n";
    my $text = slurp("$dir/ai_scripts.c");
    while ($text =~ /\{ "(\w+)", "([0-9a-f]{40})", \d+,\n(.*?)\n    \},/gs) {
        my ($name, $sha, $c) = ($1, $2, $3);
        my $lua = join '', map {
            /^\s*"(.*)\\n"$/ or die "ai_scripts.c: $_\n";
            my $line = $1;
            $line =~ s/\\(.)/$1/g;
            "$line\n";
        } split /\n/, $c;
        $scripts->{$name} = { sha => $sha, text => $lua };
    }

    return $scripts;
}


# Runs a script as the parts do: EVALSHA, once more as EVAL after NOSCRIPT.
sub script {
    my ($self, $name, $keys, @args) = @_;
    my $s = $scripts->{$name} or die "no script $name (call scripts first)\n";

    my $got = eval {
        $self->cmd('EVALSHA', $s->{sha}, scalar @$keys, @$keys, @args);
    };
    if ($@) {
        die $@ unless $@ =~ /NOSCRIPT/;
        $got = $self->cmd('EVAL', $s->{text}, scalar @$keys, @$keys, @args);
    }

    return $got;
}


package AiRedis::Client;

use strict;
use warnings;
use Time::HiRes qw(time);


sub new {
    my ($class, %o) = @_;
    my $sock = $o{unix}
        ? IO::Socket::UNIX->new(Peer => $o{unix})
        : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $o{port});

    die "redis: connect: $!\n" unless $sock;
    return bless { sock => $sock, in => '', timeout => 30 }, $class;
}


# The bytes of a command.
sub format {
    my (@args) = @_;

    return join '', '*' . @args . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @args;
}


sub send {
    my ($self, @args) = @_;
    my $bytes = AiRedis::Client::format(@args);

    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $self->{sock}, $bytes;
        die "redis: closed\n" unless defined $n;
        substr $bytes, 0, $n, '';
    }
}


sub cmd {
    my ($self, @args) = @_;

    $self->send(@args);
    my $got = $self->read;
    die "redis: $$got\n" if ref $got eq 'AiRedis::Error';

    return $got;
}


# The next message of a subscription as [channel, payload]; undef when none
# came in time.
sub message {
    my ($self, $seconds) = @_;

    my $got = eval { $self->read($seconds) };
    if ($@) {
        return undef if $@ =~ /timed out/;
        die $@;
    }

    return ref $got && $got->[0] eq 'message' ? [@$got[1, 2]] : $self->message;
}


# One reply: string, undef, array, or an AiRedis::Error.
sub read {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds || $self->{timeout});

    while (1) {
        my $pos = 0;
        my ($ok, $value) = parse(\$self->{in}, \$pos);
        if ($ok) {
            substr $self->{in}, 0, $pos, '';
            return $value;
        }

        my $left = $until - time;
        die "redis: timed out\n" if $left <= 0;
        my $bits = '';
        vec($bits, fileno $self->{sock}, 1) = 1;
        next unless select $bits, undef, undef, $left;
        my $n = sysread $self->{sock}, $self->{in}, 65536, length $self->{in};
        die "redis: closed\n" unless $n;
    }
}


sub parse {
    my ($in, $pos) = @_;

    my $end = index $$in, "\r\n", $$pos;
    return 0 if $end < 0;
    my $type = substr $$in, $$pos, 1;
    my $line = substr $$in, $$pos + 1, $end - $$pos - 1;
    my $at = $end + 2;

    if ($type eq '+' || $type eq ':') {
        $$pos = $at;
        return (1, $line);
    }
    if ($type eq '-') {
        $$pos = $at;
        return (1, bless \$line, 'AiRedis::Error');
    }
    if ($type eq '$') {
        if ($line < 0) {
            $$pos = $at;
            return (1, undef);
        }
        return 0 if length($$in) < $at + $line + 2;
        my $value = substr $$in, $at, $line;
        $$pos = $at + $line + 2;
        return (1, $value);
    }
    if ($type eq '*') {
        if ($line < 0) {
            $$pos = $at;
            return (1, undef);
        }
        my @list;
        for (1 .. $line) {
            my ($ok, $value) = parse($in, \$at);
            return 0 unless $ok;
            push @list, $value;
        }
        $$pos = $at;
        return (1, \@list);
    }

    die "redis: not RESP: $type$line\n";
}


package AiRedis::Fake;

use strict;
use warnings;
use Time::HiRes qw(time);


# A server on dir/fake.sock.  answer->(conn number, @command) says what to do:
#   undef             hand it to the Redis at upstream (or +OK without one)
#   'bytes'           send them instead
#   { send => 'bytes', close => 1, stall => 1, drop => 1 }
#   { hold => 1 }     hand it on, and keep this connection's answers back;
#                     hold => 0: hand it on, and give them
#   { until => FILE } hand it on, and what comes after it, once FILE is there
# stall: this connection is never answered again; drop: no answer to this one.
sub new {
    my ($class, %o) = @_;
    my $path = "$o{dir}/" . ($o{name} || 'fake') . '.sock';

    unlink $path;
    my $listen = IO::Socket::UNIX->new(Local => $path, Listen => 64)
        or die "fake redis: $!\n";
    my $self = bless { sock => $path, log => "$path.log" }, $class;
    $self->{proc} = AiProc->spawn(name => 'fake redis', out => "$path.err",
        sub => sub { serve($listen, $self->{log}, $o{upstream}, $o{answer}) });
    close $listen;

    return $self;
}


sub url { "unix:$_[0]{sock}" }
sub stop { $_[0]{proc}->stop('KILL') }


# What it was asked, one line a command: "<connection> NAME arg …".
sub log { split /\n/, AiProc::slurp($_[0]{log}) }


sub serve {
    my ($listen, $log, $upstream, $answer) = @_;
    my (%conn, %of_up);
    my $count = 0;

    $SIG{PIPE} = 'IGNORE';
    open my $out, '>>', $log or die "$log: $!\n";
    $out->autoflush(1);

    my $drop = sub {
        my ($c) = @_;
        delete $conn{ fileno $c->{sock} };
        close $c->{sock};
        if ($c->{up}) {
            delete $of_up{ fileno $c->{up} };
            close $c->{up};
        }
    };

    while (1) {
        my $bits = '';
        vec($bits, $_, 1) = 1 for fileno $listen, keys %conn, keys %of_up;
        select $bits, undef, undef,
            (grep { $_->{until} } values %conn) ? 0.02 : undef;

        for my $c (grep { $_->{until} && -e $_->{until} } values %conn) {
            delete $c->{until};
            syswrite $c->{up}, delete $c->{kept};
        }

        if (vec $bits, fileno $listen, 1) {
            my $sock = $listen->accept or next;
            my $c = { sock => $sock, in => '', n => ++$count };
            if ($upstream) {
                $c->{up} = IO::Socket::UNIX->new(Peer => $upstream);
                $of_up{ fileno $c->{up} } = $c if $c->{up};
            }
            $conn{ fileno $sock } = $c;
        }

        for my $fd (grep { vec $bits, $_, 1 } keys %of_up) {
            my $c = $of_up{$fd} or next;
            my $n = sysread $c->{up}, my $buf, 65536;
            if (!$n) {
                $drop->($c);
            } elsif (defined $c->{held}) {
                $c->{held} .= $buf;
            } elsif (!$c->{stalled}) {
                syswrite $c->{sock}, $buf;
            }
        }

        for my $fd (grep { vec $bits, $_, 1 } keys %conn) {
            my $c = $conn{$fd} or next;
            my $n = sysread $c->{sock}, $c->{in}, 65536, length $c->{in};
            if (!$n) {
                $drop->($c);
                next;
            }

            while (1) {
                my $pos = 0;
                my ($ok, $args) = AiRedis::Client::parse(\$c->{in}, \$pos);
                last unless $ok;
                my $raw = substr $c->{in}, 0, $pos, '';
                print $out join(' ', $c->{n}, map {
                    my $s = substr $_, 0, 200; $s =~ s/[^ -~]/./g; $s
                } @$args), "\n";
                next if $c->{stalled};

                my $do = $answer ? $answer->($c->{n}, @$args) : undef;
                if (ref $do && defined $do->{hold}) {
                    my $held = delete $c->{held} // '';
                    if ($do->{hold}) {
                        $c->{held} = $held;
                    } else {
                        syswrite $c->{sock}, $held;
                    }
                    undef $do;
                }
                if (ref $do && $do->{until}) {
                    $c->{until} = $do->{until};
                    undef $do;
                }
                if ($c->{until} && !defined $do) {
                    $c->{kept} .= $raw;
                    next;
                }
                if (!defined $do) {
                    syswrite $c->{up} || $c->{sock},
                        $c->{up} ? $raw : "+OK\r\n";
                    next;
                }
                $do = { send => $do } unless ref $do;
                syswrite $c->{sock}, $do->{send} if defined $do->{send};
                $c->{stalled} = 1 if $do->{stall};
                if ($do->{close}) {
                    $drop->($c);
                    last;
                }
            }
        }
    }
}

1;
