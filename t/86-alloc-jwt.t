#!/usr/bin/perl
# Every allocation of the module fails once in requests with a token, and in a
# configuration with keys: an answer or an end, nothing crashes, and a token
# that should be refused never passes.  As t/86-alloc-edge.t.
use AiFail;
use AiTest;
use AiJwt;

my $t = AiTest->new;
my $fail = AiFail->new($t);
my $so = $fail->module or AiTest::skip_all('no objects of the module in build/');
my $file = $t->subdir('jwks') . '/keys.json';

my %keys = map { $_ => AiJwt->new(alg => $_) } qw(HS256 RS256 ES256 EdDSA);
my $stranger = AiJwt->new(alg => 'ES256', kid => $keys{ES256}{kid});
AiJwt::write_jwks($file, values %keys);

$t->start(edge => { module => $so, location => "ai_auth key jwt; "
    . "ai_jwt_key file=$file issuer=me; "
    . 'add_header X-Claim $ai_jwt_claim_email;' });
my $edge = $t->edge;
my ($pid) = $edge->workers;
my $chat = '/v1/chat/completions';
my %ask = (model => 'echo/echo', messages => [{ role => 'user',
    content => 'a few words' }]);

my $n = 0;
sub claims {
    return { iss => 'me', sub => 'u' . ++$n, tenant => 'demo', roles => ['a'],
        email => 'a@b.c', exp => int(time) + 600, @_ };
}
my $known = $keys{HS256}->token(claims());
my @models = (path => '/v1/models');
my %kinds = (
    'a new token' => sub {
        return (@models, key => $keys{HS256}->token(claims())) },
    (map { my $alg = $_;
        "a new token, $alg" => sub {
            return (@models, key => $keys{$alg}->token(claims())) }
    } qw(RS256 ES256 EdDSA)),
    'a token that is known' => sub { return (@models, key => $known) },
    'a completion' => sub {
        return (path => $chat, json => \%ask,
            key => $keys{HS256}->token(claims())) },
    'a stream' => sub {
        return (path => $chat, json => { %ask, stream => \1 },
            key => $keys{HS256}->token(claims())) },
    'a forged token' => sub {
        return (@models, key => $stranger->token(claims())) },
    'an expired token' => sub {
        return (@models, key => $keys{HS256}->token(claims(exp => 1))) },
    'a token without a tenant' => sub {
        return (@models, key => $keys{HS256}->token(claims(tenant => ''))) },
);
my %status = ('a forged token' => 401, 'an expired token' => 401,
    'a token without a tenant' => 403);

sub one {
    my ($kind) = @_;
    my %o = $kinds{$kind}->();
    my $http = AiHttp->new(port => $edge->port);
    my $res = eval {
        $http->send_request(%o);
        $http->response(12);
    };
    my $error = $@;

    $http->close;
    if (!$res) {
        return $error =~ /closed before the header|^write:/ ? '' : $error;
    }
    return '' if $res->{cut};
    return $res->status >= 500 || $res->status == ($status{$kind} || 200)
        ? '' : 'status ' . $res->status;
}

for my $kind (sort keys %kinds) {
    is(one($kind), '', "$kind: as it should be");
    my ($n, $bad) = $fail->each_n(sub { one($kind) });
    is($bad, '', "$kind: ends well whichever of $n fails");
}
is_deeply([$edge->workers], [$pid], 'no process has died');
is(AiHttp->get($edge->port, '/v1/models', key => $known)->status, 200,
    'and who is good still is');

# The configuration, as nginx -t reads it.
my $two = $t->edge(name => 'nginx-2', module => $so, conf => <<"CONF");
%%GLOBALS%%
events { worker_connections 64; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_auth jwt;
    ai_jwt_key file=$file issuer=me audience=a audience=b leeway=5s;
    ai_jwt_key file=$file issuer=you algorithms=ES256,EdDSA;
    ai_jwt_key url=https://id.example.com/jwks issuer=them;
    ai_jwt_claim tenant=org user=email;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { ai_pass; }
    }
}
CONF
pop @{ $t->{edges} };
$two->write_conf;
my %env = (%{ $two->{env} });
$env{ASAN_OPTIONS} .= ':detect_leaks=0';
my $nginx = sub {
    return AiProc->spawn(name => 'nginx-2', env => \%env, cwd => $two->{dir},
        out => "$two->{dir}/test.out", cmd => [$two->command('-t')])->wait(20) };
is($nginx->(), 0, 'a good configuration')
    or diag(slurp("$two->{dir}/test.out"));
my $taken = 0;
my ($m, $bad) = $fail->each_n(sub {
    my $status = $nginx->();
    $taken++ if $status == 0 && $fail->failed;
    return $status == 0 || $status == 1 << 8 ? '' : "status $status";
});
is($bad, '', "a configuration: ends in order whichever of $m fails");
cmp_ok($taken, '<=', 2, 'and is refused; a zone finds a smaller size');

done_testing();
