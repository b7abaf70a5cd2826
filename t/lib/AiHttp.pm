# An HTTP/1.1 client on a raw socket: one connection an object, every read with
# a limit, every piece of a body with the time it came.
package AiHttp;

use strict;
use warnings;
use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOL_SOCKET SO_RCVBUF SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);
use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical->allow_nonref;


# port or unix => path; host for the Host header; rcvbuf for a slow reader.
sub new {
    my ($class, %o) = @_;
    my $sock;

    if ($o{unix}) {
        $sock = IO::Socket::UNIX->new(Peer => $o{unix});

    } elsif ($o{rcvbuf}) {
        # Before connect, or the window has been offered already.
        socket($sock, Socket::PF_INET(), Socket::SOCK_STREAM(), 0);
        setsockopt($sock, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf});
        connect($sock, Socket::pack_sockaddr_in($o{port},
            Socket::inet_aton($o{addr} || '127.0.0.1'))) or die "connect: $!\n";
        bless $sock, 'IO::Socket::INET';

    } else {
        $sock = IO::Socket::INET->new(PeerAddr => $o{addr} || '127.0.0.1',
            PeerPort => $o{port}, Proto => 'tcp');
    }

    die 'connect ' . ($o{unix} || $o{port}) . ": $!\n" unless $sock;
    setsockopt($sock, IPPROTO_TCP, TCP_NODELAY, 1) unless $o{unix};
    binmode $sock;
    $sock->blocking(0);

    return bless {
        sock => $sock, in => '', eof => 0, events => [],
        host => $o{host} || 'localhost', timeout => $o{timeout} || 30
    }, $class;
}


# One request on a connection of its own, its whole answer:
# request(port => 1, method => 'POST', path => '/', json => {...}).
sub request {
    my ($class, %o) = @_;
    my $http = $class->new(%o);

    $http->send_request(%o);
    my $res = $http->response;
    $http->close;

    return $res;
}


sub get {
    my ($class, $port, $path, %o) = @_;

    return $class->request(port => $port, path => $path, %o);
}


sub post {
    my ($class, $port, $path, $data, %o) = @_;

    return $class->request(port => $port, path => $path, method => 'POST',
        (ref $data ? (json => $data) : (body => $data)), %o);
}


# The bytes of a request. headers is a hash or a list of pairs; key is an API
# key; chunked => [parts] makes a chunked body.
sub format_request {
    my ($self, %o) = @_;

    my $body = defined $o{json} ? $json->encode($o{json}) : $o{body};
    my @h = ref $o{headers} eq 'HASH' ? %{ $o{headers} } : @{ $o{headers} || [] };
    my %have = map { lc $h[$_ * 2] => 1 } 0 .. @h / 2 - 1;
    my $method = $o{method} || (defined $body ? 'POST' : 'GET');
    my $text = "$method " . ($o{path} || '/') . " HTTP/"
        . ($o{version} || '1.1') . "\r\n";

    $text .= 'Host: ' . ($o{host} || (ref $self ? $self->{host} : 'localhost'))
        . "\r\n" unless $have{host};
    $text .= "Authorization: Bearer $o{key}\r\n" if defined $o{key};
    $text .= "Content-Type: application/json\r\n"
        if defined $o{json} && !$have{'content-type'};
    while (my ($name, $value) = splice @h, 0, 2) {
        $text .= "$name: $value\r\n";
    }

    if ($o{chunked}) {
        $text .= "Transfer-Encoding: chunked\r\n\r\n";
        $text .= sprintf("%x\r\n%s\r\n", length $_, $_) for @{ $o{chunked} };
        return $text . "0\r\n\r\n";
    }

    $text .= 'Content-Length: ' . length($body) . "\r\n"
        if defined $body && !$have{'content-length'};

    return "$text\r\n" . (defined $body ? $body : '');
}


# split => n writes n bytes at a time, pause seconds apart.
sub send_request {
    my ($self, %o) = @_;
    my $text = $self->format_request(%o);

    $self->{method} = $o{method} || '';
    $self->{started} = time;
    if (my $n = $o{split}) {
        for (my $i = 0; $i < length $text; $i += $n) {
            $self->write(substr $text, $i, $n);
            sleep $o{pause} if $o{pause};
        }
    } else {
        $self->write($text);
    }

    return $self;
}


sub write {
    my ($self, $bytes) = @_;
    my $until = time + $self->{timeout};

    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $self->{sock}, $bytes;
        if (defined $n) {
            substr($bytes, 0, $n, '');
            next;
        }
        if ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR) {
            $self->_ready(1, $until) or die "timed out writing\n";
            next;
        }
        die "write: $!\n";
    }
}


sub _ready {
    my ($self, $write, $until) = @_;
    my $left = $until - time;

    return 0 if $left <= 0;
    my $bits = '';
    vec($bits, fileno $self->{sock}, 1) = 1;
    my $n = select($write ? undef : $bits, $write ? $bits : undef, undef, $left);
    return $n;
}


# Adds what comes next to the buffer; 0 at the end, dies at the limit.
sub fill {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds || $self->{timeout});

    return 0 if $self->{eof};
    while (1) {
        my $n = sysread $self->{sock}, $self->{in}, 65536, length $self->{in};
        if (!defined $n) {
            if ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR) {
                $self->_ready(0, $until) or die "timed out reading\n";
                next;
            }
            $self->{reset} = 1;
            $n = 0;
        }
        $self->{eof} = 1 unless $n;
        return $n;
    }
}


# Reads status and headers; the response, its body still to come.
sub head {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds || $self->{timeout});

    my $res;
    while (!$res) {
        while ($self->{in} !~ /\r\n\r\n/) {
            my $left = $until - time;
            die "timed out reading the header\n" if $left <= 0;
            $self->fill($left)
                or die "connection closed before the header\n";
        }
        $self->{in} =~ s/^(.*?)\r\n\r\n//s;
        my ($line, @lines) = split /\r\n/, $1;
        my ($version, $status, $reason)
            = $line =~ m{^HTTP/(1\.[01]) (\d{3}) ?(.*)}
            or die "not a status line: $line\n";
        next if $status == 100;

        my (%h, @list);
        for (@lines) {
            my ($name, $value) = /^([^:\s]+):\s*(.*?)\s*$/
                or die "not a header line: $_\n";
            push @list, [$name, $value];
            $name = lc $name;
            $h{$name} = exists $h{$name} ? "$h{$name}, $value" : $value;
        }
        $res = bless { status => $status, reason => $reason, headers => \%h,
            header_list => \@list, version => $version, body => '',
            chunks => [], time => time - ($self->{started} || time) },
            'AiHttp::Response';
    }

    my $te = $res->{headers}{'transfer-encoding'} || '';
    $self->{mode} = $self->{method} eq 'HEAD' || $res->{status} == 204
            || $res->{status} == 304 ? 'none'
        : $te =~ /chunked/i ? 'chunked'
        : defined $res->{headers}{'content-length'} ? 'length'
        : 'close';
    $self->{left} = $self->{mode} eq 'length'
        ? $res->{headers}{'content-length'} : 0;
    $self->{ended} = $self->{mode} eq 'none'
        || ($self->{mode} eq 'length' && !$self->{left});
    $self->{res} = $res;

    return $res;
}


# The next piece of the body, undef at its proper end; dies when it is cut.
sub piece {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds || $self->{timeout});

    return undef if $self->{ended};

    while (1) {
        my $got = $self->_take;
        if (defined $got) {
            push @{ $self->{res}{chunks} }, [time, $got];
            $self->{res}{body} .= $got;
            return $got;
        }
        return undef if $self->{ended};

        my $left = $until - time;
        die "timed out reading the body\n" if $left <= 0;
        if (!$self->fill($left)) {
            if ($self->{mode} eq 'close' && !$self->{reset}) {
                $self->{ended} = 1;
                return undef;
            }
            $self->{res}{cut} = 1;
            die "the body was cut\n";
        }
    }
}


sub _take {
    my ($self) = @_;

    if ($self->{mode} eq 'close') {
        return undef unless length $self->{in};
        return substr $self->{in}, 0, length $self->{in}, '';
    }

    if ($self->{mode} eq 'length') {
        return undef unless length $self->{in};
        my $n = length $self->{in};
        $n = $self->{left} if $n > $self->{left};
        $self->{left} -= $n;
        $self->{ended} = 1 unless $self->{left};
        return substr $self->{in}, 0, $n, '';
    }

    return undef unless $self->{in} =~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/;
    my ($size, $line) = (hex $1, length $&);
    if ($size == 0) {
        return undef unless $self->{in} =~ s/^0+[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n//;
        $self->{ended} = 1;
        return undef;
    }
    return undef if length $self->{in} < $line + $size + 2;
    my $got = substr $self->{in}, $line, $size;
    substr $self->{in}, 0, $line + $size + 2, '';

    return $got;
}


# The whole answer. A cut body leaves {cut} set instead of dying.
sub response {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds || $self->{timeout});

    my $res = $self->head($seconds);
    eval {
        while (defined $self->piece($until - time > 0 ? $until - time : 0.001)) {}
        1;
    } or do {
        die $@ if $@ !~ /was cut/;
    };

    return $res;
}


# The next server-sent event as { event, data, id, retry, comment, raw, time };
# a comment alone is one too.  undef at the end of the stream.  {events} keeps
# all that were no comments.
sub event {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds || $self->{timeout});

    $self->head($seconds) unless $self->{res};
    $self->{sse} = '' unless defined $self->{sse};

    while ($self->{sse} !~ /\r?\n\r?\n/) {
        my $left = $until - time;
        die "timed out waiting for an event\n" if $left <= 0;
        my $got = $self->piece($left);
        if (!defined $got) {
            die "the stream ended inside an event: $self->{sse}\n"
                if length $self->{sse};
            return undef;
        }
        $self->{sse} .= $got;
    }

    $self->{sse} =~ s/^(.*?\r?\n\r?\n)//s;
    my %ev = (raw => $1, time => time);
    for (split /\r?\n/, $ev{raw}) {
        if (/^:\s?(.*)/) {
            $ev{comment} = $1;
        } elsif (/^(event|data|id|retry)(?::\s?(.*))?$/) {
            my $value = defined $2 ? $2 : '';
            $ev{$1} = defined $ev{$1} && $1 eq 'data'
                ? "$ev{$1}\n$value" : $value;
        }
    }

    push @{ $self->{events} }, \%ev if defined $ev{data} || defined $ev{event};

    return \%ev;
}


# All events to the end of the stream, comments left out.
sub events {
    my ($self, $seconds) = @_;
    my $until = time + ($seconds || $self->{timeout});
    my @all;

    while (my $ev = $self->event($until - time > 0 ? $until - time : 0.001)) {
        push @all, $ev if defined $ev->{data} || defined $ev->{event};
    }

    return @all;
}


# Opens a stream: AiHttp->stream(port => , path =>, json =>, key =>).
sub stream {
    my ($class, %o) = @_;

    return $class->new(%o)->send_request(%o);
}


# True when the other side has closed, within so many seconds.
sub closed {
    my ($self, $seconds) = @_;

    my $ok = eval {
        1 while $self->fill($seconds || 10);
        1;
    };

    return $ok ? 1 : 0;
}


sub half_close { shutdown $_[0]{sock}, 1 }


sub close { CORE::close $_[0]{sock} }


# Closes with a RST.
sub reset {
    my ($self) = @_;

    setsockopt($self->{sock}, SOL_SOCKET, SO_LINGER, pack "ii", 1, 0);
    CORE::close $self->{sock};
}


package AiHttp::Response;

use strict;
use warnings;

sub status { $_[0]{status} }
sub body { $_[0]{body} }
sub header { $_[0]{headers}{ lc $_[1] } }


# The body as data; undef when it is not JSON.
sub json {
    my ($self) = @_;

    return scalar eval { $json->decode($self->{body}) };
}

1;
