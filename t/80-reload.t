#!/usr/bin/perl
# A reload with a new model serves it to new requests, while streams that are
# open end under the old catalog; old processes leave when theirs have ended.
use AiTest;

sub lines {
    return join "\n", 'ai_provider slow { api echo; option word_delay=100; }',
        map { "ai_model $_ { route slow; }" } @_;
}

my $t = AiTest->new->start(edge => { ai => lines('old') });
my $edge = $t->edge;
my $chat = '/v1/chat/completions';
my $words = join ' ', map { "w$_" } 1 .. 40;

sub ask {
    my ($model, %more) = @_;
    return { model => $model, messages => [{ role => 'user',
        content => $words }], %more };
}

is($t->post($chat, ask('new'))->status, 404, 'not known yet');

my @open = map { $t->stream($chat, ask('old', stream => \1)) } 1 .. 20;
$_->head for @open;
my %first = map { $_ => $_->event } @open;

my @before = $edge->workers;
$edge->{vars}{AI} = lines('new');
$edge->write_conf;
$edge->reload;

my $fast = $t->stream($chat, ask('new', stream => \1));
is($fast->head->status, 200, 'the new model is served');
is($t->post($chat, ask('old'))->status, 404, 'the old one no more');

$edge->reload for 1 .. 2;

my $whole = 0;
for my $s (@open) {
    my @events = ($first{$s}, $s->events);
    my $last = pop @events;
    my $text = join '', map {
        decode_json($_->{data})->{choices}[0]{delta}{content} // ''
    } @events;
    $whole++ if $last->{data} eq '[DONE]' && $text eq $words;
    $s->close;
}
is($whole, 20, 'streams of before are whole');
$fast->events;
$fast->close;

wait_for(sub { !grep { -d "/proc/$_" } @before }, 60, 'the old process to leave');
pass('old processes have left');
wait_for(sub { $edge->workers('all') == 1 }, 60, 'those in between to leave');
pass('one worker process is left');
unlike($edge->log, qr/open socket/, 'no socket was left open');
wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger') == 21 }, 30,
    'the ledger');
is($t->pg->value("select count(*) from ngxai.ledger where state = 'done'"), 21,
    'a row each, all done');

# With Redis away an old process does not stay for its reconnect timers.
@before = $edge->workers;
$t->redis->stop;
$edge->reload;
wait_for(sub { !grep { -d "/proc/$_" } @before }, 30, 'it to leave');
pass('an idle process leaves while Redis is away');

done_testing();
