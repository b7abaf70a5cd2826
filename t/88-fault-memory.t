#!/usr/bin/perl
# Providers that send lines without an end, all at once: the workers' memory has
# a bound, and small answers pass meanwhile.
use AiTest;

my $many = 40;
my $t = AiTest->new;
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;

    return $out->answer(200, '{"choices":[]}') if $req->{json}{model} eq 'fine';
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $out->chunk('x' x 1_000_000) for 1 .. 10;
    $out->stall;
});
$t->start(edge => { location => 'ai_header_delay 2m;',
    ai => 'ai_provider p { api openai; url ' . $p->url('/v1')
        . '; timeout connect=20s first=60s idle=5m; }' });
$t->{pooled} = 16;
my ($worker) = $t->worker_pids;
my $peak = sub {
    return slurp("/proc/$worker/status") =~ /^VmHWM:\s+(\d+)/m ? $1 : 0;
};
my $chat = '/v1/chat/completions';
my %ask = (messages => []);
is($t->post($chat, { %ask, model => 'p/fine' })->status, 200, 'warm');
my $before = $peak->();

my @open = map { $t->stream($chat, { %ask, model => 'p/line', stream => \1 },
    timeout => 120) } 1 .. $many;
$p->request(2 + $many / 2);
is($t->post($chat, { %ask, model => 'p/fine' }, timeout => 60)->status, 200,
    'a small answer meanwhile');
wait_for(sub {
    $t->pg->value("select count(*) from ngxai.ledger where state = 'failed' "
        . "and status = 502 and cause = 'provider_bad'") >= $many / 2
}, 120, 'half of them to be refused');
pass('what is more than fits is refused');
SKIP: {
    skip('a sanitizer keeps what is freed', 1) if $ENV{AI_T_BUILD};
    cmp_ok($peak->() - $before, '<', 256 * 1024, 'which holds');
}
is(join(' ', $t->worker_pids), $worker, 'nobody has died');
$_->close for @open;
wait_for(sub {
    $t->pg->value('select count(*) from ngxai.ledger') >= $many + 2
}, 60, 'each to have its row');
is($t->post($chat, { %ask, model => 'p/fine' })->status, 200, 'and after it');

done_testing();
