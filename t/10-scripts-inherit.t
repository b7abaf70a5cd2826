#!/usr/bin/perl

# inherit: what a reader of the outbox gets of those that died.  Who is dead is
# made so here, far from any limit: nothing depends on how long the test takes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $outbox = $s->key('outbox');
my (@ids, %as);                 # the entries; how they were read

# An outbox of n entries with its group; nobody in grace, w1 alive.
sub begin {
    my ($n) = @_;

    $s->cmd('FLUSHALL');
    grace(last => 1e9, grace_until => -1);
    $s->silent('w:w1', -1e9);
    $s->cmd('XGROUP', 'CREATE', $outbox, 'ledger', 0, 'MKSTREAM');
    @ids = map { $s->cmd('XADD', $outbox, '*', 'j', "job $_") } 1 .. $n;
    %as = ();
}

# The times of sweeps, from now in ms.
sub grace {
    my (%o) = @_;
    my $now = $s->now_ms;

    $s->cmd('DEL', $s->key('sweep'));
    $s->cmd('HSET', $s->key('sweep'), map { ($_, $now + $o{$_}) } keys %o)
        if %o;
}

# A reader is given the next n, and never acknowledges them.
sub gives {
    my ($name, $n) = @_;
    my $got = $s->cmd('XREADGROUP', 'GROUP', 'ledger', $name, 'COUNT', $n,
        'STREAMS', $outbox, '>');

    $as{ $_->[0] } = $_->[1] for @{ $got->[0][1] };
}

sub reader { $s->cmd('XGROUP', 'CREATECONSUMER', $outbox, 'ledger', $_[0]) }

# The places of ids in the outbox.
sub places {
    my %at = map { ($ids[$_] => $_) } 0 .. $#ids;
    return join ' ', map { $at{$_} // $_ } @_;
}

# What was inherited: "OK <places>", or the reply.
sub inherit {
    my ($worker, $max) = @_;
    my ($word, $got) = $s->call('inherit', $worker, $max);

    return $word unless defined $got;
    for (@$got) {
        my ($id, $fields) = @$_;
        return "$id is not as it was read: @$fields"
            if "@$fields" ne "@{ $as{$id} }";
    }
    return join ' ', $word, places(map { $_->[0] } @$got);
}

# Who has what: "w1:0,1 w2:".
sub readers {
    return join ' ', map {
        my %c = @$_;
        my $of = $s->cmd('XPENDING', $outbox, 'ledger', '-', '+', 10_000,
            $c{name});
        "$c{name}:" . places(map { $_->[0] } @$of) =~ s/ /,/gr;
    } @{ $s->cmd('XINFO', 'CONSUMERS', $outbox, 'ledger') };
}

# Arguments.
begin(1);
gives(w2 => 1);
for (['of nothing'], ['of one', 'w1'], ['of three', 'w1', 1, 1],
    ['of no count', 'w1', 'x'], ['of none', 'w1', 0], ['below', 'w1', -1],
    ['of a part', 'w1', 1.5], ['of too many', 'w1', 1001])
{
    my ($name, @args) = @$_;
    is($s->run('inherit', @args), 'ERR number', $name);
}
for (['empty', ''], ['long', 'w' x 65], ['colon', 'w:1'], ['space', 'w 1'],
    ['line', "w\n"], ['NUL', "w\0"], ['not ASCII', "w\xe9"])
{
    my ($name, $id) = @$_;
    is($s->run('inherit', $id, 1), 'ERR id', "a worker's name: $name");
}
is(readers(), 'w2:0', 'and nothing was done');
is(inherit('A-z.9' . 'w' x 59, 1000), 'OK 0', 'the longest name, the most');

# No stream, no group, something else at its key.
$s->cmd('FLUSHALL');
is(inherit('w1', 10), 'NOGROUP', 'no outbox');
$s->cmd('XADD', $outbox, '*', 'j', 1);
is(inherit('w1', 10), 'NOGROUP', 'an outbox without a group');
is($s->cmd('XLEN', $outbox), 1, 'which stays as it is');

# Nobody.
begin(2);
is(inherit('w1', 10), 'OK ', 'no readers');
is(readers(), '', 'who asks is none for that');
reader('w1');
is(inherit('w1', 10), 'OK ', 'who asks has nothing');
is(readers(), 'w1:', 'and is not forgotten');

# Its own, of a reply that it lost; dead or not.
begin(3);
gives(w1 => 2);
is(inherit('w1', 10), 'OK 0 1', 'its own');
is(inherit('w1', 10), 'OK 0 1', 'again until it acknowledges');
is(inherit('w1', 1), 'OK 0', 'no more than it asks for');
$s->silent('w:w1', 1e6);
is(inherit('w1', 10), 'OK 0 1', 'also when it has not beaten');
grace();
is(inherit('w1', 10), 'OK 0 1', 'also in a grace');
is(readers(), 'w1:0,1', 'it stays a reader');
gives(w1 => 9);
is(readers(), 'w1:0,1,2', 'what nobody read is read as ever');

# Of one that never beat, and of one that does no more.
begin(5);
gives(w2 => 2);
gives(w3 => 2);
$s->silent('w:w3', 3001);
is(inherit('w1', 10), 'OK 0 1', 'of a dead reader');
is(readers(), 'w1:0,1 w3:2,3', 'who is forgotten');
$s->cmd('XDEL', $outbox, @ids[0, 1]);
$s->cmd('XACK', $outbox, 'ledger', @ids[0, 1]);
is(inherit('w1', 10), 'OK 2 3', 'of the next dead one');
is(readers(), 'w1:2,3', 'who is forgotten');
is($s->cmd('XLEN', $outbox), 3, 'the entries stay in the outbox');
is(inherit('w4', 10), 'OK ', 'not from one that lives');

# By its name as a worker: what else beats is nobody here.
begin(1);
gives(e1 => 1);
$s->silent('e:e1', -1e9);
is(inherit('w1', 10), 'OK 0', 'an edge of that name does not count');

# More than asked for: in pieces, and forgotten with the last.
begin(5);
gives(w2 => 5);
for (['0 1', 'w1: w2:2,3,4'], ['2 3', 'w1: w2:4'], ['4', 'w1:']) {
    my ($got, $left) = @$_;
    is(inherit('w1', 2), "OK $got", "two of five: $got");
    my @at = map { $ids[$_] } split / /, $got;
    $s->cmd('XDEL', $outbox, @at);
    $s->cmd('XACK', $outbox, 'ledger', @at);
    is(readers(), $left, 'the others stay where they are');
}
begin(4);
gives(w2 => 2);
is(inherit('w1', 2), 'OK 0 1', 'just as many as asked for');
is(readers(), 'w1:0,1', 'and forgotten');

# The most that one call gives.
begin(1001);
gives(w2 => 1001);
is(inherit('w1', 1000), 'OK ' . join(' ', 0 .. 999), 'a thousand');
is(readers() =~ s/w1:\S+/w1:…/r, 'w1:… w2:1000', 'one is left');

# Dead without anything, however many.
begin(1);
reader("w$_") for 2 .. 9;
gives(w9 => 1);
$s->silent('w:w5', -1e9);
is(inherit('w1', 10), 'OK 0', 'of the last of eight');
is(readers(), 'w1:0 w5:', 'those without are forgotten, the living is not');
begin(0);
reader('w2');
is(inherit('w1', 10), 'OK ', 'a dead reader without any');
is(readers(), '', 'is forgotten');

# Who lives keeps what it has.
begin(3);
gives(w2 => 2);
gives(w3 => 1);
$s->silent('w:w2', -1e9);
is(inherit('w1', 10), 'OK 2', 'the dead one behind the living');
is(readers(), 'w1:2 w2:0,1', 'who keeps its own');

# Nobody is dead while sweeps do not run.
for (['no sweep ever'], ['sweeps stopped', last => -2500, grace_until => -1],
    ['and the grace of it', last => 1e9, grace_until => 1e9])
{
    my ($name, @times) = @$_;
    begin(2);
    gives(w2 => 1);
    reader('w3');
    grace(@times);
    is(inherit('w1', 10), 'OK ', "$name: nobody is dead");
    is(readers(), 'w2:0 w3:', "$name: or forgotten");
}
begin(1);
gives(w2 => 1);
grace(last => 1e9);
is(inherit('w1', 10), 'OK 0', 'sweeps that never had a grace');

# Deleted, and then who did it died before it acknowledged.
begin(4);
gives(w2 => 4);
$s->cmd('XDEL', $outbox, @ids[0, 2]);
is(inherit('w1', 10), 'OK 1 3', 'what is left of them');
is(readers(), 'w1:1,3', 'the rest is nobody\'s');
begin(3);
gives(w2 => 2);
gives(w3 => 1);
$s->cmd('XDEL', $outbox, @ids[0, 1]);
is(inherit('w1', 10), 'OK 2', 'of one all are gone: the next');
is(readers(), 'w1:2', 'both are forgotten');
begin(3);
gives(w2 => 3);
$s->cmd('XDEL', $outbox, @ids[0, 1]);
is(inherit('w1', 2), 'OK ', 'the first are gone, more than asked for');
# Redis 8 makes a reader of who was given none.
like(readers(), qr/^(?:w1: )?w2:2$/, 'the others wait');
is(inherit('w1', 2), 'OK 2', 'for the next call');
begin(2);
gives(w1 => 2);
$s->cmd('XDEL', $outbox, $ids[0]);
is(inherit('w1', 10), 'OK 1', 'of its own, too');
is(readers(), 'w1:1', 'and it is rid of the gone one');

done_testing();
