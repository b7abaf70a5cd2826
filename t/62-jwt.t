#!/usr/bin/perl
# Tokens that others signed: every algorithm, who they are by their claims, what
# is believed how long, and what a client is told.
use AiTest;
use AiFake;
use AiJwt;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
$fake->tenant($_) for qw(acme globex 42);
my $dir = $t->subdir('jwks');

my @algs = qw(HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512
    ES256 ES384 ES512 EdDSA);
my %keys;
$keys{$_} = AiJwt->new(alg => $_, kid => "k-$_",
    /^[RP]S/ && $keys{RS256} ? (from => $keys{RS256}) : ()) for @algs;
AiJwt::write_jwks("$dir/all.json", @keys{@algs});
my $other = AiJwt->new(alg => 'ES256', kid => 'k-ES256');
AiJwt::write_jwks("$dir/other.json", $other);
my $bare = AiJwt->new(alg => 'RS256', kid => undef, jwk => { alg => undef },
    from => $keys{RS256});
AiJwt::write_jwks("$dir/bare.json", $bare);

my $edge = $t->edge(conf => <<"CONF");
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    log_format who '\$ai_tenant|\$ai_key|\$ai_user|\$status';
    add_header X-Claim '\$ai_jwt_claim_email,\$ai_jwt_claim_scp';
    access_log %%DIR%%/who.log who;
    ai_redis %%REDIS%%;
    ai_zone tokens 64k;
    ai_auth key jwt;
    ai_jwt_key file=$dir/all.json issuer=https://id.example.com
               audience=ngx-ai audience=other leeway=10s;
    server {
        listen 127.0.0.1:%%PORT%%;
        ai_jwt_key file=$dir/all.json issuer=https://id.example.com
                   audience=ngx-ai audience=other leeway=10s;
        ai_jwt_key file=$dir/other.json issuer=https://two.example.com;
        location /v1/ { ai_pass; }
        location /first/v1/ { ai_pass; ai_auth jwt key; }
        location /jwt/v1/ { ai_pass; ai_auth jwt; }
        location /key/v1/ { ai_pass; ai_auth key; }
        location /map/v1/ {
            ai_pass;
            ai_jwt_claim tenant=https://example.com/org.id user=email
                         roles=realm_access.roles scopes=scp models=models;
        }
        location /two/v1/ {
            ai_pass;
            ai_jwt_key file=$dir/other.json issuer=https://two.example.com;
        }
        location /bare/v1/ {
            ai_pass;
            ai_jwt_key file=$dir/bare.json issuer=bare;
        }
        location /pss/v1/ {
            ai_pass;
            ai_jwt_key file=$dir/bare.json issuer=bare
                       algorithms=PS256,ES256,RS512;
        }
        location /any/v1/ {
            ai_pass; satisfy any; deny all; error_page 401 /ai_error;
        }
        location /open/v1/ { ai_pass; satisfy any; allow all; }
        location = /ai_error { internal; ai_error; }
        location /to_two/v1/ {
            ai_pass;
            try_files /nothing \@two;
        }
        location \@two {
            ai_pass;
            ai_jwt_key file=$dir/other.json issuer=https://two.example.com;
        }
        location = /metrics { ai_metrics; }
    }
}
CONF
$edge->start;

my $models = '/v1/models';
my $chat = '/v1/chat/completions';

sub get {
    my ($token, %o) = @_;
    return AiHttp->get($edge->port, delete $o{path} || $models,
        defined $token ? (key => $token) : (), %o);
}

sub claims {
    my %c = (iss => 'https://id.example.com', aud => 'ngx-ai', sub => 'ann',
        tenant => 'acme', iat => int time, exp => int(time) + 300, @_);
    delete $c{$_} for grep { !defined $c{$_} } keys %c;
    return \%c;
}

sub metric {
    my ($name) = @_;
    return get(undef, path => '/metrics')->body =~ /^$name (\d+)/m ? $1 : undef;
}

sub who { return (split /\n/, slurp("$edge->{dir}/who.log"))[-1] }

# Every algorithm, on the way in and remembered.
for my $alg (@algs) {
    my $token = $keys{$alg}->token(claims(sub => "by-$alg"));
    is(get($token)->status, 200, $alg);
    is(get($token)->status, 200, "$alg again");
    is(get(substr($token, 0, -1) . ($token =~ /A$/ ? 'B' : 'A'))->status, 401,
        "$alg with another end");
    my $no_kid = $keys{$alg}->token(claims(), { kid => undef });
    is(get($no_kid)->status, 200, "$alg without a kid, where one key fits");
    is(get($keys{$alg}->token(claims(), { kid => 'k-nobody' }))->status, 401,
        "$alg of a key that is not there");
}
is(metric('ngx_ai_tokens_verified_total'), 2 * @algs, 'verified once each');
is(metric('ngx_ai_token_hits_total'), 1 * @algs, 'and remembered');

# Who it is.
my $hs = $keys{HS256};
get($hs->token(claims()));
wait_for(sub { who() eq 'acme|ann|ann|200' }, 10, 'tenant, subject, user');
pass('tenant, subject and user');
for (['auth0|5f', 'auth0|5f'], ["a b\t\x{e9}%", 'a%20b%09%C3%A9%25'],
    ['https://x/y@z', 'https://x/y@z'])
{
    my ($sub, $id) = @$_;
    my $res = get($hs->token(claims(sub => $sub)));
    if ($sub =~ /\t/) {
        is($res->status, 401, 'control characters are in no subject');
        $sub =~ s/\t//;
        $id =~ s/%09//;
        $res = get($hs->token(claims(sub => $sub)));
    }
    is($res->status, 200, "subject $id");
    wait_for(sub { who() =~ /^acme\|\Q$id\E\|/ }, 10, $id);
}
my $job;
{
    my $s = AiHttp->stream(port => $edge->port, path => $chat, key => $hs->token(
            claims(sub => 'auth0|7', scope => 'completions tools')),
        json => { model => 'echo/echo', messages => [] });
    $job = $fake->job;
    is($job->{record}{principal}, 'jwt:auth0|7', 'the job says by whom it is');
    is($job->{record}{tenant}, 'acme', 'and for which tenant');
    is($job->{record}{user}, 'auth0|7', 'and user');
    $job->head->data('{"id":"x"}')->end;
    my $res = $s->response;
    is($res->status, 200, 'a completion with a token');
    is($res->json->{id}, 'x', 'and its answer');
    $s->close;
}
is(get($hs->token(claims(sub => undef)))->status, 401, 'no subject');
is(get($hs->token(claims(sub => '')))->status, 401, 'an empty one');
is(get($hs->token(claims(sub => { a => 1 })))->status, 401, 'an object');
is(get($hs->token(claims(sub => 17)))->status, 200, 'a number');
is(get($hs->token(claims(sub => 'x' x 252)))->status, 200, 'a long one');
is(get($hs->token(claims(sub => 'x' x 253)))->status, 401, 'too long');
is(get($hs->token(claims(sub => ' ' x 85)))->status, 401, 'too long, escaped');
is(get($hs->token(claims(roles => ['member', ('r' x 63) x 7])))->status, 200,
    'roles');
is(get($hs->token(claims(roles => $_->[0])))->status, $_->[1], $_->[2])
    for [['r', 'viewer', 's'], 200, 'one of ours among others'],
    [['r', 's'], 200, 'none of ours, which is as none'], [[], 200, 'none at all'],
    ['x member', 200, 'as a text'];
for my $roles (['member', 'viewer'], ['viewer', 'x', 'member']) {
    is(AiHttp->post($edge->port, $chat, 'no JSON', key =>
        $hs->token(claims(roles => $roles)))->status, 400, 'the role that may most');
}
is(AiHttp->post($edge->port, $chat, 'no JSON', key =>
    $hs->token(claims(roles => ['viewer'])))->status, 403, 'a viewer may less');
is(get($hs->token(claims(roles => [('r' x 63) x 9])))->status, 401,
    'more roles than can be kept');
is(get($hs->token(claims(roles => ['a b'])))->status, 401,
    'a role that would be two');

# Tenants.
is(get($hs->token(claims(tenant => $_)))->status, 403, "tenant '$_'")
    for 'Acme', '../acme', 'a' x 64, "acme\n", 'acme|x', 'a}:b', ' ', '-a',
    "\x{e4}cme";
is(get($hs->token(claims(tenant => $_)))->status, 403, 'a tenant that is no name')
    for ['acme', 'b'], { a => 1 }, undef, '';
is(get($hs->token(claims(tenant => ['acme'])))->status, 200, 'an array of one');
is(get($hs->token(claims(tenant => 42)))->status, 200, 'a number is a name');
is(get($hs->token(claims(tenant => undef)))->json->{error}{code}, 'forbidden',
    'without a tenant it is 403');

# Claims by other names and paths.
my %mapped = ('https://example.com/org.id' => 'globex', email => 'a@b.c',
    realm_access => { roles => ['member', 'viewer'] }, scp => ['completions', 'models:read'],
    models => 'echo/echo gpt-4o');
my $mapped = $hs->token(claims(%mapped));
is(get($mapped, path => '/map/v1/models')->status, 200, 'mapped claims');
wait_for(sub { who() eq 'globex|ann|a@b.c|200' }, 10, 'mapped claims');
is(get($mapped)->header('x-claim'), 'a@b.c,completions models:read', 'claims as variables');
is(get($hs->token(claims(email => { a => 1 }, scp => "a\nb")))->header('x-claim'),
    ',', 'none, where they are no text');
my $res = AiHttp->post($edge->port, "/map$chat", { model => 'echo/other',
    messages => [] }, key => $mapped);
is($res->status, 403, 'a model that the token does not have');
is($res->json->{error}{code}, 'model_not_allowed', 'says so');
is(get($mapped, path => $models)->status, 200, 'the same token elsewhere');
wait_for(sub { who() eq 'acme|ann|ann|200' }, 10,
    'is somebody else, for it asks for other claims');

# When, for whom, by whom.
my $now = int time;
my %wrong = (
    'expired' => [exp => $now - 11],
    'without an end' => [exp => undef],
    'an end that is no number' => [exp => "$now"],
    'an end beyond numbers' => [exp => 'BIG'],
    'not yet' => [nbf => $now + 60],
    'issued in the future' => [iat => $now + 60],
    'another audience' => [aud => 'x'],
    'other audiences' => [aud => ['x', 'ngx-ai-2']],
    'no audience' => [aud => undef],
    'an empty list' => [aud => []],
    'an audience that is no text' => [aud => { 'ngx-ai' => 1 }],
    'another issuer' => [iss => 'https://id.example.com/'],
    'no issuer' => [iss => undef],
    'an issuer that is no text' => [iss => ['https://id.example.com']],
);
for my $name (sort keys %wrong) {
    my $text = $AiJwt::json->encode(claims(@{ $wrong{$name} }));
    $text =~ s/"BIG"/1e400/;
    is(get($hs->token($text))->status, 401, $name);
}
is(get($hs->token(claims(@$_)))->status, 200, "good: @$_")
    for [exp => $now - 5], [nbf => $now + 5], [aud => ['x', 'other']],
    [nbf => $now - 1], [exp => $now + 100.5], [exp => 32503680000];

# The issuer comes before the key.
my $two = $other->token(claims(iss => 'https://two.example.com', aud => undef));
is(get($two)->status, 200, 'another issuer, with a key of the same kid');
is(get($other->token(claims()))->status, 401, 'not for the first issuer');
is(get($keys{ES256}->token(claims(iss => 'https://two.example.com')))->status,
    401, 'nor the other way round');

# What is believed here is not believed there.
is(get($two, path => '/two/v1/models')->status, 200, 'its own location');
my $one = $hs->token(claims(sub => 'first'));
is(get($one)->status, 200, 'one of the first issuer');
is(get($one, path => '/two/v1/models')->status, 401,
    'is not believed where that issuer is not, though it is remembered');
is(get($one, path => '/to_two/v1/models')->status, 401,
    'nor by way of an internal redirect');
is(get($two, path => '/to_two/v1/models')->status, 200,
    'which is for who is believed there');
my $jobless = $hs->token(claims(tenant => 'Bad'));

# A key without a name or an algorithm is for RS256 alone.
my %bare = (iss => 'bare', aud => undef);
is(get($bare->token(claims(%bare)), path => '/bare/v1/models')->status, 200,
    'RS256 by a bare key');
is(get($keys{$_}->token(claims(%bare), { kid => undef }),
    path => '/bare/v1/models')->status, 401, "not $_")
    for qw(RS384 RS512 PS256);
is(get($keys{$_}->token(claims(%bare), { kid => undef }),
    path => '/pss/v1/models')->status, 200, "$_ where the directive says so")
    for qw(RS512 PS256);
is(get($bare->token(claims(%bare)), path => '/pss/v1/models')->status, 401,
    'and RS256 where it does not');

# Where a token may stand, and beside what.
my $good = $hs->token(claims());
is(get(undef, headers => { $_ => $good })->status, 200, $_)
    for qw(x-api-key api-key X-Goog-Api-Key);
my $key = $fake->key('keyed', id => 'kk');
is(get($key)->status, 200, 'a key as before');
is(get($key)->header('x-claim'), ',', 'which has no claims');
my @both = (headers => { 'x-api-key' => $key, Authorization => "Bearer $good" });
get(undef, @both);
wait_for(sub { who() =~ /^keyed\|kk\|/ }, 10, 'of both the key, written first');
get(undef, path => '/first/v1/models', @both);
wait_for(sub { who() =~ /^acme\|ann\|/ }, 10, 'or the token, written first');
is(get($key, path => '/jwt/v1/models')->status, 401, 'no key where jwt alone is');
is(get($good, path => '/key/v1/models')->status, 401, 'no token where key is');

# What a client is told.
$res = get($hs->token(claims(exp => $now - 100)));
is($res->json->{error}{code}, 'invalid_api_key', 'an error as SDKs expect it');
is($res->header('www-authenticate'), 'Bearer error="invalid_token"',
    'WWW-Authenticate');
$res = get(undef);
is($res->header('www-authenticate'), 'Bearer', 'without a token');
is(get('nonsense')->header('www-authenticate'), 'Bearer error="invalid_token"',
    'with something else');
is(get($jobless)->header('www-authenticate'), undef, 'not on 403');
is(get('x', path => '/key/v1/models')->header('www-authenticate'), undef,
    'not where only keys are taken');
$res = get($hs->token(claims(exp => 1)), headers => {
    'anthropic-version' => '2023-06-01' });
is($res->json->{error}{type}, 'authentication_error', 'in the other dialect');
$res = get('eyJ.x.y', path => '/any/v1/models');
is($res->status, 401, 'satisfy any');
is($res->json->{error}{code}, 'invalid_api_key', 'with our page');
is($res->header('www-authenticate'), 'Bearer error="invalid_token"',
    'and the header');
is(get($good, path => '/any/v1/models')->status, 200, 'a token satisfies');
$res = get('eyJ.x.y', path => '/open/v1/models');
is($res->status, 401, 'an address opens the door, but work needs a principal');
is($res->header('www-authenticate'), 'Bearer error="invalid_token"',
    'and the header is there again');

# Remembered no longer than it is good.
my $short = $hs->token(claims(exp => int(time) - 10 + 3));
is(get($short)->status, 200, 'for two seconds more');
wait_for(sub { get($short)->status == 401 }, 10, 'and then not');
pass('a remembered token ends with its exp');

unlike($edge->log, qr/\Q$good\E/, 'no token is logged');

done_testing();
