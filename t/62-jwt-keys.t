#!/usr/bin/perl
# Where the keys of tokens come from: files, which are read again when they
# change, and URLs, which workers fetch; whatever goes wrong, the last good set
# stays.
use AiTest;
use AiFake;
use AiJwt;
use AiSign;
use AiWork;

my $t = AiTest->new;
$t->redis;
my $dir = $t->subdir('jwks');
my $file = "$dir/keys.json";
my $served = "$dir/served";

# What the provider of keys says: a status, headers, a body, in a file each.
sub serve {
    my ($path, $body, %o) = @_;
    AiJwt::write_file("$served$path", join "\n", $o{status} || 200,
        $o{cache} || '-', $o{location} || '-', $body);
}
mkdir $served;
my $idp = $t->provider(script => sub {
    my ($req, $out) = @_;
    my $text = slurp("$served$req->{path}");
    return $out->answer(404, 'none') unless defined $text && length $text;
    my ($status, $cache, $location, $body) = split /\n/, $text, 4;
    $out->stall if $status == 999;
    $out->answer($status, $body, $cache eq '-' ? () : ('Cache-Control' => $cache),
        $location eq '-' ? () : (Location => $location));
});
my $url = $idp->url('/jwks');

my $first = AiJwt->new(alg => 'ES256', kid => 'first');
my $second = AiJwt->new(alg => 'ES256', kid => 'second');
my $third = AiJwt->new(alg => 'EdDSA', kid => 'third');
my $secret = AiJwt->new(alg => 'HS256', kid => 'secret');
AiJwt::write_jwks($file, $first);

my $http = <<"CONF";
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_auth jwt;
    %%KEYS%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location = /metrics { ai_metrics; }
    }
}
CONF
my $edge = $t->edge(conf => $http, vars => { KEYS => <<"CONF" });
    ai_jwt_key file=$file issuer=file;
    ai_jwt_key url=$url issuer=url;
    ai_jwt_key url=${\ $idp->url('/away')} issuer=away;
CONF

# Directives.
sub conf {
    my ($keys, $re, $name) = @_;
    my ($code, $out) = $edge->test_conf($http =~ s/%%KEYS%%/$keys/r);
    return is($out, '', $name) if !$re;
    ok($code != 0 && $out =~ $re, $name) or diag($out);
}
AiJwt::write_file("$dir/bad.json", '{"keys":');
AiJwt::write_file("$dir/empty.json", '{"keys":[]}');
AiJwt::write_file("$dir/large.json", ' ' x 262_145);
AiJwt::write_jwks("$dir/weak.json", AiJwt->new(alg => 'RS256', bits => 1024));
AiJwt::write_jwks("$dir/odd.json", $first, { kty => 'new' });
conf("ai_jwt_key file=$file issuer=a;", undef, 'a file');
{
    my ($code, $out) = $edge->test_conf($http
        =~ s/%%KEYS%%/ai_jwt_key file=$dir\/odd.json issuer=a;/r);
    is($code, 0, 'a key of another type is no error');
    like($out, qr/1 keys of .* are not used: a key's "kty"/, 'but told');
}
conf('', qr/"ai_auth jwt" needs an "ai_jwt_key" for the "ai_pass" in \S+:\d+/,
    'no keys at all');
my @wrong = (
    ["file=$dir/none.json issuer=a", qr/open\(\) .* failed/, 'no such file'],
    ["file=$dir issuer=a", qr/no regular file/, 'a folder'],
    ["file=/dev/zero issuer=a", qr/no regular file/, 'a device'],
    ["file=$dir/bad.json issuer=a", qr/malformed/, 'no JSON'],
    ["file=$dir/empty.json issuer=a", qr/it has no keys/, 'no key'],
    ["file=$dir/large.json issuer=a", qr/over 262144 bytes/, 'too large'],
    ["file=$dir/weak.json issuer=a", qr/shorter than 2048 bits/, 'a weak key'],
    ["file= issuer=a", qr/is empty/, 'an empty name'],
    ["file=$file", qr/needs an "issuer="|number of arguments/, 'no issuer'],
    ["issuer=a audience=b", qr/needs a "file=" or a "url="/, 'no source'],
    ["file=$file url=https://a/b issuer=a", qr/one "file=" or one "url="/,
        'two sources'],
    ["file=$file issuer=a issuer=b", qr/repeated parameter/, 'two issuers'],
    ["file=$file issuer=a leeway=1h", qr/"leeway=1h"/, 'too much leeway'],
    ["file=$file issuer=a what=ever", qr/"what=ever"/, 'an unknown parameter'],
    ["file=$file issuer=a algorithms=none", qr/algorithm "none"/, 'none'],
    ["file=$file issuer=a algorithms=RS256,rs512", qr/algorithm "rs512"/,
        'an unknown algorithm'],
    ["file=$file issuer=a algorithms=HS256", qr/no keys|not allowed/,
        'none of the algorithms'],
    ["url=https://a/b issuer=a algorithms=HS256", qr/with a "file=" only/,
        'a secret for everybody'],
    map({ ["url=$_ issuer=a", qr/invalid URL/, "URL $_"] } 'http://example.com/',
        'ftp://127.0.0.1/', 'https://', 'https://user:pass@example.com/',
        'http://127.0.0.1@example.com/', 'http://localhost.example.com/',
        'file:///etc/passwd', 'https://' . 'a' x 1020),
);
conf("ai_jwt_key $_->[0];", $_->[1], $_->[2]) for @wrong;
conf("ai_jwt_key file=$file issuer=a; ai_jwt_key file=$file issuer=a;",
    qr/issuer "a" is duplicate/, 'an issuer twice');
conf("ai_jwt_key file=$file issuer=a; ai_jwt_claim $_;", qr/"\Q$_\E"/, $_)
    for 'tenant=', 'what=x', 'tenant=' . 'x' x 64;
conf("ai_jwt_key file=$file issuer=a; ai_jwt_claim tenant=a tenant=b;",
    qr/"tenant=b"/, 'a claim twice');
conf("ai_jwt_key file=$file issuer=a; ai_zone tokens 1k;",
    qr/needs a size of at least/, 'a zone that is too small');
{
    my $text = $http =~ s/ai_auth jwt;/ai_auth jwt off;/r;
    my ($code, $out) = $edge->test_conf($text
        =~ s/%%KEYS%%/ai_jwt_key file=$file issuer=a;/r);
    like($out, qr/"off" is duplicate, or stands beside "off"/, 'jwt and off');
}

serve('/jwks', AiJwt::jwks($first), cache => 'public, max-age=60');
$edge->start;
AiFake->new($t, slots => 0)->tenant('acme');

sub token {
    my ($key, $iss) = @_;
    return $key->token({ iss => $iss, sub => 'ann', tenant => 'acme',
        exp => int(time) + 600 });
}
sub status { return AiHttp->get($edge->port, '/v1/models', key => token(@_))->status }
sub becomes {
    my ($key, $iss, $status, $name, $seconds) = @_;
    ok(eval { wait_for(sub { status($key, $iss) == $status }, $seconds || 20,
        $name) }, $name) or diag("it is " . status($key, $iss));
}

# A file, and what becomes of it.
is(status($first, 'file'), 200, 'a key of the file');
is(status($second, 'file'), 401, 'and one that is not in it');
my $kept = token($first, 'file');
is(AiHttp->get($edge->port, '/v1/models', key => $kept)->status, 200,
    'a token that is remembered');
AiJwt::write_jwks($file, $second);
becomes($second, 'file', 200, 'a new file is read');
is(status($first, 'file'), 401, 'the old key has gone');
is(AiHttp->get($edge->port, '/v1/models', key => $kept)->status, 401,
    'and with it what was remembered of it');

sub bad_file {
    my ($write, $re, $name) = @_;
    my $from = length $edge->log;
    $write->();
    ok(wait_for(sub { substr($edge->log, $from) =~ $re }, 20, $name), $name);
    is(status($second, 'file'), 200, '- and the last good keys stay');
}
bad_file(sub { AiJwt::write_file($file, '{"keys":[') },
    qr/no set of keys in .*malformed; the last good one stays/, 'half a file');
bad_file(sub { AiJwt::write_file($file, '{"keys":[]}') },
    qr/it has no keys; the last good/, 'a file without keys');
bad_file(sub { AiJwt::write_file($file, 'x' x 300_000) },
    qr/over 262144 bytes/, 'a file that is too large');
bad_file(sub { unlink $file }, qr/stay what they were: stat/, 'no file');
AiJwt::write_jwks($file, $secret, $third);
becomes($secret, 'file', 200, 'secrets and others');
becomes($third, 'file', 200, 'in one file');
unlike($edge->log, qr/\Q$secret->{secret}\E/, 'no secret is logged');

# URLs: nobody has fetched anything yet.
my $res = AiHttp->get($edge->port, '/v1/models', key => token($first, 'url'));
is($res->status, 503, 'without a set nobody knows');
ok($res->header('retry-after'), 'and it says when to come again');
is(scalar(() = $idp->requests), 0, 'the edge fetches nothing');

my $work = AiWork->new($t, n => 2, args => ['--sign-file', $t->sign_file]);
becomes($first, 'url', 200, 'a worker fetches it');
my ($req) = grep { $_->{path} eq '/jwks' } $idp->requests;
is($req->{method}, 'GET', 'by GET');
is($req->{body}, '', 'without a body');
is(scalar(grep { $_->{path} eq '/jwks' } $idp->requests), 1,
    'one of the workers');
is(status($second, 'url'), 401, 'a key that is not in it');
is(status($first, 'away'), 503, 'of a URL that is 404 nobody knows');
like($t->worker_log, qr{no keys from \S+/away: its status is not 200},
    'which the worker says');
my $keys = $t->redis->keys;
my ($set) = grep { /^ai1:jwks:[0-9a-f]{64}$/ } keys %$keys;
ok($set && $keys->{$set} > 100_000_000, 'it is in Redis for two days');

# A key that is not known brings a fetch forward, once in 30 s.
serve('/jwks', AiJwt::jwks($first, $second), cache => 'max-age=3600');
my $n = () = grep { $_->{path} eq '/jwks' } $idp->requests;
becomes($second, 'url', 200, 'an unknown key is looked for', 60);
is((() = grep { $_->{path} eq '/jwks' } $idp->requests), $n + 1, 'by one fetch');
my @at = map { $_->{time} || $_->{at} || 0 }
    grep { $_->{path} eq '/jwks' } $idp->requests;
cmp_ok($at[-1] - $at[-2], '>', 25, 'not at once') if $at[-1];

# Redis loses it, and has it again from the next edge's look or worker's fetch.
my $text = $t->redis->cmd('GET', $set);
$t->redis->cmd('SET', $set, AiSign::jwks($t->sign_key, $url,
    AiJwt::jwks($secret)));
$t->redis->cmd('PUBLISH', 'ai1:keys', 'W' . ($set =~ s/.*://r) . "\n");
ok(wait_for(sub { $edge->log =~ /holds a secret/ }, 20, 'it'),
    'a secret that everybody can read is no key');
is(status($first, 'url'), 200, 'and the last good set stays');
$t->redis->cmd('SET', $set, AiJwt::jwks($third), 'EX', 1000);
$t->redis->cmd('PUBLISH', 'ai1:keys', 'W' . ($set =~ s/.*://r) . "\n");
ok(wait_for(sub { $edge->log =~ /are not signed by a key of ours/ }, 20, 'it'),
    'a set that nobody signed');
is(status($third, 'url'), 401, 'lets nobody in');
is(status($first, 'url'), 200, 'and the last good one stays');
$t->redis->cmd('SET', $set, AiSign::jwks($t->sign_key, "$url/other",
    AiJwt::jwks($third)), 'EX', 1000);
$t->redis->cmd('PUBLISH', 'ai1:keys', 'W' . ($set =~ s/.*://r) . "\n");
select undef, undef, undef, 0.5;
is(status($third, 'url'), 401, 'nor one that was signed for another URL');
$t->redis->cmd('SET', $set, AiSign::jwks($t->sign_key, $url,
    AiJwt::jwks($third)), 'EX', 1000);
$t->redis->cmd('PUBLISH', 'ai1:keys', 'W' . ($set =~ s/.*://r) . "\n");
becomes($third, 'url', 200, 'a set that was announced is read');
is(status($first, 'url'), 401, 'and is the only one');
$t->redis->cmd('SET', $set, $text, 'EX', 1000);
$edge->reload;
becomes($first, 'url', 200, 'a new edge reads what is there', 30);
is(status($third, 'url'), 401, 'and that alone');
$work->close;

done_testing();
