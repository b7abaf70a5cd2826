#!/usr/bin/perl
# Every recorded chat completion and message, stream or not, comes back through
# a worker byte for byte; usage is read from it on the way.
use AiTest;
use AiWork;
use IO::Socket::INET;

my $shared = AiTest->shared . '/traffic';
AiTest->skip_all("no recordings in $shared") unless -e "$shared/replay.mjs";
AiTest->skip_all('no node') if system 'node --version > /dev/null 2>&1';

my $t = AiTest->new;
my $port = free_port();
my $replay = AiProc->spawn(name => 'replay', cwd => $t->dir,
    out => $t->dir . '/replay.out',
    cmd => ['node', "$shared/replay.mjs", $port, "$shared/recordings.jsonl"]);
wait_for(sub { slurp($t->dir . '/replay.out') =~ /recordings on/ }, 60,
    'the replay server');

my $base = "http://127.0.0.1:$port";
my %key = (key => ['env:TEST_API_KEY']);
my $w = AiWork->new($t, args => ['--jobs', 200],
    env => { TEST_API_KEY => 'sk-test' });

my @all;
open my $in, '<:raw', "$shared/recordings.jsonl" or die $!;
while (<$in>) {
    my $r = decode_json($_);
    push @all, $r
        if $r->{api} =~ /^(?:openai\.chat|compatible\.chat|anthropic\.messages)$/
        && $r->{path} !~ /count_tokens|batches/ && $r->{request}{model};
}

# A catalog with a provider for each recording: the replay's /by-id/ID.
sub catalog_of {
    my ($with, @recordings) = @_;

    return { providers => { map {
        my $api = $_->{api} =~ /anthropic/ ? 'anthropic' : 'openai';
        ($_->{id} => { api => $api, url => ["$base$with/by-id/$_->{id}"], %key })
    } @recordings } };
}

sub job_of {
    my ($r, %o) = @_;

    return $w->job(body => $r->{request}, stream => $r->{stream} ? 1 : 0,
        dialect => $r->{api} =~ /anthropic/ ? 'anthropic' : 'openai',
        model => "$r->{id}/$r->{request}{model}", %o);
}

# As they came, the client having asked usage itself: nothing is touched.
sub compare {
    my ($name, $with, @recordings) = @_;
    my (@bad, @usage);

    $w->catalog(catalog_of($with, @recordings));
    while (my @some = splice @recordings, 0, 50) {
        my %job = map { $_->{id} => job_of($_, usage_asked => 1) } @some;
        for my $r (@some) {
            my $got = $w->answer($job{ $r->{id} });
            my $want = $r->{response};
            utf8::encode($want) if utf8::is_utf8($want);
            push @bad, "$r->{id} ($r->{api}): "
                . ($got->{error} || "status $got->{status}, "
                    . length($got->{body}) . ' bytes for ' . length $want)
                unless !$got->{error} && $got->{body} eq $want
                    && $got->{status} == $r->{status};
            my ($asked) = $want =~ /"(?:completion|output)_tokens"/;
            push @usage, $r->{id} if $want =~ /"prompt_tokens":|"input_tokens":/
                && $got->{end}{estimated} ne '0';
        }
    }

    is(join("\n", @bad), '', "$name: byte for byte");
    is(join(' ', @usage), '', "$name: usage is read, not guessed");
}

my @streams = grep { $_->{stream} } @all;
my @plain = grep { !$_->{stream} } @all;
cmp_ok(scalar @streams, '>', 100, scalar(@streams) . ' streams');
cmp_ok(scalar @plain, '>', 200, scalar(@plain) . ' other answers');

compare('streams', '', @streams);
compare('streams in pieces', '/with/cut=7',
    grep { length $_->{response} < 20000 } @streams);
compare('other answers', '', @plain);


# Usage that the client did not ask is asked for, and filtered out again: the
# recording, less the chunk with usage alone and "usage":null.
my @asked = grep { $_->{api} =~ /chat/
    && ($_->{request}{stream_options} || {})->{include_usage} } @streams;
my @bad;
$w->catalog(catalog_of('', @asked));
for my $r (@asked) {
    my %request = %{ $r->{request} };
    delete $request{stream_options};
    my $got = $w->answer(job_of({ %$r, request => \%request },
        usage_asked => 0));
    my $want = $r->{response};
    utf8::encode($want) if utf8::is_utf8($want);
    $want = join '', grep {
        my ($data) = /^data: (\{.*\})\s*$/m;
        my $json = $data ? decode_json($data) : {};
        !($json->{choices} && !@{ $json->{choices} } && $json->{usage});
    } split /(?<=\n\n)/, $want;
    $want =~ s/,"usage":null//g;
    push @bad, $r->{id} unless $got->{body} eq $want;
    push @bad, "$r->{id} $got->{end}{estimated}"
        unless $got->{end}{estimated} eq '0';
}
is(join(' ', @bad), '', scalar(@asked) . ' streams: usage filtered out again');
my @last = @{ decode_json(AiHttp->get($port, '/log')->body) };
is(decode_json($last[-1]{body})->{stream_options}{include_usage}, 1,
    'usage was asked for');
is($last[-1]{headers}{authorization}, 'Bearer sk-test', 'with the key');


# The end is missing.  (A reset takes with it what was not read yet: hence the
# pace.)
my ($openai) = grep { $_->{api} eq 'openai.chat' } @streams;
my ($anthropic) = grep { $_->{api} =~ /anthropic/ } @streams;
$w->catalog(catalog_of('/with/pace=300,reset=2', $openai, $anthropic));
for my $r ($openai, $anthropic) {
    my $got = $w->answer(job_of($r));
    is($got->{error}, 'provider_bad', "$r->{api}: cut off");
    like($got->{body}, qr/\n\n\z/, 'it ends between two events');
    is($got->{end}{estimated}, 1, 'its usage is a guess');
}
$w->catalog(catalog_of('/with/nodone', $openai, $anthropic));
is($w->answer(job_of($openai))->{end}{state}, 'done',
    'no [DONE] after a finish_reason is an end');

$replay->stop;
$w->close;
done_testing();
