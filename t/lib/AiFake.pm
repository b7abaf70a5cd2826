# A worker that the test plays itself, through the real scripts: it takes a job
# when it is told to, and says what it is told.
#
#   my $fake = AiFake->new($t);
#   my $key = $fake->key('demo');
#   my $job = $fake->job;               # waits for the next one
#   $job->head(stream => 1)->data("data: 1\n\n")->end;
package AiFake;

use strict;
use warnings;
use AiProc qw(wait_for);
use AiScripts;
use AiSign;
use Digest::SHA qw(sha256_hex);
use Time::HiRes qw(time sleep);

my $keys = 0;


sub new {
    my ($class, $t, %o) = @_;
    my $self = bless { t => $t, s => AiScripts->new($t),
        name => $o{name} || 'w1', jobs => {} }, $class;

    $self->{s}->run('beat', 'w', $self->{name},
        defined $o{slots} ? $o{slots} : 100, 'up');

    return $self;
}


# How many jobs it takes from now on; with 0 they wait.
sub slots { $_[0]{s}->run('beat', 'w', $_[0]{name}, $_[1], 'up') }


sub s { $_[0]{s} }
sub cmd { my $self = shift; return $self->{s}->cmd(@_) }


# A key's text; its principal is in Redis.  Fields by name.
sub key {
    my ($self, $tenant, %o) = @_;
    my $key = sprintf 'ngx-%043d', ++$keys;

    $self->principal($key, 1, tenant => $tenant, %o);
    return $key;
}


sub principal {
    my ($self, $key, $version, %o) = @_;
    my %f = (state => 'active', id => 'k' . sha256_hex($key) =~ s/.{56}$//r,
        name => 'test', tenant => 'demo', tenant_state => 'active',
        weight => 1, plan => '', user => '', role => '', scopes => '',
        models => '', expires => 0, %o);

    return $self->write(sha256_hex($key), $version, %f);
}


# A tenant's record, for requests whose tenant is not their key's.
sub tenant {
    my ($self, $name, $version, %o) = @_;
    my %f = (state => 'active', plan => '', weight => 1, %o);

    return $self->write($name, $version || 1, %f);
}


# A principal by the name it has in Redis, signed as a worker would.
sub write {
    my ($self, $name, $version, %f) = @_;
    my $key = $self->{t}->sign_key;

    $f{mac} = AiSign::principal($key, $name, { %f, v => $version }) if $key;
    return $self->{s}->run('principal', $name, $version, 86400000,
        map { ($_ => $f{$_}) } sort keys %f);
}


# Some fields of one that is there, which nobody hears of.
sub change {
    my ($self, $name, %f) = @_;
    my $at = 'ai1:' . (length $name == 64 ? 'key' : 'tenant') . ":$name";
    my $key = $self->{t}->sign_key;
    my %all = (%{ $self->{t}->redis->hash('HGETALL', $at) }, %f);

    $all{mac} = AiSign::principal($key, $name, \%all) if $key;
    $self->cmd('HSET', $at, %all);
}


# The next job, as an object; undef when none comes.
sub job {
    my ($self, %o) = @_;
    my $until = time + (defined $o{timeout} ? $o{timeout} : 20);

    while (1) {
        my ($id, $word, @reply) = $self->{s}->next_job($self->{name});

        if (defined $id && $word eq 'RUN') {
            my ($attempt, $spec, $body, $at, undef, undef, $pieces) = @reply;
            my $key = $self->{s}->key("body:$id");
            return AiFake::Job->new(fake => $self, id => $id,
                attempt => $attempt, at => $at,
                record => AiFake::record($spec), body => length $body ? $body
                    : !$pieces ? $self->cmd('GET', $key)
                    : join '', @{ $self->cmd('LRANGE', $key, 0, -1) });
        }
        if (defined $id) {
            return AiFake::Job->new(fake => $self, id => $id, word => $word,
                reply => \@reply, attempt => $reply[0]);
        }
        return undef if time > $until;
        sleep 0.01;
    }
}


# Fields of a record; names that repeat as a list under "name[]".
sub record {
    my ($text) = @_;
    my %f;

    while ($text =~ s/^([a-z0-9_]+) (\d+)\n//) {
        my ($name, $value) = ($1, substr $text, 0, $2, '');
        $text =~ s/^\n// or die "not a record\n";
        $f{$name} = $value unless exists $f{$name};
        push @{ $f{"$name\[]"} }, $value;
    }
    die "not a record: $text\n" if length $text;

    return \%f;
}


sub field { return "$_[0] " . length($_[1]) . "\n$_[1]\n" }


package AiFake::Job;

use strict;
use warnings;


sub new {
    my ($class, %o) = @_;
    return bless { seq => 0, %o }, $class;
}


sub id { $_[0]{id} }
sub field { my ($self, $name) = @_; return $self->{fake}{s}->job($self->{id})
    ->{$name} }
sub body { $_[0]{body} }
sub spec { $_[0]{record}{ $_[1] } }
sub headers { @{ $_[0]{record}{'header[]'} || [] } }


# Emits events as they are: type, payload, …
sub emit {
    my ($self, @events) = @_;
    my $got = $self->{fake}{s}->emit($self->{id}, $self->{attempt},
        $self->{seq} + 1, @events);

    $self->{seq} += @events / 2;
    $self->{said} = $got;
    die "emit said $got\n" unless $got =~ /^OK/;

    return $self;
}


sub head_of {
    my (%o) = @_;
    my $type = $o{type} || ($o{stream} ? 'text/event-stream'
        : 'application/json');

    return join '', AiFake::field(status => $o{status} || 200),
        AiFake::field(stream => $o{stream} ? 1 : 0),
        AiFake::field(provider => 'fake'), AiFake::field(model => 'm-1'),
        map { AiFake::field(header => $_) } "content-type: $type",
        @{ $o{headers} || [] };
}


sub head { my ($self, %o) = @_; return $self->emit(h => head_of(%o)) }
sub data { my $self = shift; return $self->emit(map { (s => $_) } @_) }


sub usage {
    my ($state, $status, $cause) = @_;
    return join "\t", $state, $status, 'fake', 'm-1', 'req-1', 'stop', 3, 4,
        0, 0, 0, 500, 0, 10, 20, 30, 1, $cause || '-';
}


sub settle {
    my ($self, $state, $usage, @events) = @_;
    my $spec = $self->{record};
    my $base = join "\t", $spec->{principal}, '-', 'chat', 'openai', 'm';

    $self->{said} = $self->{fake}{s}->settle($self->{id}, $self->{attempt},
        $self->{seq} + 1, state => $state, worker => $self->{fake}{name},
        tenant => $spec->{tenant}, base => $base, at => $self->{at},
        usage => $usage, events => \@events);
    die "settle said $self->{said}\n" unless $self->{said} =~ /^OK/;

    return $self;
}


# Ends well; events may come in front of the end, in the same step.
sub end {
    my ($self, @events) = @_;
    my $usage = usage('done', 200);

    return $self->settle('done', $usage, @events, e => $usage);
}


sub error {
    my ($self, $cause, $message, %o) = @_;
    my $usage = usage('failed', $o{status} || 502, $cause);

    return $self->settle('failed', $usage, x => join '',
        AiFake::field(cause => $cause),
        AiFake::field(message => $message || ''),
        (defined $o{retry_after}
            ? AiFake::field(retry_after => $o{retry_after}) : ()),
        AiFake::field(usage => $usage));
}


# A whole JSON answer.
sub answer {
    my ($self, $body, %o) = @_;

    return $self->end(h => head_of(%o), s => $body);
}

1;
