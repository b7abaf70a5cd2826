#!/usr/bin/perl
# Responses' state against who would break it: numbers beyond every end, ids
# that a provider made up, deletes of what is under way, chains without a
# measure; and against its own lies: what is read is what was said.
use AiTest;

my $t = AiTest->new;
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my %base = (id => "chatcmpl-$req->{n}", created => 1700000000,
        model => 'gpt-real');
    my %usage = (usage => { prompt_tokens => 5, completion_tokens => 2,
        total_tokens => 7 });

    return $out->answer(500, { error => { message => 'broken' } })
        if $ask->{model} eq 'broken';
    if (!$ask->{stream}) {
        $out->wait(2) if $ask->{model} eq 'slow';
        return $out->answer(200, { %base, %usage, choices => [{ index => 0,
            finish_reason => 'stop', message => { role => 'assistant',
            content => 'said' } }] });
    }
    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $chunk = sub { $out->chunk('data: ' . encode_json({ %base,
        object => 'chat.completion.chunk', @_ }) . "\n\n") };
    for (1 .. ($ask->{model} eq 'slow' ? 40 : 4)) {
        $chunk->(choices => [{ index => 0, delta => { content => "w$_ " } }]);
        $out->wait(0.1) if $ask->{model} eq 'slow';
    }
    $chunk->(choices => [{ index => 0, delta => {},
        finish_reason => 'stop' }]);
    $chunk->(choices => [], %usage);
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});

# Of Responses itself: its bytes pass.  "big" says 5 MB; its ids are its own,
# or what lies in a file.
my $forged = $t->dir . '/id';
my $own = $t->provider(name => 'own', script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my $n = 0;
    my %base = (id => -e $forged ? slurp($forged) : "resp_up$req->{n}",
        object => 'response', created_at => 1700000000, model => 'gpt-real',
        error => undef, incomplete_details => undef);
    my %whole = (%base, status => 'completed', output => [{ id => 'msg_1',
        type => 'message', role => 'assistant', status => 'completed',
        content => [{ type => 'output_text', annotations => [],
            text => 'w' }] }]);

    # JSON::PP takes seconds for 5 MB.
    my $json = sub { my $text = encode_json($_[0]);
        $text =~ s/"text":"w"/'"text":"' . 'x' x 5_000_000 . '"'/e
            if $ask->{model} eq 'big';
        return $text };
    return $out->answer(200, $json->(\%whole)) if !$ask->{stream};
    my $event = sub { my $type = shift; $out->chunk("event: $type\ndata: "
        . $json->({ type => $type, sequence_number => $n++, @_ })
        . "\n\n") };
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $event->('response.created', response => { %base, output => [],
        status => 'in_progress' });
    $event->('response.output_text.delta', item_id => 'msg_1',
        output_index => 0, content_index => 0, delta => 'w', logprobs => []);
    $event->('response.completed', response => \%whole);
    $out->end;
});

$t->start(workers => { n => 2 }, edge => { ai => <<CONF });
ai_provider o { api openai; url ${\$provider->url('/v1')}; }
ai_provider r { api responses; url ${\$own->url('/v1')}; }
CONF

my $path = '/v1/responses';
my $pg = $t->pg;
sub get { $t->get("$path/$_[0]", @_[1 .. $#_]) }
sub drop_it { my ($id, %o) = @_; AiHttp->request(method => 'DELETE',
    port => $t->edge->port, path => "$path/$id", key => $t->{key}, %o) }
sub rows { $pg->value("select count(*) from ngxai.responses where id = '$_[0]'") }

# The data of all events of a new stream, and its response's id.
sub streamed {
    my ($ask, %o) = @_;
    my $s = $t->stream($path, { input => 'x', stream => $yes, %$ask }, %o);
    my @e = map { $_->{data} } $s->events;
    $s->close;
    return (decode_json($e[0])->{response}{id}, @e);
}

# What is read is what was said, to the byte.
my ($id, @e) = streamed({ model => 'o/x', temperature => 0.7, top_p => 0.1,
    tools => [{ type => 'function', name => 'f', parameters => {
        type => 'object', properties => { n => { type => 'integer',
            maximum => 12345678901234567 } } } }] });
my ($said) = $e[-1] =~ /"response":(.*)\}$/s;
like($said, qr/"temperature":0\.7,/, 'a number with a fraction');
ok(get($id)->body eq $said, 'is read as it was said');
for my $how ($no, $yes) {
    my $big = $t->post($path, { model => 'r/big', input => 'x',
        stream => $how });
    my ($up) = $big->body =~ /"id":"(resp_up\d+)"/;
    my $res = get($up);
    is($res->status, 200, 'one of 5 MB that passed is stored');
    my $whole = $res->body;
    $whole = "\"response\":$whole" if $how;
    isnt(index($big->body, $whole), -1, 'all of it, as it was');
    cmp_ok(length $whole, '>', 5_000_000, 'it has 5 MB');
}

# Numbers beyond every end.
for my $after ('9223372036854775807', '9223372036854775806', '4294967296',
    '2147483648', '1000000000', $#e)
{
    my $res = get("$id?stream=true&starting_after=$after");
    is($res->status, 200, "after $after");
    is($res->body, '', 'nothing follows');
}
for my $after ('-1', '', '1e3', '+1', '0x1', '99999999999999999999') {
    is(get("$id?stream=true&starting_after=$after")->status, 400,
        "after '$after': nonsense");
}

# Pages of items: who asks for what follows is never sent back to the first.
my $many = $t->post($path, { model => 'o/x', input => [map { { id => "m.$_",
    role => 'user', content => "m$_" } } 1 .. 3] })->json;
my $after = '';
my @seen;
for (1 .. 4) {
    my $page = get("$many->{id}/input_items?limit=1&order=asc$after")->json;
    push @seen, map { $_->{content}[0]{text} } @{ $page->{data} };
    last if !$page->{has_more};
    $after = "&after=$page->{last_id}";
}
is("@seen", 'm1 m2 m3', 'items with ids that are none have their pages');
is(get("$many->{id}/input_items?after=m.1")->status, 400,
    'an id that is none');
is_deeply(get("$many->{id}/input_items?after=nobody")->json->{data}, [],
    'nothing follows what is not there');

# Deleted is deleted: what failed, what was cancelled,
for my $model ('broken', 'slow') {
    my $b = $t->post($path, { model => "o/$model", input => 'x',
        background => $yes })->json;
    if ($model eq 'slow') {
        wait_for(sub { get($b->{id})->json->{status} eq 'in_progress' }, 20,
            'under way');
        is($t->post("$path/$b->{id}/cancel", {})->json->{status},
            'cancelled', 'cancelled');
    }
    wait_for(sub { get($b->{id})->json->{status}
        eq ($model eq 'slow' ? 'cancelled' : 'failed') }, 20, 'its end');
    is(drop_it($b->{id})->status, 200, 'what has no answer is deleted, too');
    is(get($b->{id})->status, 404, 'it is gone');
    is(drop_it($b->{id})->status, 404, 'for good');
}

# what is under way, and is read by somebody meanwhile,
for my $stream ($no, $yes) {
    my ($s, $b);
    my $asked = () = $provider->requests;
    if ($stream) {
        $s = $t->stream($path, { model => 'o/slow', input => 'x',
            stream => $yes, background => $yes });
        $b = decode_json($s->event->{data})->{response};
        $s->event for 1 .. 6;
    } else {
        $b = $t->post($path, { model => 'o/slow', input => 'x',
            background => $yes })->json;
        wait_for(sub { get($b->{id})->json->{status} eq 'in_progress' }, 20,
            'under way');
    }
    $provider->request($asked + 1);
    my $n = () = ($provider->aborts, $provider->done);
    is(drop_it($b->{id})->status, 200, 'what is under way is deleted');
    is(get($b->{id})->status, 404, 'it is gone');
    wait_for(sub { (() = ($provider->aborts, $provider->done)) > $n }, 20,
        'its provider ends');
    is(rows($b->{id}), 0, 'and nothing is stored behind our back');
    if ($s) {
        my @rest = $s->events;
        $s->close;
        is(decode_json($rest[-1]{data})->{type}, 'error',
            'who read it has an end');
    }
}

# what is not named after its job,
my ($up) = streamed({ model => 'r/x' });
is(get("$up?stream=true")->status, 307, 'one that passed is read on');
is(drop_it($up)->status, 200, 'deleted');
is(get("$up?stream=true")->status, 404, 'its stream, too');
is(get($up)->status, 404, 'and its row');

# but never what is another tenant's, whatever a provider calls its own.
my $other = $t->key('other');
my ($theirs, @theirs) = streamed({ model => 'o/x' }, key => $other);
open my $f, '>', $forged or die;
print $f $theirs;
close $f;
is($t->post($path, { model => 'r/x', input => 'x' })->json->{id}, $theirs,
    'an id of another tenant\'s');
is(drop_it($theirs)->status, 200, 'is deleted where it was stored');
my $res = get("$theirs?stream=true", key => $other);
is(scalar(() = $res->body =~ /^data: /mg), scalar(@theirs),
    'its owner reads it still');
is(get($theirs, key => $other)->status, 200, 'and has it');
unlink $forged;

# A chain has a measure: its length, its bytes, and that it may be a ring.
sub chain {
    my ($name, $n, $kb) = @_;
    $pg->query("insert into ngxai.responses (tenant, id, previous, input,
        response, expires_at) select 'demo', '$name' || i,
        case when i > 1 then '$name' || i - 1 end,
        '{\"role\":\"user\",\"content\":\"' || repeat(md5(i::text), ($kb * 32)::int)
        || '\"}', '{\"output\":[]}', now() + interval '1 day'
        from generate_series(1, $n) i");
}
sub stand { $t->post($path, { model => 'o/x', input => 'x',
    previous_response_id => $_[0] }, timeout => 30) }

chain('long', 1001, 0.03);
is(stand('long1000')->status, 200, 'a thousand responses');
is(stand('long1001')->status, 413, 'and one more');
like(stand('long1001')->json->{error}{message}, qr/at most 1000/, 'says why');
my @workers = $t->worker_pids;
sub peak { my $most = 0;
    for (@workers) {
        my ($kb) = slurp("/proc/$_/status") =~ /VmHWM:\s+(\d+)/;
        $most = $kb if $kb > $most;
    }
    return $most }
chain('fat', 60, 1000);
$pg->query("insert into ngxai.responses (tenant, id, previous, input, response,
    expires_at) values ('demo', 'ring', 'ring', '{\"role\":\"user\",\"content\":\"'
    || repeat('x', 1000000) || '\"}', '{\"output\":[]}', now()
    + interval '1 day')");
my $peak = peak();
is(stand('fat60')->status, 413, 'too many bytes');
is(stand('ring')->status, 413, 'a ring');
cmp_ok(peak() - $peak, '<', 40_000, 'and nobody has read them')
    if !$ENV{AI_T_BUILD};
$pg->query("update ngxai.responses set expires_at = now() where id = 'long500'");
is(stand('long900')->status, 400, 'a chain with a hole');

# Who polls is never told that it is not there.
my %told;
for (1 .. 40) {
    my $b = $t->post($path, { model => 'o/x', input => 'x',
        background => $yes })->json;
    my $until = time + 20;
    my $res;
    do {
        $res = get($b->{id});
        $told{ $res->status }++;
    } while ($res->status == 200 && $res->json->{status} ne 'completed'
        && time < $until);
}
is_deeply([keys %told], [200], 'who polls is always told');

# Users have their own.
my ($ann, $bob) = map { $t->key('demo', '--user', $_) } qw(ann bob);
$id = $t->post($path, { model => 'o/x', input => 'x' }, key => $ann)
    ->json->{id};
is(get($id, key => $ann)->status, 200, 'a user\'s own');
is(get($id, key => $bob)->status, 404, 'is not another\'s');
is(get("$id/input_items", key => $bob)->status, 404, 'nor its input');
is(drop_it($id, key => $bob)->status, 404, 'to delete');
is($t->post($path, { model => 'o/x', input => 'x',
    previous_response_id => $id }, key => $bob)->status, 400, 'to stand on');
my $b = $t->post($path, { model => 'o/slow', input => 'x',
    background => $yes }, key => $ann)->json;
wait_for(sub { get($b->{id}, key => $ann)->json->{status} eq 'in_progress' },
    20, 'under way');
is(drop_it($b->{id}, key => $bob)->status, 404, 'to delete under way');
is($t->post("$path/$b->{id}/cancel", {}, key => $bob)->status, 404,
    'to cancel');
is(get($b->{id}, key => $ann)->json->{status}, 'in_progress', 'it goes on');
is(drop_it($b->{id}, key => $ann)->status, 200, 'until its user says so');

# What has expired goes, also of a tenant that writes no more.
$pg->query("insert into ngxai.responses (tenant, id, input, response,
    expires_at) select 'idle', 'old' || i, '', '{}', now() - interval '1 day'
    from generate_series(1, 40) i");
$pg->query("insert into ngxai.responses (tenant, id, input, response,
    expires_at) values ('idle', 'new', '', '{}', now() + interval '1 day')");
kill TERM => ($t->worker_pids)[0];
wait_for(sub { $pg->value("select count(*) from ngxai.responses
    where tenant = 'idle'") == 1 }, 30, 'what has expired to go');
is($pg->value("select id from ngxai.responses where tenant = 'idle'"), 'new',
    'and nothing else');
is($pg->value("set role ngxai_owner; select count(*) from ngxai.responses"),
    0, 'its owner sees none');

# Without a tenant the database shows nothing.
is($pg->value("set role ngxai_worker; select count(*) from ngxai.responses"),
    0, 'no tenant, no rows');

done_testing();
