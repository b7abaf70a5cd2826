#!/usr/bin/perl
# The Redis transport inside nginx, driven by the test module of
# t/redis-module: real servers, and a fake one where a real one behaves.
use strict;
use warnings;
use File::Basename qw(dirname);
use lib dirname(__FILE__) . '/lib';
use AiTest;
use AiRedis;
use AiProc;
use Digest::MD5 qw(md5_hex);
use IO::Socket::INET;

my $root = AiTest->root;
my $build = $ENV{AI_T_REDIS_BUILD} || "$root/build/redis-module";

# For an nginx of tools/asan-nginx.sh as that builds the module.
if (AiEdge->sanitized) {
    $build .= '-san';
    $ENV{NGX_CC_OPT} = '-fsanitize=address -DNGX_DEBUG_PALLOC=1';
    $ENV{NGX_LD_OPT} = '-fsanitize=address';
}

if (system("$root/t/redis-module/build.sh", $build) != 0) {
    BAIL_OUT('the test module does not build');
}

my $module = "$build/objs/ngx_http_ai_redis_test_module.so";
my $conf = <<'CONF';
%%GLOBALS%%
events { worker_connections 256; }
http {
    %%HTTP%%
    %%MORE%%
    ai_redis %%REDIS%%;
    client_max_body_size 64m;
    client_body_buffer_size 8m;
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { redis_test; }
    }
}
CONF

my $t = AiTest->new(no_keys => 1);
my $count = 0;


# An nginx with this ai_redis; more => lines of http{}.
sub edge {
    my ($redis, %o) = @_;

    return $t->edge(name => 'nginx-' . ++$count, module => $module,
        conf => $conf, workers => $o{workers} || 1,
        vars => { REDIS => $redis, MORE => $o{more} || '' })->start;
}


sub ask {
    my ($edge, $path, %o) = @_;

    return AiHttp->request(port => $edge->port, path => $path, %o)->body;
}


# A command: c, n, t, x, f as the module has them, then the words.
sub path {
    my ($where, $o, @words) = @_;
    my @args = map { "$_=$o->{$_}" } sort keys %$o;

    push @args, map {
        my $word = $_;
        $word =~ s/([^\w:.-])/sprintf '%%%02x', ord $1/ge;
        "a=$word";
    } @words;

    return "$where?" . join '&', @args;
}


sub run {
    my ($edge, $o, @words) = @_;

    return ask($edge, path('/cmd', $o, @words));
}


sub info {
    my ($edge) = @_;
    my $text = ask($edge, '/info');
    my %info = (text => $text);

    for my $line (split /\n/, $text) {
        if ($line =~ /^(commands|sub|bulk): state=(.*?) (ready=.*) error=(.*)$/) {
            my ($name, $state, $rest, $error) = ($1, $2, $3, $4);
            $info{$name} = { state => $state, error => $error,
                $rest =~ /(\w+)=(\S*)/g };
        } elsif ($line =~ /^heard=(-?\d+)/) {
            $info{heard} = $1;
        }
    }

    return \%info;
}


sub ready {
    my ($edge) = @_;

    wait_for(sub {
        my $info = info($edge);
        return 3 == grep { $info->{$_}{ready} } qw(commands sub bulk);
    }, 20, 'three ready connections');
}


sub events { my ($edge) = @_; return [split /\n/, ask($edge, '/events')] }


sub counts {
    my ($text) = @_;

    return { $text =~ /(\w+)=(\d+)/g };
}


sub end { $_[0]->quit }


my $redis = $t->redis(tcp => free_port());
my $tcp = "127.0.0.1:$redis->{tcp}";


subtest 'commands and replies' => sub {
    my $edge = edge($redis->url);

    ready($edge);
    like(run($edge, {}, 'SET', 'k', 'v 1'), qr/^ok=1 .*\nOK$/, 'a status');
    like(run($edge, {}, 'GET', 'k'), qr/\nv 1$/, 'a string');
    like(run($edge, {}, 'GET', 'none'), qr/\nnil$/, 'nil');
    like(run($edge, {}, 'INCR', 'n'), qr/\n1$/, 'an integer');
    like(run($edge, {}, 'EVAL', 'return {1,{2,"x"},{}}', 0),
        qr/\n\[1,\[2,x\],\[\]\]$/, 'nested arrays');
    like(run($edge, {}, 'GET', ''), qr/\nnil$/, 'an empty argument');
    like(run($edge, {}, 'LPUSH', 'k', 'x'), qr/error=1 .*class=1\nWRONGTYPE/,
        'an error reply');
    like(run($edge, { c => 2 }, 'GET', 'k'), qr/\nv 1$/, 'on the bulk one');
    like(run($edge, { c => 1 }, 'GET', 'k'), qr/closed=1/,
        'the subscription takes no commands');

    my @n = run($edge, { n => 20000 }, 'INCR', 'many');
    like($n[0], qr/^ok=20000 .*\n20000$/, '20,000 in one turn, in order');

    like(run($edge, { f => 1, n => 10 }, 'INCR', 'forgotten'), qr/^ok=10 /,
        'commands nobody waits for');
    wait_for(sub { ($redis->cmd('GET', 'forgotten') || 0) == 10 });
    pass('are run');
    run($edge, { f => 1 }, 'LPUSH', 'k', 'x');
    $edge->wait_log(qr/nobody waits for failed: WRONGTYPE/);
    pass('and their errors logged');

    like(run($edge, { x => 1, n => 100 }, 'INCR', 'cancelled'), qr/^ok=0 /,
        'cancelled commands call nobody');
    wait_for(sub { ($redis->cmd('GET', 'cancelled') || 0) == 100 });
    like(run($edge, {}, 'GET', 'cancelled'), qr/\n100$/,
        'and their replies go to nobody else');

    my $names = $redis->cmd('CLIENT', 'LIST');
    my ($pid) = $edge->workers;
    is(join(' ', sort $names =~ /name=(test:\S+)/g),
        join(' ', map { "test:$pid:$_" } qw(bulk commands sub)),
        'each connection has its name');

    my $info = info($edge);
    is($info->{commands}{pending}, 0, 'nothing pending');
    cmp_ok($info->{commands}{out}, '<=', 16384, 'nothing held but one block');
    cmp_ok($info->{commands}{rtt}, '>', 0, 'a round trip was measured');
    is($info->{commands}{connects}, 1, 'one connection');
    is($info->{commands}{address}, $redis->url, 'its address');
    end($edge);
};


subtest 'scripts' => sub {
    my $edge = edge($redis->url);

    ready($edge);
    $redis->cmd('SCRIPT', 'FLUSH');
    $redis->cmd('CONFIG', 'RESETSTAT');

    my $eval = path('/eval', { s => 0, k => 'key', n => 2000 }, 'x' x 300, 'y');
    like(ask($edge, $eval), qr/^ok=2000 .*\n\[key,x{300},y\]$/,
        'NOSCRIPT is not seen');
    my $stats = $redis->cmd('INFO', 'commandstats');
    my ($n) = $stats =~ /cmdstat_eval:calls=(\d+)/;
    cmp_ok($n, '<', 2000, "the source was sent $n times, not 2000");
    like(ask($edge, $eval), qr/^ok=2000 /, 'and again by its hash');
    is(($redis->cmd('INFO', 'commandstats') =~ /cmdstat_eval:calls=(\d+)/)[0],
        $n, 'with no source');

    like(ask($edge, path('/eval', { s => 1, k => 'k' })),
        qr/error=1 .*class=2\nNOSCRIPT never/,
        'a server that insists is believed');
    end($edge);
};


subtest 'bodies' => sub {
    my $edge = edge($redis->url);

    ready($edge);
    for my $case ([100, 0, 1000], [200_000, 0, 1 << 20], [200_000, 0, 16384],
        [300_000, 0, 3000], [2_000_000, 2, 1 << 20], [2_000_000, 2, 4096],
        [2_000_000, 2, 1999])
    {
        my ($size, $c, $split) = @$case;
        my $body = join '', map { chr(33 + ($_ * 7919 + $size) % 90) }
            1 .. $size;
        my $said = ask($edge, path('/cmd', { c => $c, i => 2, p => $split },
            'SET', 'body', 'EX', 100), method => 'POST', body => $body);
        like($said, qr/^ok=1 /, "$size bytes in pieces of $split");
        is(md5_hex($redis->cmd('GET', 'body')), md5_hex($body), 'as they were');
        cmp_ok($redis->cmd('TTL', 'body'), '>', 0, 'with what came behind');
        next if $size <= 1000;
        like(run($edge, { c => $c }, 'GET', 'body'),
            qr/\n$size:\Q@{[md5_hex($body)]}\E$/, 'and back');
    }

    my $body = join '', map { chr(33 + $_ % 90) } 1 .. 2_000_000;
    $redis->cmd('DEL', 'body');
    ask($edge, path('/cmd', { c => 2, i => 2, x => 1 }, 'SET', 'body'),
        method => 'POST', body => $body);
    is(md5_hex(wait_for(sub { $redis->cmd('GET', 'body') })), md5_hex($body),
        'cancelled before it was sent: sent as it was');

    $redis->cmd('DEL', 'body');
    $redis->freeze;
    is(AiHttp->request(port => $edge->port, method => 'POST', body => $body,
        path => path('/cmd', { c => 2, i => 2, x => 2, p => 100_000, t => 20000 },
            'SET', 'body'))->status, 204, 'cancelled while it is sent');
    $redis->thaw;
    is(md5_hex(wait_for(sub { $redis->cmd('GET', 'body') })), md5_hex($body),
        'goes on as it was');
    like(run($edge, { c => 2 }, 'PING'), qr/^ok=1 .*\nPONG/, 'nothing is lost');

    is(info($edge)->{bulk}{connects}, 1, 'all on one connection');
    end($edge);
};


subtest 'the subscription' => sub {
    my $edge = edge($redis->url);

    ready($edge);
    is($redis->cmd('PUBLISH', 'test:a', 'hello'), 1, 'one listener');
    $redis->cmd('PUBLISH', 'test:b', 'world');
    $redis->cmd('PUBLISH', 'test:c', 'nobody');
    wait_for(sub { grep { $_ eq 'message test:b world' } @{ events($edge) } });
    is_deeply([grep { /^message/ } @{ events($edge) }],
        ['message test:a hello', 'message test:b world'], 'messages in order');

    cmp_ok(info($edge)->{heard}, '<', 1000, 'heard of late');
    my $in = info($edge)->{sub}{in};
    wait_for(sub { info($edge)->{sub}{in} > $in }, 10, 'a pong');
    pass('it is asked');

    $redis->freeze;
    wait_for(sub { info($edge)->{heard} > 1000 }, 10, 'silence');
    pass('a silent server is noticed');
    wait_for(sub { grep { $_ eq 'lost' } @{ events($edge) } }, 10, 'lost');
    $redis->thaw;
    wait_for(sub { 2 == grep { $_ eq 'subscribed' } @{ events($edge) } }, 20);
    ready($edge);
    cmp_ok(info($edge)->{heard}, '<', 1000, 'and heard again');
    is($redis->cmd('PUBLISH', 'test:a', 'again'), 1, 'subscribed again');
    wait_for(sub { grep { $_ eq 'message test:a again' } @{ events($edge) } });

    my $n = $redis->cmd('PUBLISH', 'test:a', 'x') for 1 .. 5000;
    wait_for(sub { 900 < grep { $_ eq 'message test:a x' } @{ events($edge) } });
    pass('a flood of messages');
    end($edge);
};


subtest 'lost connections' => sub {
    my $edge = edge($redis->url);

    ready($edge);
    $redis->cmd('CLIENT', 'KILL', 'TYPE', $_) for qw(normal pubsub);
    delete $redis->{client};
    like(run($edge, { t => 5000 }, 'PING'), qr/^(?:ok=1|.*closed=1)/,
        'a command after the kill');
    wait_for(sub { info($edge)->{commands}{connects} == 2 });
    ready($edge);
    like(run($edge, {}, 'PING'), qr/^ok=1/, 'connected again');
    is(scalar(grep { $_ eq 'lost' } @{ events($edge) }), 1,
        'the loss was told');

    $redis->cmd('CONFIG', 'RESETSTAT');
    my $http = AiHttp->new(port => $edge->port);
    $http->send_request(path => path('/cmd', { t => 20000 }, 'BLPOP', 'nil', 0));
    wait_for(sub { $redis->cmd('CLIENT', 'LIST') =~ /cmd=blpop/ });
    $redis->kill9;
    like($http->response->body, qr/closed=1 .*sent=1/,
        'a command under way ends as CLOSED, sent');
    wait_for(sub { info($edge)->{commands}{failures} > 1 });
    like(run($edge, {}, 'PING'), qr/closed=1 .*sent=0/,
        'without a server it fails at once');
    like(info($edge)->{commands}{error}, qr/connect\(\) failed \(\d+: \w/,
        'and why is known');
    is(info($edge)->{heard}, -1, 'nothing is heard');
    $redis->start;
    ready($edge);
    like(run($edge, {}, 'PING'), qr/^ok=1/, 'a restarted server is found');

    my @err = grep { /\[error\].*ai_redis: commands: no connection/ }
        split /\n/, $edge->log;
    is(scalar @err, 1, 'what repeats is one error in the log');
    $edge->wait_log(qr/\[notice\].*commands: connected to .* after \d+ failed/);
    end($edge);
};


subtest 'timeouts' => sub {
    my $edge = edge($redis->url . ' command_timeout=700ms');

    ready($edge);
    like(run($edge, { t => 300 }, 'BLPOP', 'nil', 0), qr/timeout=1 .*sent=1/,
        'a reply that does not come');
    like(info($edge)->{commands}{error}, qr/^no reply within 300 ms/, 'is why');
    ready($edge);
    is(info($edge)->{commands}{connects}, 2, 'the connection is made anew');
    like(run($edge, {}, 'BLPOP', 'nil', 0), qr/timeout=1/,
        'command_timeout is the default');

    ready($edge);
    my $slow = AiHttp->new(port => $edge->port);
    $slow->send_request(path => path('/cmd', { t => 10000 }, 'BLPOP', 'nil', 2));
    like($slow->response->body, qr/^ok=1 .*\nnil/, 'a longer one waits');
    end($edge);
};


subtest 'bounds' => sub {
    my $edge = edge($redis->url);

    ready($edge);
    my $got = counts(run($edge, { n => 70000 }, 'PING'));
    is($got->{ok}, 65536, 'so many commands at once');
    is($got->{full}, 70000 - 65536, 'the others were FULL');

    $got = counts(ask($edge, path('/cmd', { i => 2, n => 8 }, 'SET', 'big'),
        method => 'POST', body => 'x' x 6_000_000));
    is($got->{ok}, 5, 'so many bytes');
    is($got->{full}, 3, 'the others were FULL');
    like(run($edge, {}, 'STRLEN', 'big'), qr/\n6000000$/, 'whole commands');
    is(info($edge)->{commands}{connects}, 1, 'with one connection');
    end($edge);
};


subtest 'AUTH, SELECT, ACL' => sub {
    my $dir = $t->subdir('auth');
    my $auth = AiRedis->new(dir => "$dir", args => ['--port', '0']);
    my $secret = 'p4ss-w0rd-in-no-log';

    $auth->cmd('SET', 'where', 'zero');
    $auth->cmd('SELECT', 3);
    $auth->cmd('SET', 'where', 'three');
    $auth->cmd('ACL', 'SETUSER', 'edge', 'on', ">$secret", '~*', '&*', '+@all');
    $auth->cmd('ACL', 'SETUSER', 'default', 'off');

    open my $fh, '>', "$dir/password";
    print $fh "$secret\n";
    close $fh;

    my $edge = edge($auth->url . " user=edge password=file:$dir/password db=3");
    ready($edge);
    like(run($edge, {}, 'GET', 'where'), qr/\nthree$/, 'in its database');
    like(run($edge, { c => 2 }, 'GET', 'where'), qr/\nthree$/, 'both');
    like(run($edge, {}, 'ACL', 'WHOAMI'), qr/\nedge$/, 'as its user');
    unlike($edge->log, qr/\Q$secret/, 'the password is in no log');
    end($edge);

    open $fh, '>', "$dir/password";
    print $fh "wrong-$secret";
    close $fh;
    $edge = edge($auth->url . " user=edge password=file:$dir/password");
    $edge->wait_log(qr/refused: WRONGPASS/);
    wait_for(sub { info($edge)->{commands}{failures} > 1 });
    unlike($edge->log . info($edge)->{text}, qr/\Q$secret/,
        'nor a wrong one');
    end($edge);

    $edge = edge($auth->url);
    $edge->wait_log(qr/NOAUTH/);
    pass('no password is told');
    end($edge);

    my $tries = AiRedis::Fake->new(dir => $dir, answer => sub {
        return '-ERR unknown command `AUTH`, with args beginning with: '
            . "`$_[2]` \r\n";
    });
    $edge = edge($tries->url . " password=file:$dir/password");
    $edge->wait_log(qr/refused: ERR unknown command/);
    unlike($edge->log, qr/\Q$secret/, 'a server that repeats it is cut short');
    end($edge);
    $tries->stop;
    $auth->stop;
};


subtest 'TLS' => sub {
    my $dir = $t->subdir('tls');
    my $port = free_port();
    my $req = "openssl req -newkey rsa:2048 -nodes -days 2";

    system("cd $dir && $req -x509 -keyout ca.key -out ca.crt -subj /CN=ca"
        . " 2>/dev/null && $req -keyout s.key -out s.csr -subj /CN=redis.test"
        . " 2>/dev/null && printf 'subjectAltName=DNS:redis.test,IP:127.0.0.1'"
        . " > ext && openssl x509 -req -in s.csr -CA ca.crt -CAkey ca.key"
        . " -CAcreateserial -days 2 -extfile ext -out s.crt 2>/dev/null") == 0
        or die "openssl\n";
    my $tls = AiRedis->new(dir => $dir, args => ['--tls-port', $port,
        '--tls-cert-file', "$dir/s.crt", '--tls-key-file', "$dir/s.key",
        '--tls-ca-cert-file', "$dir/ca.crt", '--tls-auth-clients', 'optional']);

    my $edge = edge("rediss://127.0.0.1:$port tls_ca=$dir/ca.crt");
    ready($edge);
    like(run($edge, { n => 1000 }, 'INCR', 'tls'), qr/^ok=1000 /,
        'by address, verified');
    my $body = join '', map { chr(33 + $_ * 31 % 90) } 1 .. 2_000_000;
    ask($edge, path('/cmd', { c => 2, i => 2, p => 50_000 }, 'SET', 'body'),
        method => 'POST', body => $body);
    like(run($edge, { c => 2 }, 'GET', 'body'),
        qr/\n2000000:\Q@{[md5_hex($body)]}\E$/, 'a long body and back');

    $tls->cmd('DEL', 'body');
    $tls->freeze;
    ask($edge, path('/cmd', { c => 2, i => 2, x => 2, p => 100_000,
        t => 20000 }, 'SET', 'body'), method => 'POST', body => $body);
    $tls->thaw;
    is(md5_hex(wait_for(sub { $tls->cmd('GET', 'body') })), md5_hex($body),
        'cancelled while it is sent');
    $tls->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
    wait_for(sub { info($edge)->{sub}{connects} == 2 });
    ready($edge);
    end($edge);

    $edge = edge("rediss://127.0.0.1:$port tls_ca=$dir/ca.crt "
        . 'tls_name=redis.test tls_cert=' . "$dir/s.crt tls_key=$dir/s.key");
    ready($edge);
    like(run($edge, {}, 'PING'), qr/^ok=1/, 'by name, with a certificate');
    end($edge);

    $edge = edge("rediss://127.0.0.1:$port tls_ca=$dir/ca.crt "
        . 'tls_name=other.test');
    $edge->wait_log(qr/certificate is not for "other\.test"/);
    pass('another name is refused');
    end($edge);

    $edge = edge("rediss://127.0.0.1:$port");
    $edge->wait_log(qr/certificate is not valid \(/);
    pass('another authority is refused');
    end($edge);

    $edge = edge("rediss://127.0.0.1:$port tls_verify=off");
    ready($edge);
    pass('unless told not to look');
    end($edge);

    $edge = edge("rediss://$tcp tls_verify=off");
    $edge->wait_log(qr/ai_redis: commands: no connection.*(?:TLS|within 1000 ms)/);
    pass('no TLS there');
    end($edge);
    $tls->stop;
};


subtest 'Sentinel' => sub {
    my $dir = $t->subdir('sentinel');
    my @port = map { free_port() } 1 .. 3;
    my @node = map {
        mkdir "$dir/$_";
        AiRedis->new(dir => "$dir/$_", tcp => $port[$_]);
    } 0, 1;

    $node[1]->cmd('REPLICAOF', '127.0.0.1', $port[0]);
    wait_for(sub {
        $node[1]->cmd('INFO', 'replication') =~ /master_link_status:up/;
    }, 60, 'the replica');

    mkdir "$dir/s";
    open my $fh, '>', "$dir/s/sentinel.conf";
    print $fh "port $port[2]\nbind 127.0.0.1\ndir $dir/s\n"
        . "sentinel monitor mymaster 127.0.0.1 $port[0] 1\n"
        . "sentinel down-after-milliseconds mymaster 1000\n"
        . "sentinel failover-timeout mymaster 5000\n";
    close $fh;
    my $sentinel = AiProc->spawn(name => 'sentinel', out => "$dir/s/log",
        cwd => "$dir/s", cmd => ['redis-server', "$dir/s/sentinel.conf",
            '--sentinel']);
    my $ask = wait_for(sub {
        return eval { AiRedis::Client->new(port => $port[2]) };
    });
    wait_for(sub {
        return grep { $_ eq "127.0.0.1:$port[1]" }
            map { @$_ } @{ $ask->cmd('SENTINEL', 'REPLICAS', 'mymaster') };
    }, 60, 'Sentinel to see the replica');

    my $dead = free_port();
    my $edge = edge("redis:///2 sentinel=127.0.0.1:$dead "
        . "sentinel=127.0.0.1:$port[2] master=mymaster");
    ready($edge);
    is(info($edge)->{commands}{address}, "127.0.0.1:$port[0]", 'the master');
    like(run($edge, {}, 'SET', 'k', 'before'), qr/^ok=1/, 'a write');
    wait_for(sub {
        $node[1]->cmd('SELECT', 2);
        return ($node[1]->cmd('GET', 'k') || '') eq 'before';
    });
    my $log = $edge->log;
    unlike($log, qr/ai_redis: commands: no connection/,
        'a dead Sentinel is passed over');

    $node[0]->kill9;
    wait_for(sub {
        my $info = info($edge);
        return 3 == grep { $info->{$_}{ready}
            && $info->{$_}{address} eq "127.0.0.1:$port[1]" }
            qw(commands sub bulk);
    }, 60, 'the failover');
    like(run($edge, {}, 'GET', 'k'), qr/\nbefore$/, 'all on the new master');
    like(run($edge, {}, 'SET', 'k', 'after'), qr/^ok=1/, 'a write');

    end($edge);

    $edge = edge("redis:// sentinel=127.0.0.1:$port[2] master=nobody");
    $edge->wait_log(qr/Sentinel knows no master "nobody"/);
    pass('an unknown master');
    end($edge);

    # It would rule the servers on its own.
    $sentinel->stop('KILL');

    # A planned one, told by a scripted Sentinel: the old master lives on.
    $node[0]->start;
    delete $_->{client} for @node;
    $node[0]->cmd('REPLICAOF', '127.0.0.1', $port[1]);
    wait_for(sub {
        $node[0]->cmd('INFO', 'replication') =~ /link_status:up/;
    }, 60, 'the old master to follow');
    my $lie = lying_sentinel(sub { ('127.0.0.1', slurp("$dir/master")) });
    put("$dir/master", $port[1]);
    $edge = edge("redis:// sentinel=127.0.0.1:$lie->{port} master=mymaster");
    ready($edge);
    is(info($edge)->{bulk}{address}, "127.0.0.1:$port[1]", 'another Sentinel');

    put("$dir/master", $port[0]);
    $node[0]->cmd('REPLICAOF', 'NO', 'ONE');
    $node[1]->cmd('REPLICAOF', '127.0.0.1', $port[0]);
    like(run($edge, {}, 'SET', 'k', 'x'), qr/error=1 .*class=4\nREADONLY/,
        'the former master says READONLY');
    wait_for(sub {
        my $info = info($edge);
        return 3 == grep { $info->{$_}{ready}
            && $info->{$_}{address} eq "127.0.0.1:$port[0]" }
            qw(commands sub bulk);
    }, 30, 'all three to follow');
    like(run($edge, {}, 'SET', 'k', 'last'), qr/^ok=1/,
        'all three go to the new one');
    end($edge);
    $lie->{proc}->stop('KILL');

    # A Sentinel that names a replica.
    my $replica = $port[1];
    $lie = lying_sentinel(sub { ('127.0.0.1', $replica) });
    $edge = edge("redis:// sentinel=127.0.0.1:$lie->{port} master=mymaster");
    $edge->wait_log(qr/that Sentinel named is not the master/);
    pass('a replica is not taken for the master');
    end($edge);
    $lie->{proc}->stop('KILL');

    $lie = lying_sentinel(sub { ('not an address', 1) });
    $edge = edge("redis:// sentinel=127.0.0.1:$lie->{port} master=mymaster");
    $edge->wait_log(qr/an unusable address from Sentinel/);
    pass('nonsense from Sentinel');
    end($edge);
    $lie->{proc}->stop('KILL');

    $_->stop for @node;
};


sub put {
    my ($path, $text) = @_;

    open my $fh, '>', "$path.new" or die "$path: $!\n";
    print $fh $text;
    close $fh;
    rename "$path.new", $path;
}


sub lying_sentinel {
    my ($answer) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Listen => 16, Proto => 'tcp');
    my $port = $listen->sockport;

    my $proc = AiProc->spawn(name => 'sentinel', sub => sub {
        while (my $sock = $listen->accept) {
            sysread $sock, my $buf, 4096;
            syswrite $sock, AiRedis::Client::format($answer->());
        }
    });

    return { proc => $proc, port => $port };
}


# A server that goes through the handshake and answers the rest as told.
sub fake {
    my ($dir, $answer) = @_;
    my %sub;

    return AiRedis::Fake->new(dir => $dir, name => 'f' . ++$count,
        answer => sub {
            my ($n, @cmd) = @_;
            my $name = uc $cmd[0];
            my $do = $answer->($n, @cmd);

            return $do if defined $do;
            return "*2\r\n\$4\r\npong\r\n\$0\r\n\r\n"
                if $name eq 'PING' && $sub{$n};
            return "+PONG\r\n" if $name eq 'PING';
            return "\$-1\r\n" if $name eq 'GET';
            if ($name eq 'SUBSCRIBE') {
                $sub{$n} = 1;
                my $i = 0;
                return join '', map {
                    "*3\r\n\$9\r\nsubscribe\r\n\$" . length($_)
                        . "\r\n$_\r\n:" . ++$i . "\r\n"
                } @cmd[1 .. $#cmd];
            }
            return "+OK\r\n";
        });
}


subtest 'a hostile server' => sub {
    my $dir = $t->subdir('hostile');
    my $deep = '*1' . "\r\n";
    my @cases = (
        [no => 'garbage', "hello world\r\n", qr/not a Redis reply/],
        [no => 'an endless line', '+' . 'x' x 200_000, qr/a reply over/],
        [no => 'an endless number', '$' . '1' x 200_000,
            qr/not a Redis reply/],
        [no => 'a huge array', "*2000000000\r\n",
            qr/a reply over|not a Redis reply/],
        [no => 'many arrays', "*1000\r\n" . "*1000\r\n:1\r\n" x 1000,
            qr/a reply over|not a Redis reply/],
        [no => 'deep nesting', $deep x 100, qr/a reply over/],
        [no => 'a negative length', "\$-5\r\n",
            qr/not a Redis reply|a reply that/],
        [no => 'two replies to one command', "+OK\r\n+OK\r\n",
            qr/a reply that nothing had asked for/],
        [no => 'an error and the end',
            { send => "-ERR Protocol error\r\n", close => 1 },
            qr/closed by the server/],
        [no => 'half a reply and the end',
            { send => "\$100\r\nabc", close => 1 }, qr/closed by the server/],
    );

    for my $case (@cases) {
        my (undef, $what, $bytes, $re) = @$case;
        my $fake = fake($dir, sub {
            return uc $_[1] eq 'ECHO' ? $bytes : undef;
        });
        my $edge = edge($fake->url);

        ready($edge);
        my $said = run($edge, { t => 10000 }, 'ECHO', 'x');
        like($said, qr/^ok=(?:0.* (?:closed|error)=1|1)/,
            "$what: the command ends");
        $edge->wait_log(qr/ai_redis: commands: lost .*$re/);
        ready($edge);
        like(run($edge, {}, 'SET', 'k', 'v'), qr/^ok=1/, 'and life goes on');
        end($edge);
        $fake->stop;
    }

    my @sub = (
        ['a message for a foreign channel',
            "*3\r\n\$7\r\nmessage\r\n\$6\r\ntest:x\r\n\$2\r\nhi\r\n",
            qr/channel that was not subscribed to/],
        ['a message without a payload',
            "*2\r\n\$7\r\nmessage\r\n\$6\r\ntest:a\r\n", qr/unexpected reply/],
        ['a message of numbers', "*3\r\n:1\r\n:2\r\n:3\r\n",
            qr/unexpected reply/],
        ['an empty array', "*0\r\n", qr/unexpected reply/],
        ['nil', "*-1\r\n", qr/unexpected reply/],
        ['a pong too many', "*2\r\n\$4\r\npong\r\n\$0\r\n\r\n" x 3,
            qr/unexpected reply/],
        ['an unsubscribe',
            "*3\r\n\$11\r\nunsubscribe\r\n\$6\r\ntest:a\r\n:1\r\n",
            qr/unexpected reply/],
        ['an error', "-ERR go away\r\n", qr/the server says: ERR go away/],
        ['a nested message', "*3\r\n\$7\r\nmessage\r\n\$6\r\ntest:a\r\n"
            . "*1\r\n\$1\r\nx\r\n", qr/unexpected reply/],
    );

    for my $case (@sub) {
        my ($what, $bytes, $re) = @$case;
        my (%pinged, $done);
        my $fake = fake($dir, sub {
            my ($n, $name) = @_;
            return undef if uc $name ne 'PING';
            return undef if ++$pinged{$n} < 2 || $done++;
            return $bytes;
        });
        my $edge = edge($fake->url);

        $edge->wait_log(qr/ai_redis: sub: lost .*$re/);
        ready($edge);
        my @events = @{ events($edge) };
        is(scalar(grep { /^message/ } @events), 0, "$what: told nobody");
        is(scalar(grep { $_ eq 'subscribed' } @events), 2, 'and again');
        end($edge);
        $fake->stop;
    }

    # In the handshake.
    for my $case (
        ['closes at once', sub { { close => 1 } }, qr/closed by the server/],
        ['is loading', sub { uc $_[1] eq 'PING'
            ? "-LOADING Redis is loading the dataset in memory\r\n" : undef },
            qr/refused: LOADING/],
        ['says nothing', sub { { stall => 1 } }, qr/no reply within/],
        ['answers before it is asked', sub { "+OK\r\n" x 20 },
            qr/nothing had asked for/],
        ['refuses to subscribe', sub { uc $_[1] eq 'SUBSCRIBE'
            ? "-NOPERM this user has no permissions\r\n" : undef },
            qr/sub: .*NOPERM/],
        ['acknowledges another channel', sub { uc $_[1] eq 'SUBSCRIBE'
            ? "*3\r\n\$9\r\nsubscribe\r\n\$1\r\nx\r\n:1\r\n" : undef },
            qr/sub: .*unexpected reply/],
        ['acknowledges nothing', sub { uc $_[1] eq 'SUBSCRIBE'
            ? { drop => 1 } : undef },
            qr/subscription was not acknowledged/],
        ['is refused by the hook', sub { uc $_[1] eq 'GET'
            ? "\$3\r\nyes\r\n" : undef }, qr/refused by the test/])
    {
        my ($what, $answer, $re) = @$case;
        my $fake = fake($dir, $answer);
        my $edge = edge($fake->url . ' command_timeout=300ms');

        $edge->wait_log(qr/ai_redis: .*$re/);
        like(run($edge, { c => 1 }, 'PING'), qr/closed=1/, "it $what");
        end($edge);
        $fake->stop;
    }
};


subtest 'a reply before the command' => sub {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Listen => 16, Proto => 'tcp');
    my $port = $listen->sockport;
    my $proc = AiProc->spawn(name => 'early', sub => sub {
        local $SIG{CHLD} = 'IGNORE';
        while (my $sock = $listen->accept) {
            next if fork;
            while (sysread $sock, my $buf, 4096) {
                syswrite $sock, $_ eq 'GET' ? "\$-1\r\n" : "+OK\r\n"
                    for $buf =~ /^\*\d+\r\n\$\d+\r\n(\w+)\r$/mg;
                sleep 60 if $buf =~ /\r\nSET\r\n/;
            }
            POSIX::_exit(0);
        }
    });
    my $edge = edge("redis://127.0.0.1:$port");

    wait_for(sub { info($edge)->{bulk}{ready} });
    like(ask($edge, path('/cmd', { c => 2, i => 2, t => 20000 }, 'SET', 'big'),
        method => 'POST', body => 'x' x 8_000_000), qr/closed=1/,
        'is not taken for its reply');
    $edge->wait_log(qr/bulk: lost .* a reply that nothing had asked for/);
    end($edge);
    AiProc::children_of($proc->pid) and
        kill 'KILL', AiProc::children_of($proc->pid);
    $proc->stop('KILL');
};


subtest 'backoff' => sub {
    my $dir = $t->subdir('backoff');
    my %seen;

    # It answers the handshake and then hangs up: no hot loop.
    my $fake = fake($dir, sub {
        my ($n, $name) = @_;
        return uc $name eq 'GET'
            ? { send => "\$-1\r\n", close => 1 } : undef;
    });
    my $edge = edge($fake->url);
    sleep 3;
    my %conns = map { /^(\d+) / ? ($1 => 1) : () } $fake->log;
    cmp_ok(scalar keys %conns, '<', 60, 'connections: ' . keys %conns);
    cmp_ok(scalar keys %conns, '>', 6, 'but it goes on');
    end($edge);
    $fake->stop;

    for my $word (qw(READONLY LOADING MASTERDOWN)) {
        my $answered = 0;
        $fake = fake($dir, sub {
            my ($n, $name) = @_;
            return uc $name eq 'ECHO' ? "-$word not here\r\n" : undef;
        });
        $edge = edge($fake->url);
        ready($edge);
        like(run($edge, {}, 'ECHO', 'x'), qr/error=1 .*\n$word/,
            "$word is told");
        wait_for(sub { info($edge)->{commands}{connects} == 2 });
        pass('and the connection made anew');
        end($edge);
        $fake->stop;
    }
};


subtest 'reload and exit' => sub {
    my $edge = edge($redis->url, workers => 2);

    ready($edge);
    my @old = $edge->workers;
    $edge->reload;
    wait_for(sub { !grep { kill 0, $_ } @old }, 10, 'the old workers to leave');
    pass('idle connections hold no old worker');
    ready($edge);

    my $before = scalar(() = $edge->log =~ /closed by the server/g);
    wait_for(sub { $redis->cmd('CLIENT', 'LIST') !~ /name=test:(?:$old[0]|$old[1]):/ },
        10, 'the old connections to go');
    pass('they were closed');

    # A command under way holds its worker until it is answered.
    my ($pid) = my @now = $edge->workers;
    $redis->cmd('DEL', 'list');
    run($edge, { f => 1, t => 20000 }, 'BLPOP', 'list', 10);
    wait_for(sub { $redis->cmd('CLIENT', 'LIST') =~ /cmd=blpop/ });
    $edge->reload;
    sleep 0.5;
    is(scalar(grep { kill 0, $_ } @now), 1, 'a command holds its worker');
    $redis->cmd('LPUSH', 'list', 'x');
    wait_for(sub { !grep { kill 0, $_ } @now }, 10, 'the worker to leave');
    pass('until it is answered');

    ready($edge);
    my @left = $edge->workers;
    $redis->stop;
    wait_for(sub { info($edge)->{commands}{failures} > 1 });
    @left = $edge->workers;
    $edge->reload;
    wait_for(sub { !grep { kill 0, $_ } @left }, 10, 'the old workers to leave');
    pass('without Redis old workers leave, too');
    $redis->start;
    ready($edge);
    end($edge);

    $edge = edge($redis->url, more => "proxy_cache_path $t->{dir}/cache "
        . 'keys_zone=c:1m;');
    ready($edge);
    is(scalar(() = $redis->cmd('CLIENT', 'LIST') =~ /name=test:/g), 3,
        'cache manager and loader do not connect');
    end($edge);
};


subtest 'a new worker serves at once' => sub {
    my $edge = edge($redis->url);
    my $bad = 0;

    for (1 .. 5) {
        $edge->reload;
        $bad++ if run($edge, { t => 5000 }, 'PING') !~ /^ok=1/;
    }
    is($bad, 0, 'commands wait for the first handshake');
    end($edge);
};


subtest 'addresses' => sub {
    my $edge = edge("redis://localhost:$redis->{tcp}/1");

    ready($edge);
    is(info($edge)->{commands}{address}, $tcp, 'a name, its second address');
    like(run($edge, {}, 'SET', 'tcp', 1), qr/^ok=1/, 'over TCP');
    end($edge);

    my $dns = free_port();
    my $udp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp',
        LocalPort => 0);
    $dns = $udp->sockport;
    my $proc = AiProc->spawn(name => 'dns', sub => sub {
        while ($udp->recv(my $q, 512)) {
            my ($id, $rest) = unpack 'n x10 a*', $q;
            my ($end) = index $rest, "\0";
            my $type = unpack 'n', substr $rest, $end + 1, 2;
            my $question = substr $rest, 0, $end + 5;
            $udp->send(pack('nnnnnn', $id, 0x8180, 1, $type == 1 ? 1 : 0, 0, 0)
                . $question . ($type == 1
                ? pack('nnnNnC4', 0xc00c, 1, 1, 1, 4, 127, 0, 0, 1) : ''));
        }
    });
    $edge = edge("redis://redis.invalid:$redis->{tcp}",
        more => "resolver 127.0.0.1:$dns;");
    ready($edge);
    is(info($edge)->{commands}{address}, $tcp, 'found by the resolver');
    end($edge);
    $proc->stop('KILL');
};


subtest 'the directive' => sub {
    my $edge = $t->edge(name => 'conf', module => $module, conf => $conf,
        vars => { REDIS => $redis->url, MORE => '' });
    my $dir = $t->subdir('conf-files');

    open my $fh, '>', "$dir/empty";
    close $fh;
    my $test = sub {
        my ($redis) = @_;
        my $text = $conf;
        $text =~ s/%%REDIS%%/$redis/;
        return $edge->test_conf($text);
    };

    for my $case (
        ['unix:/x db=1 connect_timeout=2s command_timeout=50ms', undef],
        ['redis://127.0.0.1', undef],
        ['redis://[::1]:6380/4', undef],
        ['redis:// sentinel=127.0.0.1 master=m', undef],
        ['sentinel=127.0.0.1 master=m', undef],
        ['db=1', qr/an address is needed/],
        ['http://x', qr/invalid parameter "http:\/\/x"/],
        ['unix:/x nonsense=1', qr/unknown parameter "nonsense"/],
        ['unix:/x db=x', qr/invalid value "x" of "db"/],
        ['unix:/x connect_timeout=never', qr/invalid value "never"/],
        ['unix:/x connect_timeout=0', qr/invalid value "0"/],
        ['redis://h/x', qr/must be a number/],
        ['redis://127.0.0.1:99999', qr/invalid port/],
        ['redis://nowhere.invalid', qr/host not found.*"resolver" above/],
        ['unix:/x user=u', qr/"user" needs "password"/],
        ['unix:/x password=secret', qr/\[warn\].*use "password=file:PATH"/, 0],
        ['unix:/x password=env:X', qr/from files only/],
        ["unix:/x password=file:$dir/none", qr/open\(\) .* failed/],
        ["unix:/x password=file:$dir/empty", qr/is empty/],
        ['unix:/x tls_verify=off', qr/needs an address with rediss/],
        ["rediss://127.0.0.1 tls_ca=$dir/none", qr/none/],
        ['rediss://127.0.0.1 tls_cert=x', qr/need each other/],
        ['unix:/x master=m', qr/need "sentinel"/],
        ['redis://127.0.0.1 sentinel=127.0.0.1 master=m', qr/names no host/],
        ['redis:// sentinel=127.0.0.1', qr/needs "master"/],
        ['unix:/x; ai_redis unix:/y', qr/is duplicate/])
    {
        my ($redis, $re, $want) = @$case;
        my ($code, $said) = $test->($redis);

        if (!$re) {
            is($code, 0, $redis) or diag($said);
            next;
        }
        $want = 1 unless defined $want;
        ok($code == $want && $said =~ $re, $redis) or diag($said);
    }
    my (undef, $said) = $test->('redis://u:hunter2@127.0.0.1/x');
    unlike($said, qr/hunter2/, 'a password is in no message');
};

done_testing();
