# One test's world: a temporary folder, Redis, Postgres, workers, an nginx and
# providers in it, and the checks that end every test.
#
#   use AiTest;
#   my $t = AiTest->new;
#   $t->start;                          # Redis, Postgres, workers, nginx
#   my $res = $t->post('/v1/chat/completions', { … });
#   done_testing();                     # runs the closing checks
package AiTest;

use strict;
use warnings;
use AiEdge;
use AiHttp;
use AiPg;
use AiProc qw(wait_for slurp free_port fd_count process_of processes_in
    certificate);
use AiProvider;
use AiRedis;
use AiSign;
use Cwd ();
use File::Basename ();
use File::Temp ();
use JSON::PP ();
use Test::More ();
use Time::HiRes ();

our $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

my @worlds;
my $ended;
my $owner = $$;

# Keys that live without an expiry, docs/wire.md section 1.
my $endless = qr/^ai1:(?:
    \{[^}]*\}:(?:alive|capacity|sweep|outbox|weights
        |cached|cache_sum|waiting|waiting:batch|waiting:last|suspects|backlog_bytes|held:\S+|grace
        |backlog:.*|running:.*)
    | lookup | shards )$/x;


sub import {
    my $to = caller;

    strict->import;
    warnings->import;
    no strict 'refs';
    *{"${to}::$_"} = \&{"Test::More::$_"}
        for qw(ok is isnt like unlike is_deeply cmp_ok pass fail diag note
               plan skip BAIL_OUT subtest can_ok isa_ok explain);
    *{"${to}::$_"} = \&{"AiProc::$_"}
        for qw(wait_for slurp free_port process_of fd_count certificate);
    *{"${to}::done_testing"} = \&done_testing;
    *{"${to}::time"} = \&Time::HiRes::time;
    *{"${to}::sleep"} = \&Time::HiRes::sleep;
    *{"${to}::encode_json"} = \&JSON::PP::encode_json;
    *{"${to}::decode_json"} = \&JSON::PP::decode_json;
}


sub skip_all {
    $ended = 1;
    Test::More::plan(skip_all => $_[-1]);
}


# The folder of shared recordings; skips the test, loudly, where it is absent.
sub shared {
    my $dir = $ENV{AI_SHARED} || "$root/../shared";

    if (!-d $dir) {
        Test::More::diag("SKIPPED: no $dir (set AI_SHARED)");
        skip_all("no shared recordings in $dir");
    }

    return $dir;
}


sub new {
    my ($class, %o) = @_;
    my $dir = File::Temp::tempdir('ngx-ai-t-XXXXXX', TMPDIR => 1,
        CLEANUP => 0);

    chmod 0755, $dir;
    my $self = bless { dir => $dir, allow_log => [], allow_keys => [],
        allow_fds => 4, workers_env => {}, sign => 1, %o }, $class;
    push @worlds, $self;

    return $self;
}


sub dir { $_[0]{dir} }
sub root { $root }


# What was built, or {built} says, a sanitizer's build where AI_T_BUILD says so; the module that
# goes with AI_T_NGINX stands beside it.
sub built {
    my ($self, $name) = @_;

    return $self->{built}{$name} if $self->{built}{$name};
    if ($ENV{AI_T_NGINX} && $name eq 'ngx_http_ai_module.so') {
        return File::Basename::dirname($ENV{AI_T_NGINX}) . "/$name";
    }
    my $dir = $ENV{AI_T_BUILD} || "$root/build";
    my $path = -e "$dir/$name" ? "$dir/$name" : "$root/build/$name";

    die "no $path: run make build\n" unless -e $path;
    return $path;
}


sub subdir {
    my ($self, $name) = @_;
    my $dir = "$self->{dir}/$name";

    mkdir $dir;
    chmod 0755, $dir;
    return $dir;
}


sub redis {
    my ($self, %o) = @_;

    return $self->{redis} ||= AiRedis->new(dir => $self->subdir('redis'), %o);
}


sub pg {
    my ($self, %o) = @_;

    return $self->{pg} ||= AiPg->new(dir => $self->subdir('pg'),
        root => $root, %o);
}


# The file of keys that edges sign with and workers know; undef with sign => 0.
sub sign_file {
    my ($self) = @_;
    my $path = "$self->{dir}/sign.key";

    return undef unless $self->{sign};
    AiSign::file($path, 'this key of the test has 36 bytes...')
        unless -e $path;

    return $path;
}


# The key of it that signs.
sub sign_key {
    my $file = $_[0]->sign_file;

    return $file ? slurp($file) =~ s/\n.*//sr : undef;
}


# What stands behind an address in ai_redis.
sub signs {
    my ($self) = @_;
    my $file = $self->sign_file;

    return $file ? " sign=file:$file" : '';
}


# A mock provider; its script may be given.
sub provider {
    my ($self, %o) = @_;
    my $provider = AiProvider->new(dir => $self->{dir},
        name => 'provider-' . (1 + @{ $self->{providers} ||= [] }), %o);

    push @{ $self->{providers} }, $provider;
    return $provider;
}


# The workers: n processes, args => [...] more arguments, env => {...}.
sub start_workers {
    my ($self, %o) = @_;
    my $secrets = $self->subdir('secrets');
    my $name = $o{name} || 'workers';

    my $proc = AiProc->spawn(name => $name, cwd => $self->{dir},
        out => "$self->{dir}/$name.out",
        env => { $self->san_env, %{ $self->{workers_env} },
            %{ $o{env} || {} } },
        cmd => [$self->built('ai-workers'),
            '--redis', $o{redis} || $self->redis->url,
            '--postgres', $self->pg->conninfo('ngxai_worker'),
            '--ledger-postgres', $self->pg->conninfo('ngxai_ledger'),
            '--secrets-dir', $secrets, '--workers', $o{n} || 1,
            $self->{sign} ? ('--sign-file', $self->sign_file) : (),
            '--log', "$self->{dir}/$name.log",
            '--pid-file', "$self->{dir}/$name.pid", @{ $o{args} || [] }]);

    push @{ $self->{workers} }, $proc;
    $self->{beating} = $o{beating} if $o{beating};
    wait_for(sub {
        die "$name: " . slurp("$self->{dir}/$name.out")
            . slurp("$self->{dir}/$name.log") . "\n" unless $proc->alive;
        return grep { /^w:/ } @{ $self->redis->cmd('ZRANGE', $self->prefix
            . 'alive', 0, -1) };
    }, 30, 'a worker heartbeat');

    return $proc;
}


# The prefix of a shard (there is one unless a test says otherwise).
sub prefix { 'ai1:{' . ($_[1] || 0) . '}:' }


sub san_env {
    my ($self) = @_;

    # It takes a module's thread local memory for that of an old glibc where it
    # lies 16 bytes into a page, and crashes on what it takes for its bounds.
    return (
        ASAN_OPTIONS => 'detect_odr_violation=0:abort_on_error=1:'
            . "intercept_tls_get_addr=0:log_path=$self->{dir}/sanitizer",
        LSAN_OPTIONS => "suppressions=$root/t/lib/lsan.supp:"
            . 'print_suppressions=0',
        UBSAN_OPTIONS => "print_stacktrace=1:log_path=$self->{dir}/sanitizer",
        TSAN_OPTIONS => "suppressions=$root/t/lib/tsan.supp:"
            . "log_path=$self->{dir}/sanitizer",
    );
}


# Pids of the worker processes (not of the supervisor).
sub worker_pids { map { AiProc::children_of($_->pid) } @{ $_[0]{workers} || [] } }


sub worker_log {
    my ($self, $name) = @_;

    return slurp("$self->{dir}/" . ($name || 'workers') . '.log');
}


my $plain = <<'CONF';
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    ai_redis %%REDIS%%;
    ai_zone principals 4m;
    %%AI%%
    server {
        listen 127.0.0.1:%%PORT%%;
        ai_auth key;
        location /v1/ { ai_pass; %%LOCATION%% }
        location /health { ai_health; }
        location = /metrics { ai_metrics; }
        error_page 404 408 413 414 429 500 502 503 504 /ai_error;
        location = /ai_error { internal; ai_error; }
    }
}
CONF

# nginx: conf => template (or ai =>, location => lines for the plain one).
sub edge {
    my ($self, %o) = @_;

    return $self->{edge} if $self->{edge} && !%o;
    my $name = $o{name} || 'nginx';
    my $edge = AiEdge->new(dir => $self->subdir($name), root => $root,
        module => exists $o{module} ? $o{module}
            : $self->built('ngx_http_ai_module.so'),
        conf => $o{conf} || $plain, workers => $o{workers} || 1,
        env => { $self->san_env, %{ $o{env} || {} } },
        vars => { AI => $o{ai} || '', LOCATION => $o{location} || '',
            REDIS => !$o{redis} && !$self->{redis} ? ''
                : ($o{redis} || $self->redis->url) . $self->signs,
            %{ $o{vars} || {} } });
    push @{ $self->{edges} }, $edge;

    return $self->{edge} = $edge;
}


# Everything, and a key for tenant demo; returns when a request can be served.
sub start {
    my ($self, %o) = @_;

    # /health/ready wants the append-only file.
    $self->redis(aof => 1, %{ $o{redis} || {} });
    $self->pg;
    $self->start_workers(%{ $o{workers} || {} });
    my $edge = $self->edge(%{ $o{edge} || {} });
    $edge->start;
    $self->{key} = $self->key($o{tenant} || 'demo');
    $self->ready;

    return $self;
}


# Waits for the health check to say ready, then notes what is normal.
sub ready {
    my ($self, $path) = @_;

    my $res;
    eval {
        wait_for(sub {
            $res = eval { $self->get($path || '/health/ready') };
            return $res && $res->status == 200;
        }, 30, '/health/ready');
    } or die $@, $res ? $res->body . "\n" : '';
    $self->baseline;
}


# What each process holds while nothing happens, for the closing checks.
sub baseline {
    my ($self) = @_;

    # Who has just come, or come back, has yet to subscribe.
    eval { wait_for(sub { $self->subscribers >= $self->processes }, 15) }
        if $self->channels;
    $self->{base} = { map { $_ => fd_count($_) } $self->processes };
    my ($most) = sort { $b <=> $a } map { fd_count($_) }
        map { $_->workers } @{ $self->{edges} || [] };
    $self->{base_edge} = $most || 0;
    ($most) = sort { $b <=> $a } map { fd_count($_) } $self->worker_pids;
    $self->{base_worker} = $most || 0;
    $self->{base_channels} = $self->channels;
}


sub processes {
    my ($self) = @_;

    return ($self->worker_pids,
        map { $_->workers } grep { $_->{proc} } @{ $self->{edges} || [] });
}


sub channels {
    my ($self) = @_;

    return 0 unless $self->{redis} && $self->{redis}{proc}->alive;
    return scalar @{ $self->redis->cmd('PUBSUB', 'CHANNELS', 'ai*') };
}


# Processes that listen.
sub subscribers {
    my ($self) = @_;

    return 0 unless $self->{redis} && $self->{redis}{proc}->alive;
    my %who = map { /:(?:edge|worker):(.*)/ ? ($1 => 1) : () }
        @{ $self->redis->cmd('PUBSUB', 'CHANNELS', 'ai*') };
    return scalar keys %who;
}


# aictl with the test's Redis and Postgres; dies when it fails.
sub aictl {
    my ($self, @args) = @_;
    my ($code, $out) = $self->try_aictl(@args);

    die "aictl @args: exit $code: $out\n" if $code;
    return $out;
}


sub try_aictl {
    my ($self, @args) = @_;
    my $out = "$self->{dir}/aictl.out";

    unlink $out;
    my $status = AiProc->spawn(cmd => [$self->built('aictl'), @args],
        out => $out, cwd => $self->{dir}, env => { $self->san_env,
            AI_REDIS => $self->redis->url,
            $self->{sign} ? (AI_SIGN_FILE => $self->sign_file) : (),
            AI_POSTGRES => $self->pg->conninfo('ngxai_admin'),
            AI_POSTGRES_OWNER => $self->pg->conninfo('ngxai_owner') })->wait(60);

    return ($status >> 8 || $status, slurp($out));
}


# A new key of a tenant, which is made where it is missing.
sub key {
    my ($self, $tenant, @args) = @_;

    $self->aictl('tenant', 'create', $tenant) unless $self->{tenants}{$tenant}++;
    my $out = $self->aictl('key', 'create', '--tenant', $tenant, @args);
    my ($key) = $out =~ /(ngx-[A-Za-z0-9_-]{43})/
        or die "aictl key create said: $out\n";

    return $key;
}


# Requests to the edge with the key; key => undef goes without.
sub get {
    my ($self, $path, %o) = @_;

    return AiHttp->get($self->edge->port, $path, key => $self->{key}, %o);
}


sub post {
    my ($self, $path, $data, %o) = @_;

    return AiHttp->post($self->edge->port, $path, $data,
        key => $self->{key}, %o);
}


# An open request; ->head, ->event, ->events, ->response, ->close.
sub stream {
    my ($self, $path, $data, %o) = @_;

    return AiHttp->stream(port => $self->edge->port, path => $path,
        json => $data, key => $self->{key}, %o);
}


# The answer of /v1/chat/completions of the built-in echo.
sub chat {
    my ($self, $text, %o) = @_;

    return $self->post('/v1/chat/completions', { model => 'echo/echo',
        messages => [{ role => 'user', content => $text }],
        %{ delete $o{body} || {} } }, %o);
}


# A line of error.log, or of the workers, that this test provokes.
sub allow_log { push @{ $_[0]{allow_log} }, @_[1 .. $#_] }

# A key without expiry that this test leaves.
sub allow_keys { push @{ $_[0]{allow_keys} }, @_[1 .. $#_] }


sub check {
    my ($self) = @_;

    $self->check_quiet if $self->{base};
    $self->check_keys if $self->{redis} && !$self->{no_keys}
        && $self->{redis}{proc}->alive;

    for my $edge (@{ $self->{edges} || [] }) {
        next unless $edge->{proc};
        my $status = $edge->quit;
        Test::More::ok(defined $status && $status == 0
            && !$edge->{proc}{killed}, 'nginx ended well')
            unless $edge->{proc}{expected};
    }
    for my $proc (@{ $self->{workers} || [] }) {
        next if $proc->{expected} || !$proc->alive;
        my $status = $proc->stop('TERM', 60);
        Test::More::ok($status == 0 && !$proc->{killed}, 'workers ended well');
    }
    $_->stop for @{ $self->{providers} || [] };
    $self->{pg}->stop if $self->{pg};
    $self->{redis}->stop if $self->{redis};

    $self->check_logs;

    my @left = processes_in($self->{dir});
    if (@left) {
        eval {
            wait_for(sub { !(@left = processes_in($self->{dir})) }, 10);
        };
    }
    Test::More::is(join("\n", map { "@$_" } @left), '',
        'nothing is left running');
}


sub check_logs {
    my ($self) = @_;
    my @bad;

    for my $edge (@{ $self->{edges} || [] }) {
        push @bad, grep { /\[(?:alert|emerg)\]|exited on signal/ }
            split /\n/, $edge->log;
    }
    for my $path (glob "$self->{dir}/workers*.log $self->{dir}/workers*.out") {
        push @bad, grep {
            /"level":"(?:alert|emerg|crit|fatal)"|on signal (?:4|6|7|8|11)\b/
        } split /\n/, slurp($path);
    }
    for my $re (@{ $self->{allow_log} }) {
        @bad = grep { $_ !~ $re } @bad;
    }
    Test::More::is(join("\n", @bad), '', 'no alerts');

    my @reports = grep { -s }
        glob "$self->{dir}/sanitizer* $self->{dir}/*/sanitizer*";
    for my $path (glob "$self->{dir}/*.out $self->{dir}/*/*.out"
        . " $self->{dir}/*/error.log")
    {
        push @reports, $path
            if slurp($path) =~ /(?:Address|Leak|Thread|Undefined\w*)Sanitizer
                                |:\d+:\d+:\sruntime\serror:/x;
    }
    Test::More::is(join("\n", map { slurp($_) } @reports), '',
        'no sanitizer errors');
}


# Descriptors, subscriptions, leases back where they were.
sub check_quiet {
    my ($self) = @_;
    my $seen = '';

    my $quiet = sub {
        my @over;
        for my $edge (grep { $_->{proc} && $_->{proc}->alive }
            @{ $self->{edges} || [] })
        {
            for my $pid ($edge->workers) {
                my $n = fd_count($pid);
                push @over, "edge $pid holds $n descriptors, "
                    . "$self->{base_edge} before"
                    if $n > $self->{base_edge} + $self->{allow_fds};
            }
        }
        for my $pid ($self->worker_pids) {
            my $n = fd_count($pid);
            push @over, "worker $pid holds $n descriptors, "
                . "$self->{base_worker} before"
                if $n > $self->{base_worker} + $self->{allow_fds}
                    + ($self->{pooled} || 0);
        }
        if ($self->{redis} && $self->{redis}{proc}->alive) {
            my $n = $self->channels;
            push @over, "$n channels, $self->{base_channels} before"
                if $n > $self->{base_channels};
            for my $key (sort keys %{ $self->redis->keys('ai1:{*}:held:*') },
                sort keys %{ $self->redis->keys('ai1:{*}:running:*') },
                sort keys %{ $self->redis->keys('ai1:{*}:backlog:*') })
            {
                push @over, "$key is still there" unless $self->{leftover_ok};
            }
        }
        $seen = join "\n", @over;
        return $seen eq '';
    };

    eval { wait_for($quiet, $self->{quiet_time} || 15) };
    Test::More::is($seen, '', 'descriptors, subscriptions, leases as before');
}


sub check_keys {
    my ($self) = @_;
    my $ttl = $self->redis->keys;
    my @odd = grep { $ttl->{$_} == -1 && $_ !~ $endless } sort keys %$ttl;

    for my $re (@{ $self->{allow_keys} }) {
        @odd = grep { $_ !~ $re } @odd;
    }
    Test::More::is(join(' ', @odd), '', 'no key without expiry');
}


sub done_testing {
    $ended = 1;
    $_->check for @worlds;
    Test::More::done_testing();
}


# Keeps what the scripts said of themselves (tools/cover-lua.pl).
sub covered {
    my ($dir) = @_;
    my %seen;

    for my $path (glob "$dir/redis*/redis.log") {
        open my $fh, '<', $path or next;
        while (<$fh>) {
            @seen{ split ' ', $1 } = () if /COVERED (.*)/;
        }
    }
    open my $out, '>', "$ENV{AI_T_COVERED}/" . File::Basename::basename($dir)
        or return;
    print $out map { "$_\n" } sort keys %seen;
}


END {
    if ($$ == $owner) {
        my $status = $?;

        if (@worlds && !$ended && !Test::More->builder->{Bailed_Out}) {
            Test::More::diag('ended without its closing checks');
            for my $edge (map { @{ $_->{edges} || [] } } @worlds) {
                my @tail = grep { !/closed keepalive/ } split /\n/, $edge->log;
                Test::More::diag(join "\n",
                    @tail > 30 ? @tail[-30 .. -1] : @tail);
            }
            for my $world (@worlds) {
                my @tail = split /\n/, $world->worker_log;
                Test::More::diag(join "\n",
                    @tail > 30 ? @tail[-30 .. -1] : @tail);
            }
            $status ||= 1;
        }
        for my $world (@worlds) {
            AiProc::stop_all($world->{dir});
            covered($world->{dir}) if $ENV{AI_T_COVERED};
            if ($ENV{AI_T_KEEP}) {
                Test::More::diag("kept $world->{dir}");
            } else {
                system 'rm', '-rf', $world->{dir};
            }
        }
        $? = $status;
    }
}

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);

1;
