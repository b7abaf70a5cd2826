#!/usr/bin/perl
# Redis comes back without its last seconds, and gives a job that it had given
# in them to another worker: no client is shown the bytes of both.
use AiTest;

my $t = AiTest->new;
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $stream = $req->{json}{stream};
    my $pid = process_of($out->{sock}, $t->dir);

    $out->head(200, 'Content-Type' => $stream ? 'text/event-stream'
        : 'application/json');
    $out->chunk('{"words":"') unless $stream;
    for my $n (1 .. 400) {
        $out->chunk($stream ? 'data: {"choices":[{"index":0,"delta":'
            . "{\"content\":\"$pid.$n \"},\"finish_reason\":null}]}\n\n"
            : "$pid.$n ");
        $out->wait(0.02);
    }
    $out->chunk($stream ? 'data: {"choices":[{"index":0,"delta":{},'
        . "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n" : '"}');
    $out->end;
});
$t->start(workers => { n => 2 }, edge => { workers => 1, ai => 'ai_provider p '
    . '{ api openai; url ' . $p->url('/v1') . '; }',
    location => 'ai_queue_timeout 60s; ai_resume 5s;' });
my $redis = $t->redis;
my $pre = $t->prefix;

sub ask {
    my ($stream, @headers) = @_;
    my $http = AiHttp->new(port => $t->edge->port, timeout => 60);
    $http->send_request(method => 'POST', path => '/v1/chat/completions',
        key => $t->{key}, headers => \@headers, json => { model => 'p/m',
            stream => $stream ? \1 : \0,
            messages => [{ role => 'user', content => 'x' }] });
    return $http;
}
sub whole {
    my ($http) = @_;
    eval { $http->head unless $http->{res}; 1 while defined $http->piece };
    return $http->{res};
}
sub jobs { return keys %{ $redis->keys("${pre}job:*") } }
sub tips {
    return map { ($redis->cmd('HGET', $_, 'tip') // '0-0') =~ /-(\d+)/ } jobs();
}

# They wait, for nobody takes them, and so Redis keeps them.
my @pids = $t->worker_pids;
kill STOP => @pids;
wait_for(sub { !$redis->cmd('HGET', "${pre}sweep", 'slots') }, 20,
    'nobody who takes jobs');
my %http = (stream => ask(1), resumable => ask(1, 'X-AI-Resumable' => 1),
    call => ask(0));
wait_for(sub { jobs() == 3 }, 20, 'three jobs');
is_deeply([map { $redis->cmd('HGET', $_, 'state') } jobs()],
    [('waiting') x 3], 'three jobs wait');
my $log = "$redis->{dir}/appendonlydir";
system('cp', '-a', $log, "$log.then") == 0 or die;

# One worker has them, two clients have a part of what it says; then Redis
# knows nothing of it, and the other one has them.
kill CONT => $pids[0];
wait_for(sub { 2 == grep { $_ >= 20 } tips() }, 30, 'some of each answer');
for my $name (qw(stream resumable)) {
    $http{$name}->head;
    $http{$name}->event for 1 .. 15;
}
kill STOP => $pids[0];
$redis->kill9;
system("rm -r '$log' && mv '$log.then' '$log'") == 0 or die;
kill CONT => $pids[1];
$redis->start;

my %res = map { $_ => whole($http{$_}) } sort keys %http;
for my $name (qw(stream resumable)) {
    my $body = $res{$name}->body;
    my %by = map { $_ => 1 } $body =~ /"(\d+)\.\d+ "/g;
    is(join(' ', keys %by), $pids[0], "$name: the words of one worker");
    like($body, qr/^data: \{"error":\{.*"stream_lost".*\}\n\n\z/m,
        "$name: ends as lost");
}
my %by = map { $_ => 1 } $res{call}->body =~ /(\d+)\.\d+ /g;
is(join(' ', keys %by), $pids[1], 'call: nothing was said of it, it is whole');

kill CONT => $pids[0];
wait_for(sub { !keys %{ $redis->keys("${pre}held:*") } }, 60, 'free slots');
my %rows;
wait_for(sub {
    %rows = ();
    $rows{ $_->[0] }++ for $t->pg->query('select job from ngxai.ledger');
    return keys %rows == 3;
}, 30, 'rows');
is(join(' ', values %rows), '1 1 1', 'a row each');

done_testing();
