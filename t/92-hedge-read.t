#!/usr/bin/perl
# The first call fails while what the second has answered is being read: that
# is the answer, unless it is no good, either.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $dir = $t->dir;

sub touch { open my $fh, '>', "$dir/$_[0]" or die $! }

# "first" fails when "second" has answered, which waits for "go".
my $p = $t->provider(name => 'p', script => sub {
    my ($req, $out) = @_;
    my ($model, $n) = $req->{json}{model} =~ /^(.*?)(\d*)$/;

    if ($model eq 'first') {
        $out->wait(0.02) until -e "$dir/answered$n";
        $out->wait(0.1);
        return $out->answer(503, '{"error":{"message":"down"}}');
    }
    $out->wait(0.02) until -e "$dir/go$n";
    $out->answer(200, $model eq 'bad' ? '[' . '1,' x 90_000 . '1]'
        : encode_json({ choices => [{ index => 0, finish_reason => 'stop',
            message => { role => 'assistant', content => 'x' x 180_000 } }],
            usage => { prompt_tokens => 1, completion_tokens => 2 } }));
    touch("answered$n");
});
my $c = $t->provider(name => 'c', script => AiProvider::anthropic());
my %p = (api => 'openai', key => [], url => [$p->url('/v1')], timeout => {
    connect => 20000, first => 60000, idle => 60000, total => 60000 });
sub hedged { my ($n, $other, @more) = @_;
    return { routes => [{ provider => 'p', model => "first$n" }], retry => 0,
        hedge => 200, fallbacks => [map { { provider => $_->[0],
            model => $_->[1] } } ['p', "$other$n"], @more] } }
$w->catalog({
    models => { m1 => hedged(1, 'good'), m2 => hedged(2, 'bad'),
        m3 => hedged(3, 'bad', ['c', 'claude']),
        busy => { routes => [{ provider => 'down', model => 'x' }],
            retry => 0 } },
    providers => { p => \%p, down => { %p, api => 'anthropic',
        url => ['http://127.0.0.1:' . free_port()] }, c => { %p, api => 'anthropic',
        url => [$c->url] } },
});
$w->start(env => { UV_THREADPOOL_SIZE => 1 });

# What keeps the one thread busy that reads large texts.
my $busy = '{"model":"busy","messages":['
    . '{"role":"user","content":"hello"},' x 60_000
    . '{"role":"user","content":"hello"}]}';
sub sum_up { my ($got) = @_;
    return join ' ', $got->{status} || $got->{error},
        @{ $got->{end} }{qw(state provider attempts)} }

my %want = (1 => '200 done p 2', 2 => '503 failed p 2', 3 => '200 done c 3');
for my $n (1 .. 3) {
    my $job = $w->job(body => { model => "m$n", messages => [] });
    wait_for(sub { grep { $_->{body} =~ /"(?:good|bad)$n"/ } $p->requests }, 20,
        'the second call');
    my @busy = map { $w->job(body => $busy, model => 'busy', stream => 0,
        usage_asked => 0) } 1 .. 4;
    touch("go$n");
    my $got = $w->answer($job);
    is(sum_up($got), $want{$n}, "who answers: $n");
    is(length $got->{json}{choices}[0]{message}{content}, 180_000, 'whole')
        if $n == 1;
    $w->answer($_) for @busy;
}
wait_for(sub { !$w->leases }, 10, 'all slots to be free');

$w->close;
done_testing();
