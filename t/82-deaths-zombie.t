#!/usr/bin/perl
# A worker process that is stopped for 30 seconds, taken for dead, and goes on as
# if nothing had been: its jobs have one answer, and what it says is refused.
use AiTest;

my $t = AiTest->new;
my $dir = $t->dir;
my @words = map { "word$_ " } 0 .. 9;

sub touch { open my $fh, '>', "$dir/$_[0]" or die }

# wait-: nothing before the file "go" is there; slow-: ten words, ten more when
# the file "more" is there, then the end.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my ($what) = $req->{json}{model} =~ /^(\w+)-/;
    my $dialect = $req->{path} =~ /messages$/ ? 'anthropic' : 'openai';

    if ($what eq 'wait') {
        $out->wait(0.05) until -e "$dir/go";
        return AiProvider->can($dialect)->(words => \@words)->($req, $out);
    }
    my $n = 0;
    AiProvider->can($dialect)->(words => [@words, @words])->($req,
        AiPause->new($out, sub {
            return unless ++$n == 11;
            $out->wait(0.05) until -e "$dir/more";
        }));
});


package AiPause;

sub new { return bless { out => $_[1], before => $_[2] }, $_[0] }
sub head { shift->{out}->head(@_) }
sub end { $_[0]{out}->end }
sub chunk {
    my ($self, $bytes) = @_;
    $self->{before}->();
    $self->{out}->chunk($bytes);
}

package main;

sub ask {
    my ($model, %o) = @_;
    my $anthropic = $model =~ m{^a/};
    my $http = AiHttp->new(port => $t->edge->port, timeout => 120);

    $http->send_request(method => 'POST', key => $t->{key},
        json => { model => $model, max_tokens => 100, messages => [],
            $o{stream} ? (stream => \1) : () },
        path => $anthropic ? '/v1/messages' : '/v1/chat/completions',
        headers => [$o{background} ? (Prefer => 'respond-async') : ()]);
    return $http;
}

sub whole {
    my ($http) = @_;
    $http->head unless $http->{res};
    1 while defined $http->piece;
    return $http->{res};
}

sub rows {
    return map { join ' ', @$_ } $t->pg->query('select model, state, status,
        output, estimated, attempt, call from ngxai.ledger order by 1');
}

# The workers hear of go, the stopped one too: the long first byte is on purpose.
$t->start(workers => { n => 1 }, edge => { ai => <<CONF });
ai_provider p { api openai; url @{[$p->url('/v1')]};
    timeout first=300s idle=300s; }
ai_provider a { api anthropic; url @{[$p->url]};
    timeout first=300s idle=300s; }
CONF
my @models = ('p/wait-1', 'p/wait-2', 'a/wait-3', 'a/wait-4', 'p/slow-1',
    'a/slow-2', 'p/slow-3');
my %http = map { $_ => ask($_, stream => /wait-[24]|slow/ ? 1 : 0,
    background => /slow-3/ ? 1 : 0) } @models;
my $job = whole($http{'p/slow-3'})->json->{id};
$p->request(7);
$http{'p/slow-1'}->event for 1 .. 10;
$http{'a/slow-2'}->event for 1 .. 10;
my $watch = $t->stream("/v1/jobs/$job/events", undef, method => 'GET',
    timeout => 120);
$watch->event for 1 .. 10;

my ($zombie) = $t->worker_pids;
my $began = time;
kill STOP => $zombie;
my $fresh = $t->start_workers(name => 'workers-fresh', n => 1);

# The others answer, while it sleeps.
$p->request(7 + 4, 90);
touch('go');
my $want = join '', @words;
is(whole($http{'p/wait-1'})->json->{choices}[0]{message}{content}, $want,
    'a call that had said nothing is answered');
is(whole($http{'a/wait-3'})->json->{content}[0]{text}, $want,
    "Anthropic's, too");
my $body = whole($http{'p/wait-2'})->body;
is(() = $body =~ /"word\d "/g, 10, 'a stream that had said nothing is whole');
like($body, qr/\[DONE\]\n\n\z/, 'to its end');
$body = whole($http{'a/wait-4'})->body;
is(() = $body =~ /"word\d "/g, 10, "Anthropic's, too");
unlike($body, qr/error/, 'with no error');
my %lost = map { $_ => whole($http{$_})->body } 'p/slow-1', 'a/slow-2';
like($lost{'p/slow-1'}, qr/^data: \{"error":.*stream_lost.*\n\n\z/m,
    'a stream that had begun is lost');
like($lost{'a/slow-2'}, qr/^event: error\ndata: .*\n\n\z/m, "Anthropic's, too");
my $seen = whole($watch)->body;
is($t->get("/v1/jobs/$job")->json->{state}, 'failed',
    'so is one in the background');
my $events = $t->get("/v1/jobs/$job/events")->body;
is($events, $seen, 'whose events are what was seen');
wait_for(sub { rows() == 7 }, 30, 'the ledger');
my @rows = rows();
note(sprintf 'all is told %.1f s after it was stopped', time - $began);

# Thirty seconds it sleeps, and all that the provider has said to it meanwhile
# is there when it wakes.
touch('more');
my $left = $began + 30 - time;
sleep $left if $left > 0;
kill CONT => $zombie;
wait_for(sub { 7 == (() = $t->worker_log =~ /another worker has it/g) }, 60,
    'it to see that it is fenced, seven times');
pass('each job is refused to it');
is($t->get("/v1/jobs/$job/events")->body, $events, 'it added no event');
is($t->get("/v1/jobs/$job")->json->{state}, 'failed', 'and changed no state');
like(join("\n", rows()), qr/\A\Q@{[join "\n", @rows]}\E\z/,
    'nor was anything added to the ledger');
is(join(', ', map { (split ' ')[0, 1] } rows()),
    join(', ', map { $_, /wait/ ? 'done' : 'failed' } sort @models),
    'one row a job');
is(scalar(my @all = $p->requests), 11,
    'who had said nothing was asked for twice, the others once');

# It is one of the workers again.
is_deeply([$t->worker_pids], [sort { $a <=> $b } $zombie,
    AiProc::children_of($fresh->pid)], 'both processes are there');
$fresh->stop;
is($t->chat('I am back')->json->{choices}[0]{message}{content}, 'I am back',
    'and it works');
is_deeply([$t->worker_pids], [$zombie], 'as the process it was');

$_->close for values %http;
# What the provider keeps open for a next call.
$t->{pooled} = @models;
done_testing();
