#!/usr/bin/perl
# Who can write to Redis can make no worker call a provider: jobs and catalogs
# that no edge signed, bodies that were changed, jobs that come again.
use AiTest;
use AiSign;
use AiWork;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new;
my ($old, $new) = ('0123456789abcdef' x 2, 'a new key, of 35 bytes at the least');
my $foreign = 'f' x 64;
my $file = AiSign::file($t->dir . '/sign.key', "# the only one", $old);
my $p = $t->provider(script => sub {
    my ($req, $out) = @_;
    $out->answer(200, { choices => [{ index => 0, finish_reason => 'stop',
        message => { content => 'paid' } }] });
});
my $evil = $t->provider(script => sub { $_[1]->answer(200, {}) });

sub calls { return scalar(my @all = $p->requests) }

sub provider {
    my ($url) = @_;

    return { api => 'openai', headers => [], key => ['a-key'], options => {},
        timeout => { connect => 1000, first => 5000, idle => 5000,
            total => 10000 }, url => [$url] };
}

my $w = AiWork->new($t, start => 0, catalog => {
    providers => { p => provider($p->url . '/v1') } });
my $r = $w->r;
my $prefix = $t->prefix;

sub sign_catalog {
    my ($key) = @_;

    $r->cmd('SET', "ai1:catalog:$w->{catalog}",
        AiSign::catalog($key, $w->{catalog_text}), 'PX', 172800000);
}

sub body {
    my ($text) = @_;

    return JSON::PP->new->canonical->encode({ model => 'p/m',
        messages => [{ role => 'user', content => $text }] });
}

# A job with the spec that $make returns of the honest one.
sub job {
    my ($body, $make, %o) = @_;

    return $w->job(body => $body, spec => $make, %o);
}

sub signed {
    my ($body, $key) = @_;

    return sub { AiSign::spec($key || $old, $_[0], $body) };
}

sub refused {
    my ($job, $name, $why, $tenant) = @_;
    my $got = $w->answer($job, 20);

    is($got->{error}, 'signature', "$name: refused");
    is($w->state($job), 'failed', "$name: the job failed");
    my ($row) = $w->outbox($job);
    is((AiWork::usage($row->{u}))->{cost}, 0, "$name: costs nothing");
    $tenant ||= 't';
    like(join('', grep { /\Q$job\E/ } split /^/, $t->worker_log),
        qr/(?:\Q"$tenant"\E.*refused: $why|refused: $why.*\Q"$tenant"\E)/,
        "$name: the log says so, with the tenant");
    is(calls(), $main::calls, "$name: no call");
}

our $calls = 0;

sub served {
    my ($job, $name) = @_;
    my $got = $w->answer($job, 20);

    $calls++;
    is($got->{json}{choices}[0]{message}{content}, 'paid', "$name: served")
        or diag(explain($got));
    is(calls(), $calls, "$name: one call");
}

sign_catalog($old);
$w->start(args => ['--sign-file', $file]);

for ([inline => 'x'], [string => 'y' x 20_000], [large => 'z' x 200_000]) {
    my ($name, $text) = @$_;
    my $body = body($text);

    served(job($body, signed($body)), "$name body, signed");
    refused(job($body, signed(body("not $text"))), "$name body, swapped",
        'its body is not the one that was signed');
    refused(job($body, undef), "$name body, unsigned", 'it is not signed');
    refused(job($body, signed($body, $foreign)), "$name body, another's key",
        'its signature is none');
}

# What calls nobody, but reads and changes what is stored.

for my $op (map { ("${_}_read", "${_}_write") } qw(responses conversations)) {
    for my $fill (0, 100_000) {
        my $asked = JSON::PP->new->canonical->encode({ do => 'get',
            id => 'resp_x', fill => 'x' x $fill });
        refused(job($asked, sub { my ($spec) = @_;
            $spec =~ s/^op 4\nchat$/'op ' . length($op) . "\n$op"/me or die;
            return AiSign::spec($old, $spec, "not $asked") },
            model => '-', stream => 0, usage_asked => 0),
            "$op of $fill, swapped",
            'its body is not the one that was signed');
    }
}

my $body = body('hello');


# A body in pieces.

{
    my $large = body('p' x 300_000);
    my @pieces = unpack '(a65000)*', $large;
    my $pieces = sub {
        my ($id, @parts) = @_;
        $w->script('body', $id);
        $r->cmd('RPUSHX', "${prefix}body:$id", $_) for @parts;
        return $id;
    };
    my $admit = sub {
        my ($spoil) = @_;
        my $id = AiWork::id();
        my @parts = @pieces;
        substr $parts[2], 5, 1, 'q' if $spoil;
        $pieces->($id, @parts);
        my $spec = AiSign::spec($old, AiWork::record(v => 1, id => $id,
            tenant => 't', principal => 'key:k1', op => 'chat',
            dialect => 'openai', model => 'p/m', catalog => $w->{catalog},
            edge => $w->{edge}, stream => 0, usage_asked => 0, resumable => 0,
            background => 0, timeout => 600000), $large);
        my $got = $w->script('admit', $id, 't', 1, 'interactive', '', 0, 0,
            $w->{edge}, $spec, '@' . @parts, "key:k1\t-\tchat\topenai\tp/m",
            1000, 100_000_000, length $large, '', '', '');
        die "admit: @$got\n" unless $got->[0] eq 'OK';
        return $id;
    };
    served($admit->(0), 'a body in pieces, signed');
    refused($admit->(1), 'a body in pieces, one byte of it swapped',
        'its body is not the one that was signed');
}


# What else stands in a spec.

refused(job($body, sub { my $s = signed($body)->(@_);
    $s =~ s/tenant 1\nt\n/tenant 1\nu\n/ or die; $s }), 'another tenant',
    'its signature is none', 'u');
refused(job($body, sub { my $s = signed($body)->(@_);
    $s =~ s/background 1\n0/background 1\n1/ or die; $s }),
    'another flag', 'its signature is none');
refused(job($body, sub { my $s = signed($body)->(@_);
    $s =~ s/(?=mac 64\n)/header 9\nx-a: evil\n/ or die; $s }),
    'a header more', 'its signature is none');
refused(job($body, sub { signed($body)->(@_) . "header 9\nx-a: evil\n" }),
    'a header behind the signature', 'it is not signed');
refused(job($body, sub { my $s = $_[0];
    $s . "mac 64\n" . Digest::SHA::hmac_sha256_hex("ngx-ai job 1\n$s", $old)
        . "\n" }), 'a signature that says nothing of the body',
    'its signature does not cover its body');

# The hash says another tenant than the spec, which is where it is settled.
{
    my $job = AiWork::id();
    my $spec;
    served(job($body, sub { $spec = signed($body)->(@_) }), 'one to copy');
    my $got = $w->script('admit', $job, 't', 1, 'interactive', '', 0, 0,
        $w->{edge}, $spec, $body, "key:k1\t-\tchat\topenai\tp/m", 1000, 1e8,
        length $body, '', '', '');
    my $said = $w->answer($job, 20);
    is($said->{error}, 'internal', "a spec of another job's: not run");
    is(calls(), $calls, "a spec of another job's: no call");
}


# Catalogs.

{
    my $mine = $w->{catalog};
    my $theirs = $w->catalog({ providers => {
        p => provider($evil->url . '/v1') } });

    refused(job($body, sub {
        my $s = signed($body)->($_[0] =~ s/$theirs/$mine/r);
        $s =~ s/$mine/$theirs/ or die; $s }),
        'a catalog by another name', 'its signature is none');

    # By a name that is signed, but the text is not.
    my $job = job($body, signed($body));
    my $got = $w->answer($job, 20);
    is($got->{error}, 'internal', 'an unsigned catalog is not used');
    like($t->worker_log, qr/catalog.*\Q@{[substr $theirs, 0, 16]}\E.*refused: it is not signed/,
        'an unsigned catalog: the log says so');

    sign_catalog($foreign);
    is($w->answer(job($body, signed($body)), 20)->{error}, 'internal',
        "a catalog with another's signature is not used");

    # The honest name with another text.
    $r->cmd('SET', "ai1:catalog:$theirs", AiSign::catalog($old,
        '{"models":{},"prices":{},"providers":{},"v":1}') );
    is($w->answer(job($body, signed($body)), 20)->{error}, 'internal',
        'a catalog with another text is not used');
    is(scalar(@{[$evil->requests]}), 0, "nobody else's provider was called");
    $r->cmd('DEL', "ai1:catalog:$theirs");
    $w->catalog({ providers => { p => provider($p->url . '/v1') } });
    sign_catalog($old);
}


# The same once more.

{
    my ($job, $spec) = (AiWork::id());
    my $id = job($body, sub { $spec = signed($body)->(@_) }, id => $job);
    served($id, 'before it comes again');
    my %h = %{ $r->hash('HGETALL', "${prefix}job:$id") };

    # As Redis itself would hand it over, and as nobody would.
    my ($worker) = map { s/^w://r } grep { /^w:/ }
        @{ $r->cmd('ZRANGE', "${prefix}alive", 0, -1) };
    my $again = sub {
        my ($attempt) = @_;
        $r->cmd('DEL', "${prefix}ev:$id");
        $r->cmd('HSET', "${prefix}job:$id", state => 'running', body => $body,
            attempt => $attempt, owner => $worker, tip => "$attempt-0");
        $r->cmd('HDEL', "${prefix}job:$id", 'usage', 'fin', 'log');
        $r->cmd('PUBLISH', "${prefix}worker:$worker", "J$id $attempt - $h{at} 0 "
            . length($body) . ' 0 ' . length($spec) . "\n$spec$body");
    };
    # Within the seconds that Redis may lose it could be honest: bounded.
    for my $n (2 .. 9) {
        my $before = calls();
        $again->($n);
        wait_for(sub { $w->state($id) ne 'running' }, 20, "attempt $n");
    }
    my $log = $t->worker_log;
    like($log, qr/refused: it (?:has begun here too often|was ended here before)/,
        'it does not begin for ever');
    cmp_ok(calls() - $calls, '<=', 7, 'it began eight times at most');
    $calls = calls();

    sleep 10.5;
    $again->(10);
    wait_for(sub { $w->state($id) ne 'running' }, 20, 'once more');
    like($t->worker_log, qr/refused: it was ended here before/,
        'what ended here before does not begin again');
    is(calls(), $calls, 'without a call');
}

{
    my $at = int(time * 1000);
    for (['of yesterday', -86400], ['of tomorrow', 86400]) {
        my ($name, $s) = @$_;
        my $id = sprintf 'job_%012x%s', $at + $s * 1000, substr(AiWork::id(), 16);
        refused(job($body, signed($body), id => $id), $name,
            'its time is too far');
    }
    my $id = sprintf 'job_%012x%s', $at - 86400_000, substr(AiWork::id(), 16);
    served(job($body, signed($body), id => $id, flags => 'b'),
        'one of yesterday in the background');
}


# Another key: the first signs, all are known.

AiSign::file($file, $new, $old);
$t->{workers}[-1]->signal('HUP');
wait_for(sub { $t->worker_log =~ /secrets are read again/ }, 10, 'SIGHUP');
served(job($body, signed($body, $new)), 'rotation: the new key');
served(job($body, signed($body, $old)), 'rotation: the old key still');

AiSign::file($file, 'too short');
$t->{workers}[-1]->signal('HUP');
wait_for(sub { $t->worker_log =~ /is no file of keys: .*32 bytes/ }, 10,
    'SIGHUP with a bad file');
served(job($body, signed($body, $old)), 'a bad file: the keys stay');

AiSign::file($file, $new);
$t->{workers}[-1]->signal('HUP');
wait_for(sub { my $n = () = $t->worker_log =~ /secrets are read again/g;
    $n == 3 }, 10, 'SIGHUP');
served(job($body, signed($body, $new)), 'rotated: the new key');
refused(job($body, signed($body, $old)), 'rotated: the old key',
    'its signature is none');

$t->allow_log(qr/refused:/, qr/failed: (?:signature|internal)/,
    qr/is no file of keys/, qr/catalog .* is refused/,
    qr/its catalog .* is not to be had/, qr/is not what its name says/,
    qr/cannot be read/, qr/Redis does not know it/, qr/another worker has it/);
$t->{no_keys} = 1;
$w->close;
done_testing();
