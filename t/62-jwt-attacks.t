#!/usr/bin/perl
# What is tried against those who verify tokens: each of it is refused, nothing
# crashes, and a flood of it neither grows memory nor troubles who is good.
use AiTest;
use AiFake;
use AiJwt;
use MIME::Base64 qw(encode_base64url decode_base64url);

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
$fake->tenant($_) for qw(acme globex 42);
my $dir = $t->subdir('jwks');

my $rs = AiJwt->new(alg => 'RS256', kid => 'rs');
my $es = AiJwt->new(alg => 'ES256', kid => 'es');
my $ed = AiJwt->new(alg => 'EdDSA', kid => 'ed');
my $hs = AiJwt->new(alg => 'HS256', kid => 'hs');
my $mine = AiJwt->new(alg => 'RS256', kid => 'rs');     # the attacker's
AiJwt::write_jwks("$dir/keys.json", $rs, $es, $ed, $hs);
AiJwt::write_jwks("$dir/public.json", $rs);

my $edge = $t->edge(conf => <<"CONF");
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_zone principals 64k;
    ai_zone tokens 64k;
    large_client_header_buffers 8 64k;
    server {
        listen 127.0.0.1:%%PORT%%;
        keepalive_requests 100000;
        ai_auth key jwt;
        ai_jwt_key file=$dir/keys.json issuer=me audience=us;
        location /v1/ { ai_pass; }
        location /public/v1/ {
            ai_pass;
            ai_jwt_key file=$dir/public.json issuer=me audience=us;
        }
        location = /metrics { ai_metrics; }
    }
}
CONF
$edge->start;
my ($pid) = $edge->workers;

sub claims {
    return { iss => 'me', aud => 'us', sub => 'ann', tenant => 'acme',
        exp => int(time) + 600, @_ };
}
sub get { return AiHttp->get($edge->port, $_[1] || '/v1/models', key => $_[0]) }
sub refused {
    my ($token, $name, $path) = @_;
    my $res = get($token, $path);
    return is($res->status, 401, $name);
}
sub json { return $AiJwt::json->encode(shift) }
sub unsigned {
    my ($header, $sig) = @_;
    return encode_base64url(ref $header ? json($header) : $header) . '.'
        . encode_base64url(json(claims())) . '.' . (defined $sig ? $sig : '');
}
sub raw {
    my ($key, $sig, $header) = @_;
    my $input = $key->token(claims(), $header) =~ s/\.[^.]*$//r;
    return "$input." . encode_base64url($sig);
}

my %good = map { $_->{alg} => $_->token(claims()) } $rs, $es, $ed, $hs;
is(get($good{$_})->status, 200, "$_ is good") for sort keys %good;

# No signature, in every spelling.
for my $alg ('none', 'None', 'NONE', 'nOnE', 'none ', ' none', "none\0", '',
    'null', undef, 0, [], ['none'], ['RS256'], { a => 1 })
{
    my $name = defined $alg ? ref $alg ? json($alg) : "'$alg'" : 'null';
    refused(unsigned({ alg => $alg, kid => 'rs' }, $_), "alg $name, $_")
        for '', 'AA', (split /\./, $good{RS256})[2];
}
refused(unsigned({ typ => 'JWT', kid => 'rs' }), 'no alg at all');
refused(unsigned('{"alg":"RS256","alg":"none","kid":"rs"}'), 'two algs');
refused(unsigned("{\"alg\":\"RS256\",\"\\u0061lg\":\"none\",\"kid\":\"rs\"}"),
    'two algs, one spelled otherwise');
refused($good{RS256} =~ s/[^.]*$//r, 'a good token without its signature');
refused($good{RS256} =~ s/\.[^.]*$//r, 'and without the dot');

# The public key as a secret.
for my $form (qw(PEM DER)) {
    my $public = $rs->public($form);
    for my $secret ($public, $public =~ s/\n\z//r, $public =~ s/\n/\r\n/gr) {
        for my $alg (qw(HS256 HS384 HS512)) {
            my $forger = AiJwt->new(alg => $alg, kid => 'rs', secret => $secret);
            refused($forger->token(claims()), "$alg with the $form");
            refused($forger->token(claims()), "$alg with the $form alone",
                '/public/v1/models');
            refused($forger->token(claims(), { kid => undef }),
                "$alg with the $form, no kid", '/public/v1/models');
            refused($forger->token(claims(), { kid => 'hs' }),
                "$alg with the $form, the secret's kid");
        }
    }
}
for my $secret (json($rs->jwk), $rs->jwk->{n}, decode_base64url($rs->jwk->{n}),
    '', "\0" x 32, 'secret')
{
    my $forger = AiJwt->new(alg => 'HS256', kid => 'hs', secret => $secret);
    refused($forger->token(claims()), 'HS256 with what everybody knows');
}

# Names of keys that are none.
for my $kid ('../../../../dev/null', '/dev/null', "hs' UNION SELECT 'x", '`id`',
    '$(id)', "rs\0", 'rs ', 'RS', '', 'x' x 300, "\n", '%s%n', 'hs|rs', 'ai1:jwks')
{
    for my $forger (AiJwt->new(alg => 'HS256', secret => ''), $hs, $rs) {
        refused($forger->token(claims(), { kid => $kid }),
            "kid '" . substr($kid, 0, 30) =~ s/[^ -~]/?/gr . "'");
    }
}
refused($hs->token(claims(), { kid => $_ }), 'a kid that is no text')
    for 1, ['hs'], { hs => 1 }, \1;
refused($es->token(claims(), { kid => 'rs' }), 'the kid of another key');
refused($rs->token(claims(), { kid => 'es' }), 'and the other way round');

# Keys that come with the token.
my $jwk = $mine->jwk;
for my $header ({ jwk => $jwk }, { jwk => $jwk, kid => undef },
    { jku => 'http://127.0.0.1:' . $edge->port . '/jwks' },
    { x5u => 'https://example.com/x.pem' },
    { x5c => ['MIIB' . 'A' x 400] }, { 'x5t#S256' => 'A' x 43 })
{
    my ($name) = sort keys %$header;
    refused($mine->token(claims(), $header), "signed by a stranger, $name");
    is(get($rs->token(claims(), { %$header, kid => 'rs' }))->status, 200,
        "signed by us, $name is not looked at");
}
refused($mine->token(claims()), 'the right kid, the wrong key');

# What must be understood is not.
for my $crit (['exp'], ['b64'], [], 'exp', undef, ['x']) {
    refused($rs->token(claims(), '{"alg":"RS256","kid":"rs","crit":'
            . $AiJwt::json->allow_nonref->encode($crit) . ',"exp":1}'), 'crit');
}
refused($rs->token(claims(), { b64 => \0 }), 'b64');
refused($rs->token(claims(), { alg => $_ }), "signed RS256, says $_")
    for qw(RS384 RS512 PS256 ES256 HS256 EdDSA rs256 RS256x ES256K);

# Signatures that are none.
for my $n (0, 31, 32, 63, 65, 72, 96, 128, 132, 5000) {
    refused(raw($es, "\0" x $n), "ES256, $n zeros");
    refused(raw($es, "\xff" x $n), "ES256, $n times 0xff");
}
refused(raw($es, "\0" x 64), 'ES256, r = s = 0');
refused(raw($es, "\0" x 31 . "\1" . "\0" x 31 . "\1"), 'ES256, r = s = 1');
my $order = pack 'H*', 'ffffffff00000000ffffffffffffffff'
    . 'bce6faada7179e84f3b9cac2fc632551';
refused(raw($es, $order . $order), 'ES256, r = s = n');
refused(raw($es, "\0" x 32 . $order), 'ES256, r = 0, s = n');
my $der = "\x30\x06\x02\x01\x01\x02\x01\x01";
refused(raw($es, $der), 'ES256 as DER');
refused(raw($ed, "\0" x 64), 'EdDSA, zeros');
refused(raw($ed, "\1" . "\0" x 63), 'EdDSA, the neutral element');
refused(raw($rs, "\0" x 256), 'RS256, zeros');
refused(raw($rs, "\0" x 255 . "\1"), 'RS256, one');
refused(raw($rs, "\xff" x 256), 'RS256, more than the modulus');
for my $alg (sort keys %good) {
    my ($h, $p, $s) = split /\./, $good{$alg};
    my $bytes = decode_base64url($s);
    refused("$h.$p." . encode_base64url($_->[0]), "$alg, $_->[1]")
        for [substr($bytes, 0, -1), 'one byte less'], ["$bytes\0", 'one more'],
        ["\0$bytes", 'a zero in front'], [$bytes x 2, 'twice'],
        [substr($bytes, 1), 'without its first'], [reverse($bytes) . '', 'reversed'];
    refused("$h.$p.$_->[0]", "$alg, $_->[1]")
        for ["$s=", 'padded'], ["$s.", 'a fourth part'], [".$s", 'two dots'],
        ["${s}A", 'a character more'], ["A $s", 'a blank'],
        [$s =~ s/^./%41/r, 'escaped'];
    refused("$h.$p" . "x.$s", "$alg, another payload");
    refused("$h." . encode_base64url(json(claims(sub => 'root'))) . ".$s",
        "$alg, another subject");
    refused(encode_base64url(json({ alg => $alg, kid => 'hs' })) . ".$p.$s",
        "$alg, another header") unless $alg eq 'HS256';
}

# Payloads that are none.
refused($hs->token($_), 'payload ' . substr $_, 0, 20)
    for '', 'x', '[]', '"me"', '1', 'null', '{', "\xff\xfe", '{"a":' x 1000,
    '{"iss":"me","iss":"you"}', '[' x 5000,
    json(claims()) . 'x', "\xef\xbb\xbf" . json(claims()),
    json(claims()) =~ s/"sub":"ann"/"sub":"ann","sub":"root"/r,
    json(claims()) =~ s/"tenant":"acme"/"tenant":"acme","\\u0074enant":"globex"/r,
    '{"iss":"me","aud":"us","sub":"ann","tenant":"acme","exp":' . '9' x 400 . '}';
is(get($hs->token(json(claims(x => "\0 \x1b[31m"))))->status, 200,
    'what nobody asks for may be odd');

# Sizes.
my $pad = sub { $hs->token(claims(pad => 'x' x $_[0])) };
is(get($pad->(5000))->status, 200, 'a large token');
refused($pad->(6200), 'a token over 8 KB');
refused($pad->(40_000), 'a huge one');
refused('eyJ' . 'A' x 8000 . '..', 'much of nothing');
refused($_, "token '$_'") for 'eyJ..', '..', 'e.e.e', 'eyJhbGciOiJub25lIn0..',
    'eyJhbGciOiJub25lIn0.e30.', '.' x 100, 'eyJ' . 'A' x 100;

# A flood of forged ones: nothing is kept of them, memory does not grow, and
# who is good goes on.  Each is another token, by another way.
my $key = $fake->key('keyed');
is(get($key)->status, 200, 'a key, before');
sub rss { return slurp("/proc/$pid/status") =~ /VmRSS:\s+(\d+)/ ? $1 : 0 }
sub metric {
    my ($name) = @_;
    return AiHttp->get($edge->port, '/metrics')->body =~ /^$name (\d+)/m ? $1 : 0;
}
my $http = AiHttp->new(port => $edge->port);
sub keep {
    $http->send_request(path => '/v1/models', key => $_[0]);
    return $http->response->status;
}

my ($refused, $rss, $wrong) = (metric('ngx_ai_tokens_refused_total'));
my ($rh, undef, $rsig) = split /\./, $good{RS256};
my $other = encode_base64url(json({ alg => 'RS256', kid => 'nobody' }));
for my $i (1 .. 10_000) {
    my $payload = encode_base64url(json(claims(sub => "u$i", jti => $i)));
    my $token = $i % 4 == 0 ? "$other.$payload.$rsig"
        : $i % 4 == 1 ? encode_base64url("{\"alg\":\"none\",\"n\":$i}") . ".$payload."
        : "$rh.$payload.$rsig";
    $wrong++ if keep($token) != 401;
    $rss = rss() if $i == 1000;
    if ($i % 500 == 0) {
        $wrong++ if keep($good{RS256}) != 200 || keep($good{HS256}) != 200
            || keep($key) != 200;
    }
}
is($wrong || 0, 0, '10000 forged tokens are refused, good ones and keys are not');
SKIP: {
    Test::More::skip('what a sanitizer has freed it keeps for a while', 1)
        if AiEdge->sanitized;
    cmp_ok(rss() - $rss, '<', 2048, 'memory does not grow with them');
}
cmp_ok(metric('ngx_ai_tokens_refused_total') - $refused, '>=', 9_000,
    'each was looked at');

# A flood of good ones evicts each other, and no key.
my $hits = metric('ngx_ai_principal_hits_total');
$wrong = 0;
for my $i (1 .. 500) {
    $wrong++ if keep($hs->token(claims(sub => "many$i"))) != 200;
}
is($wrong, 0, '500 good tokens through a zone with room for fewer');
$fake->cmd('DEL', grep { /^ai1:key:/ } keys %{ $t->redis->keys });
is(get($key)->status, 200, 'a key is still in shared memory');
is(metric('ngx_ai_principal_hits_total'), $hits + 1, 'and comes from there');
is(scalar(grep { $_ == $pid } $edge->workers), 1, 'the process is the same');

done_testing();
