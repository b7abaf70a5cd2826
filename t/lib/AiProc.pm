# Child processes of a test: started so that they die with it, waited for with
# limits, and found again when something was left running.
package AiProc;

use strict;
use warnings;
use POSIX qw(WNOHANG);
use Time::HiRes qw(time sleep);
use Exporter 'import';

our @EXPORT_OK = qw(wait_for slurp free_port children_of processes_in process_of
    fd_count certificate);

my %live;
my @port_locks;
my $owner = $$;


# Calls sub until it returns true; dies naming what after so many seconds.
sub wait_for {
    my ($sub, $seconds, $what) = @_;
    my $until = time + ($seconds || 30);

    while (1) {
        my $got = $sub->();
        return $got if $got;
        die "timed out waiting for " . ($what || 'a condition') . "\n"
            if time > $until;
        sleep 0.01;
    }
}


# A certificate of localhost that signs itself: <name>.pem and <name>.key.
sub certificate {
    my ($dir, $name) = @_;

    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
        . "-nodes -days 2 -subj /CN=localhost -addext "
        . "subjectAltName=DNS:localhost -keyout $dir/$name.key "
        . "-out $dir/$name.pem > /dev/null 2>&1") == 0 or die "openssl\n";
}


sub slurp {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return '';
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}


# A TCP port of 127.0.0.1 that is free now, below those the kernel gives to
# clients; a UDP socket of the same number, held until we end, keeps other tests
# from choosing it.
sub free_port {
    require IO::Socket::INET;

    for (1 .. 1000) {
        my $port = 10000 + int rand 22000;
        my $udp = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Proto => 'udp') or next;
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
            Listen => 1, Proto => 'tcp', ReuseAddr => 1) or next;
        push @port_locks, $udp;
        return $port;
    }

    die "no free port\n";
}


sub children_of {
    my ($pid) = @_;
    my @kids;

    for my $dir (glob '/proc/[0-9]*') {
        my ($stat) = slurp("$dir/stat") =~ /\)\s+(.*)/s or next;
        my ($state, $ppid) = split ' ', $stat;
        push @kids, $dir =~ /(\d+)$/ if $ppid == $pid && $state ne 'Z';
    }

    return sort { $a <=> $b } @kids;
}


# Processes (not us) that work in or were started with a path below dir.
sub processes_in {
    my ($dir) = @_;
    my @found;

    for my $proc (glob '/proc/[0-9]*') {
        my ($pid) = $proc =~ /(\d+)$/;
        next if $pid == $$ || $pid == $owner;
        my $cwd = readlink("$proc/cwd") || '';
        my $line = slurp("$proc/cmdline");
        next if index($cwd, $dir) != 0 && index($line, $dir) < 0;
        next if slurp("$proc/stat") =~ /\) Z /;
        $line =~ tr/\0/ /;
        push @found, [$pid, $line];
    }

    return @found;
}


sub fd_count {
    my ($pid) = @_;

    opendir my $dh, "/proc/$pid/fd" or return 0;
    return scalar grep { !/^\./ } readdir $dh;
}


# cmd => [...], env => {...}, cwd, out => file for both outputs, user => name
# to become when we are root, sub => code to run instead of cmd.
sub spawn {
    my ($class, %o) = @_;

    my @cmd = @{ $o{cmd} || [] };
    if (@cmd) {
        my @as;
        @as = ("--reuid=$o{user}", "--regid=$o{user}", '--clear-groups')
            if $o{user} && $> == 0;
        @cmd = ('setpriv', @as, '--pdeathsig', 'TERM', '--', @cmd);
    }

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        %live = ();
        open STDIN, '<', '/dev/null';
        if ($o{out}) {
            open STDOUT, '>>', $o{out} or POSIX::_exit(126);
            open STDERR, '>&', \*STDOUT;
        }
        chdir $o{cwd} if $o{cwd};
        my $env = $o{env} || {};
        for my $name (keys %$env) {
            if (defined $env->{$name}) {
                $ENV{$name} = $env->{$name};
            } else {
                delete $ENV{$name};
            }
        }
        if ($o{sub}) {
            eval { $o{sub}->(); 1 } or print STDERR $@;
            POSIX::_exit(0);
        }
        { no warnings; exec { $cmd[0] } @cmd; }
        POSIX::_exit(127);
    }

    my $self = bless { pid => $pid, name => $o{name} || "@cmd" }, $class;
    $live{$pid} = $self;
    return $self;
}


sub pid { $_[0]{pid} }


# The wait status, undef while it runs.
sub status {
    my ($self) = @_;

    if (!defined $self->{status}) {
        my $got = waitpid $self->{pid}, WNOHANG;
        if ($got == $self->{pid}) {
            $self->{status} = $?;
            delete $live{ $self->{pid} };
        } elsif ($got < 0) {
            $self->{status} = -1;
            delete $live{ $self->{pid} };
        }
    }

    return $self->{status};
}


sub alive { !defined $_[0]->status }


sub signal {
    my ($self, $sig) = @_;

    return $self->alive ? kill($sig, $self->{pid}) : 0;
}


sub wait {
    my ($self, $seconds) = @_;

    wait_for(sub { !$self->alive }, $seconds || 30, "$self->{name} to end");
    return $self->status;
}


# TERM (or sig), then KILL; the wait status.
sub stop {
    my ($self, $sig, $seconds) = @_;

    return $self->status unless $self->alive;
    $self->signal($sig || 'TERM');
    eval { $self->wait($seconds || 20); 1 } or do {
        $self->{killed} = 1;
        $self->signal('KILL');
        $self->wait(10);
    };

    return $self->status;
}


# Ours and what they left behind in dir, for the end of a test that died.
sub stop_all {
    my ($dir) = @_;

    return if $$ != $owner;
    $_->signal('TERM') for values %live;
    eval { wait_for(sub { !grep { $_->alive } values %live }, 5) };
    $_->signal('KILL') for values %live;
    if ($dir) {
        kill 'KILL', $_->[0] for processes_in($dir);
    }
}


# The process at the other end of a connection from this machine; dir: one that
# works in it.  Looking at all there are takes half a second on a busy machine.
sub process_of {
    my ($sock, $dir) = @_;
    my $from = sprintf ':%04X', $sock->peerport;
    my $to = sprintf ':%04X', $sock->sockport;

    for (split /\n/, slurp('/proc/net/tcp')) {
        my @c = split;
        next unless $c[1] =~ /$from$/ && $c[2] =~ /$to$/;
        for my $proc (glob '/proc/[0-9]*') {
            next if $dir && index(readlink("$proc/cwd") // '', $dir) != 0;
            for my $fd (glob "$proc/fd/*") {
                return ($proc =~ /(\d+)/)[0] if (readlink($fd) // '')
                    eq "socket:[$c[9]]";
            }
        }
    }
    die "nobody is at the other end\n";
}

1;
