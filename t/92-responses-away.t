#!/usr/bin/perl
# Postgres is away when responses end: nobody waits for it, they are read all
# the same, and each row is there once when it is back; unless it was deleted
# meanwhile.
use AiTest;

my $t = AiTest->new;
my $gate = $t->dir . '/gate';
my $yes = JSON::PP::true;
my $provider = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $ask = $req->{json};
    my %base = (id => "chatcmpl-$req->{n}", created => 1700000000,
        model => 'gpt-real');
    my $text = join '|', map { ref $_->{content}
        ? join('', map { $_->{text} } @{ $_->{content} })
        : $_->{content} } @{ $ask->{messages} };
    $text = substr $text, 0, 100;

    if ($ask->{model} eq 'slow') {
        open my $fh, '>', "$gate.asked" or die;
        select undef, undef, undef, 0.02 until -e $gate;
    }

    if (!$ask->{stream}) {
        return $out->answer(200, { %base, choices => [{ index => 0,
            finish_reason => 'stop', message => { role => 'assistant',
            content => $text } }], usage => { prompt_tokens => 5,
            completion_tokens => 2, total_tokens => 7 } });
    }
    $out->head(200, 'Content-Type' => 'text/event-stream');
    my $chunk = sub { $out->chunk('data: ' . encode_json({ %base,
        object => 'chat.completion.chunk', @_ }) . "\n\n") };
    for ($text =~ /(.{1,5})/gs) {
        $chunk->(choices => [{ index => 0, delta => { content => $_ } }]);
    }
    $chunk->(choices => [{ index => 0, delta => {},
        finish_reason => 'stop' }]);
    $out->chunk("data: [DONE]\n\n");
    $out->end;
});

my $path = '/v1/responses';
$t->start(workers => { n => 2 }, edge => { ai => <<CONF });
ai_provider o { api openai; url ${\$provider->url('/v1')}; }
CONF
my $pg = $t->pg;
my $redis = $t->redis;
$t->allow_log(qr/Postgres is away|is not stored yet/);
sub get { $t->get("$path/$_[0]", @_[1 .. $#_]) }
sub drop_it { AiHttp->request(method => 'DELETE', port => $t->edge->port,
    path => "$path/$_[0]", key => $t->{key}) }
sub text { join '', map { $_->{text} // '' } map { @{ $_->{content} // [] } }
    @{ $_[0]{output} } }
sub ask { $t->post($path, { model => 'o/x', input => $_[0], @_[1 .. $#_] },
    timeout => 30) }
sub rows { my ($ids) = join ',', map { "'$_'" } @_;
    $pg->value("select count(*) from ngxai.responses where id in ($ids)") }
# Not those that were deleted and say so to who moves them.
sub parked { scalar grep { !/park:/ || !$redis->cmd('HEXISTS', $_, 'gone') }
    keys %{ $redis->keys($t->prefix . 'park*') } }
sub moved { wait_for(sub { !parked() }, 30, 'what waits to be moved') }

my $before = ask('before')->json;
$pg->stop;
my $first = ask('one');
is($first->status, 200, 'Postgres is away');
$first = $first->json;
wait_for(sub { get($first->{id})->status == 200 }, 20, 'it');
is_deeply(get($first->{id})->json, $first, 'it is read all the same');
is(get("$first->{id}/input_items")->json->{data}[0]{content}[0]{text}, 'one',
    'and its input');
is(get($before->{id})->status, 503, 'what lies there cannot be');
is(ask('x', previous_response_id => $before->{id})->status, 503,
    'nor stood on');
my $big = ask('x' x 900_000)->json;
my @many = map { ask("m$_")->json->{id} } 1 .. 30;
my $at = time;
ask('quick');
cmp_ok(time - $at, '<', 1.5, 'nobody waits for who is long away');
cmp_ok(parked(), '>=', 32, 'they wait');
is(parked(), scalar(grep { $_ > 0 } values %{ $redis->keys($t->prefix
    . 'park*') }), 'not for ever');

# A worker dies meanwhile: another moves them.
kill KILL => ($t->worker_pids)[0];
$t->allow_log(qr/exited on signal|killed by/);
$pg->start;
my $second;
wait_for(sub { ($second = ask('two', previous_response_id => $first->{id}))
    ->status != 503 }, 30, 'Postgres');
is($second->status, 200, 'what waits can be stood on at once');
is(text($second->json), 'one|one|two', 'as it was');
moved();
is(rows($first->{id}, $big->{id}, @many), 32, 'each is there, once');
is_deeply(get($first->{id})->json, $first, 'as it was');
is(length $pg->value("select input from ngxai.responses
    where id = '$big->{id}'") > 900_000, 1, 'all of it');

# It is away for a moment only.
$pg->stop;
my @open = map { $t->stream($path, { model => 'o/x', input => "short $_",
    stream => $yes }) } 1 .. 4;
my $asked = $t->stream($path, { model => 'o/x', input => 'x',
    previous_response_id => $second->json->{id} });
$pg->start;
my @short = map { my $s = $_; my @e = $s->events; $s->close;
    decode_json($e[-1]{data})->{response} } @open;
is(scalar(grep { $_->{status} eq 'completed' } @short), 4, 'a moment');
my $stood = $asked->response->status;
ok($stood == 200 || $stood == 503, 'who stands on one waits so long');
wait_for(sub { get($short[0]{id})->status == 200 }, 30, 'it');
moved();
is(rows(map { $_->{id} } @short), 4, 'each is there, once');

# A Postgres that hangs, with answers on their way.
$pg->freeze;
my $hung = ask('three')->json;
is(text($hung), 'three', 'Postgres hangs');
$pg->thaw;
wait_for(sub { get($hung->{id})->status == 200 }, 30, 'it');
moved();
wait_for(sub { rows($hung->{id}) == 1 }, 20, 'its row');
pass('is there once');

# What is deleted while it waits does not come back.
my $park = sub { my ($id, $owner) = @_;
    require Digest::SHA;
    my $hex = Digest::SHA::sha256_hex("demo $id");
    $redis->cmd('HSET', $t->prefix . "park:$hex", tenant => 'demo',
        owner => $owner, id => $id, previous => '', conversation => '',
        input => '{"role":"user","content":"x"}',
        response => qq({"id":"$id","output":[]}));
    $redis->cmd('PEXPIRE', $t->prefix . "park:$hex", 60000);
    $redis->cmd('HSET', $t->prefix . 'parked', $hex, 100);
    $redis->cmd('PEXPIRE', $t->prefix . 'parked', 60000);
};
$redis->cmd('SET', $t->prefix . 'parking', 'another', 'PX', 60000);
$park->('resp_gone', '');
is(get('resp_gone')->status, 200, 'one that waits');
is(drop_it('resp_gone')->status, 200, 'is deleted');
is(get('resp_gone')->status, 404, 'and gone');
$park->('resp_bob', 'bob');
my $ann = $t->key('demo', '--user', 'ann');
is(get('resp_bob', key => $ann)->status, 404, 'another user\'s is not seen');
is(get('resp_bob', key => $t->key('other'))->status, 404, 'nor a tenant\'s');
$redis->cmd('DEL', $t->prefix . 'parking');
moved();
is(rows('resp_gone'), 0, 'it does not come back');
is(rows('resp_bob'), 1, 'others do');

# Another has moved it while this one slept: that it is gone is no delete.  Twice
# that Postgres is slow may take it for away.
my $hold = sub { my ($id, $do) = @_;
    for (1 .. 10) {
        my $lock = $pg->session;
        $lock->do('begin');
        $lock->do('lock table ngxai.responses in share mode');
        $park->($id, '');
        wait_for(sub { $pg->value("select count(*) from pg_stat_activity
            where wait_event_type = 'Lock'
            and query like '%response_put%'") }, 30, 'who moves it');
        my $hex = Digest::SHA::sha256_hex("demo $id");
        $do->($hex);
        $redis->cmd('HDEL', $t->prefix . 'parked', $hex);
        $lock->do('commit');
        wait_for(sub { !$redis->cmd('EXISTS', $t->prefix . 'parking') }, 30,
            'its end');
        last if rows($id);
    }
    return rows($id);
};
is($hold->('resp_twice', sub { $redis->cmd('UNLINK', $t->prefix
    . "park:$_[0]") }), 1, 'what another has moved stays');
get('resp_twice');
is(drop_it('resp_twice')->status, 200, 'until it is deleted');
is(rows('resp_twice'), 0, 'for good');

# What Postgres does not take now stands in nobody's way.
$pg->psql('ngxai', q{create function public.never() returns trigger
    language plpgsql as $$ begin raise exception 'not now'
    using errcode = '55000'; end $$;
    create trigger never before insert on ngxai.responses for each row
    when (new.id = 'resp_never') execute function public.never()});
$park->("resp_$_", '') for 'never', map { "after$_" } 1 .. 20;
wait_for(sub { rows(map { "resp_after$_" } 1 .. 20) == 20 }, 30,
    'those behind it');
pass('others are moved');
is(ask('x', previous_response_id => 'resp_none')->status, 400,
    'who stands on what is not there is told, while something waits');

# Redis does not say what waits.
my $all = $redis->cmd('DUMP', $t->prefix . 'parked');
$redis->cmd('SET', $t->prefix . 'parked', 'x');
is(ask('x', previous_response_id => 'resp_none')->status, 400,
    'and while nobody knows');
$redis->cmd('DEL', $t->prefix . 'parked');
$redis->cmd('RESTORE', $t->prefix . 'parked', 0, $all);
$pg->psql('ngxai', 'drop trigger never on ngxai.responses');
moved();
is(rows('resp_never'), 1, 'it is moved when it can be');

# Redis has no room: that is told, and nothing is left of it.
my $open = $t->stream($path, { model => 'o/slow', input => 'lost' });
wait_for(sub { -e "$gate.asked" }, 30, 'its call');
$pg->stop;
$redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
open my $fh, '>', $gate or die;
close $fh;
is($open->response->status, 200, 'Redis is full');
$open->close;
$redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
wait_for(sub { $t->worker_log =~ /is not stored: OOM/ }, 20, 'the log');
pass('what it does not take is told');
is(parked(), 0, 'and does not wait');
$pg->start;
wait_for(sub { get('resp_none')->status == 404 }, 30, 'Postgres');

# One that Postgres will never take is let go.
$park->('resp/not', '');
moved();
like($t->worker_log, qr/resp\/not.*not stored/, 'what it cannot take is told');
$t->allow_log(qr/is not stored/);
$t->ready;

done_testing();
