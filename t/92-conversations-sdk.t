#!/usr/bin/perl
# Conversations through the stock client, with Anthropic behind; as they were
# recorded; and with workers that die in the midst.
use AiTest;

my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
my $yes = JSON::PP::true;
my $t = AiTest->new;
my $gate = $t->dir . '/gate';
my $traffic = ($ENV{AI_SHARED} || "$AiTest::root/../shared")
    . '/traffic/recordings.jsonl';

# Says what it was asked with, once it may; "tool" by a call, until it has a
# result, which it then says behind its thoughts.
my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my @said = map { ref $_->{content} ? @{ $_->{content} }
        : { type => 'text', text => $_->{content} } } @{ $ask->{messages} };
    my ($result) = map { ref $_->{content} ? map { $_->{text} }
        @{ $_->{content} } : $_->{content} }
        grep { $_->{type} eq 'tool_result' } @said;
    my $text = $ask->{model} eq 'tool' ? $result
        : join '|', map { $_->{text} // $_->{type} } @said;

    if ($ask->{model} eq 'slow') {
        select undef, undef, undef, 0.02 until -e $gate;
    }

    my @blocks = defined $text ? { type => 'text', text => $text }
        : { type => 'tool_use', id => "toolu_$req->{n}", name => 'code',
            input => {} };
    unshift @blocks, { type => 'thinking', thinking => 'hm',
        signature => 'c2lnbmVk' } if $ask->{model} eq 'tool';
    my %base = (id => "msg_$req->{n}", type => 'message',
        role => 'assistant', model => 'claude-real');
    my %end = (stop_reason => defined $text ? 'end_turn' : 'tool_use',
        stop_sequence => undef);

    return $out->answer(200, { %base, %end, content => \@blocks,
        usage => { input_tokens => 3, output_tokens => 4 } })
        unless $ask->{stream};

    my $event = sub { my $type = shift; $out->chunk("event: $type\ndata: "
        . encode_json({ type => $type, @_ }) . "\n\n") };
    $out->head(200, 'Content-Type' => 'text/event-stream');
    $event->('message_start', message => { %base, content => [],
        usage => { input_tokens => 3, output_tokens => 1 } });
    $event->('content_block_start', index => 0, content_block => {
        type => 'text', text => '' });
    $event->('content_block_delta', index => 0, delta => {
        type => 'text_delta', text => $_ }) for $text =~ /(\S+\s*)/g;
    $event->('content_block_stop', index => 0);
    $event->('message_delta', delta => \%end, usage => { output_tokens => 4 });
    $event->('message_stop');
    $out->end;
});

# Recorded answers, by the last word of what is asked.
my @recorded;
if (open my $fh, '<:raw', $traffic) {
    while (my $line = <$fh>) {
        next unless $line =~ /conversation/;
        my $r = decode_json($line);
        push @recorded, $r if $r->{path} =~ m{^/v1/conversations}
            || (ref $r->{request} eq 'HASH' && $r->{request}{conversation});
    }
}
my @answers = grep { $_->{path} eq '/v1/responses' } @recorded;
my $own = $t->provider(name => 'own', script => sub {
    my ($req, $out) = @_;
    my $answer = $answers[$req->{json}{model} =~ s/^gpt-//r];
    $out->raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($answer->{response}) . "\r\n\r\n"
        . $answer->{response});
});

$t->start(workers => { n => 2 }, edge => { ai => <<CONF });
ai_provider a { api anthropic; url ${\$provider->url}; }
ai_provider r { api responses; url ${\$own->url('/v1')}; }
CONF

my $path = '/v1/conversations';
sub make { $t->post($path, {})->json->{id} }
sub items { map { $_->{type} eq 'message' ? "$_->{role}: " . join('', map {
    $_->{text} } @{ $_->{content} }) : $_->{type} }
    @{ $t->get("$path/$_[0]/items?order=asc&limit=100")->json->{data} } }
sub text { join '', map { $_->{text} // '' } map { @{ $_->{content} // [] } }
    @{ $_[0]{output} } }

if ($node) {
    open my $out, '-|', $node, "$AiTest::root/t/node/conversations.mjs",
        'http://127.0.0.1:' . $t->edge->port, $t->{key}, 'a/x', 'a/tool'
        or die;
    my $said = 0;
    while (<$out>) {
        if (/^(not )?ok \d+ - (.*)/) {
            ok(!$1, $2);
            $said++;
        } elsif (/^# (.*)/) {
            diag($1);
        }
    }
    close $out;
    is($?, 0, 'the client ended well');
    cmp_ok($said, '>=', 22, 'and checked what it should');
} else {
    diag('SKIPPED: no SDKs: run npm ci in t/node');
}

# As they were recorded.
if (@recorded) {
    my ($c, $i, %said) = (undef, 0);

    for my $r (@recorded) {
        if ($r->{path} eq $path) {
            my $was = decode_json($r->{response});
            my $res = $t->post($path, $r->{request});
            is($res->status, $r->{status}, 'a recorded conversation');
            is_deeply([sort keys %{ $res->json }], [sort keys %$was],
                'has the same members');
            is_deeply([@{ $res->json }{qw(metadata object)}],
                [@$was{qw(metadata object)}], 'says the same');
            $c = $res->json->{id};
            next;
        }
        my $was = decode_json($r->{response});
        my $held = () = items($c);
        my $res = $t->post('/v1/responses', { %{ $r->{request} },
            model => 'r/gpt-' . $i++, conversation => $c });
        is($res->status, $r->{status}, "a recorded response, $r->{id}")
            or diag($res->body);
        is(text($res->json), text($was), 'says the same');
        is_deeply([map { @$_{qw(type name arguments call_id)} }
            @{ $res->json->{output} }], [map { @$_{qw(type name arguments
            call_id)} } @{ $was->{output} }], 'and calls the same');
        is_deeply($res->json->{conversation}, { id => $c },
            'in its conversation');
        is(scalar(items($c)), $held + @{ $r->{request}{input} }
            + @{ $was->{output} }, 'all of it was added');
    }
    my @asked = $own->requests;
    is(scalar @asked, scalar @answers, 'one call each');
    my $asked = decode_json($asked[-1]{body});
    my @input = @{ $asked->{input} };
    is_deeply([grep { $_ ne 'message' } map { $_->{type} // 'message' }
        @input], [qw(function_call function_call_output)],
        'the last has all that was said');
    ok(!exists $asked->{conversation}, 'ours is not the provider\'s');
} else {
    diag("SKIPPED: no recordings at $traffic");
}

# A worker dies while its provider is asked: another asks again, and what both
# did is there once.
my $c = make();
my $n = () = $provider->requests;
my $open = $t->stream('/v1/responses', { model => 'a/slow', input => 'A',
    conversation => $c });
$provider->request($n + 1);
my $job = $t->pg->value("select job from ngxai.conversations
    where id = '$c'");
my $owner = $t->redis->cmd('HGET', $t->prefix . "job:$job", 'owner');
my ($pid) = $owner =~ /-(\d+)-\d+$/;
kill KILL => $pid;
$provider->request($n + 2);
open my $fh, '>', $gate or die;
close $fh;
my $res = $open->response;
is($res->status, 200, 'a worker that dies: another goes on')
    or diag($res->body);
$open->close;
is_deeply([items($c)], ['user: A', 'assistant: A'], 'it is added once');
unlink $gate;

# One that ends with its worker, for good, lets the next go on.
my $s = $t->stream('/v1/responses', { model => 'a/slow', input => 'B',
    stream => $yes, conversation => $c, store => JSON::PP::false });
$s->close;
$n = () = $provider->requests;
$open = $t->stream('/v1/responses', { model => 'a/slow', input => 'C',
    conversation => $c });
$provider->request($n + 1);
$open->close;
$job = $t->pg->value("select job from ngxai.conversations where id = '$c'");
wait_for(sub { ($t->redis->cmd('HGET', $t->prefix . "job:$job", 'state') // '')
    !~ /running|waiting/ }, 30, 'its client left');
open $fh, '>', $gate or die;
close $fh;
wait_for(sub { $t->post('/v1/responses', { model => 'a/x', input => 'D',
    conversation => $c })->status == 200 }, 30, 'the next goes on');
is_deeply([items($c)], ['user: A', 'assistant: A', 'user: D',
    'assistant: A|A|D'], 'what its client left is not there');
unlink $gate;

# A worker dies when Postgres has its answer, and before anybody else has: it is
# given again, and nobody is asked.
my $lock = $t->pg->session('ngxai_worker');
my $hold = sub {
    $lock->do("select set_config('app.current_tenant_id', (select '$_[1]'),
        false)", 'begin', "select 1 from ngxai.conversations
        where id = '$_[0]' for update");
};
my $tenant = $t->pg->value("select tenant from ngxai.conversations
    where id = '$c'");
my $held = sub { $t->pg->value("select count(*) from pg_stat_activity
    where wait_event_type = 'Lock' and query like '%conversation_end%'") };

$c = make();
$n = () = $provider->requests;
$open = $t->stream('/v1/responses', { model => 'a/slow', input => 'E',
    conversation => $c });
$provider->request($n + 1);
$job = $t->pg->value("select job from ngxai.conversations where id = '$c'");
$owner = $t->redis->cmd('HGET', $t->prefix . "job:$job", 'owner');
($pid) = $owner =~ /-(\d+)-\d+$/;
$hold->($c, $tenant);
open $fh, '>', $gate or die;
close $fh;
wait_for(sub { $held->() }, 30, 'it is being added');
kill STOP => $pid;
$lock->do('commit');
wait_for(sub { $t->pg->value("select count(*) from ngxai.conversation_items
    where conversation = '$c'") == 2 }, 30, 'it is there');
kill KILL => $pid;
$res = $open->response;
is($res->status, 200, 'a worker that dies late: it is given by another')
    or diag($res->body);
is(text($res->json), 'E', 'as it was');
is($res->json->{id}, 'resp_' . substr($job, 4), 'under its id');
is_deeply([items($c)], ['user: E', 'assistant: E'], 'it is there once');
is(scalar(() = $provider->requests), $n + 1, 'of one call');
undef $lock;

done_testing();
