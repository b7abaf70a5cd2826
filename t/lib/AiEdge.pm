# An nginx with the module, in a folder of its own.
package AiEdge;

use strict;
use warnings;
use AiProc qw(wait_for slurp free_port children_of);
use IO::Socket::INET;
use Time::HiRes qw(time);


# dir: its folder; root: the repository; conf: a template.
# In the template %%GLOBALS%% (before events), %%HTTP%% (first in http), %%PORT%%,
# %%PORT_1%% … (free ports), %%DIR%%, and vars => { NAME => value }; SHUTDOWN is how
# long old processes may serve after a reload (60s).
sub new {
    my ($class, %o) = @_;

    mkdir $o{dir};
    chmod 0755, $o{dir};
    return bless { dir => $o{dir}, root => $o{root}, vars => $o{vars} || {},
        module => $o{module}, conf => $o{conf}, env => $o{env} || {},
        ports => {}, workers => $o{workers} || 1 }, $class;
}


# The system's nginx, or the one that AI_T_NGINX names (tools/asan-nginx.sh).
sub binary {
    return $ENV{AI_T_NGINX} if $ENV{AI_T_NGINX};
    for (split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin') {
        return "$_/nginx" if -x "$_/nginx";
    }
    die "no nginx\n";
}


# Whether that nginx is linked with AddressSanitizer: AI_T_NGINX may as well
# name one that only counts.
sub sanitized {
    my ($class) = @_;
    my $binary = $class->binary;

    return `ldd '$binary' 2>&1` =~ /libasan/;
}


sub port { $_[0]{ports}{ defined $_[1] ? "PORT_$_[1]" : 'PORT' } }
sub pid { $_[0]{proc}->pid }
sub log_path { "$_[0]{dir}/error.log" }
sub log { slurp($_[0]->log_path) }
sub access_log { slurp("$_[0]{dir}/access.log") }
sub log_like { $_[0]->log =~ $_[1] }


sub wait_log {
    my ($self, $re, $seconds) = @_;

    return wait_for(sub { $self->log =~ $re }, $seconds || 30,
        "$re in error.log");
}


# Writes the configuration, from another template when one is given.
sub write_conf {
    my ($self, $template) = @_;

    $self->{conf} = $template if defined $template;
    $self->expand($self->{conf}, "$self->{dir}/nginx.conf");
}


sub expand {
    my ($self, $text, $path) = @_;
    my $dir = $self->{dir};
    my $load = $self->{module} ? "load_module $self->{module};\n" : '';
    my $as = $> == 0 ? "user root;\n" : '';
    my %vars = (
        GLOBALS => "${load}${as}daemon off;\nmaster_process on;\n"
            . "worker_processes $self->{workers};\n"
            . "pid $dir/nginx.pid;\nlock_file $dir/nginx.lock;\n"
            . "error_log $dir/error.log "
            . ($ENV{AI_T_LOG_LEVEL} || 'info') . ";\n"
            . "worker_shutdown_timeout %%SHUTDOWN%%;\n",
        SHUTDOWN => '60s',
        HTTP => "access_log $dir/access.log;\n"
            . join('', map { "    ${_}_temp_path $dir/$_;\n" }
                qw(client_body proxy fastcgi uwsgi scgi)),
        DIR => $dir,
        %{ $self->{vars} },
    );

    # Values may hold names themselves.
    for (1 .. 2) {
        $text =~ s{%%(PORT(?:_\d+)?)%%}{$self->{ports}{$1} ||= free_port()}ge;
        $text =~ s{%%(\w+)%%}{
            defined $vars{$1} ? $vars{$1} : die "no value for %%$1%%\n"
        }ge;
    }

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh;
}


sub command {
    my ($self, @more) = @_;

    return (binary(), '-p', "$self->{dir}/", '-c', "$self->{dir}/nginx.conf",
        '-e', $self->log_path, @more);
}


# nginx -t on a template: (exit code, what it said); the file is test.conf.
sub test_conf {
    my ($self, $template) = @_;
    my ($conf, $out) = map { "$self->{dir}/test.$_" } qw(conf out);

    $self->expand($template, $conf);
    unlink $out;
    # It exits without destroying its pools, which is no leak.
    my %env = %{ $self->{env} };
    $env{ASAN_OPTIONS} .= ':detect_leaks=0' if $env{ASAN_OPTIONS};
    my $status = AiProc->spawn(env => \%env, out => $out,
        cwd => $self->{dir}, cmd => [binary(), '-p', "$self->{dir}/",
            '-e', 'stderr', '-c', $conf, '-t', '-q'])->wait(30);

    return ($status >> 8, slurp($out));
}


sub start {
    my ($self) = @_;

    $self->write_conf;
    $self->{proc} = AiProc->spawn(name => 'nginx', cwd => $self->{dir},
        env => $self->{env}, out => "$self->{dir}/nginx.out",
        cmd => [$self->command]);

    wait_for(sub {
        die 'nginx: ' . slurp("$self->{dir}/nginx.out") . $self->log . "\n"
            unless $self->{proc}->alive;
        return -s "$self->{dir}/nginx.pid" && $self->workers
            && (!$self->port || IO::Socket::INET->new(PeerPort => $self->port,
                PeerAddr => '127.0.0.1'));
    }, 30, 'nginx');

    return $self;
}


# Worker processes; those that are leaving only on request.
sub workers {
    my ($self, $all) = @_;

    return grep {
        my $line = slurp("/proc/$_/cmdline");
        # valgrind keeps the title it was started with.
        $line =~ /^nginx: worker|^[^\0]*valgrind/
            && ($all || $line !~ /shutting down/);
    } children_of($self->pid);
}


# Reloads, with another template when one is given, and returns when only new
# workers take connections (old ones may still finish what they have).
sub reload {
    my ($self, $template) = @_;
    my %old = map { $_ => 1 } $self->workers('all');

    $self->write_conf($template) if defined $template;
    $self->{proc}->signal('HUP');
    wait_for(sub {
        my @now = $self->workers;
        return @now && !grep { $old{$_} } @now;
    }, 30, 'the reload');
}


sub stop { $_[0]{proc}->stop($_[1] || 'TERM', $_[2]) }
sub quit { $_[0]->stop('QUIT', 60) }


sub kill_worker {
    my ($self, $sig) = @_;
    my ($pid) = $self->workers;

    kill $sig || 'KILL', $pid;
    return $pid;
}

1;
