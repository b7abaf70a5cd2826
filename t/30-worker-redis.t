#!/usr/bin/perl
# Redis over TCP with a user and a database of its own, and over TLS, whose
# certificate is checked.
use AiTest;
use AiWork;

my $t = AiTest->new;
my $dir = $t->dir;

AiTest->skip_all('no openssl')
    if system 'openssl version > /dev/null 2>&1';

certificate($dir, $_) for qw(good other);

my ($tcp, $tls) = (free_port(), free_port());
$t->redis(tcp => $tcp, args => ['--tls-port', $tls, '--tls-cert-file',
    "$dir/good.pem", '--tls-key-file', "$dir/good.key", '--tls-auth-clients',
    'no', '--tls-ca-cert-file', "$dir/good.pem"]);
$t->redis->cmd('ACL', 'SETUSER', 'ai', 'on', '>pass@word', '~*', '&*', '+@all');

my $w = AiWork->new($t, start => 0);
sub ask {
    return $w->answer($w->job(body => { model => 'echo/echo',
        messages => [{ role => 'user', content => 'hi' }] }))->{end}{state};
}

my $proc = $w->start(name => 'workers-tcp',
    redis => "redis://ai:pass\@word\@127.0.0.1:$tcp/0");
is(ask(), 'done', 'TCP and a user');
my ($list) = grep { /name=ngx-ai-worker/ }
    split /\n/, $t->redis->cmd('CLIENT', 'LIST');
like($list, qr/user=ai\b/, 'as that user');
unlike($t->worker_log('workers-tcp'), qr/pass/, 'no password in the log');
$proc->stop;

open my $fh, '>', "$dir/password" or die $!;
print $fh "pass\@word\n";
close $fh;
$proc = $w->start(name => 'workers-tls', redis => "rediss://ai\@localhost:$tls",
    args => ['--redis-password-file', "$dir/password"],
    env => { SSL_CERT_FILE => "$dir/good.pem" });
is(ask(), 'done', 'TLS, a name that is looked up, a password from a file');
$proc->stop;

# These never beat: the log says why, once.
sub refused {
    my ($name, $url, $env, $re) = @_;
    my $p = AiProc->spawn(name => $name, cwd => $dir, out => "$dir/$name.out",
        env => { $t->san_env, %$env }, cmd => [$t->built('ai-workers'),
            '--redis', $url, '--workers', 1, '--log', "$dir/$name.log"]);
    push @{ $t->{workers} }, $p;
    wait_for(sub { $t->worker_log($name) =~ $re }, 30, "$name: $re");
    pass($name);
    is($w->alive, 0, "$name: no heartbeat");
    $p->stop;
}
refused('workers-forged', "rediss://ai:pass\@word\@localhost:$tls",
    { SSL_CERT_FILE => "$dir/other.pem" }, qr/not connected: .*certificate/i);
refused('workers-name', "rediss://ai:pass\@word\@127.0.0.1:$tls",
    { SSL_CERT_FILE => "$dir/good.pem" }, qr/not connected: .*mismatch/i);
refused('workers-password', "redis://ai:wrong\@127.0.0.1:$tcp", {},
    qr/WRONGPASS/);
refused('workers-nobody', 'redis://127.0.0.1:' . free_port(), {},
    qr/not connected: .*refused/i);

$w->close;
done_testing();
