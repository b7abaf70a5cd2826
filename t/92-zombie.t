#!/usr/bin/perl
# A worker process that is stopped while a job of it waits for its next call, and
# goes on when another has the job: it calls nobody.
use AiTest;

my $t = AiTest->new;
my $dir = $t->dir;

sub touch { open my $fh, '>', "$dir/$_[0]" or die }

# Says 503, and from the file "wait" on nothing before there is "go".
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $late = -e "$dir/wait";
    return $out->answer(503, '{"error":{"message":"down"}}',
        'Retry-After' => 9) unless $late;
    $out->wait(0.05) until -e "$dir/go";
    AiProvider::openai()->($req, $out);
});

$t->start(workers => { n => 1 }, edge => { ai => <<CONF });
ai_provider p { api openai; url @{[$p->url('/v1')]};
    timeout first=300s idle=300s; }
ai_model again { route p model=x; retry 2; }
CONF
my $http = AiHttp->new(port => $t->edge->port, timeout => 120);
$http->send_request(method => 'POST', key => $t->{key},
    path => '/v1/chat/completions', headers => [],
    json => { model => 'again', max_tokens => 100, messages => [] });
$p->request(1);
wait_for(sub { $t->worker_log =~ /p failed, status 503: p in/ }, 10,
    'the call to be due again');
my ($zombie) = $t->worker_pids;
kill STOP => $zombie;
touch('wait');
my $fresh = $t->start_workers(name => 'workers-fresh', n => 1);
$p->request(2, 60);
kill CONT => $zombie;
wait_for(sub { $t->worker_log =~ /another worker has it/ }, 30,
    'it to see that another has the job');
touch('go');
$http->head;
1 while defined $http->piece;
is($http->{res}->status, 200, 'the other answers');
is(scalar(my @all = $p->requests), 2, 'the job was not called a third time');
$http->close;
$fresh->stop;
$t->{pooled} = 2;
done_testing();
