#!/usr/bin/perl
# What nginx -t accepts and refuses, with the line it stands at; and the catalog
# that a configuration becomes.
use AiTest;
use Digest::SHA qw(sha256_hex);

my $t = AiTest->new;
my $edge = $t->edge(redis => "unix:$t->{dir}/none.sock");

# A configuration with these lines in http and in the location; line 1 of
# %%LINES%% is line 10 of the file or so: only its text is looked for.
sub conf {
    my ($http, $location, $more) = @_;

    return "%%GLOBALS%%\nevents {}\nhttp {\n%%HTTP%%\n"
        . "ai_redis %%REDIS%%;\n$http\nserver {\nlisten 127.0.0.1:%%PORT%%;\n"
        . "location /v1/ { ai_pass; " . ($location // '') . " }\n"
        . ($more // '') . "}\n}\n";
}

sub refused {
    my ($name, $re, @conf) = @_;
    my ($code, $out) = $edge->test_conf(conf(@conf));

    isnt($code, 0, "$name is refused");
    like($out, $re, "$name: why");
}

sub accepted {
    my ($name, @conf) = @_;
    my ($code, $out) = $edge->test_conf(conf(@conf));

    is($code, 0, "$name is accepted") or diag($out);
    return $out;
}

my $openai = "ai_provider openai { api openai; url https://127.0.0.1/v1; "
    . "key env:OPENAI_API_KEY; }\n";

accepted('the least', '');
accepted('everything', <<"CONF", <<'LOCATION');
ai_zone principals 1m;
$openai
ai_provider other {
    api anthropic; url env:X http://127.0.0.1:1; key file:other env:OTHER;
    timeout connect=1s first=2s idle=3s total=1m;
    header X-Team blue; option stream_usage=off;
}
ai_model gpt { route openai model=gpt-4o weight=3; route other weight=1;
               fallback openai/gpt-4o-mini other/claude; }
ai_price openai/gpt-4o input=2.50 cached=1.25 output=10 request=0.000000001;
ai_price openai/gpt-4o input=3;
CONF
ai_auth off; ai_resume 1m; ai_result_ttl 1h; ai_on_disconnect continue;
ai_redis_error 502 retry_after=3s; ai_queue_timeout 5s; ai_header_delay 1s;
ai_stream_heartbeat off; ai_stream_buffers 8 8k; ai_max_streams 10;
ai_body_memory 1m; ai_backlog jobs=5 bytes=1m;
ai_forward_header request X-One X-Two; ai_forward_header response X-Three;
LOCATION

refused('a provider twice', qr/"openai" is defined already in .*test\.conf:\d+/,
    $openai . $openai);
refused('an unknown api', qr/unknown api "morse" in .*test\.conf:\d+/,
    'ai_provider x { api morse; url http://a; }');
refused('no api', qr/needs an "api"/, 'ai_provider x { url http://a; }');
refused('no url', qr/needs a "url"/, 'ai_provider x { api openai; }');
refused('a url of another kind', qr/invalid url "ftp:/,
    'ai_provider x { api openai; url ftp://a; }');
refused('credentials in a url', qr/credentials in a url/,
    'ai_provider x { api openai; url http://u:p@a; }');
my ($code, $out) = $edge->test_conf(conf(
    'ai_provider x { api openai; url http://a; key sk-secret-1; }'));
isnt($code, 0, 'a literal key is refused');
unlike($out, qr/sk-secret-1/, 'and not repeated');
refused('a line nobody knows', qr/unknown directive "colour"/,
    'ai_provider x { api openai; url http://a; colour red; }');
refused('too few arguments', qr/number of arguments in "header"/,
    'ai_provider x { api openai; url http://a; header one; }');
refused('a header of the connection', qr/cannot be sent/,
    'ai_provider x { api openai; url http://a; header Connection close; }');
refused('a bad timeout', qr/invalid timeout "first=soon"/,
    'ai_provider x { api openai; url http://a; timeout first=soon; }');
refused('a bad option', qr/unknown option "speed=9"/,
    'ai_provider x { api openai; url http://a; option speed=9; }');
refused('an unclosed block', qr{unexpected (?:end of file|"\{")},
    'ai_provider x { api openai; url http://a; ');

refused('a route to nowhere',
    qr/unknown provider "nobody" in route of ai_model "m" in .*test\.conf:\d+/,
    'ai_model m { route nobody; }');
refused('a fallback to nowhere', qr/unknown provider "nobody" in fallback/,
    $openai . 'ai_model m { route openai; fallback nobody/x; }');
refused('a fallback without a model', qr/must be\s+provider\/model/,
    $openai . 'ai_model m { route openai; fallback openai; }');
accepted('a route to what stands below',
    'ai_model m { route openai; }' . $openai);
refused('a model twice', qr/model "m" is defined already/,
    $openai . 'ai_model m { route openai; } ai_model m { route openai; }');
refused('a model without a route', qr/needs a "route"/, 'ai_model m { }');
refused('weight 0', qr/invalid parameter "weight=0"/,
    $openai . 'ai_model m { route openai weight=0; }');
refused('weight 1001', qr/invalid parameter "weight=1001"/,
    $openai . 'ai_model m { route openai weight=1001; }');
accepted('weight 1000', $openai . 'ai_model m { route openai weight=1000; }');
for my $n ('8', '-1', 'x', '') {
    refused("retry '$n'", qr/invalid retry "\Q$n\E"/,
        $openai . "ai_model m { route openai; retry '$n'; }");
}
refused('retry twice', qr/"retry" is duplicate/,
    $openai . 'ai_model m { route openai; retry 0; retry 0; }');
refused('an unknown strategy', qr/invalid strategy "best"/,
    $openai . 'ai_model m { route openai; strategy best; }');
refused('strategy twice', qr/"strategy" is duplicate/,
    $openai . 'ai_model m { route openai; strategy cost; strategy cost; }');
accepted("strategy $_", $openai . "ai_model m { route openai; strategy $_; }")
    for qw(weighted least_busy latency cost);
refused("hedge $_", qr/invalid hedge "$_"/,
    $openai . "ai_model m { route openai; hedge $_; }") for qw(0 p96 2d);
accepted("hedge $_", $openai . "ai_model m { route openai; hedge $_; }")
    for qw(p95 300ms);
accepted('aliases', $openai . 'ai_model m { route openai; alias a b/c; }');
refused('an alias that is a model', qr/model "m2" is defined already/,
    $openai . 'ai_model m2 { route openai; } '
    . 'ai_model m { route openai; alias m2; }');
refused('an alias that becomes a model', qr/model "a" is defined already/,
    $openai . 'ai_model m { route openai; alias a; } '
    . 'ai_model a { route openai; }');
refused('its own alias', qr/model "m" is defined already/,
    $openai . 'ai_model m { route openai; alias m; }');
refused('an alias twice', qr/"alias" is duplicate/,
    $openai . 'ai_model m { route openai; alias a a; }');
refused('a strange alias', qr/invalid name of a model/,
    $openai . "ai_model m { route openai; alias 'a b'; }");
refused('a strange model of a provider', qr/invalid name of a model/,
    "ai_provider x { api openai; url http://a; models 'a b'; }");
accepted('16 keys', 'ai_provider x { api openai; url http://a; key '
    . join(' ', map { "env:K$_" } 1 .. 16) . '; }');
refused('17 keys', qr/number of arguments in "key"/,
    'ai_provider x { api openai; url http://a; key '
    . join(' ', map { "env:K$_" } 1 .. 17) . '; }');
refused('a rate that is none', qr/invalid option "min_rate=x"/,
    'ai_provider x { api openai; url http://a; option min_rate=x; }');
accepted('retry 7', $openai . 'ai_model m { route openai; retry 7; }');
refused('a name of 129 bytes', qr/invalid name of a model/,
    $openai . 'ai_model ' . 'm' x 129 . ' { route openai; }');
accepted('a name of 128 bytes',
    $openai . 'ai_model ' . 'm' x 128 . ' { route openai; }');

refused('a price without a model', qr/must be provider\/model/,
    'ai_price openai input=1;');
refused('a negative price', qr/invalid parameter "input=-1"/,
    'ai_price openai/x input=-1;');
refused('ten decimals', qr/invalid parameter/,
    'ai_price openai/x input=0.0000000001;');
refused('a price twice in a line', qr/duplicate parameter/,
    'ai_price openai/x input=1 input=2;');

# Plans and limits.

accepted('limits', <<'CONF', <<'LOCATION');
ai_plan default { requests 10/s 600/m; tokens 40000/m; tokens 9/day;
                  concurrency 4; budget 5usd/month; weight 3; models a b/c; models d; }
ai_plan free { }
ai_limit tenant requests=60/m tokens=1/h; ai_limit_dry_run on;
ai_limit_status 503; ai_limit_log_level warn;
CONF
ai_limit user=bob concurrency=2; ai_limit model=a/b budget=0.5usd/day;
ai_limit address requests=10/s; ai_limit_dry_run off;
LOCATION
refused('a plan twice', qr/plan "a" is defined already in .*test\.conf:\d+/,
    'ai_plan a { } ai_plan a { }');
refused('a plan of no name', qr/invalid name of a plan "a\/b"/, 'ai_plan a/b { }');
refused('a line nobody knows', qr/unknown directive "colour"/,
    'ai_plan a { colour red; }');
for ('60', '60/d', '0/m', '-1/m', '1/m/m', '1000000000001/m') {
    refused("requests $_", qr/invalid limit "\Q$_\E", it must be as 60\/m/,
        "ai_plan a { requests $_; }");
}
refused('a budget without a currency', qr/must be as 5usd\/month/,
    'ai_plan a { budget 5/month; }');
refused('concurrency of a time', qr/must be a number/,
    'ai_plan a { concurrency 4/m; }');
refused('a weight of 0', qr/invalid weight "0"/, 'ai_plan a { weight 0; }');
refused('a weight twice', qr/"weight" is duplicate/,
    'ai_plan a { weight 1; weight 1; }');
refused('a level nobody knows', qr/invalid level "city"/, '',
    'ai_limit city requests=1/m;');
refused('a level of nobody', qr/invalid level "user="/, '',
    'ai_limit user= requests=1/m;');
refused('a kind nobody knows', qr/invalid parameter "words=1\/m"/, '',
    'ai_limit user words=1/m;');
refused('a limit of nothing', qr/number of arguments/, '', 'ai_limit user;');
refused('the day of an address', qr/address must be for an hour at most/, '',
    'ai_limit address requests=1/day;');
refused('too many', qr/more than 14 limits in one place/, '',
    'ai_limit user requests=1/m;' x 15);
refused('too many of a plan', qr/more than 10 limits in one place/,
    'ai_plan a { requests ' . '1/m ' x 6 . '; tokens ' . '1/m ' x 5 . '; }');
refused('a status that is none', qr/must be between 400 and 599/, '',
    'ai_limit_status 200;');

refused('a zone nobody knows', qr/unknown zone "x"/, 'ai_zone x 1m;');
refused('a zone too small', qr/needs a size of at least/,
    'ai_zone principals 4k;');
refused('a zone twice', qr/is duplicate/,
    'ai_zone principals 1m; ai_zone principals 1m;');
refused('ai_redis twice', qr/"ai_redis" directive is duplicate/,
    'ai_redis unix:/x;');
($code, $out) = $edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n%%HTTP%%\n"
    . "server { listen 127.0.0.1:%%PORT%%; location / { ai_pass; } } }\n");
isnt($code, 0, 'ai_pass without ai_redis is refused');
like($out, qr/needs an "ai_redis"/, 'and says so');

refused('ai_pass beside proxy_pass', qr/conflicts? with another content/,
    '', 'proxy_pass http://127.0.0.1:1;');
refused('ai_pass behind proxy_pass', qr/conflicts? with another content/,
    '', '', 'location /x { proxy_pass http://127.0.0.1:1; ai_pass; }');
refused('ai_pass beside ai_health', qr/conflicts? with another content/,
    '', 'ai_health;');
refused('ai_pass twice', qr/is duplicate/, '', 'ai_pass;');
refused('ai_auth maybe', qr/invalid value "maybe"/, '', 'ai_auth maybe;');
refused('a status out of range', qr/invalid value "200"/, '',
    'ai_redis_error 200;');
refused('a price with a strange name', qr/must be provider\/model/,
    "ai_price openai/\xff input=1;");
refused('a price for a quote', qr/must be provider\/model/,
    'ai_price \'openai/a"b\' input=1;');
refused('a fallback with a strange name', qr/must be\s+provider\/model/,
    $openai . "ai_model m { route openai; fallback 'openai/a b'; }");
refused('an option twice', qr/duplicate option "word_delay=2"/,
    'ai_provider x { api echo; option word_delay=1; option word_delay=2; }');
for my $own ('yes', '') {
    refused("tenant_keys \"$own\"", qr/invalid option "tenant_keys=$own"/,
        'ai_provider p { api openai; url http://127.0.0.1:1/v1; '
        . "option tenant_keys=$own; }");
}
for my $region (qw(eu_west-1 EU-WEST-1), 'a:b', '') {
    refused("a region \"$region\"", qr/invalid option "region=$region"/,
        'ai_provider x { api bedrock; url http://a; '
        . "option region=$region; }");
}
refused('a url without a host', qr/no host in url "https:\/\/\/"/,
    'ai_provider x { api openai; url https:///; }');
refused('a url with a blank', qr/must not hold blanks/,
    'ai_provider x { api openai; url "http://a b"; }');
refused('five urls', qr/number of arguments in "url"/,
    'ai_provider x { api openai; url env:A env:B env:C env:D http://a; }');
refused('a timeout over a day', qr/invalid timeout "total=25h"/,
    'ai_provider x { api echo; timeout total=25h; }');
refused('ai_pass in an if', qr/"ai_pass" directive is not allowed here/, '',
    'if ($arg_x) { ai_pass; }');
refused('ai_auth in an if', qr/"ai_auth" directive is not allowed here/, '',
    'if ($arg_x) { ai_auth off; }');
refused('ai_pass in limit_except', qr/"ai_pass" directive is not allowed here/,
    '', 'limit_except GET { ai_pass; }');
refused('a provider in a server', qr/"ai_provider" directive is not allowed/,
    '', '', 'ai_provider x { api echo; }');
accepted('if and limit_except beside ai_pass', '', 'if ($arg_x) { return 403; } '
    . 'limit_except GET { deny all; }');
accepted('a proxy in an if', '',
    'if ($arg_x) { proxy_pass http://127.0.0.1:1; }');
refused('1,000,001 streams', qr/must be less than 1000000|must be/, '',
    'ai_max_streams 1000001;');
refused('retry_after of nothing', qr/invalid value "retry_after=x"/, '',
    'ai_redis_error 503 retry_after=x;');

# The line of what is wrong, not of where it was found out.
($code, $out) = $edge->test_conf(conf('', "\n\nproxy_pass http://127.0.0.1:1;"));
my ($pass) = map { $_->[0] } grep { $_->[1] =~ /ai_pass/ }
    do { my $n = 0; map { [++$n, $_] } split /\n/, slurp("$edge->{dir}/test.conf") };
like($out, qr/in \S+test\.conf:$pass\b/, 'the line of an ai_pass in conflict');
($code, $out) = $edge->test_conf(conf('', "\nai_stream_buffers 1 4k;\n\n"));
like($out, qr/test\.conf:@{[$pass + 1]}\b/, 'the line of ai_stream_buffers');
($code, $out) = $edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n%%HTTP%%\n"
    . "server {\nlisten 127.0.0.1:%%PORT%%;\nlocation / {\nai_pass;\n}\n}\n}\n");
($pass) = map { $_->[0] } grep { $_->[1] =~ /ai_pass/ }
    do { my $n = 0; map { [++$n, $_] } split /\n/, slurp("$edge->{dir}/test.conf") };
like($out, qr/test\.conf:$pass\b/, 'the line of an ai_pass without ai_redis');

refused('one buffer', qr/at least 2 buffers/, '', 'ai_stream_buffers 1 4k;');
refused('small buffers', qr/at least 1k/, '', 'ai_stream_buffers 4 512;');
refused('no streams', qr/must be (?:equal to or )?greater than 1|must be/, '',
    'ai_max_streams 0;');
refused('a heartbeat of nothing', qr/must be a time or "off"/, '',
    'ai_stream_heartbeat 0;');
refused('a hop-by-hop header', qr/never passes/, '',
    'ai_forward_header request Transfer-Encoding;');
refused('a cookie', qr/never passes/, '',
    'ai_forward_header response Set-Cookie;');
refused('a credential', qr/never passes/, '',
    'ai_forward_header request Authorization;');
refused('no direction', qr/"request" or "response"/, '',
    'ai_forward_header X-A X-B;');
accepted('cache and joining', 'ai_zone cache 1m; ai_cache_size 32m 256k;'
    . ' ai_cache 1m any; ai_cache_bypass $http_x $arg_y; ai_coalesce on;',
    'ai_cache off; ai_cache_scope user; ai_redis_error 502 retry_after=1s'
    . ' cache=on;');
refused('a cache for ever', qr/invalid value "8d"/, 'ai_cache 8d;');
refused('a cache of no time', qr/invalid value "0"/, '', 'ai_cache 0;');
refused('a cache of some', qr/invalid value "some"/, '', 'ai_cache 1m some;');
refused('a cache twice', qr/is duplicate/, '', 'ai_cache 1m; ai_cache 2m;');
refused('a scope nobody knows', qr/invalid value "all"/, '',
    'ai_cache_scope all;');
refused('a small zone of answers', qr/at least 256k/, 'ai_zone cache 64k;');
refused('that zone twice', qr/is duplicate/,
    'ai_zone cache 1m; ai_zone cache 1m;');
refused('a small cache', qr/must be 1m or more/, 'ai_cache_size 1k;');
refused('one larger than all', qr/not above that of all/,
    'ai_cache_size 1m 2m;');
refused('a size in a server', qr/"ai_cache_size" directive is not allowed/, '',
    '', 'ai_cache_size 1m;');
refused('joining maybe', qr/invalid value "maybe"/, '', 'ai_coalesce maybe;');
refused('hits maybe', qr/invalid value "cache=maybe"/, '',
    'ai_redis_error 503 cache=maybe;');
refused('a backlog of words', qr/invalid parameter "jobs=many"/, '',
    'ai_backlog jobs=many;');

# include works inside a block.
open my $fh, '>', "$t->{dir}/inside.conf" or die;
print $fh "url https://127.0.0.1/v1;\nkey env:K;\n";
close $fh;
accepted('include in a block',
    "ai_provider x { api openai; include $t->{dir}/inside.conf; }");
open $fh, '>', "$t->{dir}/inside.conf" or die;
print $fh "\nurl nonsense;\n";
close $fh;
refused('an error in an included file', qr/inside\.conf:2/,
    "ai_provider x { api openai; include $t->{dir}/inside.conf; }");

# A literal password is a warning.
($code, $out) = $edge->test_conf("%%GLOBALS%%\nevents {}\nhttp {\n%%HTTP%%\n"
    . "ai_redis unix:/x password=sesame-1;\n"
    . "server { listen 127.0.0.1:%%PORT%%; location / { ai_pass; } } }\n");
is($code, 0, 'a literal Redis password is accepted');
like($out, qr/\[warn\].*password/, 'with a warning');
unlike($out, qr/sesame-1/, 'that does not repeat it');

# The catalog: canonical, whatever the order of lines; named by its hash.
my $model = '{"fallbacks":[{"model":"y/z","provider":"p","weight":1}],'
    . '"hedge":0,"retry":0,"routes":[{"model":"a","provider":"p","weight":2},'
    . '{"model":"b","provider":"q","weight":1}],"strategy":"cost"}';
my $want = qq({"models":{"a":$model,"c":$model},)
    . '"prices":{"p/x":{"cached":500000000,"input":1000000000},'
    . '"q/y":{"output":1}},"providers":{"echo":{"api":"echo","headers":[],'
    . '"key":[],"options":{},"timeout":{"connect":2000,"first":30000,'
    . '"idle":60000,"total":600000},"url":[]},"p":{"api":"openai",'
    . '"headers":["X-A: 1"],"key":["env:A","file:b"],'
    . '"models":["x","y/z"],"options":{"stream_usage":"off"},"timeout":{"connect":2000,'
    . '"first":30000,"idle":5000,"total":600000},'
    . '"url":["env:U","http://127.0.0.1/v1"]},"q":{"api":"anthropic",'
    . '"headers":[],"key":[],"options":{},"timeout":{"connect":2000,'
    . '"first":30000,"idle":60000,"total":600000},"url":["http://127.0.0.1"]}},'
    . '"v":1}';
my @lines = (
    'ai_provider q { api anthropic; url http://127.0.0.1/; }',
    'ai_provider p { api openai; url env:U http://127.0.0.1/v1; '
        . 'key env:A file:b; header X-A 1; timeout idle=5s; '
        . 'option stream_usage=off; models x y/z; }',
    'ai_model a { route p weight=2; route q model=b; fallback p/y/z; '
        . 'retry 0; strategy cost; alias c; hedge p95; }',
    'ai_price q/y output=0.000000001;',
    'ai_price p/x input=1 cached=0.5;');

for my $order ([0 .. $#lines], [reverse 0 .. $#lines]) {
    my $u = AiTest->new;
    $u->redis;
    $u->edge(ai => join("\n", @lines[@$order]))->start;

    my @keys;
    my $named = 'ai1:catalog:' . '[0-9a-f]' x 64;
    wait_for(sub { @keys = @{ $u->redis->cmd('KEYS', $named) } }, 30,
        'the catalog');
    is_deeply(\@keys, ['ai1:catalog:' . sha256_hex($want)],
        'one catalog, named by its hash');
    is($u->redis->cmd('GET', $keys[0]) =~ s/\n[0-9a-f]{64}\z//r, $want,
        'in canonical JSON, and signed');
    cmp_ok($u->redis->cmd('TTL', $keys[0]), '>', 47 * 3600, 'for 48 hours');
}

done_testing();
