#!/usr/bin/perl
# A worker is stopped for longer than a provider may be silent, and what it said
# meanwhile lies in the socket: it is read before anybody is called late.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $dir = $t->dir;

# Says all but its last event, and comments, then that, when the worker sleeps.
sub said { return map { "data: $_\n\n" } @{ { ends => [
    '{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}',
    '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    '{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}',
    '[DONE]' ], error => [
    '{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}',
    '{"error":{"code":400,"message":"Token limit reached"}}',
    '[DONE]' ], words => [ map { '{"choices":[{"index":0,"delta":{"content":'
    . "\"$_\"},\"finish_reason\":null}]}" } 'a', 'b' ] }->{ $_[0] } } }
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my @said = said($req->{json}{model});
    my $last = pop @said;

    $out->head(200, 'Content-Type' => 'text/event-stream');
    $out->chunk($_) for @said;
    until (-e "$dir/asleep") {
        $out->chunk(": hm\n\n");
        $out->wait(0.05);
    }
    $out->chunk($last);
    open my $fh, '>>', "$dir/said" or die;
    syswrite $fh, "$req->{json}{model}\n";
    $out->wait(0.02) until -e "$dir/awake";
    if ($req->{json}{model} eq 'words') {
        $out->chunk($_) for said('ends');
    }
    $out->end;
});
my $w = AiWork->new($t, catalog => { providers => { p => { api => 'openai',
    key => [], url => [$p->url('/v1')], timeout => { connect => 2000,
        first => 30000, idle => 1000, total => 600000 } } } });
my ($pid) = $t->worker_pids;

my %job = map { ($_ => $w->job(body => { model => "p/$_", stream => \1,
    messages => [{ role => 'user', content => 'x' }] }, stream => 1,
    flags => 'bs')) } qw(ends error words);
$w->begun($job{$_}, 6) for sort keys %job;
kill STOP => $pid;
wait_for(sub { slurp("/proc/$pid/stat") =~ /\) T / }, 10, 'a worker that sleeps');
open my $fh, '>', "$dir/asleep" or die;
wait_for(sub { 3 == (() = slurp("$dir/said") =~ /\n/g) }, 10, 'the last events');
sleep 1.5;
kill CONT => $pid;
open $fh, '>', "$dir/awake" or die;

for my $name (qw(ends error)) {
    my $got = $w->answer($job{$name}, 20);
    is($got->{body} =~ s/: hm\n\n//gr,
        join('', grep { !/"usage"/ } said($name)), "$name: all that was said");
    is($got->{end}{state}, $name eq 'ends' ? 'done' : 'failed', "$name: state");
}
my $got = $w->answer($job{words}, 20);
is($got->{end}{state}, 'done', 'nor was the provider silent');

$w->close;
done_testing();
