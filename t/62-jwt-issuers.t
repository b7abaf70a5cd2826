#!/usr/bin/perl
# What an issuer may say at most: of which tenants its tokens are, and how
# mighty; and who a token without a user is.
use AiTest;
use AiFake;
use AiJwt;

my $t = AiTest->new;
$t->redis;
my $fake = AiFake->new($t);
$fake->tenant($_) for qw(acme globex);
my $dir = $t->subdir('jwks');
my %by = map { $_ => AiJwt->new(alg => 'HS256', kid => $_) }
    qw(any root one two);
AiJwt::write_jwks("$dir/$_.json", $by{$_}) for keys %by;

my $conf = <<"CONF";
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    log_format who '\$ai_tenant|\$ai_key|\$ai_user|\$status';
    access_log %%DIR%%/who.log who;
    ai_redis %%REDIS%%;
    ai_auth jwt key;
    ai_jwt_key file=$dir/any.json issuer=any;
    ai_jwt_key file=$dir/root.json issuer=root role=platform_admin;
    ai_jwt_key file=$dir/one.json issuer=one tenant=acme role=member;
    ai_jwt_key file=$dir/two.json issuer=two tenant=acme tenant=globex;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
        location /org/v1/ { ai_pass; ai_tenant claim=org; }
        location /fixed/v1/ { ai_pass; ai_tenant var=globex; }
        location /as/v1/ { ai_pass; ai_tenant header=X-Tenant claim=tenant; }
        location /mail/v1/ { ai_pass; ai_jwt_claim user=email; }
        location /from/v1/ {
            ai_pass;
            ai_tenant claim=org;
            try_files /nothing \@to;
        }
        location \@to { ai_pass; }
    }
}
CONF
my $edge = $t->edge(conf => $conf)->start;

my $asked = 0;
sub get {
    my ($by, $path, %o) = @_;
    my $headers = delete $o{headers} || {};
    my %c = (iss => $by, sub => 'ann', exp => int(time) + 300, %o);

    $asked++;
    return AiHttp->get($edge->port, "$path/v1/models", headers => $headers,
        key => $by{$by}->token(\%c));
}

# nginx logs a request when its client has the answer.
sub who {
    my @lines;
    wait_for(sub { $asked == (@lines = split /\n/, slurp("$edge->{dir}/who.log")) },
        20, "line $asked");
    return $lines[-1];
}

# Whose the tenants are.
my @all = (roles => ['platform_admin', 'member']);
for (['any', 'acme', 200], ['any', 'globex', 200], ['one', 'acme', 200],
    ['one', 'globex', 403], ['two', 'globex', 200], ['two', 'other', 403])
{
    my ($by, $tenant, $status) = @$_;
    for my $n (1, 2) {
        is(get($by, '', tenant => $tenant)->status, $status,
            "$by as $tenant, " . ($n == 1 ? 'seen first' : 'remembered'));
        is(get($by, '/org', org => $tenant)->status, $status,
            "the same by ai_tenant claim=");
    }
}
is(get('one', '')->status, 200, 'an issuer of one tenant need not name it');
like(who(), qr/^acme\|/, 'and it is that one');
is(get('two', '')->status, 403, 'one of two must');
is(get('any', '')->status, 403, 'as one of all');
is(get('one', '/fixed')->status, 403, "a constant is no issuer's other tenant");
is(get('two', '/fixed', tenant => 'globex')->status, 200, 'but its own');
like(get('one', '', tenant => 'globex')->json->{error}{message},
    qr/issuer of this token is of other tenants/, 'and it is told');

# Who may act for another one.
my @as = (headers => { 'X-Tenant' => 'globex' }, tenant => 'acme');
is(get('any', '/as', @as, @all)->status, 403,
    'an issuer does not make platform administrators');
is(get('two', '/as', @as, @all)->status, 403, 'nor one of both tenants');
is(get('root', '/as', @as, @all)->status, 200, 'but where it is said');
is(get('root', '/as', @as, roles => 'tenant_admin')->status, 403,
    'and by its tokens');

# A place with other strategies has none of the first.
is(get('any', '/from', tenant => 'acme', org => 'globex')->status, 200,
    'a redirect');
like(who(), qr/^acme\|/, 'claim= of the first place is of no account');
is(get('any', '/from', org => 'globex')->status, 403, 'nor where it says all');

# Without a user it is its subject, not all of the tenant.
is(get('any', '/mail', tenant => 'acme', sub => 'a b')->status, 200,
    'a token without the claim of users');
is(who(), 'acme|a%20b|a%20b|200', 'is who it says it is');
is(get('any', '/mail', tenant => 'acme', email => '')->status, 200,
    'and with an empty one');
is(who(), 'acme|ann|ann|200', 'too');
is(get('any', '/mail', tenant => 'acme', email => [])->status, 200, 'or a list');
is(who(), 'acme|ann|ann|200', 'of none');

for (['tenant=A', 'no name'], ['tenant=', 'none'], ['role=boss', 'no role'],
    ['role=member role=viewer', 'two roles'],
    ['tenant=acme role=platform_admin', 'all tenants of one'])
{
    my ($text, $name) = @$_;
    my ($code) = $edge->test_conf($conf =~ s/issuer=any/issuer=any $text/r);
    isnt($code, 0, "nginx -t: $name");
}

done_testing();
