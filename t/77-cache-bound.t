#!/usr/bin/perl
# Hits from shared memory that Redis has not been told: so many records and no
# more, then there are no answers without it; all are written when it is back.
use AiTest;

my $bound = 4096;
my $t = AiTest->new(allow_log => [qr/ai: |lost|Connection refused|No such file/]);
$t->start(workers => { n => 1 }, edge => { ai => 'ai_zone cache 1m;
        set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;
        keepalive_requests 100000;',
    location => 'ai_cache 1h any; ai_redis_error 503 cache=on;
        ai_limit address requests=1000000/h;' });
my $http = AiHttp->new(port => $t->edge->port, timeout => 60);

# As from the n-th address.
sub hit {
    my ($n) = @_;
    $http->send_request(path => '/v1/chat/completions', key => $t->{key},
        json => { model => 'echo/echo', messages => [{ role => 'user',
            content => 'hi' }] }, headers => { 'X-Real-IP' => join '.', 10, 0,
            int $n / 250, $n % 250 });
    return $http->response;
}

my $n = 0;
sub cached { $n++ if ($_[0]->header('x-ai-cache') // '') =~ /^(?:HIT|STALE)$/;
    return $_[0]->status }

my $again = 0;
wait_for(sub { cached(hit(0)); return $n == 3 || ++$again > 50 }, 30, 'a hit');
sleep 0.5;
$t->redis->freeze;
sleep 1.5;
$again = 0;
my ($kept, $minute) = 0;
for my $i (1 .. $bound + 100) {
    my $now = int time / 60;
    last if cached(hit($i)) != 200;
    $kept++;
    $minute = $now;
}
is($kept, $bound, 'as many records as are kept');
is(hit($kept + 1)->status, 503, 'then there is no answer');
my $open = grep { cached(hit($kept)) == 200 } 1 .. 50;
is($open, 50, 'but for who has a record that is open')
    if int(time / 60) == $minute;

$t->redis->thaw;
wait_for(sub { my $res = eval { hit($kept + 2) };
    $res && cached($res) == 200 && $res->header('x-ai-cache') eq 'HIT' }, 60,
    'Redis to be back');
my $rows = sub { $t->pg->value("select $_[0] from ngxai.ledger
    where cause = 'cache'") };
wait_for(sub { $rows->('coalesce(sum(requests), 0)') >= $n }, 60, 'all of them');
is($rows->('sum(requests)'), $n, "$n hits, once each");
cmp_ok($rows->('count(*)'), '>=', $bound, 'in a row an address');
my $key = $t->prefix . "lim:demo:rh:address:10.0.16.96";
is((split / /, $t->redis->cmd('GET', $key) // '- -')[1],
    1 + $open,
    'limits count each');

$t->baseline;
done_testing();
