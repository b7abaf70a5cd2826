#!/usr/bin/perl
# Conversations: made, read, changed, and what a response has from one and adds
# to it; of one tenant each, within their bounds.
use AiTest;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

# Says what it was asked with; "slow" when it may, "broken" not at all, "tool" by
# a call.
my $gate = $t->dir . '/gate';
my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $text = join '|', map { ref $_->{content}
        ? join('', map { $_->{text} } @{ $_->{content} })
        : $_->{content} // ($_->{tool_calls} ? 'call' : '-') }
        @{ $ask->{messages} };

    return $out->answer(500, { error => { message => 'broken' } })
        if $ask->{model} eq 'broken';
    if ($ask->{model} eq 'slow') {
        select undef, undef, undef, 0.02 until -e $gate;
    }

    my %base = (id => "chatcmpl-$req->{n}", created => 1700000000,
        model => 'gpt-real');
    my %usage = (usage => { prompt_tokens => 5, completion_tokens => 2,
        total_tokens => 7 });
    my $tool = $ask->{model} eq 'tool'
        && $ask->{messages}[-1]{role} ne 'tool';
    my %said = $tool ? (content => undef, tool_calls => [{ id => 'call_1',
        type => 'function', function => { name => 'f',
        arguments => '{"x":1}' } }]) : (content => $text);

    return $out->answer(200, { %base, %usage, object => 'chat.completion',
        choices => [{ index => 0, finish_reason => $tool ? 'tool_calls'
        : $ask->{model} eq 'short' ? 'length' : 'stop',
        message => { role => 'assistant', %said } }] }) if !$ask->{stream};

    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $chunk = sub { $out->chunk('data: ' . encode_json({ %base,
        object => 'chat.completion.chunk', @_ }) . "\n\n") };
    $chunk->(choices => [{ index => 0, delta => { content => $_ } }])
        for $text =~ /(.{1,3})/gs;
    $chunk->(choices => [{ index => 0, delta => {},
        finish_reason => 'stop' }]);
    $chunk->(choices => [], %usage);
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});

$t->start(edge => { ai => <<CONF });
ai_provider o { api openai; url ${\$provider->url('/v1')}; }
CONF

my $path = '/v1/conversations';
my $other = $t->key('other');
sub get { $t->get("$path/$_[0]", @_[1 .. $#_]) }
sub post { $t->post($path . ($_[0] eq '' ? '' : "/$_[0]"), @_[1 .. $#_]) }
sub drop_it { my ($id, %o) = @_; AiHttp->request(method => 'DELETE',
    port => $t->edge->port, path => "$path/$id", key => $t->{key}, %o) }
sub respond { my ($c, %o) = @_; $t->post('/v1/responses', { model => 'o/x',
    conversation => $c, input => 'hi', %o }) }
sub text { join '', map { $_->{text} // '' } map { @{ $_->{content} // [] } }
    @{ $_[0]{output} } }
sub items { map { $_->{type} eq 'message' ? "$_->{role}: " . join('', map {
    $_->{text} } @{ $_->{content} }) : $_->{type} }
    @{ get("$_[0]/items?order=asc&limit=100")->json->{data} } }

# Made, read, changed.
my $res = post('', {});
is($res->status, 200, 'a conversation') or diag($res->body);
my $c = $res->json;
like($c->{id}, qr/^conv_[0-9a-f]{32}$/, 'has an id');
is_deeply($c, { id => $c->{id}, object => 'conversation', metadata => {},
    created_at => $c->{created_at} }, 'and is one');
cmp_ok(abs($c->{created_at} - time), '<', 100, 'of now');
is_deeply(get($c->{id})->json, $c, 'it is read again');
is_deeply(post($c->{id}, { metadata => { topic => "\x{e9}t\x{e9}" } })->json,
    { %$c, metadata => { topic => "\x{e9}t\x{e9}" } }, 'changed');
is(get($c->{id})->json->{metadata}{topic}, "\x{e9}t\x{e9}", 'for good');
is(post($c->{id}, {})->status, 400, 'to nothing at all it is not');
is_deeply(get("$c->{id}/items")->json, { object => 'list', data => [],
    first_id => undef, last_id => undef, has_more => $no }, 'it is empty');

for my $bad ({ a => 1 }, [], 'x', { map { ("k$_" => 'v') } 1 .. 17 },
    { 'k' x 65 => 'v' }, { k => 'v' x 513 }, { k => { a => 'b' } })
{
    is(post('', { metadata => $bad })->status, 400, 'metadata: '
        . substr(encode_json([$bad]), 0, 30));
}
is(post('', { metadata => { map { ($_ . 'k' x (64 - length) =>
    "\x{e9}" x 512) } 1 .. 16 } })->status, 200, 'the most there may be');

# Items.
$res = post('', { metadata => { a => 'b' }, items => [
    { role => 'user', content => 'one' },
    { type => 'message', role => 'assistant', content => 'two' },
    { type => 'function_call', call_id => 'c1', name => 'f',
        arguments => '{}' },
    { id => 'mine', type => 'function_call_output', call_id => 'c1',
        output => 'out' }] });
is($res->status, 200, 'with items') or diag($res->body);
my $d = $res->json;
my @items = @{ get("$d->{id}/items?order=asc")->json->{data} };
is_deeply($items[0], { id => $items[0]{id}, type => 'message', role => 'user',
    status => 'completed', content => [{ type => 'input_text',
    text => 'one' }] }, 'one is a message');
is_deeply($items[1]{content}, [{ type => 'output_text', text => 'two',
    annotations => [] }], 'the next was said');
is_deeply($items[2], { id => $items[2]{id}, type => 'function_call',
    call_id => 'c1', name => 'f', arguments => '{}', status => 'completed' },
    'a call');
is($items[3]{id}, 'mine', 'an id stays');
is(scalar(keys %{ { map { ($_->{id} => 1) } @items } }), 4, 'each has one');
is_deeply(get("$d->{id}/items/$items[0]{id}")->json, $items[0], 'one alone');
is(get("$d->{id}/items/msg_none")->status, 404, 'one that is not there');
like(get("$d->{id}/items/msg_none")->json->{error}{message},
    qr/^Item with id 'msg_none' not found/, 'is named');
$res = post("$d->{id}/items?include=reasoning.encrypted_content", { items => [
    map { { role => 'user', content => "m$_" } } 1 .. 20] });
is($res->status, 200, 'more of them') or diag($res->body);
is(scalar @{ $res->json->{data} }, 20, 'all are told');
is($res->json->{first_id}, $res->json->{data}[0]{id}, 'the first');
is($res->json->{last_id}, $res->json->{data}[-1]{id}, 'the last');
my $page = get("$d->{id}/items")->json;
is(scalar @{ $page->{data} }, 20, 'a page');
ok($page->{has_more}, 'there is more');
is($page->{data}[0]{content}[0]{text}, 'm20', 'the last comes first');
my $rest = get("$d->{id}/items?after=$page->{last_id}")->json;
is_deeply([map { $_->{id} } @{ $rest->{data} }], [map { $_->{id} }
    reverse @items], 'the others come behind');
ok(!$rest->{has_more}, 'and that is all');
is_deeply([map { $_->{content}[0]{text} } @{ get("$d->{id}/items?order=asc"
    . "&limit=2&after=$items[-1]{id}")->json->{data} }], ['m1', 'm2'],
    'from the middle');

for my $bad ({}, { items => 'x' }, { items => [1] }, { items => [{}] },
    { items => [{ role => 'user', content => 'x', id => 'a b' }] },
    { items => [{ role => 'user', content => 'x', id => 'mine' }] },
    { items => [map { { id => 'twin', role => 'user', content => 'x' } } 1, 2] },
    { items => [map { { role => 'user', content => 'x' } } 1 .. 21] })
{
    is(post("$d->{id}/items", $bad)->status, 400, 'no items: '
        . substr(encode_json($bad), 0, 40));
}
is(post('', { items => [map { { role => 'user', content => 'x' } } 1 .. 21] })
    ->status, 400, 'nor so many at first');
is(post('', $_)->status, 400, 'no object: ' . encode_json($_)) for [], [{}];
is(get("$d->{id}/items?after=$_")->status, 400, "after '$_': nonsense")
    for '', 'a.b', 'a%20b', 'x' x 129;
is(scalar @{ get("$d->{id}/items?after=none&order=asc")->json->{data} }, 0,
    'nothing comes after what is not there');
is(scalar(items($d->{id})), 24, 'none of these was added');
$res = drop_it("$d->{id}/items/mine");
is_deeply($res->json, $d, 'one goes: the conversation is told');
is(get("$d->{id}/items/mine")->status, 404, 'it is gone');
is(drop_it("$d->{id}/items/mine")->status, 404, 'once');
is($t->pg->value("select items || ' ' || (bytes = (select
    sum(octet_length(item)) from ngxai.conversation_items i
    where i.conversation = c.id)) from ngxai.conversations c
    where id = '$d->{id}'"), '23 true', 'what there is was counted');

# A response.
$res = respond($c->{id}, input => 'one');
is($res->status, 200, 'a response in a conversation') or diag($res->body);
is_deeply($res->json->{conversation}, { id => $c->{id} }, 'says in which');
is(text($res->json), 'one', 'the first has its input alone');
is_deeply([items($c->{id})], ['user: one', 'assistant: one'],
    'both are kept');
is((get("$c->{id}/items")->json->{data}[0]{id}), $res->json->{output}[0]{id},
    'under its id');
is_deeply($t->get('/v1/responses/' . $res->json->{id})->json, $res->json,
    'it is stored, too');
$res = respond({ id => $c->{id} }, input => [{ role => 'user',
    content => 'two' }], instructions => 'Be.');
is(text($res->json), 'Be.|one|one|two', 'the next has what was said before');
my $s = $t->stream('/v1/responses', { model => 'o/x', stream => $yes,
    conversation => $c->{id}, input => 'three' });
my @e = map { decode_json($_->{data}) } $s->events;
$s->close;
is($e[-1]{type}, 'response.completed', 'a stream');
is_deeply($e[0]{response}{conversation}, { id => $c->{id} }, 'says it at once');
is(text($e[-1]{response}), 'one|one|two|Be.|one|one|two|three', 'and has it');
is((items($c->{id}))[-1], 'assistant: ' . text($e[-1]{response}),
    'as has what follows when its end is read');
is(scalar(items($c->{id})), 6, 'nothing twice');
$res = respond($c->{id}, model => 'echo/x', input => 'four');
is(text($res->json), 'four', 'another provider');
is(scalar(items($c->{id})), 8, 'adds as well');

# With a tool.
$d = post('', {})->json;
my %tool = (model => 'o/tool', tools => [{ type => 'function', name => 'f',
    parameters => { type => 'object', properties => {} } }]);
$res = respond($d->{id}, %tool)->json;
is($res->{output}[0]{type}, 'function_call', 'a call');
$res = respond($d->{id}, %tool, input => [{ type => 'function_call_output',
    call_id => $res->{output}[0]{call_id}, output => 'yes' }]);
is(text($res->json), 'hi|call|yes', 'its result is enough');
is($res->header('x-ai-dropped'), undef, 'and nothing is left out');
is_deeply([items($d->{id})], ['user: hi', 'function_call',
    'function_call_output', 'assistant: hi|call|yes'], 'all of it is kept');

# What ends early is added, what fails is not.
$d = post('', {})->json;
is(respond($d->{id}, model => 'o/short')->json->{status}, 'incomplete',
    'cut short');
is(scalar(items($d->{id})), 2, 'it is added');
isnt(respond($d->{id}, model => 'o/broken')->status, 200, 'a failure');
is(scalar(items($d->{id})), 2, 'adds nothing');
is(respond($d->{id}, input => 'x')->status, 200, 'and locks nothing');

# What is not to be stored has it, and adds nothing.
$res = respond($d->{id}, store => $no, input => 'secret')->json;
like(text($res), qr/^hi\|.*\|secret$/, 'store: false reads it');
is(scalar(items($d->{id})), 4, 'and leaves nothing');
is($t->pg->value("select count(*) from ngxai.conversation_items
    where item like '%secret%'"), 0, 'anywhere');

# Nonsense.
$res = respond($d->{id}, previous_response_id => 'resp_' . '0' x 32);
is($res->status, 400, 'not both of them');
like($res->json->{error}{message}, qr/^Mutually exclusive/, 'it says');
is(respond($_)->status, 400, 'no id') for 'a b', 7, {}, { id => 3 };
$res = respond('conv_' . '0' x 32);
is($res->status, 404, 'one that is not there');
like($res->json->{error}{message}, qr/^Conversation with id 'conv_0+' not/,
    'is named');
my $last = get("$d->{id}/items?limit=1")->json->{data}[0];
$res = respond($d->{id}, input => [$last]);
is($res->status, 400, 'what is there already');
like($res->json->{error}{message}, qr/^Duplicate item.*$last->{id}/,
    'is a duplicate');
is(scalar(items($d->{id})), 4, 'none of it was added');

# One response at a time: who comes meanwhile is told so, and nothing is lost.
my $n = () = $provider->requests;
my $open = $t->stream('/v1/responses', { model => 'o/slow', input => 'A',
    conversation => $d->{id} });
$provider->request($n + 1);
for (1, 2) {
    $res = respond($d->{id}, input => 'B');
    is($res->status, 400, 'another one at the same time');
    is($res->json->{error}{code}, 'conversation_locked', 'is refused');
}
is(respond($d->{id}, input => 'B', store => $no)->status, 200,
    'but for one that adds nothing');
is(post("$d->{id}/items", { items => [{ role => 'user', content => 'C' }] })
    ->status, 200, 'items are taken');
open my $fh, '>', $gate or die;
close $fh;
is($open->response->status, 200, 'the first goes on');
$open->close;
like(join('|', map { /^user: (.)$/ } items($d->{id})), qr/C\|A$/,
    'in this order');
is(respond($d->{id}, input => 'D')->status, 200, 'then the next may');
is((items($d->{id}))[-2], 'user: D', 'and is added');

# An id that comes to be there meanwhile: a request that is sent again changes
# nothing, so nobody is told to.
unlink $gate;
$n = () = $provider->requests;
$open = $t->stream('/v1/responses', { model => 'o/slow', conversation =>
    $d->{id}, input => [{ id => 'late', role => 'user', content => 'E' }] });
$provider->request($n + 1);
is(post("$d->{id}/items", { items => [{ id => 'late', role => 'user',
    content => 'F' }] })->status, 200, 'an item meanwhile');
open $fh, '>', $gate or die;
close $fh;
$res = $open->response;
$open->close;
is($res->status, 400, 'one of the same id is refused at the end');
like($res->json->{error}{message}, qr/nothing was added/, 'it says');
is((items($d->{id}))[-1], 'user: F', 'it is not added');

# Many at the same time: each is refused, or there.
$d = post('', {})->json;
my @many = map { $t->stream('/v1/responses', { model => 'o/x',
    input => "n$_", conversation => $d->{id} }) } 1 .. 12;
my %got = map { my $res = $many[$_ - 1]->response; ("n$_" => $res->status) }
    1 .. 12;
$_->close for @many;
my @there = map { /^user: (n\d+)$/ } items($d->{id});
is_deeply([sort @there], [sort grep { $got{$_} == 200 } keys %got],
    'of many at once those that were not refused are there, each once');
is(scalar(items($d->{id})), 2 * @there, 'with their answers');

# In the background.
my $back = respond($d->{id}, background => $yes, input => 'back')->json;
is($back->{status}, 'queued', 'in the background');
is_deeply($back->{conversation}, { id => $d->{id} }, 'where it belongs');
wait_for(sub { $t->get("/v1/responses/$back->{id}")->json->{status}
    eq 'completed' }, 20, 'its end');
is((items($d->{id}))[-2], 'user: back', 'it is added');

# What is large, and what comes in pieces.
my $large = join ' ', map { "word$_" } 1 .. 20000;
$res = post("$d->{id}/items", { items => [{ id => 'large', role => 'user',
    content => $large }] });
is($res->status, 200, 'a large item') or diag($res->body);
is(get("$d->{id}/items/large")->json->{content}[0]{text}, $large, 'is kept');
for my $size (10, 9000) {
    my $text = encode_json({ items => [{ id => "piece$size", role => 'user',
        content => 'y' x $size }] });
    $res = AiHttp->request(method => 'POST', port => $t->edge->port,
        path => "$path/$d->{id}/items", key => $t->{key},
        headers => ['Content-Type' => 'application/json'],
        chunked => [map { substr $text, 7 * $_, 7 } 0 .. length($text) / 7]);
    is($res->status, 200, "in pieces, $size bytes") or diag($res->body);
    is(get("$d->{id}/items/piece$size")->json->{content}[0]{text},
        'y' x $size, 'the same');
}
like(text(respond($d->{id}, input => 'all')->json), qr/\Q$large\E.*y{9000}/s,
    'and asked with');

# What is no text of ours stays as it is.
$res = post("$d->{id}/items", '{"items":[{"type":"thing","id":"odd","a":1.0,'
    . '"b":"\\ud800\\u0000","c":[{},1e400]}]}',
    headers => { 'Content-Type' => 'application/json' });
is($res->status, 200, 'an item of a type that nobody knows')
    or diag($res->body);
is(get("$d->{id}/items/odd")->body, '{"type":"thing","id":"odd","a":1.0,'
    . '"b":"\\ud800\\u0000","c":[{},1e400]}', 'is as it came');
is(drop_it("$d->{id}/items/odd")->status, 200, 'and goes');

# Bounds: of what a conversation holds, and how many there may be.
my $limit = sub { $t->pg->psql('ngxai', "update ngxai.conversations
    set $_[0] where id = '$c->{id}'") };
$limit->('items = 9998');
is(post("$c->{id}/items", { items => [map { { role => 'user',
    content => 'x' } } 1 .. 3] })->status, 400, 'more than there may be');
is(post("$c->{id}/items", { items => [map { { role => 'user',
    content => 'x' } } 1 .. 2] })->status, 200, 'as many as there may be');
$res = respond($c->{id});
is($res->status, 400, 'a full one takes no response');
like($res->json->{error}{message}, qr/takes 10000 items/, 'it says why');
is(respond($c->{id}, store => $no)->status, 200,
    'but one that adds nothing');
$limit->('items = 9998');
is(respond($c->{id})->status, 200, 'the last one that may');
is($t->pg->value("select items from ngxai.conversations
    where id = '$c->{id}'"), 10000, 'fills it');
$limit->('items = 10, bytes = 16777216 - 206');
my $one = { id => 'fits', type => 'message', role => 'user',
    status => 'completed', content => [{ type => 'input_text',
    text => '' }] };
$one->{content}[0]{text} = 'x' x (206 - length encode_json($one));
$one->{content}[0]{text} .= 'x';
is(post("$c->{id}/items", { items => [$one] })->status, 400, 'a byte more');
chop $one->{content}[0]{text};
is(post("$c->{id}/items", { items => [$one] })->status, 200, 'the last byte');
is(respond($c->{id})->status, 400, 'so is one full of bytes');
my ($tenant) = $t->pg->value("select tenant from ngxai.conversations
    where id = '$c->{id}'");
my $have = $t->pg->value("select count(*) from ngxai.conversations
    where tenant = '$tenant'");
$t->pg->psql('ngxai', "insert into ngxai.conversations (tenant, id)
    select '$tenant', 'conv_x' || n from generate_series(1, 99999 - $have) n");
is(post('', {})->status, 200, 'the last conversation');
is(post('', {})->status, 400, 'is followed by none');
is(post('', {}, key => $other)->status, 200, 'of this tenant');
$t->pg->psql('ngxai', "delete from ngxai.conversations
    where id like 'conv_x%'");

# Users of one tenant: what is somebody's is nobody else's.
my %key = map { $_ => $t->key($tenant, '--user', $_) } qw(ann bob);
my $hers = post('', { items => [{ role => 'user', content => 'her' }] },
    key => $key{ann})->json;
is(get($hers->{id}, key => $key{ann})->status, 200, 'hers');
is(get($hers->{id}, key => $key{bob})->status, 404, 'is not his');
is(get($hers->{id})->status, 200, 'a key of no user sees the tenant\'s');
my $admin = $t->key($tenant, '--role', 'tenant_admin');
is(get($hers->{id}, key => $admin)->status, 200, 'but the admin\'s');
my $viewer = $t->key($tenant, '--role', 'viewer');
is(get($c->{id}, key => $viewer)->status, 200, 'a viewer reads');
is(post($c->{id}, { metadata => {} }, key => $viewer)->status, 403,
    'and changes nothing');
is(AiHttp->request(method => 'DELETE', port => $t->edge->port,
    path => "$path/$c->{id}", key => $viewer)->status, 403, 'nor deletes');

# The database's own walls.
my $as = sub { my $got = eval { $t->pg->psql('ngxai', join('; ', @_),
    'ngxai_worker') }; $@ ? "error: $@" : $got =~ s/\s+\z//r };
is($as->("select count(*) from ngxai.conversations"), 0,
    'a worker without a tenant sees none');
is($as->("select count(*) from ngxai.conversation_items"), 0, 'nor items');
like($as->("set app.current_tenant_id = 'other'", "insert into
    ngxai.conversations (tenant, id) values ('$tenant', 'conv_y')"),
    qr/row-level security/, 'makes none of another');
like($as->("set app.current_tenant_id = 'other'", "insert into
    ngxai.conversation_items values ('$tenant', '$c->{id}', 1, 'i', 'j',
    '{}')"), qr/row-level security/, 'nor items');
is($as->("set app.current_tenant_id = 'other'", "delete from
    ngxai.conversations where id = '$c->{id}' returning 1"), '0E0',
    'and deletes none');

$d = post('', { items => [{ role => 'user', content => 'x' }] })->json;
$t->pg->psql('ngxai', "delete from ngxai.conversations where id = '$d->{id}'",
    'ngxai_admin');
is($t->pg->value("select count(*) from ngxai.conversation_items
    where conversation = '$d->{id}'"), 0, 'with one go its items');

$d = post('', { items => [{ role => 'user', content => 'x' }] })->json;
respond($d->{id});
$last = get("$d->{id}/items?limit=1")->json->{data}[0];
my $held = scalar(items($d->{id}));

# Others.
for my $what (['', 'GET'], ['', 'POST', { metadata => {} }],
    ['/items', 'GET'], ['/items', 'POST', { items => [] }],
    ["/items/$last->{id}", 'GET'], ["/items/$last->{id}", 'DELETE'],
    ['', 'DELETE'])
{
    my ($at, $method, $body) = @$what;
    my %o = (key => $other);
    $res = $method eq 'GET' ? get("$d->{id}$at", %o)
        : $method eq 'POST' ? post("$d->{id}$at", $body, %o)
        : drop_it("$d->{id}$at", %o);
    is($res->status, 404, "another tenant: no $method of $at");
    is($res->json->{error}{type}, 'invalid_request_error', 'in the dialect');
}
is($t->post('/v1/responses', { model => 'o/x', input => 'x',
    conversation => $d->{id} }, key => $other)->status, 404, 'nor a response');
is(scalar(items($d->{id})), $held, 'it is as it was');

# Deleted.
is_deeply(drop_it($d->{id})->json, { id => $d->{id},
    object => 'conversation.deleted', deleted => $yes }, 'deleted');
is(get($d->{id})->status, 404, 'it is gone');
is(get("$d->{id}/items")->status, 404, 'with its items');
is(drop_it($d->{id})->status, 404, 'once');
is(respond($d->{id})->status, 404, 'and nothing is said in it');
is($t->pg->value("select count(*) from ngxai.conversation_items
    where conversation = '$d->{id}'"), 0, 'nothing is left');

# Paths and methods.
is(get('a%20b')->status, 404, 'what is no id');
is(get("$c->{id}/items/")->status, 404, 'no item');
is($t->get($path)->status, 405, 'there is no list of them');
is($t->get($path)->header('allow'), 'POST', 'they are made');
is(post("$c->{id}/items/x", {})->header('allow'), 'GET, HEAD, DELETE',
    'an item is not changed');
is(drop_it("$c->{id}/items")->header('allow'), 'GET, HEAD, POST',
    'nor are all deleted');
is(post('', '{}', headers => { 'Content-Type' => 'text/plain' })->status, 415,
    'only JSON');
is(post('', '{"a":', headers => { 'Content-Type' => 'application/json' })
    ->status, 400, 'and all of it');

done_testing();
