#!/usr/bin/perl
# Who can write to Redis lets nobody in: records of keys and tenants are
# signed, and what is not a worker's is asked of Postgres again.
use AiTest;
use AiSign;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new;
my $sign = $t->sign_key;
$t->start;
my $r = $t->redis;
my $at = 'ai1:key:' . sha256_hex($t->{key});
my %ask = (model => 'echo/echo', messages => [{ role => 'user',
    content => 'hello' }]);
my $version = 1_000_000;

# Edges forget what they know of a key.
sub forget {
    $r->cmd('PUBLISH', 'ai1:keys', 'K' . ($_[0] =~ s/.*://r) . ' '
        . ++$version . "\n");
    select undef, undef, undef, 0.2;
}

sub status {
    $t->{key} = shift if @_;
    return $t->post('/v1/chat/completions', \%ask)->status;
}

my $key = $t->{key};
is(status(), 200, 'a key');
my $good = $r->hash('HGETALL', $at);
is($good->{mac}, AiSign::principal($sign, sha256_hex($key), $good),
    'its record is signed as docs/wire.md says');

# Changed: its role, its tenant, what it may.
for (['role', 'platform_admin'], ['tenant', 'other'], ['networks', '10.0.0.0/8'],
    ['models', 'x'], ['expires', 1], ['state', 'revoked'], ['id', 'other'])
{
    my ($field, $value) = @$_;
    $r->cmd('HSET', $at, $field, $value);
    forget($at);
    is(status(), 200, "$field is changed in Redis: the key is what it was");
    is($r->cmd('HGET', $at, $field), $good->{$field}, 'and so is its record');
}
$r->cmd('HDEL', $at, 'mac');
forget($at);
is(status(), 200, 'one that is not signed is asked for');
is($r->cmd('HGET', $at, 'mac'), $good->{mac}, 'and signed');

# Made up, or another key's.
my $forged = 'ngx-' . 'f' x 43;
my $place = 'ai1:key:' . sha256_hex($forged);
for (['unsigned', %$good, mac => ''], ['with a mac of its own', %$good,
    mac => AiSign::principal('z' x 36, sha256_hex($forged), $good)],
    ["with another record's mac", %$good])
{
    my ($name, %f) = @$_;
    $r->cmd('DEL', $place);
    $r->cmd('HSET', $place, %f);
    forget($place);
    isnt(status($forged), 200, "$name: refused");
}
ok(wait_for(sub { $t->edge->log =~ /of a key in Redis is not signed by a key/ },
    10, 'the log'), 'which the log says');
is(status($key), 200, 'the good key goes on');

# Revoked by aictl, which signs too.
my $gone = $t->key('acme');
is(status($gone), 200, "aictl's key");
my $hash = $r->hash('HGETALL', 'ai1:key:' . sha256_hex($gone));
is($hash->{mac}, AiSign::principal($sign, sha256_hex($gone), $hash),
    'is signed by aictl, or by a worker');
$t->{sign} = 0;
$t->aictl('key', 'revoke', $hash->{id});
$t->{sign} = 1;
is(status($gone), 401, 'one that aictl revokes without a key is revoked');
is($r->cmd('HGET', 'ai1:key:' . sha256_hex($gone), 'state'), 'revoked',
    'in Redis');

$r->cmd('DEL', $place);
$t->{key} = $key;
$t->allow_log(qr/is not signed by a key of ours/);
done_testing();
