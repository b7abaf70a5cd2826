#!/usr/bin/perl
# Recorded streams, left in the middle and gone on with from Last-Event-ID: at
# every place of one recording a dialect, at some of others, over HTTP/1.1 and
# HTTP/2.  What was read is the recording, byte for byte, of one provider call.
#
#   AI_T_SEED   replays a run
#   AI_T_CUTS   cuts of each of the others (4); 0, or AI_T_FULL: all places of
#               all of them
use AiTest;

my $shared = AiTest::shared();
my $file = "$shared/traffic/recordings.jsonl";
AiTest::skip_all("no $file") unless -f $file;
my ($curl) = grep { -x } map { "$_/curl" } split /:/, $ENV{PATH};
undef $curl unless $curl && `$curl --version` =~ /HTTP2/;
diag('SKIPPED: HTTP/2, no curl that speaks it') unless $curl;

my $seed = $ENV{AI_T_SEED} || 1 + int rand 1_000_000;
my $cuts = $ENV{AI_T_CUTS} // ($ENV{AI_T_FULL} ? 0 : 4);
diag("AI_T_SEED=$seed AI_T_CUTS=$cuts");
srand $seed;

# Streams of each dialect, as lists of events.
my (%events, %of);
{
    my %seen;
    open my $in, '<', $file or die;
    while (<$in>) {
        my $r = decode_json($_);
        my ($dialect) = $r->{api} =~ /^(openai|anthropic)\.(?:chat|messages)$/
            or next;
        next unless $r->{stream} && $r->{status} == 200
            && !$seen{ $r->{response} }++;
        my $text = $r->{response};
        utf8::encode($text);
        $events{ $r->{id} } = [$text =~ /\G(.*?\n\n)/gs];
        next if join('', @{ $events{ $r->{id} } }) ne $text
            || $text =~ /^id:/m;
        push @{ $of{$dialect} }, $r->{id};
    }
}

my $p;
my $t = AiTest->new;
$p = $t->provider(script => sub {
    my ($req, $out) = @_;
    my ($id) = $req->{json}{model} =~ /^(\w+)/;

    $out->head(200, 'Content-Type' => 'text/event-stream');
    for (@{ $events{$id} }) {
        $out->chunk($_);
        $out->wait(0.003);
    }
    $out->end;
});

my ($version) = `@{[AiEdge::binary()]} -v 2>&1` =~ m{nginx/1\.(\d+)};
my @h2 = $version >= 25 ? ('', 'http2 on;') : (' http2', '');
$t->start(workers => { n => 2 }, edge => { workers => 2, conf => <<'CONF',
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_provider p { api openai; url %%URL%%/v1; }
    ai_provider a { api anthropic; url %%URL%%; }
    ai_auth key;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; ai_resume 60s; }
        location /health { ai_health; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%%%%H2LISTEN%%;
        %%H2ON%%
        location /v1/ { ai_pass; ai_resume 60s; }
    }
}
CONF
    vars => { URL => $p->url, H2LISTEN => $h2[0], H2ON => $h2[1] } });
my $edge = $t->edge;


# One connection: its request, then ->take(n): the next n events (all: undef),
# ->leave.
package Http1;

sub new {
    my ($class, %o) = @_;
    my $http = AiHttp->new(port => $edge->port, timeout => 60);

    $http->send_request(%o, key => $t->{key});
    return bless { http => $http }, $class;
}

sub head {
    my ($self) = @_;
    my $res = $self->{http}{res} || $self->{http}->head;
    return ($res->status, $res->header('x-ai-job'));
}

sub take {
    my ($self, $n) = @_;
    my @got;

    while (!defined $n || @got < $n) {
        my $ev = $self->{http}->event or last;
        push @got, $ev->{raw};
    }
    return @got;
}

sub leave {
    my ($self) = @_;
    my $way = rand() < 0.5 ? 'close' : 'reset';
    $self->{http}->$way;
}


package Http2;

my $n = 0;

sub new {
    my ($class, %o) = @_;
    my $base = $t->dir . '/curl' . ++$n;
    my @h = (@{ $o{headers} || [] }, Authorization => "Bearer $t->{key}");
    my @args;

    while (my ($name, $value) = splice @h, 0, 2) {
        push @args, '-H', "$name: $value";
    }
    if ($o{json}) {
        open my $fh, '>', "$base.in" or die;
        print $fh JSON::PP::encode_json($o{json});
        push @args, '-H', 'Content-Type: application/json', '--data-binary',
            "\@$base.in";
    }
    my $proc = AiProc->spawn(name => 'curl', out => "$base.err",
        cmd => [$curl, '-s', '--http2-prior-knowledge', '--no-buffer', '-o',
            "$base.out", '-D', "$base.head", @args,
            'http://127.0.0.1:' . $edge->port(2) . $o{path}]);
    return bless { proc => $proc, base => $base }, $class;
}

sub head {
    my ($self) = @_;
    my $text;
    AiProc::wait_for(sub {
        return ($text = AiProc::slurp("$self->{base}.head")) =~ /\r\n\r\n/
    }, 30, 'the head');
    return $text =~ m{^HTTP/2 (\d+).*^x-ai-job: (\S+)}ms ? ($1, $2)
        : $text =~ m{^HTTP/2 (\d+)};
}

sub take {
    my ($self, $n) = @_;
    my @got;

    AiProc::wait_for(sub {
        my $ended = !$self->{proc}->alive;
        @got = AiProc::slurp("$self->{base}.out") =~ /\G(.*?\n\n)/gs;
        return $ended || (defined $n && @got >= $n);
    }, 60, 'events');
    return defined $n && @got > $n ? @got[0 .. $n - 1] : @got;
}

sub leave { $_[0]{proc}->stop('KILL') }


package main;

my $calls = 0;

# One stream, left after so many events each time; what was read of it.
sub assemble {
    my ($class, $dialect, $id, @leave) = @_;
    my ($got, $last, @seen) = ('');
    my $model = $id . '-' . ++$calls;

    my $c = $class->new(method => 'POST',
        path => $dialect eq 'openai' ? '/v1/chat/completions' : '/v1/messages',
        json => { model => ($dialect eq 'openai' ? 'p/' : 'a/') . $model,
            max_tokens => 9, stream => \1, messages => [],
            $dialect eq 'openai'
                ? (stream_options => { include_usage => \1 }) : () },
        headers => ['X-AI-Resumable' => 1]);
    my ($status, $job) = $c->head;
    return "status $status" unless $status == 200 && $job;

    while (1) {
        my $n = shift @leave;
        my @raw = $c->take($n);
        for (@raw) {
            next if /^:/;
            s/^id: (\d+-\d+)\n//m or return "an event has no id: $_";
            $last = $1;
            return "$last comes twice" if grep { $_ eq $last } @seen;
            push @seen, $last;
            $got .= $_;
        }
        $c->leave;
        last unless defined $n;
        sleep((0, 0, 0.02, 0.3)[rand 4]);
        $c = $class->new(path => "/v1/jobs/$job/events",
            headers => [defined $last ? ('Last-Event-ID' => $last) : ()]);
        ($status) = $c->head;
        return "status $status after $last" unless $status == 200;
    }
    return $got;
}

sub check {
    my ($class, $dialect, $id, @places) = @_;
    my $want = join '', @{ $events{$id} };
    my @bad;

    for my $leave (@places) {
        my $got = eval { assemble($class, $dialect, $id, @$leave) } // $@;
        push @bad, "left after @$leave: " . (length $got < 200 ? $got
            : 'the bytes differ') if $got ne $want;
    }
    is(join("\n", @bad), '', "$class, $dialect $id: " . @{ $events{$id} }
        . ' events, left at ' . @places . ' places');
}

for my $dialect ('openai', 'anthropic') {
    my @ids = sort @{ $of{$dialect} };
    my @short = grep { @{ $events{$_} } >= 12 && @{ $events{$_} } <= 45 } @ids;
    my $short = $short[rand @short];
    my $n = @{ $events{$short} };

    check('Http1', $dialect, $short, map { [$_] } 0 .. $n);
    check('Http1', $dialect, $short, map { [map { 1 + int rand $n / 3 } 1 .. 3] }
        1 .. 5);
    for my $id ($cuts ? map { $ids[rand @ids] } 1 .. 3 : @ids) {
        my $most = @{ $events{$id} };
        check('Http1', $dialect, $id, map { [$_] } $cuts
            ? map { int rand $most + 1 } 1 .. $cuts : 0 .. $most);
    }
    next unless $curl;
    check('Http2', $dialect, $short, map { [$_] } 0 .. $n);
    check('Http2', $dialect, $short, map { [map { 1 + int rand $n / 3 } 1 .. 3] }
        1 .. 5);
}

my %asked;
$asked{ $_->{json_model} // '' }++ for map {
    { json_model => decode_json($_->{body})->{model} } } $p->requests;
is(scalar(keys %asked), $calls, 'each stream was asked for');
is(scalar(grep { $_ != 1 } values %asked), 0, 'once');
wait_for(sub { $t->pg->value('select count(*) from ngxai.ledger') >= $calls },
    30, 'the ledger');
is($t->pg->value("select count(*) from ngxai.ledger where attempt = 1"),
    $calls, 'one row each');
is($t->pg->value('select count(distinct job) from ngxai.ledger'), $calls,
    'of each job');

# What the provider keeps open, and the places that were left.
$t->{pooled} = 20;
done_testing();
