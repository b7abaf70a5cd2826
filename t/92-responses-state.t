#!/usr/bin/perl
# State of Responses is the gateway's own: stored answers, what the next stands
# on, the background, streams that are read on; whatever provider is behind.
use AiTest;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

# Says how many messages it was asked with; "slow" by and by, as it is let.
my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my @m = @{ $ask->{messages} };
    my $text = scalar(@m) . ': ' . join '|', map { ref $_->{content}
        ? join('', map { $_->{text} } @{ $_->{content} })
        : $_->{content} // '-' } @m;

    return $out->answer(500, { error => { message => 'broken' } })
        if $ask->{model} eq 'broken';

    my %base = (id => "chatcmpl-$req->{n}", created => 1700000000,
        model => 'gpt-real');
    my %usage = (usage => { prompt_tokens => 5, completion_tokens => 2,
        total_tokens => 7 });
    if (!$ask->{stream}) {
        if ($ask->{model} eq 'slow') {
            select undef, undef, undef, 0.1 for 1 .. 20;
        }
        return $out->answer(200, { %base, %usage, choices => [{ index => 0,
            finish_reason => 'stop', message => { role => 'assistant',
            content => $text } }] });
    }

    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $chunk = sub { $out->chunk('data: ' . encode_json({ %base,
        object => 'chat.completion.chunk', @_ }) . "\n\n") };
    for my $word ($ask->{model} eq 'slow' ? map { "w$_ " } 1 .. 30
        : $text =~ /(.{1,3})/gs)
    {
        $chunk->(choices => [{ index => 0, delta => { content => $word } }]);
        select undef, undef, undef, 0.1 if $ask->{model} eq 'slow';
    }
    $chunk->(choices => [{ index => 0, delta => {},
        finish_reason => 'stop' }]);
    $chunk->(choices => [], %usage);
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});

$t->start(edge => { ai => <<CONF });
ai_provider o { api openai; url ${\$provider->url('/v1')}; }
ai_provider r { api responses; url ${\$provider->url('/v1')}; }
CONF

my $path = '/v1/responses';
sub get { $t->get("$path/$_[0]", @_[1 .. $#_]) }
sub drop_it { my ($id, %o) = @_; AiHttp->request(method => "DELETE",
    port => $t->edge->port, path => "$path/$id", key => $t->{key}, %o) }
sub text { join '', map { $_->{text} // '' } map { @{ $_->{content} // [] } }
    @{ $_[0]{output} } }

# Stored and read.
my $first = $t->post($path, { model => 'o/x', input => 'one',
    instructions => 'Be.' })->json;
like($first->{id}, qr/^resp_[0-9a-f]{32}$/, 'a response');
is(text($first), '2: Be.|one', 'says what was asked');
my $res = get($first->{id});
is($res->status, 200, 'it is read again');
is_deeply($res->json, $first, 'as it was');
$res = get("$first->{id}/input_items");
is_deeply($res->json->{data}[0]{content}, [{ type => 'input_text',
    text => 'one' }], 'its input');
is($res->json->{object}, 'list', 'is a list');

# What the next stands on.
my $second = $t->post($path, { model => 'o/x', input => [{ role => 'user',
    content => 'two' }], previous_response_id => $first->{id} })->json;
is(text($second), '3: one|2: Be.|one|two', 'the next has what was said')
    or diag(encode_json($second));
is($second->{previous_response_id}, $first->{id}, 'and says so');
my $third = $t->post($path, { model => 'o/x', input => 'three',
    previous_response_id => $second->{id} })->json;
like(text($third), qr/^5: one\|.*\|two\|.*\|three$/, 'and the one after it');
my $echo = $t->post($path, { model => 'echo/x', input => 'four',
    previous_response_id => $third->{id} })->json;
is(text($echo), 'four', 'at another provider, too');
$res = $t->post($path, { model => 'o/x', input => 'x',
    previous_response_id => 'resp_' . '0' x 32 });
is($res->status, 400, 'on one that is not there');
like($res->json->{error}{message}, qr/'resp_0+' not found/, 'says which');

# Lists have pages.
my $many = $t->post($path, { model => 'o/x', input => [map { {
    role => 'user', content => "m$_" } } 1 .. 5] })->json;
my $page = get("$many->{id}/input_items?limit=2&order=asc")->json;
is_deeply([map { $_->{content}[0]{text} } @{ $page->{data} }], ['m1', 'm2'],
    'a page');
ok($page->{has_more}, 'of more');
$page = get("$many->{id}/input_items?limit=9&order=asc&after="
    . $page->{last_id})->json;
is_deeply([map { $_->{content}[0]{text} } @{ $page->{data} }],
    ['m3', 'm4', 'm5'], 'the rest');
ok(!$page->{has_more}, 'is the end');

# Nothing is left of what is not to be stored.
my $gone = $t->post($path, { model => 'o/x', input => 'x', store => $no })
    ->json;
is(get($gone->{id})->status, 404, 'store: false leaves nothing');
is($t->post($path, { model => 'o/x', input => 'x',
    previous_response_id => $gone->{id} })->status, 400, 'to stand on');
is($t->pg->value("select count(*) from ngxai.responses where id = '"
    . $gone->{id} . "'"), 0, 'in Postgres');

# Other tenants.
my $other = $t->key("other");
for my $what ('', '/input_items', '?stream=true') {
    is($t->get("$path/$first->{id}$what", key => $other)->status,
        $what =~ /stream/ ? 410 : 404, "another tenant has no $what");
}
is(drop_it($first->{id}, key => $other)->status, 404,
    'nor deletes it');
is($t->post($path, { model => 'o/x', input => 'x',
    previous_response_id => $first->{id} }, key => $other)->status, 400,
    'nor stands on it');

# Deleted.
is_deeply(drop_it($first->{id})->json, {
    id => $first->{id}, object => 'response', deleted => $yes }, 'deleted');
is(get($first->{id})->status, 404, 'it is gone');
is(drop_it($first->{id})->status, 404, 'for good');
is($t->post($path, { model => 'o/x', input => 'x',
    previous_response_id => $second->{id} })->status, 400,
    'and what stood on it cannot be gone on with');

# Streams: read again, from anywhere.
my $n = () = $provider->requests;
my $s = $t->stream($path, { model => 'o/x', input => 'stream me',
    stream => $yes });
is($s->head->header('content-type'), 'text/event-stream', 'a stream');
my @e = map { decode_json($_->{data}) } $s->events;
$s->close;
my $id = $e[0]{response}{id};
is_deeply(get($id)->json, $e[-1]{response}, 'is stored as its last word');
for my $after (-1, 0, 3, $#e - 1, $#e) {
    my @query = ($after < 0 ? () : "starting_after=$after");
    my $again = get("$id?" . join '&', 'stream=true', @query);
    is($again->status, 200, "read after $after");
    is_deeply([map { decode_json($_) } $again->body =~ /^data: (.*)$/mg],
        [@e[$after + 1 .. $#e]], 'the same events');
    unlike($again->body, qr/^id:/m, 'as they were');
}
is(scalar(() = $provider->requests), $n + 1, 'and nobody was asked again');
is(get('resp_' . '0' x 32 . '?stream=true')->status, 410, 'what is over');
is(get('resp_x?stream=true')->status, 404, 'what never was');
is(get("$id?stream=true&starting_after=x")->status, 400, 'nonsense');

# What ai_resume let go is over: nobody is asked again, and what is stored is.
$t->redis->cmd('UNLINK', map { $t->prefix . "$_:job_" . substr $id, 5 }
    'ev', 'job');
for my $query ('stream=true', 'stream=true&starting_after=3') {
    $res = get("$id?$query");
    is($res->status, 410, "a stream that has expired: $query");
    is($res->json->{error}{code}, 'expired', 'it says');
}
is_deeply(get($id)->json, $e[-1]{response}, 'its response is there');
is(scalar(() = $provider->requests), $n + 1, 'and was made once');

# A client that is cut off reads on while it is made.
$s = $t->stream($path, { model => 'o/slow', input => 'x', stream => $yes });
@e = ();
while (@e < 6) {
    my $e = $s->event or last;
    push @e, decode_json($e->{data});
}
$s->close;
$id = $e[0]{response}{id};
is(get($id)->json->{status}, 'in_progress', 'under way');
my $rest = get("$id?stream=true&starting_after=$e[-1]{sequence_number}",
    timeout => 30);
push @e, map { decode_json($_) } $rest->body =~ /^data: (.*)$/mg;
is_deeply([map { $_->{sequence_number} } @e], [0 .. $#e], 'no gap, no twin');
is(join('', map { $_->{type} eq 'response.output_text.delta' ? $_->{delta}
    : '' } @e), join('', map { "w$_ " } 1 .. 30), 'all of it');
is(scalar(() = $provider->requests), $n + 2, 'of one call');

# The background.
my $b = $t->post($path, { model => 'o/x', input => 'back', background => $yes });
is($b->status, 200, 'in the background: at once');
is($b->json->{status}, 'queued', 'it waits');
wait_for(sub { get($b->json->{id})->json->{status} eq 'completed' }, 20,
    'its end');
my $done = get($b->json->{id})->json;
is($done->{id}, $b->json->{id}, 'under the same id');
is(text($done), '1: back', 'it was done');
is($done->{background}, $yes, 'there');
$b = $t->post($path, { model => 'o/slow', input => 'back',
    background => $yes })->json;
my $c = $t->post("$path/$b->{id}/cancel", {});
is($c->status, 200, 'cancelled');
is($c->json->{status}, 'cancelled', 'so it says');
wait_for(sub { get($b->{id})->json->{status} eq 'cancelled' }, 20,
    'and stays');
$b = $t->post($path, { model => 'o/broken', input => 'x',
    background => $yes })->json;
wait_for(sub { get($b->{id})->json->{status} eq 'failed' }, 20, 'a failure');
is($t->post($path, { model => 'o/x', input => 'x', background => $yes,
    store => $no })->status, 400, 'nothing to be found in the background');

done_testing();
