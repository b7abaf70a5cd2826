# A scripted provider.  Each connection has a process of its own, so a script
# is plain sequential code; what was asked and how it ended comes back as a log.
package AiProvider;

use strict;
use warnings;
use AiProc qw(wait_for slurp free_port);
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(time sleep);

my $json = JSON::PP->new->latin1->canonical->allow_nonref;


# script->($req, $out) answers one request.  $req: { n, method, path, query,
# headers, body, json }.  Without a script: openai() below.
sub new {
    my ($class, %o) = @_;
    my $port = $o{port} || free_port();
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 512, Proto => 'tcp', ReuseAddr => 1)
        or die "provider: $!\n";
    my $log = "$o{dir}/" . ($o{name} || 'provider') . '.log';
    my $script = $o{script} || openai();

    my $self = bless { port => $port, log => $log }, $class;
    $self->{proc} = AiProc->spawn(name => 'provider', out => "$log.err",
        cwd => $o{dir}, sub => sub { serve($listen, $log, $script) });
    close $listen;

    return $self;
}


sub port { $_[0]{port} }
sub url { "http://127.0.0.1:$_[0]{port}" . ($_[1] || '') }
sub stop { $_[0]{proc}->stop('KILL') }


sub entries {
    my ($self, $what) = @_;

    return grep { !$what || $_->{what} eq $what }
        map { $json->decode($_) } grep { /\}$/ } split /\n/, slurp($self->{log});
}


# What was asked, in order.
sub requests { $_[0]->entries('request') }

# How answers ended: whole, or left by the client.
sub done { $_[0]->entries('done') }
sub aborts { $_[0]->entries('abort') }


# The nth request (from 1), once it has come.
sub request {
    my ($self, $n, $seconds) = @_;
    my @all;

    wait_for(sub { (@all = $self->requests) >= $n }, $seconds || 30,
        "request $n at the provider");

    return $all[$n - 1];
}


# A script that speaks OpenAI's chat completions: words => [...] one a chunk,
# delay => seconds between them, status, usage => {...}.
sub openai {
    my (%o) = @_;
    my @words = @{ $o{words} || ['Hello', ' world'] };
    my $usage = $o{usage} || { prompt_tokens => 5,
        completion_tokens => scalar @words, total_tokens => 5 + @words };

    return sub {
        my ($req, $out) = @_;
        my $ask = $req->{json} || {};
        my %base = (id => "chatcmpl-$req->{n}", created => 1700000000,
            model => $ask->{model});

        if ($o{status} && $o{status} != 200) {
            $out->answer($o{status}, { error => { message => 'scripted',
                type => 'scripted_error', param => undef, code => undef } });
            return;
        }
        if (!$ask->{stream}) {
            sleep $o{delay} * @words if $o{delay};
            $out->answer(200, { %base, object => 'chat.completion',
                choices => [{ index => 0, finish_reason => 'stop',
                    message => { role => 'assistant',
                        content => join '', @words } }], usage => $usage });
            return;
        }

        my $chunk = sub {
            my (%more) = @_;
            $out->chunk('data: ' . $json->encode({ %base,
                object => 'chat.completion.chunk', %more }) . "\n\n");
        };
        $out->head(200, 'Content-Type' => 'text/event-stream');
        for my $word (@words) {
            $chunk->(choices => [{ index => 0, finish_reason => undef,
                delta => { content => $word } }]);
            $out->wait($o{delay}) if $o{delay};
        }
        $chunk->(choices => [{ index => 0, delta => {},
            finish_reason => 'stop' }]);
        $chunk->(choices => [], usage => $usage)
            if $ask->{stream_options} && $ask->{stream_options}{include_usage};
        $out->chunk("data: [DONE]\n\n");
        $out->end;
    };
}


# The same for Anthropic's messages.
sub anthropic {
    my (%o) = @_;
    my @words = @{ $o{words} || ['Hello', ' world'] };

    return sub {
        my ($req, $out) = @_;
        my $ask = $req->{json} || {};
        my %base = (id => "msg_$req->{n}", type => 'message',
            role => 'assistant', model => $ask->{model});
        my $end = { stop_reason => 'end_turn', stop_sequence => undef };

        if (!$ask->{stream}) {
            $out->answer(200, { %base, %$end,
                content => [{ type => 'text', text => join '', @words }],
                usage => { input_tokens => 5, output_tokens => 0 + @words } },
                'request-id' => "req_$req->{n}");
            return;
        }

        my $event = sub {
            my ($type, %more) = @_;
            $out->chunk("event: $type\ndata: "
                . $json->encode({ type => $type, %more }) . "\n\n");
        };
        $out->head(200, 'Content-Type' => 'text/event-stream',
            'request-id' => "req_$req->{n}");
        $event->('message_start', message => { %base, content => [],
            stop_reason => undef, stop_sequence => undef,
            usage => { input_tokens => 5, output_tokens => 1 } });
        $event->('content_block_start', index => 0,
            content_block => { type => 'text', text => '' });
        for my $word (@words) {
            $event->('content_block_delta', index => 0,
                delta => { type => 'text_delta', text => $word });
            $out->wait($o{delay}) if $o{delay};
        }
        $event->('content_block_stop', index => 0);
        $event->('message_delta', delta => $end,
            usage => { output_tokens => 0 + @words });
        $event->('message_stop');
        $out->end;
    };
}


sub serve {
    my ($listen, $log, $script) = @_;

    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = 'IGNORE';
    my $parent = $$;
    while (1) {
        my $sock = $listen->accept or next;
        my $pid = fork;
        if (!defined $pid) {
            close $sock;
            next;
        }
        if ($pid == 0) {
            close $listen;
            eval { connection($sock, $log, $script, $parent); 1 }
                or $@ =~ /^left\b/ or print STDERR $@;
            POSIX::_exit(0);
        }
        close $sock;
    }
}


sub note {
    my ($log, $n, $what, %more) = @_;

    # Their number is the size of a file: who counts them in the log reads
    # megabytes of bodies, one request after the other.
    open my $fh, '>>', $log or die "$log: $!\n";
    flock $fh, 2;
    if (!$n) {
        open my $count, '>>', "$log.n" or die "$log.n: $!\n";
        syswrite $count, '.';
        $n = -s $count;
    }
    syswrite $fh, $json->encode({ n => $n, what => $what, at => time, %more })
        . "\n";
    close $fh;

    return $n;
}


sub connection {
    my ($sock, $log, $script, $parent) = @_;
    my $in = '';

    while (1) {
        while ($in !~ /\r\n\r\n/) {
            # The provider that started us may have been killed meanwhile.
            until (readable($sock, 1)) {
                return if getppid() != $parent;
            }
            sysread $sock, $in, 65536, length $in or return;
        }
        $in =~ s/^(.*?)\r\n\r\n//s;
        my ($line, @lines) = split /\r\n/, $1;
        my ($method, $target) = split / /, $line;
        my %h;
        for (@lines) {
            my ($name, $value) = /^([^:]+):\s*(.*?)\s*$/ or next;
            $h{ lc $name } = $value;
        }

        if (lc($h{expect} || '') eq '100-continue') {
            syswrite $sock, "HTTP/1.1 100 Continue\r\n\r\n";
        }
        my $body = '';
        if (($h{'transfer-encoding'} || '') =~ /chunked/i) {
            while (1) {
                while ($in !~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/) {
                    sysread $sock, $in, 65536, length $in or return;
                }
                my ($size, $skip) = (hex $1, length $&);
                while (length $in < $skip + $size + 2) {
                    sysread $sock, $in, 65536, length $in or return;
                }
                $body .= substr $in, $skip, $size;
                substr $in, 0, $skip + $size + 2, '';
                last unless $size;
            }
        } else {
            my $left = $h{'content-length'} || 0;
            while (length $in < $left) {
                sysread $sock, $in, 65536, length $in or return;
            }
            $body = substr $in, 0, $left, '';
        }

        my ($path, $query) = split /\?/, $target, 2;
        my $n = note($log, 0, 'request', method => $method, path => $path,
            query => $query, headers => \%h, body => $body, conn => $$);
        my $req = { n => $n, method => $method, path => $path,
            query => $query, headers => \%h, body => $body,
            json => scalar eval { JSON::PP->new->utf8->decode($body) } };
        my $out = bless { sock => $sock, log => $log, n => $n,
            parent => $parent }, 'AiProvider::Out';
        $script->($req, $out);
        $out->end if $out->{open};
        note($log, $n, 'done') unless $out->{gone};
        return if $out->{gone} || $out->{close};
    }
}


sub readable {
    my ($sock, $seconds) = @_;
    my $bits = '';

    vec($bits, fileno $sock, 1) = 1;
    return select($bits, undef, undef, $seconds) > 0;
}


package AiProvider::Out;

use strict;
use warnings;
use Time::HiRes qw(time sleep);


sub left {
    my ($self) = @_;

    AiProvider::note($self->{log}, $self->{n}, 'abort');
    $self->{gone} = 1;
    die "left\n";
}


# Bytes as they are.
sub raw {
    my ($self, $bytes) = @_;

    while (length $bytes) {
        my $n = syswrite $self->{sock}, $bytes;
        $self->left unless defined $n;
        substr $bytes, 0, $n, '';
    }
}


# Status and headers of a chunked answer.
sub head {
    my ($self, $status, @headers) = @_;
    my $text = "HTTP/1.1 $status Scripted\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n";
    }
    $self->raw("${text}Transfer-Encoding: chunked\r\n\r\n");
    $self->{open} = 1;
}


sub chunk {
    my ($self, $bytes) = @_;

    $self->raw(sprintf("%x\r\n%s\r\n", length $bytes, $bytes));
}


sub end {
    my ($self) = @_;

    $self->raw("0\r\n\r\n");
    $self->{open} = 0;
}


# A whole answer; data that is a reference becomes JSON.
sub answer {
    my ($self, $status, $data, %headers) = @_;
    my $body = ref $data ? $json->encode($data) : $data;

    $headers{'Content-Type'} ||= 'application/json';
    $self->raw("HTTP/1.1 $status Scripted\r\n"
        . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body");
}


# Waits, but ends the script at once when the client leaves.
sub wait {
    my ($self, $seconds) = @_;
    my $until = time + $seconds;

    while ((my $left = $until - time) > 0) {
        die "left\n" if getppid() != $self->{parent};
        next unless AiProvider::readable($self->{sock}, $left > 1 ? 1 : $left);
        my $n = sysread $self->{sock}, my $buf, 1;
        $self->left unless $n;
        die "the client sent more during an answer\n";
    }
}


# Says nothing more until the client leaves.
sub stall { $_[0]->wait(600) }


# Closes in the middle, with a FIN or a RST.
sub cut {
    my ($self, $reset) = @_;

    setsockopt $self->{sock}, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
        pack('ii', 1, 0) if $reset;
    close $self->{sock};
    @$self{qw(open close)} = (0, 1);
}

1;
