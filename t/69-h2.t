#!/usr/bin/perl
# HTTP/2: bodies, streams, aborts.
use AiTest;
use AiFake;

my $t = AiTest->new;
my ($curl) = grep { -x } map { "$_/curl" } split /:/, $ENV{PATH};
AiTest::skip_all('no curl with HTTP/2')
    unless $curl && `$curl --version` =~ /HTTP2/;
$t->redis;
my $fake = AiFake->new($t);
my ($version) = `@{[AiEdge::binary()]} -v 2>&1` =~ /nginx\/1\.(\d+)/;
my $edge = $t->edge(conf => $version >= 25 ? <<'NEW' : <<'OLD');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    server {
        listen 127.0.0.1:%%PORT%%;
        http2 on;
        location /v1/ { ai_pass; client_max_body_size 4m; }
        location = /metrics { ai_metrics; }
    }
}
NEW
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    server {
        listen 127.0.0.1:%%PORT%% http2;
        location /v1/ { ai_pass; client_max_body_size 4m; }
        location = /metrics { ai_metrics; }
    }
}
OLD
$edge->start;
my $key = $fake->key('demo');
my $n = 0;

# Starts curl; ->{out} is where its answer goes.
sub curl {
    my ($path, $body, @more) = @_;
    my $base = $t->dir . '/curl' . ++$n;
    open my $fh, '>', "$base.in" or die;
    print $fh $body if defined $body;
    close $fh;
    my $proc = AiProc->spawn(name => 'curl', out => "$base.err", cmd => [$curl,
        '-s', '--http2-prior-knowledge', '--no-buffer', '-o', "$base.out",
        '-D', "$base.head", '-H', "Authorization: Bearer $key",
        '-H', 'Content-Type: application/json',
        (defined $body ? ('--data-binary', "\@$base.in") : ()), @more,
        'http://127.0.0.1:' . $edge->port . $path]);
    return { proc => $proc, out => "$base.out", head => "$base.head" };
}

sub done {
    my ($c) = @_;
    $c->{code} = $c->{proc}->wait(30);
    return slurp($c->{out});
}

my $chat = '/v1/chat/completions';
for my $size (10, 20_000, 70_000, 300_000, 2_000_000) {
    my $body = encode_json({ model => 'echo/echo', x => 'y' x $size });
    my $c = curl($chat, $body);
    my $job = $fake->job;
    ok($job && $job->body eq $body, "a body of $size bytes");
    $job->answer("{\"size\":$size}");
    is(done($c), "{\"size\":$size}", 'answered');
    like(slurp($c->{head}), qr{^HTTP/2 200}, 'over HTTP/2');
}

# Without a length, and broken.
my $body = encode_json({ model => 'echo/echo', x => 'y' x 100_000 });
my $c = curl($chat, $body, '-H', 'Content-Length:');
my $job = $fake->job;
is($job && length $job->body, length $body, 'a body without a length');
$job->answer('{}');
is(done($c), '{}', 'answered');
$c = curl($chat, '{"model":');
like(done($c), qr/"invalid_json"/, 'a broken body');
like(slurp($c->{head}), qr{^HTTP/2 400}, 'is 400');
$c = curl($chat, '{"x":"' . 'y' x 5_000_000 . '"}', '-H', 'Content-Length:');
done($c);
# curl may see the reset that ends its upload before the answer.
ok(wait_for(sub { $edge->access_log =~ /HTTP\/2\.0" 413 / }, 10, '413'),
    'too large');

# A stream, larger than the windows.
$c = curl($chat, encode_json({ model => 'echo/echo', stream => \1 }));
$job = $fake->job->head(stream => 1);
my $want = '';
for my $i (1 .. 100) {
    my @events = map { "data: $i.$_ " . 'z' x 500 . "\n\n" } 1 .. 20;
    $want .= join '', @events;
    $job->data(@events);
}
$job->end;
ok(done($c) eq $want, 'a stream of 1 MB');

# An abort.
$c = curl($chat, encode_json({ model => 'echo/echo', stream => \1 }));
$job = $fake->job->head(stream => 1)->data("data: 1\n\n");
wait_for(sub { -s $c->{out} }, 10, 'the first event');
$c->{proc}->stop('TERM');
wait_for(sub {
    $fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'lst') eq ''
}, 10, 'the leave');
is($fake->cmd('HGET', $fake->s->key('job:' . $job->id), 'cancel'),
    'disconnect', 'an abort is noticed');
my $usage = AiFake::Job::usage('cancelled', 499);
$job->settle('cancelled', $usage, e => $usage);

$c = curl('/metrics');
like(done($c), qr/active_jobs 0$/m, 'nothing is open');

done_testing();
