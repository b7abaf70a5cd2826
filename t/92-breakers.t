#!/usr/bin/perl
# Keys that are refused are benched, not their provider; what fails too often is
# not asked for a while, by any worker, and one call at a time finds out when it
# is back.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;
my $dir = $t->dir;

sub flag { my ($name, $on) = @_;
    if ($on) { open my $fh, '>', "$dir/$name" or die $! }
    else { unlink "$dir/$name" } }

# Fails as long as there is a file of the model's name; slow ones take a while.
my $p = $t->provider(name => 'p', script => sub {
    my ($req, $out) = @_;
    my $model = $req->{json}{model};
    my ($key) = ($req->{headers}{authorization} // '') =~ /(\S+)$/;

    if ($key && -e "$dir/$key") {
        open my $fh, '<', "$dir/$key" or die $!;
        my ($status, $after) = split ' ', join '', <$fh>;
        return $out->answer($status, '{"error":{"message":"key"}}',
            $after ? ('Retry-After' => $after) : ()) if $status;
    }
    sleep 0.4 if $model =~ /^slow/;
    return $out->answer(503, '{"error":{"message":"down"}}')
        if -e "$dir/$model";
    return $out->answer(400, '{"error":{"message":"wrong"}}')
        if $model eq 'wrong';
    AiProvider::openai()->($req, $out);
});
my $good = $t->provider(name => 'good');
my $down = free_port();

sub key { my ($name, $text) = @_;
    open my $fh, '>', "$dir/$name" or die $!; print $fh $text // ''; close $fh }

my %p = (api => 'openai', key => [], url => [$p->url('/v1')],
    timeout => { connect => 20000, first => 60000, idle => 60000,
        total => 60000 });
my @keys = map { "env:P${_}_API_KEY" } 1 .. 3;
my @good = ({ provider => 'good', model => 'fine', weight => 1 });
sub model { my ($provider, $model, $fallback, %more) = @_;
    return { routes => [{ provider => $provider, model => $model }],
        fallbacks => $fallback ? \@good : [], retry => 0, %more } }
$w->catalog({
    models => {
        keys => model('keys', 'x', 1), flaky => model('p', 'flaky', 1),
        lone => model('p', 'lone'), slow => model('p', 'slow', 1),
        wrong => model('p', 'wrong', 1), away => model('down', 'x', 1),
        also => model('down', 'y', 1), one => model('one', 'x', 1),
    },
    providers => {
        p => \%p, keys => { %p, key => ['env:UNSET_API_KEY', @keys] },
        lonekey => { %p, key => [$keys[0]] }, one => { %p, key => [$keys[2]] },
        down => { %p, url => ["http://127.0.0.1:$down"] },
        good => { %p, url => [$good->url('/v1')] },
    },
});
my %env = map { ("P${_}_API_KEY" => "key$_") } 1 .. 3;
$w->start(n => 3, env => \%env, args => ['--jobs', 4]);

sub ask { my ($model, %o) = @_;
    return $w->answer($w->job(body => { model => $model, messages => [
        { role => 'user', content => 'hello' }] }, %o)) }
sub sum_up { my ($got) = @_;
    return join ' ', $got->{status} || $got->{error},
        @{ $got->{end} }{qw(state provider attempts)} }
sub many { my ($n, $model) = @_;
    my @jobs = map { $w->job(body => { model => $model, messages => [
        { role => 'user', content => 'hello' }] }) } 1 .. $n;
    return map { $w->answer($_) } @jobs }
sub used { my ($from) = @_;
    my @all = $p->requests;
    return join ' ', map { ($_->{headers}{authorization} // '-') =~ /(\S+)$/ }
        @all[$from .. $#all] }


# Keys.

my $n = $p->requests;
is(sum_up(ask('keys')), '200 done keys 1', 'a call');
is(used($n), 'key1', 'with the first key that is set');
key('key1', '401');
$n = $p->requests;
is(sum_up(ask('keys')), '200 done keys 2', 'a key is refused');
is(used($n), 'key1 key2', 'the next one is used');
$n = $p->requests;
is(sum_up($_), '200 done keys 1', 'and for others') for many(8, 'keys');
is(used($n), join(' ', ('key2') x 8), 'by all workers');
key('key2', '429 30');
$n = $p->requests;
is(sum_up(ask('keys')), '200 done keys 2', 'a key is over its limit');
is(used($n), 'key2 key3', 'the next one is used');
key('key3', '403');
$n = $p->requests;
is(sum_up(ask('keys')), '200 done good 2', 'the last key is refused');
is(used($n), 'key3', 'another target is asked');
is(sum_up(ask('one')), '200 done good 2', 'a provider with that key alone');
key('key3', '401');
sleep 3;
ask('keys');
$n = $p->requests;
is(sum_up(ask('keys')), '200 done good 1', 'then that one alone') for 1, 2;
is(used($n), '', 'each key is benched');
is(sum_up(ask('keys/x')), '429 failed keys 1',
    'where there is no other target, the key whose time is over first') ;
is(sum_up(ask('lonekey/x')), '401 failed lonekey 1',
    'a lone key is used all the same') for 1, 2;
unlike($t->worker_log, qr/key1|key2|key3/, 'no key in the log');


# A model that fails.

flag('flaky', 1);
$n = $p->requests;
my @got = map { ask('flaky') } 1 .. 30;
is(scalar(grep { sum_up($_) =~ /^200 done good/ } @got), 30,
    'the other target has all');
cmp_ok(scalar(my @asked = $p->requests), '<=', $n + 15,
    'the one that fails is left alone');
cmp_ok(scalar @asked, '>=', $n + 10, 'after ten failures');
is(sum_up(ask('p/other')), '200 done p 1', 'but not its provider');
like($t->worker_log, qr{m p/flaky@\d+ t is open for \d+ ms},
    'the log says so');
is($w->r->cmd('EXISTS', 'ai1:breakers'), 1, 'and Redis, for workers to come');
my %open = @{ $w->r->cmd('HGETALL', 'ai1:breakers') };
ok((grep { m{^m p/flaky@} } keys %open), 'by its name');
flag('flaky', 0);
my $until = time + 40;
my $last = '';
while ($last !~ /^200 done p 1/ && time < $until) {
    $last = sum_up(ask('flaky'));
    sleep 0.1;
}
is($last, '200 done p 1', 'when it is back it is asked again');
wait_for(sub { !grep { m{^m p/flaky@} } @{ $w->r->cmd('HKEYS',
    'ai1:breakers') } }, 10, 'Redis to know');
is(scalar(grep { sum_up($_) eq '200 done p 1' } many(12, 'flaky')), 12,
    'by all workers');


# One that has nobody else.

flag('lone', 1);
@got = map { ask('lone') } 1 .. 14;
is(sum_up($got[0]), '503 failed p 1', 'at first what the provider says');
is($got[-1]{error}, 'unavailable', 'then it is not asked');
is($got[-1]{end}{attempts}, 0, 'at all');
my $job = $w->job(body => { model => 'lone', messages => [] });
$w->answer($job);
my ($x) = map { $_->[2] } grep { $_->[1] eq 'x' } $w->log($job);
like($x, qr/^retry_after 1\n[1-9]\n/m, 'and the client is told when');
flag('lone', 0);


# Half open: one at a time.

flag('slow', 1);
@got = many(12, 'slow');
@got = many(12, 'slow') if !grep { $_->{end}{attempts} == 1 } @got;
wait_for(sub { $t->worker_log =~ m{m p/slow@\d+ t is open for} }, 20,
    'the breaker to open');
flag('slow', 0);
my $back = 0;
$until = time + 40;
$n = $p->requests;
my $most = 0;
while (!$back && time < $until) {
    my @now = many(8, 'slow');
    my @probes = grep { $_->{end}{provider} eq 'p' } @now;
    $most = @probes if @probes > $most && @probes < 8;
    $back = @probes == 8;
    sleep 0.1 if !@probes;
}
ok($back, 'it comes back');
cmp_ok($most, '<=', 2, 'by a probe');


# The permit is taken back by who has it, and by nobody else.

sub hash_of {
    use integer;
    no warnings 'portable';
    my $h = 0xcbf29ce484222325;
    $h = ($h ^ ord) * 0x100000001b3 for split //, $_[0];
    return sprintf '%016x', ($h ^ 0xff) * 0x100000001b3;
}
flag('slow', 1);
@got = map { many(12, 'slow') } 1, 2;
wait_for(sub { grep { m{^m p/slow@\d+ t} } @{ $w->r->cmd('HKEYS',
    'ai1:breakers') } }, 20, 'it to be open again');
my ($name) = grep { m{^m p/slow@\d+ t} } @{ $w->r->cmd('HKEYS',
    'ai1:breakers') };
my $permit = 'ai1:breakers:' . hash_of($name);
my @probe;
wait_for(sub { push @probe, $w->job(body => { model => 'slow',
    messages => [] }); $w->r->cmd('EXISTS', $permit) }, 40, 'a probe');
like($w->r->cmd('GET', $permit), qr/^\S+ job_\w+$/, 'says whose it is');
$w->r->cmd('SET', $permit, 'other job_x', 'PX', 60000);
$w->answer($_) for @probe;
is($w->r->cmd('GET', $permit), 'other job_x', 'it is the next one\'s by then');
$w->r->cmd('DEL', $permit);
flag('slow', 0);


# Whose fault it is.

my @wrong = map { ask('wrong') } 1 .. 15;
is(scalar(grep { sum_up($_) eq '400 failed p 1' } @wrong), 15,
    "a client's faults open nothing");
is(sum_up($_), '200 done good 2', 'a provider that is away') for
    (map { ask('away') } 1 .. 10)[0];
wait_for(sub { sum_up(ask('also')) eq '200 done good 1' }, 10,
    'its other models not to be asked');
pass('is away for all its models');


# Workers that come later know.

my $late = $w->start(name => 'late', n => 1, env => \%env);
$_->stop for grep { $_ != $late } @{ $t->{workers} };
$n = $p->requests;
ask('keys') for 1 .. 2;
is(used($n), '', 'keys that are benched');

# What is open longer than anything may be is not.
my ($tag) = map { /@(\d+)$/ } grep { m{^l keys/} } @{ $w->r->cmd('HKEYS',
    'ai1:breakers') };
$w->r->cmd('PUBLISH', 'ai1:breakers', "O x 600000 1 0 $_")
    for "m p/fine\@$tag", "m p/fine\@$tag t", "p p\@$tag",
    "d p/fine#0\@$tag t";
$w->r->cmd('PUBLISH', 'ai1:breakers', "C x 1000 0 m p/fine\@$tag");

# Messages that make no sense change nothing.
for my $text ('', 'C', 'C ', 'C x', 'C x 1', 'C x 1 1', 'C x 1 1 ',
    'C x 99999999999 1 m p/y@1', 'O x 99999999999 1 0 m p/y@1',
    'O x 10 99 0 m p/y@1', 'O x 10 1 m p/y@1', 'O x 10 0 0 m p/y@1',
    'O x 10 1 99999999999 m p/y@1', 'Z x 1 1 m p/y@1', 'X x m p/y@1', 'O x 5 1 0 q y@1',
    'O x -1 1 0 m p/y@1', 'C x 1 1 m ' . 'y' x 5000)
{
    $w->r->cmd('PUBLISH', 'ai1:breakers', $text);
}
$w->r->cmd('HSET', 'ai1:breakers', 'nonsense', 'x', 'm p/y@1', '1',
    'm p/z@1', '99999999999999 1');
is(sum_up(ask('p/fine')), '200 done p 1', 'messages that make no sense');
$w->start(name => 'later', n => 1, env => \%env);
wait_for(sub { my %kept = @{ $w->r->cmd('HGETALL', 'ai1:breakers') };
    !grep { exists $kept{$_} } 'nonsense', 'm p/y@1', 'm p/z@1' }, 10,
    'a worker that comes to take away what nobody does');
pass('what is over or makes no sense is taken away');
wait_for(sub { !$w->leases }, 10, 'all slots to be free');

$w->close;
done_testing();
