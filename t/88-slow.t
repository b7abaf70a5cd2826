#!/usr/bin/perl
# Many clients at once that read or write slowly: what they cost the edge and
# the workers, and that the others do not notice.
use AiTest;

my $t = AiTest->new;
my $many = 200;
my $line = sub { 'data: {"choices":[{"index":0,"delta":{"content":"'
    . sprintf('%06d', $_[0]) . 'z' x 980 . "\"}}]}\n\n" };
my $whole = join('', map { $line->($_) } 1 .. 1000) . "data: [DONE]\n\n";
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;

    return $out->answer(200, '{"choices":[]}') unless $req->{json}{stream};
    $out->answer(200, $whole, 'Content-Type' => 'text/event-stream');
});
$t->start(edge => { ai => 'ai_provider p { api openai; url ' . $p->url('/v1')
    . '; }', conf => <<'CONF' });
%%GLOBALS%%
events { worker_connections 2048; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    %%AI%%
    server {
        listen 127.0.0.1:%%PORT%% sndbuf=16k;
        client_max_body_size 8m;
        client_body_timeout 60s;
        send_timeout 60s;
        location /v1/ { ai_pass; }
        location /tight/ { ai_pass; ai_body_memory 3m; }
        location /health { ai_health; }
        location = /metrics { ai_metrics; }
    }
}
CONF
$t->{pooled} = 300;
my ($edge) = $t->edge->workers;
my @workers = $t->worker_pids;
sub rss { return slurp("/proc/$_[0]/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 }
my $sanitized = AiEdge->sanitized || $ENV{AI_T_BUILD};
my $chat = '/v1/chat/completions';
my %ask = (model => 'p/m', messages => []);

sub grown {
    my ($name, %before) = @_;

    SKIP: {
        skip('a sanitizer keeps what is freed', scalar keys %before)
            if $sanitized;
        for my $pid (sort keys %before) {
            my $more = rss($pid) - $before{$pid};
            cmp_ok($more, '<', 65536, "$name: memory of "
                . ($pid == $edge ? 'the edge' : 'a worker'));
        }
    }
}

# Warm, with no stream open.
is($t->post($chat, \%ask)->status, 200, 'warm');
my %rss = map { $_ => rss($_) } $edge, @workers;


# Readers.

my @slow = map { $t->stream($chat, { %ask, stream => \1 }, rcvbuf => 4096,
    timeout => 120) } 1 .. $many;
wait_for(sub {
    $t->pg->value('select count(*) from ngxai.ledger') > $many
}, 120, 'all answers to be in their logs');
grown("$many that do not read 1 MB", %rss);

# A log expires 30 s after its end, unless somebody reads on.
my ($log) = reverse sort keys %{ $t->redis->keys('ai1:{*}:ev:*') };
my %least = map { $_ => 3_600_000 } $log, $log =~ s/:ev:/:job:/r;
eval {
    wait_for(sub {
        for my $key (sort keys %least) {
            my $ttl = $t->redis->cmd('PTTL', $key);
            if ($ttl > $least{$key}) {
                delete $least{$key};
            } else {
                $least{$key} = $ttl;
            }
        }
        return !%least;
    }, 30);
};
is_deeply([keys %least], [], 'the log of a slow client stays');
for my $round (1 .. 20) {
    for my $s (@slow) {
        sysread $s->{sock}, $s->{in}, 1, length $s->{in};
    }
}
is(scalar(grep { length $_->{in} != 20 } @slow), 0, 'byte by byte');
my $began = time;
is($t->post($chat, \%ask)->status, 200, 'another is served meanwhile');
grown("$many that read a byte at a time", %rss);
my @all = splice @slow, 0, 20;
my $bad = 0;
for my $s (@all) {
    $bad++ if ($s->response->body // '') ne $whole;
    $s->close;
}
is($bad, 0, 'who reads on gets it all');
$_->close for @slow;
wait_for(sub { $t->get('/metrics')->body =~ /active_jobs 0$/m }, 30,
    'the others to be forgotten');
grown('after them', %rss);


# Writers.

my $head = "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer $t->{key}\r\n"
    . "Content-Length: %d\r\n\r\n";
my $text = encode_json({ %ask, x => 'x' x 1_000_000 });
my @drip;
for (1 .. $many) {
    my $http = AiHttp->new(port => $t->edge->port);
    $http->{method} = 'POST';
    $http->write(sprintf $head, "/tight$chat", length $text);
    push @drip, $http;
}
for my $n (0 .. 19) {
    $_->write(substr $text, $n, 1) for @drip;
}
is($t->post("/tight$chat", $text)->status, 200,
    'who drips does not hold what others need');
grown("$many that write a byte at a time", %rss);
for my $http (splice @drip, 0, 3) {
    $http->write(substr $text, 20);
    is($http->response->status, 200, 'who writes on is answered');
    $http->close;
}

# And who sends much, and then no more, holds what he sent.
my @held = map {
    my $http = AiHttp->new(port => $t->edge->port);
    $http->{method} = 'POST';
    $http->write(sprintf($head, "/tight$chat", length $text)
        . substr $text, 0, 900_000);
    $http;
} 1 .. 3;
wait_for(sub { $t->post("/tight$chat", $text)->status == 503 }, 30,
    'the memory to be used up');
pass('memory has its bound');
$_->reset for @held, @drip;
wait_for(sub { $t->post("/tight$chat", $text)->status == 200 }, 30,
    'it to be free');
pass('and is free again');
grown('after all', %rss);
is(join(' ', $t->edge->workers, $t->worker_pids), "$edge @workers",
    'nobody has died');

done_testing();
