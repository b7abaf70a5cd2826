#!/usr/bin/perl
# A job that kills each worker process that takes it, among twenty that say
# nothing until it has ended: it alone gets 502, they are all answered, whether
# there are one, two or three processes for them to sit on.
use AiTest;

my $t = AiTest->new;
my $dir = $t->dir;
my @words = map { "word$_ " } 0 .. 9;
my $want = join '', @words;


# wait-N-: nothing before the file "goN" is there; kill-: kills who asks.
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my ($what, $n) = $req->{json}{model} =~ /^(\w+)-(\d+)/;
    my $pid = process_of($out->{sock}, $dir);

    open my $fh, '>>', "$dir/calls" or die;
    syswrite $fh, "$req->{json}{model} $pid\n";
    close $fh;

    if ($what eq 'kill') {
        kill KILL => $pid;
        $out->stall;
    }
    $out->wait(0.05) until -e "$dir/go$n";
    AiProvider->can('openai')->(words => \@words)->($req, $out);
});

sub ask {
    my ($model, %o) = @_;
    my $http = AiHttp->new(port => $t->edge->port, timeout => 280);

    $http->send_request(method => 'POST', key => $t->{key},
        path => '/v1/chat/completions', json => { model => $model,
            messages => [], $o{stream} ? (stream => \1) : () });
    return { http => $http, model => $model };
}

sub whole {
    my ($http) = @_;
    $http->head;
    1 while defined $http->piece;
    return $http->{res};
}

sub text_of {
    my ($body) = @_;
    return decode_json($body)->{choices}[0]{message}{content}
        unless $body =~ /^data: /m;
    return join '', map { /^\{/ ? decode_json($_)->{choices}[0]{delta}{content}
        // '' : () } $body =~ /^data: (.*)/mg;
}

sub calls {
    my ($model) = @_;
    return slurp("$dir/calls") =~ /^\Q$model\E (\d+)$/mg;
}

$t->start(workers => { n => 1 }, edge => { ai => <<CONF,
ai_provider p {
    api openai;
    url @{[$p->url('/v1')]};
    timeout first=300s idle=300s;
}
CONF
    location => 'ai_queue_timeout 300s;' });
$t->allow_log(qr/on signal 9/);

for my $n (1 .. 3) {
    if ($n > 1) {
        $t->{workers}[-1]->stop;
        $t->start_workers(name => "workers-$n", n => $n);
    }
    wait_for(sub { $t->worker_pids == $n }, 30, "$n processes");
    my $rows = $t->pg->value('select count(*) from ngxai.ledger');

    my @wait = map { ask("p/wait-$n-$_", stream => $_ % 2) } 1 .. 10;
    my $killer = ask("p/kill-$n");
    push @wait, map { ask("p/wait-$n-$_", stream => $_ % 2) } 11 .. 20;

    my $at = time;
    my $res = whole($killer->{http});
    $killer->{http}->close;
    is($res->status, 502, "$n processes: the killer ends with 502");
    is($res->json->{error}{code}, 'attempts_exhausted', 'that says why');
    my $job = $res->header('x-ai-job');
    my @killed = calls("kill-$n");
    my %killed = map { $_ => 1 } @killed;
    is(scalar(@killed), 3, 'after three calls');
    is(scalar(keys %killed), 3, 'by three processes');
    note(sprintf 'after %.1f s', time - $at);

    open my $fh, '>', "$dir/go$n" or die;
    my ($whole, $again, $alien, %jobs) = (0, 0, 0);
    for my $w (@wait) {
        my $res = whole($w->{http});
        $whole++ if $res->status == 200 && text_of($res->body) eq $want;
        $jobs{ $res->header('x-ai-job') } = 1;
        my ($last, @died) = reverse calls($w->{model} =~ s{^p/}{}r);
        $again += @died;
        $alien++ for grep { !$killed{$_} } @died;
        $w->{http}->close;
    }
    is($whole, 20, 'all others are answered in full');
    is($alien, 0, 'with no call but for those of the killed');
    cmp_ok($again, '>', 0, "$again calls again");
    wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger')
        >= $rows + 21 }, 30, 'a row each');
    is($t->pg->value("select count(*) from ngxai.ledger where state = 'done'"
        . ' and job in (' . join(',', map { "'$_'" } keys %jobs) . ')'), 20,
        'one row each');
    is($t->pg->value("select state || ' ' || cause from ngxai.ledger"
        . " where job = '$job'"), 'failed attempts', "the killer's");
    is($t->redis->cmd('EXISTS', map { $t->prefix . $_ } qw(suspects
        waiting:last)), 0, 'no trace in Redis');
}
is($t->pg->value('select count(*) from ngxai.ledger'), 63, 'and no more');

$t->baseline;
done_testing();
