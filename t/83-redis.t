#!/usr/bin/perl
# Redis restarts, drops connections, loses its scripts or refuses to work, while
# streams and calls run: what runs ends well, and all comes back by itself.
use AiTest;
use AiLoad;

my $t = AiTest->new;
my $p = AiLoad->provider($t);
$t->start(workers => { n => 2 }, edge => { workers => 1,
    ai => AiLoad->conf($p), location => 'ai_queue_timeout 5s;' });
my $load = AiLoad->new($t, $p);
my $redis = $t->redis;

# More clients come while it lasts; returns what all came to.
sub while_running {
    my ($name, $break, $mend) = @_;

    $load->mixed(2);
    $p->request($p->requests + 1);
    sleep 0.5;
    $break->();
    $load->mixed;
    sleep 1;
    $load->mixed;
    sleep 0.5;
    $mend->() if $mend;
    my @o = $load->finish;
    my $n = $load->count(@o);
    note("$name: " . join ', ', map { "$n->{$_} $_" } sort keys %$n);
    note(join ' ', map { "$_->{code}/$_->{status}" } grep { $_->{code} } @o);
    $load->well("$name: all end well", @o);
    my $took = $load->serves;
    ok(defined $took, "$name: and then as before") or return @o;
    $load->mixed;
    is_deeply($load->count($load->finish), { whole => 5 },
        "$name: every kind again");
    $load->accounts("$name: no call twice, a row each");

    return @o;
}

sub whole { my $n = $load->count(@_); return ($n->{whole} || 0) == @_ }

while_running('a crash', sub { $redis->kill9; sleep 0.7; $redis->start });
while_running('a restart', sub { $redis->restart });

ok(whole(while_running('connections cut', sub {
    my $c = $redis->client;
    $c->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $c->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
})), 'connections cut: nobody notices');

ok(whole(while_running('NOSCRIPT', sub {
    for (1 .. 5) {
        $redis->cmd('SCRIPT', 'FLUSH');
        sleep 0.1;
    }
})), 'NOSCRIPT: nobody notices');

$t->baseline;
done_testing();
