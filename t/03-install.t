#!/usr/bin/perl
# make install puts everything in its place, and the sample configuration that
# comes with it is one that nginx takes.
use AiTest;

my $t = AiTest->new;
my $dest = $t->dir . '/dest';
my $out = $t->dir . '/install.log';


sub make {
    return AiProc->spawn(name => 'make install', out => $out, cwd => $t->root,
        env => { MAKEFLAGS => undef, MAKELEVEL => undef },
        cmd => ['make', '-s', 'install', "DESTDIR=$dest", 'PREFIX=/usr'])
        ->wait(600);
}


is(make(), 0, 'make install') or diag(slurp($out));

for my $path ('usr/lib/nginx/modules/ngx_http_ai_module.so',
    'usr/share/ngx-ai/nginx.conf', 'etc/ngx-ai/ai-log.conf',
    'etc/ngx-ai/ai-providers.conf', 'etc/ngx-ai/ai-prices.conf',
    'etc/ngx-ai/ai-tenant.conf',
    'etc/ngx-ai/ai-policy.conf',
    'etc/ngx-ai/ai-tls.conf', 'etc/ngx-ai/ai-behind.conf',
    'usr/lib/systemd/system/ngx-ai-workers.service',
    'usr/lib/systemd/system/ngx-ai-redis.service',
    'usr/lib/systemd/system/ngx-ai-keys.service',
    'usr/share/ngx-ai/redis-users.acl',
    'usr/lib/sysusers.d/ngx-ai.conf', 'usr/lib/tmpfiles.d/ngx-ai.conf')
{
    ok(-s "$dest/$path", $path);
}
ok(-x "$dest/$_", $_) for 'usr/sbin/ai-workers', 'usr/bin/aictl',
    'usr/share/ngx-ai/keys.sh';
ok(glob("$dest/usr/share/ngx-ai/migrations/*.sql"), 'the migrations');
SKIP: {
    skip 'no man page yet', 1 unless -f $t->root . '/docs/aictl.1';
    ok(-s "$dest/usr/share/man/man1/aictl.1", 'the man page');
}
unlike(slurp("$dest/usr/lib/$_"), qr/\@[A-Z_]+\@/, "no name is left in $_")
    for 'systemd/system/ngx-ai-workers.service',
        'systemd/system/ngx-ai-keys.service',
        'systemd/system/ngx-ai-redis.service', 'tmpfiles.d/ngx-ai.conf';

# Where keys of providers are kept.
my $secrets = "$dest/etc/ngx-ai/secrets";
sub mode { my @s = stat $secrets; return @s ? sprintf '%o', $s[2] & 07777 : '' }
is(mode(), '750', 'the folder of secrets is not for everybody');
SKIP: {
    skip 'systemd, and the right to give folders away', 1
        if $> || system('command -v systemd-tmpfiles systemd-sysusers >/dev/null');
    system('systemd-sysusers', "--root=$dest", 'ngx-ai.conf');
    system('systemd-tmpfiles', "--root=$dest", '--create', 'ngx-ai.conf');
    my ($uid) = slurp("$dest/etc/passwd") =~ /^ngx-ai:[^:]*:(\d+):/m;
    is_deeply([(stat $secrets)[4], mode()], [$uid, '750'],
        "but the workers'");
}
chmod 0700, $secrets;

open my $fh, '>>', "$dest/etc/ngx-ai/ai-providers.conf";
print $fh "# mine\n";
close $fh;
make();
like(slurp("$dest/etc/ngx-ai/ai-providers.conf"), qr/# mine/,
    'a second install keeps what was changed');
is(mode(), '700', 'also of the secrets');

# What nginx may answer by itself is worded by ai_error, here as the document
# says it.
sub statuses { join ' ', slurp($_[0]) =~ m{error_page ([\d\s]+?)\s+/ai-error;} }
my $statuses = statuses($t->root . '/docs/directives.md');
like($statuses, qr/^400 401 403 404 /, 'the statuses of error_page');
is(statuses($_) =~ s/\s+/ /gr, $statuses, "$_ has them all")
    for "$dest/usr/share/ngx-ai/nginx.conf", $t->root . '/conf/run.conf';

# What ngx-ai-keys.service does.
is(system("$dest/usr/share/ngx-ai/keys.sh", "$dest/etc/ngx-ai"), 0, 'keys.sh');
ok(-s "$dest/etc/ngx-ai/$_", $_) for 'sign.key', 'redis-users.acl';

# The sample, with this test's folder before its paths.
my $conf = slurp("$dest/usr/share/ngx-ai/nginx.conf");
my $dir = $t->dir;
mkdir "$dir/nginx";
$conf =~ s{^user .*$}{}m;
$conf =~ s{modules/ngx}{$dest/usr/lib/nginx/modules/ngx};
$conf =~ s{/etc/ngx-ai/}{$dest/etc/ngx-ai/}g;
$conf =~ s{(?:/var/log/nginx|/run)/}{$dir/nginx/}g;
$conf =~ s{include /etc/nginx/mime.types;}{%%HTTP%%};
my $edge = $t->edge(redis => 'unix:none');
certificate("$dest/etc/ngx-ai", 'tls');
rename "$dest/etc/ngx-ai/tls.pem", "$dest/etc/ngx-ai/tls.crt";

# Each line that only waits for its "#" to go is one that works, too.
my @more = ($conf =~ /^ +# (include \S+;|ai_cors .*;)$/mg);
is(scalar(@more), 3, 'what may be switched on');
for my $on ('', @more, 'all') {
    my $text = $conf;
    $text =~ s/^ +# (\Q$_\E)$/$1/m
        for $on eq 'all' ? @more : $on eq '' ? () : $on;
    $text =~ s{include (\S+ai-tls\.conf);}{
        slurp($1) =~ s{/etc/ngx-ai}{$dest/etc/ngx-ai}gr
            =~ s{listen 443}{listen 127.0.0.1:%%PORT_1%%}r
            =~ s{listen \[.*\n}{}r }e;
    my ($code, $said) = $edge->test_conf($text);
    is($code, 0, "nginx takes the sample configuration, with $on")
        or diag($said);
    unlike($said, qr/\[(?:emerg|alert|error)\]/, 'and says nothing bad');
}

done_testing();
