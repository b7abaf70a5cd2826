#!/usr/bin/perl
# The script that keeps what is open of breakers, and gives back the permit to
# try one.
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $r = $t->redis;

sub breaker { my $got = eval { $r->script('breaker', ['ai1:'], @_) };
    return $@ =~ s{^redis: }{}r || "@$got" }
my $key = 'ai1:breakers';
my $now = int(1000 * Time::HiRes::time());

is(breaker('open', 'm p/x@1 t', $now + 1000 . ' 1'), 'OK', 'one opens');
is($r->cmd('HGET', $key, 'm p/x@1 t'), $now + 1000 . ' 1', 'and is kept');
cmp_ok($r->cmd('PTTL', $key), '>', 500_000, 'for ten minutes');
$r->cmd('PERSIST', $key);
is(breaker('open', 'm p/x@1 t', $now + 9000 . ' 2'), 'OK', 'again');
cmp_ok($r->cmd('PTTL', $key), '>', 500_000, 'whatever it was before');

# Full of what is open; then of what is over.
$r->cmd('HSET', $key, map { ("m p/$_\@1", $now + 600_000 . ' 1') } 1 .. 1023);
is(breaker('open', 'm p/new@1', $now + 1000 . ' 1'), 'FULL', 'a bound');
is(breaker('open', 'm p/x@1 t', $now + 2000 . ' 3'), 'OK',
    'of names, not of what is said of them');
$r->cmd('HSET', $key, map { ("m p/$_\@1", $now - 1000 . ' 1') } 1 .. 9);
is(breaker('open', 'm p/new@1', $now + 1000 . ' 1'), 'OK',
    'what is over makes room');
is($r->cmd('HLEN', $key), 1016, 'all of it');

my $permit = '0123456789abcdef';
$r->cmd('SET', "$key:$permit", 'w1 job_a');
is(breaker('give', $permit, 'w1 job_b'), 'NO', "another's permit");
is($r->cmd('GET', "$key:$permit"), 'w1 job_a', 'stays');
is(breaker('give', $permit, 'w1 job_a'), 'OK', "one's own");
is($r->cmd('EXISTS', "$key:$permit"), 0, 'is given back');
is(breaker('give', $permit, 'w1 job_a'), 'NO', 'once');

like(breaker(@$_), qr/^ERR/, "wrong: @$_") for ['open', 'x'],
    ['shut', 'x', '1 1'], ['open', 'x', '1'], ['open', 'x', "1 1\n1"],
    ['give', '../../x', 'w1'], ['give', $permit . '0', 'w1'],
    ['open', 'x' x 1025, '1 1'], ['give', $permit, 'x' x 257], [];

done_testing();
