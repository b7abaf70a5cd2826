# Requests of all kinds, each with a mark of its own, and a provider that counts
# them: what a client saw, what the provider was asked, and what the ledger says
# must fit together, whatever happened meanwhile.
package AiLoad;

use strict;
use warnings;
use AiProc qw(wait_for);
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(time sleep);

our @words = map { "word$_ " } 1 .. 30;
our $text = join '', @words;

my %path = (openai => '/v1/chat/completions', anthropic => '/v1/messages');
my $json = JSON::PP->new->utf8;


# The provider of both dialects; delay is between two words.
sub provider {
    my ($class, $t, %o) = @_;
    my %say = (words => \@words, delay => $o{delay} || 0.05);
    my $openai = AiProvider::openai(%say);
    my $anthropic = AiProvider::anthropic(%say);

    return $t->provider(script => sub {
        my ($req, $out) = @_;
        if (!$req->{json}{stream}) {
            $out->wait(0.4);
            my $whole = $req->{path} =~ /messages/ ? \&AiProvider::anthropic
                : \&AiProvider::openai;
            return $whole->(words => \@words)->($req, $out);
        }
        ($req->{path} =~ /messages/ ? $anthropic : $openai)->($req, $out);
    });
}


# The lines of nginx.conf that name it.
sub conf {
    my ($class, $p) = @_;

    return 'ai_provider o { api openai; url ' . $p->url('/v1') . '; }'
        . 'ai_provider a { api anthropic; url ' . $p->url('/v1') . '; }';
}


sub new {
    my ($class, $t, $p) = @_;

    return bless { t => $t, p => $p, n => 0, open => [], seen => [] }, $class;
}


# Sends one of these; it is read by ->finish.
sub open {
    my ($self, $dialect, $stream, %o) = @_;
    my $mark = 'mark-' . ++$self->{n} . '-';
    my $ask = { model => ($dialect eq 'openai' ? 'o' : 'a') . '/m',
        max_tokens => 100, messages => [{ role => 'user', content => $mark }],
        ($stream ? (stream => \1) : ()) };
    my $http = AiHttp->new(port => $self->{t}->edge->port,
        timeout => $o{timeout} || 60);

    $http->send_request(method => 'POST', path => $path{$dialect},
        key => $self->{t}{key}, json => $ask,
        headers => [ ($o{resumable} ? ('X-AI-Resumable' => 1) : ()) ]);
    push @{ $self->{open} }, { mark => $mark, dialect => $dialect,
        stream => $stream, http => $http, at => time };

    return $http;
}


# One of each kind, times n.
sub mixed {
    my ($self, $n) = @_;

    for (1 .. $n || 1) {
        $self->open('openai', 1);
        $self->open('anthropic', 1);
        $self->open('openai', 1, resumable => 1);
        $self->open('openai', 0);
        $self->open('anthropic', 0);
    }
}


# Some of each kind, half of which have begun when this returns.
sub running {
    my ($self, $n) = @_;

    $self->mixed($n);
    $_->{http}->head for grep { $_->{stream} } @{ $self->{open} };
    sleep 0.3;
}


# Trouble while they run, and more of them come: break, then mend after some two
# seconds; then all must be as before.  Returns what they came to.
sub while_running {
    my ($self, $name, $break, $mend) = @_;

    $self->running(2);
    $break->();
    $self->mixed;
    sleep 1;
    $self->mixed;
    sleep 0.5;
    $mend->() if $mend;
    my @o = $self->finish;
    my $n = $self->count(@o);
    Test::More::note("$name: " . join(', ', map { "$n->{$_} $_" } sort keys %$n)
        . '; ' . join ' ', map { "$_->{code}/$_->{status}" }
            grep { $_->{code} } @o);
    $self->well("$name: all end well", @o);
    Test::More::ok(defined $self->serves, "$name: then as before")
        or return @o;
    $self->mixed;
    Test::More::is_deeply($self->count($self->finish), { whole => 5 },
        "$name: every kind again");
    $self->accounts("$name: no call twice, a row each");

    return @o;
}


# Reads all that are open to their end.  What each came to: whole, error (with
# {code} and {status}), or bad (with {why}).
sub finish {
    my ($self, $seconds) = @_;
    my @done = map { $self->outcome($_, $seconds) } splice @{ $self->{open} };

    push @{ $self->{seen} }, @done;
    return @done;
}


sub outcome {
    my ($self, $o, $seconds) = @_;
    my $ok = eval {
        my $res = $o->{http}{res} || $o->{http}->head($seconds || 60);
        $o->{status} = $res->status;
        $o->{job} = $res->header('x-ai-job');
        $o->{retry} = $res->header('retry-after');
        if ($res->status == 200 && $o->{stream}) {
            $self->read_stream($o, $seconds);
        } else {
            1 while defined $o->{http}->piece($seconds || 60);
            $self->read_answer($o, $res);
        }
        1;
    };

    ($o->{is}, $o->{why}) = ('bad', $@ || 'no reason') unless $ok;
    $o->{took} = time - $o->{at};
    $o->{http}->close;

    return $o;
}


sub read_stream {
    my ($self, $o, $seconds) = @_;
    my ($said, $end) = ('', '');

    for my $ev ($o->{http}->events($seconds || 60)) {
        die "more after the end: $ev->{raw}\n" if $end;
        if (($ev->{data} // '') eq '[DONE]') {
            $end = 'whole';
            next;
        }
        my $d = $json->decode($ev->{data});
        if ($d->{error}) {
            $end = 'error';
            check_error($o, $d);
        } elsif ($o->{dialect} eq 'openai') {
            $said .= $d->{choices}[0]{delta}{content} // '';
        } else {
            $said .= $d->{delta}{text} // '' if $d->{delta};
            $end = 'whole' if $d->{type} eq 'message_stop';
        }
    }
    die "ended without its end after: $said\n" unless $end;
    die "said: $said\n" if $end eq 'whole' && $said ne $text;
    die "not a beginning: $said\n" if index($text, $said) != 0;
    $o->{is} = $end;
}


sub read_answer {
    my ($self, $o, $res) = @_;
    my $d = $res->json or die 'no JSON: ' . $res->body . "\n";

    if ($res->status != 200) {
        check_error($o, $d);
        die "$o->{status} without Retry-After\n"
            if $o->{status} == 503 && ($o->{retry} // '') !~ /^\d+$/;
        $o->{is} = 'error';
        return;
    }
    my $said = $o->{dialect} eq 'openai' ? $d->{choices}[0]{message}{content}
        : $d->{content}[0]{text};
    die "said: $said\n" if $said ne $text;
    $o->{is} = 'whole';
}


# Errors have the shape of the client's dialect.
sub check_error {
    my ($o, $d) = @_;

    if ($o->{dialect} eq 'openai') {
        die "not OpenAI's error\n" unless $d->{error}{message}
            && $d->{error}{type} && exists $d->{error}{param};
        $o->{code} = $d->{error}{code} // '';
    } else {
        die "not Anthropic's error\n" unless ($d->{type} // '') eq 'error'
            && $d->{error}{message} && $d->{error}{type};
        $o->{code} = $d->{error}{type};
    }
}


# What came of these, as a hash of counts: { whole => 3, error => 1 }.
sub count {
    my ($self, @o) = @_;
    my %n;

    $n{ $_->{is} }++ for @o;
    return \%n;
}


# A test: every one of them ended as it should.
sub well {
    my ($self, $name, @o) = @_;

    Test::More::is(join("\n", map { "$_->{dialect}"
        . ($_->{stream} ? ' stream' : '') . ' ' . ($_->{job} // '-')
        . ": $_->{why}" } grep { $_->{is} eq 'bad' } @o), '', $name);
}


# How often the provider was asked by mark.
sub calls {
    my ($self) = @_;
    my %n;

    for ($self->{p}->requests) {
        $n{$1}++ if $_->{body} =~ /(mark-\d+-)/;
    }
    return \%n;
}


# Waits for a request to be answered; how long that took.
sub serves {
    my ($self, $seconds) = @_;
    my $began = time;
    my $last;

    eval {
        wait_for(sub {
            $self->open('openai', 0, timeout => 15);
            ($last) = $self->finish(15);
            return 1 if $last->{is} eq 'whole';
            sleep 0.2;
            return 0;
        }, $seconds || 20);
    };
    Test::More::diag("last: $last->{is} " . ($last->{why} // $last->{code}
        // '')) if $@;

    return $@ ? undef : time - $began;
}


# Those are left out of the accounts: they may be run again, or be lost.
sub forget {
    my ($self, @o) = @_;
    my %out = map { $_->{mark} => 1 } @o;

    @{ $self->{seen} } = grep { !$out{ $_->{mark} } } @{ $self->{seen} };
}


# A test: nothing was asked twice, no job has two rows, and each that was called
# or came to its end has one.
sub accounts {
    my ($self, $name) = @_;
    my $t = $self->{t};
    my $calls = $self->calls;
    my (@bad, %rows, %paid);

    eval {
        wait_for(sub {
            sleep 0.2;
            %rows = %paid = ();
            for ($t->pg->query('select job, attempts from ngxai.ledger')) {
                $rows{ $_->[0] }++;
                $paid{ $_->[0] }++ if $_->[1];
            }
            @bad = ();
            for my $o (@{ $self->{seen} }) {
                my $n = $calls->{ $o->{mark} } || 0;
                my $job = $o->{job} || "$o->{mark} without a job";
                push @bad, "$job was called $n times" if $n > 1;
                push @bad, "$job was called and has no row"
                    if $n && !$paid{$job};
                push @bad, "$job is whole and has no row"
                    if $o->{is} eq 'whole' && !$rows{$job};
            }
            push @bad, map { "$_ has $rows{$_} rows" }
                grep { $rows{$_} > 1 } sort keys %rows;
            # A connection of ours that was cut, too, is made again.
            return !@bad && 0 == (eval {
                $t->redis->cmd('XLEN', $t->prefix . 'outbox') } // 1);
        }, $self->{patience} || 30);
        1;
    } or push @bad, $@;
    Test::More::is(join("\n", @bad), '', $name || 'no call twice, a row each');
}

1;
