# A thousand clients in one process, and a provider that can serve them: both
# poll, and what a stream must be follows from its name and its length.
#
#   my $p = AiCrowd::Provider->new(dir => $t->dir);
#   my $crowd = AiCrowd->new(port => $edge->port, key => $t->{key});
#   $crowd->stream("p/s$_") for 1 .. 1000;
#   $crowd->run(60, sub { $crowd->talking == 1000 }) or die;
#   $p->finish;
#   $crowd->run(60);
#   is_deeply([$crowd->wrong], []);
package AiCrowd;

use strict;
use warnings;
use Errno qw(EAGAIN EINPROGRESS EINTR EWOULDBLOCK);
use IO::Poll qw(POLLIN POLLOUT POLLERR POLLHUP);
use Socket;
use Time::HiRes qw(time);


# Descriptors for n connections, ours and our children's; 0: there are none.
sub descriptors {
    my ($n) = @_;

    return system('prlimit', "--pid=$$", "--nofile=$n:") == 0;
}


# The stream of a model in n words, as the provider sends it.
sub sse {
    my ($model, $n) = @_;

    return join '', (map { word($model, $_) } 1 .. $n), last_words($model, $n);
}


sub chunk {
    my ($model, $rest) = @_;

    return "data: {\"id\":\"chatcmpl-$model\",\"object\":"
        . "\"chat.completion.chunk\",\"created\":1700000000,"
        . "\"model\":\"$model\",$rest}\n\n";
}


sub word {
    my ($model, $i) = @_;

    return chunk($model, '"choices":[{"index":0,"delta":{"content":"' . "$model."
        . "$i \"},\"finish_reason\":null}]");
}


sub last_words {
    my ($model, $n) = @_;

    return chunk($model, '"choices":[{"index":0,"delta":{},"finish_reason":'
            . '"stop"}]')
        . chunk($model, '"choices":[],"usage":{"prompt_tokens":3,'
            . "\"completion_tokens\":$n,\"total_tokens\":" . ($n + 3) . '}')
        . "data: [DONE]\n\n";
}


sub new {
    my ($class, %o) = @_;

    return bless { %o, clients => [], live => {}, later => [],
        going => [] }, $class;
}


# A client that streams; resumable => 1: it comes back when it is cut off.
sub stream {
    my ($self, $model, %o) = @_;
    my $body = "{\"model\":\"$model\",\"stream\":true,\"stream_options\":"
        . '{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}';

    return $self->client(%o, model => $model =~ s{^\w+/}{}r, stream => 1,
        body => $body);
}


# One that sends a body (or, hold => n, all but its last n bytes) and wants the
# answer of it.
#
#   path, header      of its request; header: lines
#   again => sub      gives (model, body) of its nth request: it asks anew where
#                     it was refused (503, 429) or cut off before any answer
#   leave => [n, …]   hangs up after so many events, and, resumable, comes back
#   away              after so many seconds
#   gone              hangs up so many seconds after its request, for good
sub client {
    my ($self, %o) = @_;
    my $c = { text => '', came => 0, back => 0, since => 0, posts => [],
        log => [], leave => [], %o };

    push @{ $self->{clients} }, $c;
    if ($c->{gone}) {
        $c->{gone} += time;
        push @{ $self->{going} }, $c;
    }
    $self->post($c);

    return $c;
}


sub post {
    my ($self, $c) = @_;
    my $body = delete $c->{body};
    my $more = ($c->{resumable} ? "X-AI-Resumable: 1\r\n" : '')
        . ($c->{header} || '');

    ($c->{model}, $body) = $c->{again}->(scalar @{ $c->{posts} })
        if $c->{again};
    push @{ $c->{posts} }, { model => $c->{model} };
    $c->{held} = $c->{hold} ? substr $body, -$c->{hold}, $c->{hold}, '' : '';
    $self->open($c, 'POST ' . ($c->{path} || '/v1/chat/completions')
        . " HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: Bearer " . ($c->{key} || $self->{key})
        . "\r\n${more}Content-Type: application/json\r\nContent-Length: "
        . (length($body) + length $c->{held}) . "\r\n\r\n$body");
}


sub open {
    my ($self, $c, $request) = @_;

    socket my $sock, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    $sock->blocking(0);
    connect $sock, sockaddr_in($self->{port}, INADDR_LOOPBACK)
        or $! == EINPROGRESS or die "connect: $!\n";
    @$c{qw(sock out in state)} = ($sock, $request, '', 'head');
    $self->{live}{ fileno $sock } = $c;
}


sub clients { @{ $_[0]{clients} } }

# Those that were given the header of their answer.
sub talking { scalar grep { $_->{status} } $_[0]->clients }

# Those that have had so many events.
sub heard { my ($self, $n) = @_; return scalar grep { $_->{came} >= $n }
    $self->clients }

sub ended { scalar grep { $_->{end} } $_[0]->clients }


# Serves all until sub says so, or all have ended; false after so many seconds.
sub run {
    my ($self, $seconds, $sub) = @_;
    my $until = time + $seconds;

    while (1) {
        return 1 if $sub ? $sub->() : $self->ended == $self->clients;
        return 0 if time > $until;

        my @later = splice @{ $self->{later} };
        for my $c (@later) {
            if ($c->{at} > time) {
                push @{ $self->{later} }, $c;
                next;
            }
            if (!$c->{job}) {
                $self->post($c);
                next;
            }
            $c->{text} =~ s/^((?:.*\n\n)?).*\z/$1/s;
            my ($last) = $c->{text} =~ /.*^id: (\S+)$/ms;
            $self->open($c, "GET /v1/jobs/$c->{job}/events HTTP/1.1\r\n"
                . "Host: localhost\r\nAuthorization: Bearer "
                . ($c->{key} || $self->{key}) . "\r\n"
                . ($last ? "Last-Event-ID: $last\r\n" : '') . "\r\n");
        }

        for my $c (splice @{ $self->{going} }) {
            if ($c->{gone} > time) {
                push @{ $self->{going} }, $c;
            } elsif (!$c->{end}) {
                $self->finish($c, 'left');
            }
        }

        my @poll = map { ($_ => length $self->{live}{$_}{out}
            ? POLLIN | POLLOUT : POLLIN) } keys %{ $self->{live} };
        if (!@poll) {
            select undef, undef, undef, 0.02;
            next;
        }
        IO::Poll::_poll(50, @poll);
        while (my ($fd, $events) = splice @poll, 0, 2) {
            my $c = $self->{live}{$fd} or next;
            $self->give($c) if $events & POLLOUT;
            $self->take($c) if $c->{sock}
                && $events & (POLLIN | POLLHUP | POLLERR);
        }
    }
}


sub give {
    my ($self, $c) = @_;

    local $SIG{PIPE} = 'IGNORE';
    my $n = syswrite $c->{sock}, $c->{out};
    if (defined $n) {
        substr $c->{out}, 0, $n, '';
    } elsif ($! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR) {
        $c->{out} = '';
    }
}


# The rest of a body that was held back.
sub send_held {
    my ($self, $c) = @_;

    $c->{out} .= $c->{held};
    $c->{held} = '';
}


sub take {
    my ($self, $c) = @_;

    my $n = sysread $c->{sock}, $c->{in}, 65536, length $c->{in};
    if (!defined $n) {
        return if $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
        $n = 0;
    }
    return $self->cut($c) unless $n;

    if ($c->{state} eq 'head') {
        $c->{in} =~ s/^(HTTP\/1\.1 (\d+).*?)\r\n\r\n//s or return;
        my ($head, $status) = ($1, $2);
        my ($job) = $head =~ /^x-ai-job: (\S+)/mi;
        if ($status == 503 && $c->{job}) {
            return $self->cut($c, 503);
        }
        if (!$c->{job}) {
            @{ $c->{posts}[-1] }{qw(status job)} = ($status, $job);
            if ($status =~ /^(?:503|429)$/ && $c->{again}) {
                return $self->finish($c, "$status without Retry-After")
                    unless $head =~ /^retry-after: \d/mi;
                return $self->later($c, 0.3, $status);
            }
            $c->{job} = $job;
        }
        $c->{status} = $status;
        ($c->{length}) = $head =~ /^content-length: (\d+)/mi;
        $c->{state} = 'body';
    }

    if (defined $c->{length}) {
        $c->{text} .= $c->{in};
        $c->{in} = '';
        $self->finish($c, $c->{status} == 200 ? 'whole' : "status $c->{status}")
            if length $c->{text} >= $c->{length};
        return;
    }
    while ($c->{in} =~ /^([0-9a-f]+)\r\n/i) {
        my ($size, $line) = (hex $1, length $&);
        return if length $c->{in} < $line + $size + 2;
        my $got = substr $c->{in}, $line, $size;
        substr $c->{in}, 0, $line + $size + 2, '';
        return $self->finish($c, 'whole') unless $size;
        $c->{text} .= $got;
        my $n = () = $got =~ /^data: /mg;
        $c->{came} += $n;
        $c->{since} += $n;
    }

    if (@{ $c->{leave} } && $c->{since} >= $c->{leave}[0]) {
        shift @{ $c->{leave} };
        return $self->finish($c, 'left') unless $c->{resumable};
        $self->later($c, $c->{away} || 0, 'left');
    }
}


# One whose connection broke: it comes back where it may.
sub cut {
    my ($self, $c, $why) = @_;

    if ($c->{job} ? $c->{resumable} : $c->{again}) {
        $c->{back}++;
        return $self->later($c, 0.1, $why || 'cut');
    }
    $self->finish($c, 'cut');
}


sub later {
    my ($self, $c, $seconds, $why) = @_;

    $self->drop($c);
    push @{ $c->{log} }, sprintf '%.2f %s after %d events', time, $why,
        $c->{came} if @{ $c->{log} } < 200;
    $c->{since} = 0;
    $c->{at} = time + $seconds;
    push @{ $self->{later} }, $c;
}


sub finish {
    my ($self, $c, $how) = @_;

    $c->{end} = $how;
    $c->{ended} = time;
    $self->drop($c);
}


sub drop {
    my ($self, $c) = @_;

    my $sock = delete $c->{sock} or return;
    delete $self->{live}{ fileno $sock };
    CORE::close $sock;
}


sub close {
    my ($self) = @_;

    $self->drop($_) for $self->clients;
}


# The bytes of a stream as the provider sent them.
sub bytes {
    my ($c) = @_;

    return $c->{text} =~ s/(?:\A|(?<=\n\n)):\n\n//gr =~ s/^id: \d+-\d+\n//mgr;
}


# What is wrong with those that stream: not whole, or not what was sent.
sub wrong {
    my ($self, @clients) = @_;
    my @bad;

    for my $c (@clients ? @clients : grep { $_->{stream} } $self->clients) {
        my $text = bytes($c);
        my ($n) = $text =~ /"completion_tokens":(\d+)/;

        if (($c->{end} || '') ne 'whole') {
            push @bad, "$c->{model}: " . ($c->{end} || 'no end') . " after "
                . "$c->{came} events: " . substr $text, -200;
        } elsif (!$n || $text ne sse($c->{model}, $n)) {
            push @bad, "$c->{model}: other bytes: " . substr $text, -200;
        }
    }

    return @bad;
}


package AiCrowd::Provider;

use strict;
use warnings;
use AiHttp;
use AiProc qw(free_port);
use Digest::SHA qw(sha256_hex);
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Poll qw(POLLIN POLLOUT POLLERR POLLHUP);
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(time);


# pace: seconds between two words of a stream.  Streams go on until finish().
sub new {
    my ($class, %o) = @_;
    my $port = free_port();
    my $gate = "$o{dir}/crowd.gate";
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 4096, Proto => 'tcp', ReuseAddr => 1,
        Blocking => 0) or die "provider: $!\n";
    my $self = bless { port => $port, gate => $gate }, $class;

    $self->{proc} = AiProc->spawn(name => 'crowd provider', cwd => $o{dir},
        out => "$o{dir}/crowd.err",
        sub => sub { serve($listen, $gate, $o{pace} || 0.5) });
    close $listen;

    return $self;
}


sub port { $_[0]{port} }
sub url { "http://127.0.0.1:$_[0]{port}/v1" }
sub stop { $_[0]{proc}->stop('KILL') }

# Streams end; hold(): those that come now go on again.
sub finish { open my $fh, '>', $_[0]{gate} or die "$_[0]{gate}: $!\n" }
sub hold { unlink $_[0]{gate} }

# requests, done, aborts, open, last_abort (a time), calls of each model.
sub stats {
    return AiHttp->get($_[0]{port}, '/stats', timeout => 60)->json;
}


sub serve {
    my ($listen, $gate, $pace) = @_;
    my %conn;
    my @due;
    my %stats = (requests => 0, done => 0, aborts => 0, open => 0,
        last_abort => 0, calls => {});

    $SIG{PIPE} = 'IGNORE';
    my $parent = getppid;
    while (getppid == $parent) {
        my $now = time;
        my $end = -e $gate;
        while (@due && $due[0][0] <= $now) {
            my $c = (shift @due)->[1];
            next unless $c->{sock} && $c->{model};
            say_chunk($c, AiCrowd::word($c->{model}, ++$c->{n}));
            if ($end) {
                say_chunk($c, AiCrowd::last_words($c->{model}, $c->{n}));
                $c->{out} .= "0\r\n\r\n";
                delete $c->{model};
                $stats{done}++;
                $stats{open}--;
            } else {
                push @due, [$now + $pace, $c];
            }
        }

        my $wait = @due ? int(($due[0][0] - time) * 1000) + 1 : 1000;
        $wait = 0 if $wait < 0;
        my @poll = (fileno $listen, POLLIN, map { ($_ => length
            $conn{$_}{out} ? POLLIN | POLLOUT : POLLIN) } keys %conn);
        IO::Poll::_poll($wait, @poll);
        while (my ($fd, $events) = splice @poll, 0, 2) {
            if ($fd == fileno $listen) {
                while (my $sock = $listen->accept) {
                    $sock->blocking(0);
                    $conn{ fileno $sock } = { sock => $sock, in => '',
                        out => '' };
                }
                next;
            }
            my $c = $conn{$fd};
            my $gone = 0;
            if ($events & POLLOUT) {
                my $n = syswrite $c->{sock}, $c->{out};
                if (defined $n) {
                    substr $c->{out}, 0, $n, '';
                } elsif ($! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR) {
                    $gone = 1;
                }
            }
            if ($events & (POLLIN | POLLHUP | POLLERR)) {
                my $n = sysread $c->{sock}, $c->{in}, 1 << 20, length $c->{in};
                $gone = 1 if defined $n ? !$n
                    : $! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR;
            }
            if ($gone) {
                if ($c->{model}) {
                    $stats{aborts}++;
                    $stats{open}--;
                    $stats{last_abort} = time;
                }
                close delete $c->{sock};
                delete $conn{$fd};
                next;
            }
            while (!$c->{model} && ask($c, \%stats)) {
                push @due, [time, $c] if $c->{model};
            }
        }
    }
}


sub say_chunk {
    my ($c, $bytes) = @_;

    $c->{out} .= sprintf "%x\r\n%s\r\n", length $bytes, $bytes;
}


# The next request of a connection, if it is whole.
sub ask {
    my ($c, $stats) = @_;

    $c->{in} =~ /^(\w+) (\S+).*?\r\n\r\n/s or return 0;
    my ($path, $head, $from) = ($2, $&, length $&);
    my ($length) = $head =~ /^content-length: (\d+)/mi;
    return 0 if length $c->{in} < $from + ($length || 0);
    my $body = substr $c->{in}, $from, $length || 0;
    substr $c->{in}, 0, $from + ($length || 0), '';

    if ($path eq '/stats') {
        answer($c, $stats);
        return 1;
    }

    my ($model) = $body =~ /"model":"([^"]*)"/;
    $stats->{requests}++;
    $stats->{calls}{$model}++;
    if ($body =~ /"stream":true/) {
        $stats->{open}++;
        @$c{qw(model n)} = ($model, 0);
        $c->{out} .= "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n";
        return 1;
    }

    my ($content) = $body =~ /"content":"([^"]*)"/;
    $stats->{done}++;
    answer($c, { object => 'chat.completion', model => $model, choices => [{
        index => 0, finish_reason => 'stop', message => { role => 'assistant',
            content => sha256_hex($content) } }],
        usage => { prompt_tokens => 3, completion_tokens => 1 } });

    return 1;
}


sub answer {
    my ($c, $data) = @_;
    my $text = JSON::PP->new->canonical->encode($data);

    $c->{out} .= "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
}

1;
