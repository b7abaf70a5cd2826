#!/usr/bin/perl
# Large bodies come while 200 streams run: all streams and all answers whole.
use AiTest;
use AiCrowd;
use Digest::SHA qw(sha256_hex);

AiTest::skip_all('no 2048 descriptors') unless AiCrowd::descriptors(2048);

my $t = AiTest->new;
my $p = AiCrowd::Provider->new(dir => $t->dir, pace => 0.05);
$t->start(workers => { n => 2 }, edge => {
    ai => 'client_max_body_size 20m; ai_provider p { api openai; url '
        . $p->url . '; }' });
my $crowd = AiCrowd->new(port => $t->edge->port, key => $t->{key});
my %want;

sub post {
    my ($name, $size) = @_;
    my $text = substr sprintf('%s.%d ', $name, $size) x ($size / 4), 0, $size;

    $want{$name} = sha256_hex($text);
    return $crowd->client(model => $name, body => "{\"model\":\"p/$name\","
        . "\"messages\":[{\"role\":\"user\",\"content\":\"$text\"}]}");
}

$crowd->stream("p/s$_", resumable => $_ % 5 == 0) for 1 .. 200;
ok($crowd->run(60, sub { $crowd->heard(1) == 200 }), '200 streams');

for my $round (1 .. 2) {
    my %at = map { $_ => $_->{came} } $crowd->clients;
    my @posts = ((map { post("big$round.$_", 5_000_000) } 1 .. 4),
        map { post("some$round.$_", 300_000) } 1 .. 20);
    ok($crowd->run(120, sub { !grep { !$_->{end} } @posts }),
        'bodies are answered');
    is(join(' ', map { $_->{model} } grep { $_->{end} ne 'whole'
        || (eval { decode_json($_->{text}) } || {})->{choices}[0]{message}
            {content} ne $want{ $_->{model} } } @posts), '',
        'each came to the provider as it was sent');
    ok($crowd->run(60, sub { !grep { $_->{stream}
        && $_->{came} <= $at{$_} } $crowd->clients }), 'the streams go on');
}
$p->finish;
ok($crowd->run(60), 'all end');
my @wrong = $crowd->wrong;
is("@wrong[0 .. ($#wrong > 2 ? 2 : $#wrong)]", '', 'each byte for byte');
is((grep { $_->{back} } $crowd->clients), 0, 'no connection was cut');
wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger') >= 248 }, 60,
    'the ledger');
is($t->pg->value("select count(*) from ngxai.ledger where state = 'done'"), 248,
    'a row each');
is(join(' ', grep { /:body:/ } sort keys %{ $t->redis->keys }), '',
    'no body is left');

$p->stop;
$t->{pooled} = 300;
done_testing();
