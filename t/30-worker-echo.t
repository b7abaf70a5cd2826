#!/usr/bin/perl
# A job from admit to settle with the built-in provider, in both dialects.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $w = AiWork->new($t, catalog => {
    providers => {
        echo => { api => 'echo', options => { word_delay => 0 } },
        slow => { api => 'echo', options => { word_delay => 20 } },
    },
});

sub ask {
    my ($text, %o) = @_;
    return { model => 'echo/echo', messages => [
        { role => 'user', content => 'not this' },
        { role => 'user', content => $text }], %o };
}

sub chunks { map { /^data: (\{.*)/m ? decode_json($1) : () } split /\n\n/, $_[0] }


# OpenAI's dialect.

my $job = $w->job(body => ask('hello brave world'));
my $got = $w->answer($job);
is($got->{status}, 200, 'echo: status');
is($got->{headers}{'content-type'}, 'application/json', 'echo: content type');
is($got->{json}{choices}[0]{message}{content}, 'hello brave world', 'echo');
is_deeply($got->{json}{usage}, { prompt_tokens => 3, completion_tokens => 3,
    total_tokens => 6 }, 'echo: usage');
is(join(' ', @{ $got->{events} }), '1-1h 1-2s 1-3e', 'echo: three events');
is($got->{end}{state}, 'done', 'echo: state');
is($got->{end}{input} . '/' . $got->{end}{output}, '3/3', 'echo: tokens');
is($got->{end}{estimated}, 0, 'echo: counted');
is($w->state($job), 'done', 'echo: the job is done');
is(scalar(my @rows = $w->outbox($job)), 1, 'echo: one ledger record');
is($rows[0]{n}, 't', 'echo: of its tenant');

$job = $w->job(body => ask("one  two\nthree ", stream => JSON::PP::true));
$got = $w->answer($job);
is($got->{stream}, 1, 'stream: head says so');
like($got->{headers}{'content-type'}, qr{^text/event-stream},
    'stream: content type');
my @chunks = chunks($got->{body});
is(join('', map { $_->{choices}[0]{delta}{content} || '' } @chunks),
    "one  two\nthree ", 'stream: every byte of the text');
is(scalar(grep { exists $_->{usage} } @chunks), 0, 'stream: no usage unasked');
like($got->{body}, qr/data: \[DONE\]\n\n\z/, 'stream: ends');
is($got->{end}{output}, 3, 'stream: tokens');

$got = $w->answer($w->job(body => ask('a b', stream => JSON::PP::true,
    stream_options => { include_usage => JSON::PP::true })));
is((chunks($got->{body}))[-1]{usage}{completion_tokens}, 2,
    'stream: usage where it was asked');


# Anthropic's.

$got = $w->answer($w->job(dialect => 'anthropic', body => ask(
    [{ type => 'text', text => 'x ' }, { type => 'text', text => 'y' }],
    max_tokens => 9)));
is($got->{json}{content}[0]{text}, 'x y', 'anthropic: text parts');
is($got->{json}{usage}{input_tokens}, 2, 'anthropic: usage');

$got = $w->answer($w->job(dialect => 'anthropic', body => ask('p q r',
    max_tokens => 9, stream => JSON::PP::true)));
is(join(' ', $got->{body} =~ /^event: (\S+)/mg),
    'message_start content_block_start content_block_delta '
    . 'content_block_delta content_block_delta content_block_stop '
    . 'message_delta message_stop', 'anthropic: events');


# No more than the client wants.

for my $o (['openai', 'max_tokens', 'length'],
    ['openai', 'max_completion_tokens', 'length'],
    ['anthropic', 'max_tokens', 'max_tokens'])
{
    my ($dialect, $name, $finish) = @$o;
    for my $stream (0, 1) {
        my $how = "$dialect, $name, " . ($stream ? 'stream' : 'whole');
        $got = $w->answer($w->job(dialect => $dialect, body => ask('a b  c d',
            $name => 2, $stream ? (stream => JSON::PP::true) : ())));
        is("$got->{end}{input}/$got->{end}{output}", '4/2', "$how: words");
        is($got->{end}{finish}, $finish, "$how: says why");
        my @said = map { $dialect eq 'openai'
            ? ($_->{choices} ? ($_->{choices}[0]{delta}{content}
                || $_->{choices}[0]{message}{content} || '') : ())
            : ($_->{content} ? $_->{content}[0]{text} : ($_->{delta} || {})->{text} || '')
            } $stream ? chunks($got->{body} =~ s/^event: .*\n//gmr) : $got->{json};
        is(join('', @said), 'a b', "$how: text");
    }
}
$got = $w->answer($w->job(body => ask('a b', max_tokens => 2)));
is($got->{end}{finish}, 'stop', 'as many as there are');


# Paces, ends, odd requests.

my $began = time;
$got = $w->answer($w->job(body => { %{ ask('1 2 3 4 5', stream
    => JSON::PP::true) }, model => 'slow/x' }));
cmp_ok(time - $began, '>=', 0.1, 'word_delay is kept');
cmp_ok(scalar @{ $got->{pieces} }, '>=', 5, 'words come one by one');
is($got->{end}{model}, 'x', 'any model name');

$got = $w->answer($w->job(body => { %{ ask('x') }, model => 'nobody/x' }));
is($got->{error}, 'model_not_found', 'an unknown provider');
is($got->{end}{status}, 404, 'its status');
$got = $w->answer($w->job(body => { %{ ask('x') }, model => 'plain' }));
is($got->{error}, 'model_not_found', 'an unknown model');
$got = $w->answer($w->job(body => { model => 'echo/echo', messages => 7 }));
is($got->{error}, 'bad_request', 'no messages');

my $long = join ' ', map { "word$_" } 1 .. 20000;
$got = $w->answer($w->job(body => ask($long)));
is($got->{json}{choices}[0]{message}{content}, $long, '170 KB come back');
$got = $w->answer($w->job(body => ask($long, stream => JSON::PP::true)));
is(join('', map { $_->{choices}[0]{delta}{content} || '' }
    chunks($got->{body})), $long, '170 KB as a stream');
my @whole = grep { !/\A(?:data: .*\n\n)+\z/ } @{ $got->{pieces} };
is(scalar @whole, 0, 'each data event holds whole SSE events');

# An event of its own for each where the stream can be resumed.
$got = $w->answer($w->job(flags => 'r', body => ask('a b c',
    stream => JSON::PP::true)));
is(scalar(grep { !/\Adata: [^\n]*\n\n\z/ } @{ $got->{pieces} }), 0,
    'resumable: one SSE event an event');
$got = $w->answer($w->job(flags => 'b', body => ask('a b c',
    stream => JSON::PP::true)));
is(scalar(grep { !/\Adata: [^\n]*\n\n\z/ } @{ $got->{pieces} }), 0,
    'background: one SSE event an event');

my @jobs = map { $w->job(body => { %{ ask("job $_", stream
    => JSON::PP::true) }, model => 'slow/x' }) } 1 .. 200;
my $good = grep {
    my $a = $w->answer($_);
    $a->{end} && $a->{end}{state} eq 'done'
} @jobs;
is($good, 200, '200 at a time');

$w->close;
done_testing();
