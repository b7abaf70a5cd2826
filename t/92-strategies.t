#!/usr/bin/perl
# How a model's routes are chosen: by weight, by calls under way, by how long
# the first token takes, by price.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;
my $dir = $t->dir;

my %words = (words => ['x']);
my $p = $t->provider(name => 'p', script => sub {
    my ($req, $out) = @_;
    my $model = $req->{json}{model};
    if ($model =~ /^late/) {
        sleep 0.15 unless -e "$dir/fast";
    } elsif ($model =~ /^held/) {
        sleep 0.05 until -e "$dir/go";
    }
    return $out->answer(503, '{"error":{"message":"x"}}') if $model =~ /^bad/;
    if ($model eq 'drip') {
        $out->raw("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{");
        while (1) {
            $out->wait(0.2);
            $out->raw(' ');
        }
    }
    AiProvider::openai(%words)->($req, $out);
});

my %p = (api => 'openai', key => [], url => [$p->url('/v1')],
    timeout => { connect => 20000, first => 60000, idle => 60000,
        total => 60000 });
sub routes {
    my ($strategy, @models) = @_;
    return { strategy => $strategy, fallbacks => [], retry => 0,
        routes => [map { { provider => 'p', model => $_->[0],
            weight => $_->[1] || 1 } } @models] };
}
$w->catalog({
    models => {
        latency => routes('latency', ['late'], ['soon']),
        failing => routes('latency', ['bad'], ['soon2']),
        cost => routes('cost', ['dear'], ['cheap'], ['unknown'], ['bad2']),
        busy => routes('least_busy', ['held1'], ['held2'], ['held3', 2]),
        weighted => routes('weighted', ['one', 9], ['two', 1]),
        nonsense => routes('astrology', ['one', 9], ['two', 1]),
        slow => { routes => [{ provider => 'slow', model => 'drip' }],
            fallbacks => [{ provider => 'p', model => 'fine' }] },
    },
    prices => { 'p/dear' => { input => 3000, output => 15000 },
        'p/cheap' => { input => 1000, output => 9000 },
        'p/bad2' => { input => 10, output => 10 } },
    providers => { p => \%p,
        slow => { %p, options => { min_rate => 100 } },
        list => { %p, models => ['one', 'a/b'] } },
});
$w->start;

sub job { my ($model, %o) = @_;
    return $w->job(body => { model => $model, messages => [],
        $o{stream} ? (stream => $yes) : () }) }
sub ask { return $w->answer(job(@_)) }
sub seen { my %n; $n{ $_->{end}{model} }++ for @_; return \%n }

# By latency: each once, then the one that is sooner, but for one call in 20.
for my $stream (0, 1) {
    my $n = seen(map { ask('latency', stream => $stream) } 1 .. 40);
    ok($n->{late}, 'what was not measured is tried');
    cmp_ok($n->{soon}, '>=', 30, 'then the sooner has most');
}
my $n = seen(map { ask('failing') } 1 .. 20);
cmp_ok($n->{soon2}, '==', 20, 'what fails is not soon');
my @bad = grep { $_->{json} && $_->{json}{model} eq 'bad' } map { +{ %$_,
    json => scalar eval { decode_json($_->{body}) } } } $p->requests;
cmp_ok(scalar @bad, '<=', 8, 'and is left alone');

# By price; what has none is the dearest, what fails sends to the next.
is_deeply(seen(map { ask('cost') } 1 .. 5), { cheap => 5 },
    'the cheapest that works');

# By calls under way, each as many as its weight.
my @jobs;
for (1 .. 8) {
    push @jobs, job('busy');
    my $want = @jobs;
    wait_for(sub { grep({ $_->{body} =~ /held/ } $p->requests) == $want }, 20,
        'the call');
}
open my $fh, '>', "$dir/go" or die $!;
close $fh;
is_deeply(seen(map { $w->answer($_) } @jobs),
    { held1 => 2, held2 => 2, held3 => 4 }, 'by calls under way');

# By weight.
for my $model (qw(weighted nonsense)) {
    $n = seen(map { ask($model) } 1 .. 60);
    cmp_ok($n->{one}, '>', 40, "$model: the heavier");
    ok($n->{two}, "$model: and the lighter");
}

# A provider's own list.
is(ask('list/one')->{end}{state}, 'done', 'a model of the list');
is(ask('list/a/b')->{end}{state}, 'done', 'another');
is(ask('list/two')->{error}, 'model_not_found', 'one that is not');

# An answer that drips.
my $got = ask('slow');
is("$got->{status} $got->{end}{model} $got->{end}{attempts}", '200 fine 2',
    'bytes below min_rate: another is asked');
wait_for(sub { !$w->leases }, 10, 'all slots to be free');

$w->close;
done_testing();
