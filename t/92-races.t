#!/usr/bin/perl
# Where routing meets itself: two calls of one job, a token that is awaited, a
# permit that another has, what only an error's body says.
use AiTest;
use AiWork;
use Time::HiRes ();

my $t = AiTest->new;
my $w = AiWork->new($t, start => 0);
my $yes = JSON::PP::true;
my $dir = $t->dir;
my $big = 'x' x 300_000;

sub gemini_error { my ($out, $status, $word, @details) = @_;
    return $out->answer($status, encode_json({ error => { code => $status,
        message => 'no', status => $word, details => [@details] } })) }

sub script {
    my ($name) = @_;
    return sub {
        my ($req, $out) = @_;
        my $model = $req->{json}{model} || '';

        if ($req->{path} eq '/token') {
            $out->wait(2);
            return $out->answer(200, { access_token => 'ya29.x',
                expires_in => 3600, token_type => 'Bearer' });
        }
        if ($req->{path} =~ m{/models/(\S+?):}) {
            return gemini_error($out, 429, 'RESOURCE_EXHAUSTED',
                { retryDelay => '30s' }) if $1 eq 'limited';
            return gemini_error($out, 400, 'INVALID_ARGUMENT',
                { reason => 'API_KEY_INVALID' })
                if ($req->{headers}{'x-goog-api-key'} // '') eq 'bad';
            return $out->answer(200, { candidates => [{ content => {
                role => 'model', parts => [{ text => 'hello' }] },
                finishReason => 'STOP' }], usageMetadata => {
                promptTokenCount => 3, candidatesTokenCount => 2 } });
        }
        return $out->answer(401, '{"error":{"message":"key"}}')
            if -e "$dir/$model.key";
        $out->wait($1) if $model =~ /^wait-([\d.]+)/;
        return $out->answer(503, '{"error":{"message":"down"}}')
            if $model =~ /fail$/ || -e "$dir/$model";
        return $out->answer(429, '{"error":{"message":"slowly"}}',
            'Retry-After' => 30) if $model =~ /limited$/;
        return $out->answer(403, '{"error":{"message":"flagged"}}')
            if $model =~ /flagged$/;
        if ($model =~ /big$/) {
            $out->head(200, 'Content-Type' => 'application/json');
            $out->chunk(qq({"id":"$name","text":"$big));
            $out->wait(1.5);
            $out->chunk('","usage":{"prompt_tokens":1,'
                . '"completion_tokens":1}}');
            return $out->end;
        }
        AiProvider::openai(words => [$name, ' says'])->($req, $out);
    };
}
my $a = $t->provider(name => 'a', script => script('a'));
my $b = $t->provider(name => 'b', script => script('b'));
my $v = $t->provider(name => 'v', script => script('v'));

my %p = (api => 'openai', key => [], timeout => { connect => 20000,
    first => 30000, idle => 60000, total => 60000 });
sub routes { my ($first, $other, %more) = @_;
    my @t = map { my ($p, $m) = m{(.*?)/(.*)}; { provider => $p,
        model => $m } } grep { $_ } $first, $other;
    return { routes => [shift @t], fallbacks => [@t], retry => 0, %more } }
my @hedge = (hedge => 200);
$w->catalog({
    models => {
        big => routes('a/wait-0.5-big', 'b/wait-1.2', @hedge),
        limited => routes('a/wait-0.6-fail', 'b/limited', @hedge, retry => 2),
        token => routes('a/wait-0.6-fail', 'v/gemini', @hedge),
        key => routes('g/gemini'),
        later => routes('g/limited', '', retry => 2),
        lone => routes('a/lone', '', retry => 0),
        full => routes('a/full', '', retry => 0),
        poor => routes('n/wait-0.3-poor', '', retry => 0),
    },
    providers => {
        a => { %p, url => [$a->url('/v1')] },
        b => { %p, url => [$b->url('/v1')] },
        v => { %p, api => 'vertex', key => ['env:V_API_KEY'],
            url => [$v->url('/v1/projects/p/locations/l')],
            timeout => { %{ $p{timeout} }, total => 8000 } },
        n => { %p, key => ['env:G1_API_KEY'], url => [$b->url('/v1')] },
        g => { %p, api => 'gemini', key => [map { "env:G${_}_API_KEY" } 1, 2],
            url => [$v->url('/v1beta')] },
    },
});
my $pem = `openssl genrsa 2048 2>/dev/null`;
$w->start(env => { G1_API_KEY => 'bad', G2_API_KEY => 'good',
    V_API_KEY => encode_json({ type => 'service_account', project_id => 'p',
        private_key_id => 'k', private_key => $pem,
        client_email => 'a@p.iam.gserviceaccount.com',
        token_uri => $v->url('/token') }) });

sub job { my ($model, %body) = @_;
    return $w->job(body => { model => $model, messages => [{ role => 'user',
        content => 'hello' }], %body }) }
sub sum_up { my ($got) = @_;
    return join ' ', $got->{status} || $got->{error},
        @{ $got->{end} }{qw(state provider attempts)} }


# Two calls of one job.

my $got = $w->answer(job('big'));
is(sum_up($got), '200 done a 2', 'an object that has begun to go out');
is($got->{body}, qq({"id":"a","text":"$big","usage":{"prompt_tokens":1,)
    . '"completion_tokens":1}}', 'has no bytes of the other');

$got = $w->answer(job('limited'));
is(sum_up($got), '503 failed a 4', 'the second call is over its limit');
is(scalar(grep { $_->{body} =~ m{"limited"} } $b->requests), 1,
    'and is not asked again before its time');

SKIP: {
    skip 'no openssl', 1 unless $pem;
    is(sum_up($w->answer(job('token'))), '200 done v 2',
        'the first fails while the second waits for its token');
}


# What the body of an error says.

is(sum_up($w->answer(job('key'))), '200 done g 2', 'a 400 about the key');
is(sum_up($w->answer(job('key'))), '200 done g 1', 'benches the key');
is(sum_up($w->answer(job('later'))), '429 failed g 1',
    'a wish in the body is obeyed as that of a header');


# One that others are trying.

open my $fh, '>', "$dir/lone" or die $!;
close $fh;
$w->answer(job('lone')) for 1 .. 10;
wait_for(sub { $t->worker_log =~ m{m a/lone@\d+ t is open for} }, 10,
    'the breaker to open');
my $hash = do {
    use integer;
    no warnings 'portable';
    my %open = @{ $w->r->cmd('HGETALL', 'ai1:breakers') };
    my ($name) = grep { m{^m a/lone@} } keys %open;
    my $h = 0xcbf29ce484222325;
    $h = ($h ^ ord) * 0x100000001b3 for split //, $name;
    ($h ^ 0xff) * 0x100000001b3;
};
$w->r->cmd('SET', sprintf('ai1:breakers:%016x', $hash), 'x', 'PX', 60000);
sleep 2;
my $job = job('lone');
$got = $w->answer($job);
is($got->{error}, 'unavailable', 'another worker tries it');
my ($x) = map { $_->[2] } grep { $_->[1] eq 'x' } $w->log($job);
like($x, qr/^retry_after 1\n[12]\n/m, 'the client is told a time');


# Its only key is benched, and is used for want of another: by one at a time
# where it is half open.
sub touch { open my $fh, '>', "$dir/$_[0]" or die $! }
touch('wait-0.3-poor.key');
is(sum_up($w->answer(job('poor'))), '401 failed n 1', 'its key is refused');
unlink "$dir/wait-0.3-poor.key";
touch('wait-0.3-poor');
sub poor { my @jobs = map { job('poor') } 1 .. $_[0];
    $w->answer($_) for @jobs;
    return scalar grep { $_->{body} =~ /"wait-0.3-poor"/ } $b->requests }
my $n = poor(12);
wait_for(sub { $t->worker_log =~ m{m n/wait-0.3-poor@\d+ t is open for} }, 10,
    'the breaker of one whose key is benched to open');
sleep 1.2;
is(poor(8) - $n, 1, 'one call tries it');
like($t->worker_log, qr{m n/wait-0.3-poor@\d+ t is open for 2000 ms},
    'in vain');


# A table that is full of names somebody made up.
$w->r->cmd('HSET', 'ai1:breakers', map { ("l a/made-up-$_#0\@1",
    int(1000 * Time::HiRes::time()) . ' 1') } 1 .. 1024);
my $late = $w->start(name => 'late', n => 1);
$_->stop for grep { $_ != $late } @{ $t->{workers} };
open $fh, '>', "$dir/full" or die $!;
close $fh;
$w->answer(job('full')) for 1 .. 11;
wait_for(sub { grep { m{^m a/full@} } @{ $w->r->cmd('HKEYS',
    'ai1:breakers') } }, 10, 'what fails to have a place');
pass('what fails has a place');
wait_for(sub { !$w->leases }, 10, 'all slots to be free');

$w->close;
done_testing();
