#!/usr/bin/perl
# Coding programs from npm, unchanged but for their base URL and model: each
# reads a file with its shell, with a provider of its own dialect or of another.
#
# AI_T_SEED=n repeats a choice; AI_T_FULL=1 tries all providers with each.
use AiTest;
use AiReplay;

my $node = AiReplay::node();
AiTest::skip_all('no node') unless $node;
my $npm = "$AiTest::root/t/node-cli/node_modules";
my $x64 = `uname -m` =~ /x86_64/;
my $arch = $x64 ? 'x64' : 'arm64';
my ($new) = glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node");
my @providers = qw(openai anthropic responses gemini);

# cmd, env, files => of a model's name.
my ($base, $key);
my %program = (
    'claude-code' => {
        file => "$npm/\@anthropic-ai/claude-code-linux-$arch/claude",
        env => sub { (ANTHROPIC_BASE_URL => $base, ANTHROPIC_API_KEY => $key,
            ANTHROPIC_MODEL => $_[0], ANTHROPIC_SMALL_FAST_MODEL => $_[0],
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC => 1,
            DISABLE_AUTOUPDATER => 1) },
        cmd => sub { ($_[1], '-p', 'Read note.txt', '--allowedTools', 'Bash') },
    },
    codex => {
        file => "$npm/\@openai/codex-linux-$arch/vendor/"
            . ($x64 ? 'x86_64' : 'aarch64') . '-unknown-linux-musl/bin/codex',
        env => sub { (GATEWAY_KEY => $key) },
        cmd => sub { ($_[1], qw(exec --skip-git-repo-check
            --dangerously-bypass-approvals-and-sandbox), '-c',
            qq(model="$_[0]"), '-c', 'model_provider="gateway"', '-c',
            'model_providers.gateway={name="gateway",wire_api="responses",'
            . qq(base_url="$base/v1",env_key="GATEWAY_KEY",)
            . 'request_max_retries=0,stream_max_retries=0}',
            'Read note.txt') },
    },
    'qwen-code' => { needs => $new,
        file => "$npm/\@qwen-code/qwen-code/cli.js",
        env => sub { (OPENAI_API_KEY => $key, OPENAI_BASE_URL => "$base/v1",
            OPENAI_MODEL => $_[0]) },
        # What its terminal has heard may be lost when the command ends.
        files => sub { ('.qwen/settings.json' => encode_json({ tools => {
            shell => { enableInteractiveShell => JSON::PP::false } } })) },
        cmd => sub { ($new, $_[1], qw(--auth-type openai -y -p),
            'Read note.txt') },
    },
    opencode => {
        file => "$npm/opencode-linux-" . ($x64 ? 'x64-baseline' : 'arm64')
            . '/bin/opencode',
        env => sub { (OPENCODE_DISABLE_AUTOUPDATE => 1,
            OPENCODE_DISABLE_MODELS_FETCH => 1) },
        files => sub { ('opencode.json' => encode_json({
            model => "gateway/$_[0]", small_model => "gateway/$_[0]",
            autoupdate => JSON::PP::false, share => 'disabled',
            permission => 'allow', provider => { gateway => {
                npm => '@ai-sdk/openai-compatible', name => 'gateway',
                options => { baseURL => "$base/v1", apiKey => $key },
                models => { $_[0] => { name => 'm' } } } } })) },
        cmd => sub { ($_[1], 'run', 'Read note.txt') },
    },
);
for my $name (sort keys %program) {
    my $p = $program{$name};
    next if -s $p->{file} && (!exists $p->{needs} || $p->{needs});
    diag("SKIPPED: no $name: run npm ci --ignore-scripts in t/node-cli");
    delete $program{$name};
}
AiTest::skip_all('none of them is there') unless %program;

my $seed = $ENV{AI_T_SEED} || 1 + int rand 4_000_000_000;
diag("AI_T_SEED=$seed");
srand $seed;

my $t = AiTest->new;
my $port = free_port();
my $at = "http://127.0.0.1:$port";
my $model = AiProc->spawn(name => 'model', cwd => $t->{dir},
    out => "$t->{dir}/model.out",
    cmd => [$node, "$AiTest::root/t/node/model.mjs", $port,
        'tee copy < note.txt']);
$t->start(edge => { ai => <<CONF });
client_max_body_size 32m;
ai_provider openai { api openai; url $at/v1; }
ai_provider anthropic { api anthropic; url $at; }
ai_provider responses { api responses; url $at/v1; }
ai_provider gemini { api gemini; url $at; }
CONF
$base = 'http://127.0.0.1:' . $t->edge->port;
$key = $t->{key};

# Two at a time.
my (@todo, @running);
my ($tried, $passed) = (0, 0);
for my $name (sort keys %program) {
    push @todo, [$name, $_] for $ENV{AI_T_FULL} ? @providers
        : $providers[rand @providers];
}


sub begin {
    my ($name, $provider) = @_;
    my $p = $program{$name};
    my $dir = $t->subdir("work-$name-$provider");
    my $secret = join '', map { ('a' .. 'z')[rand 26] } 1 .. 12;
    my $id = "$provider/$name";
    my %file = ('note.txt' => "$secret\n", $p->{files} ? $p->{files}->($id)
        : ());

    for my $path (keys %file) {
        mkdir "$dir/$1" if $path =~ m{(.*)/};
        open my $fh, '>', "$dir/$path" or die $!;
        print $fh $file{$path};
        close $fh;
    }
    my %env = (HOME => $dir, LANG => 'C.UTF-8', TERM => 'dumb', TMPDIR => $dir,
        PATH => '/usr/local/bin:/usr/bin:/bin', $p->{env}->($id));
    my $proc = AiProc->spawn(name => $name, cwd => $dir, out => "$dir/out",
        cmd => ['env', '-i', (map { "$_=$env{$_}" } sort keys %env),
            $p->{cmd}->($id, $p->{file})]);

    return { name => $name, provider => $provider, dir => $dir, proc => $proc,
        secret => $secret, at => time };
}


sub ended {
    my ($r) = @_;
    my ($name, $provider, $dir) = @$r{qw(name provider dir)};
    my $status = $r->{proc}->status;
    my $said = slurp("$dir/out");
    my @asked = grep { $_->{dialect} eq $provider && ($provider eq 'gemini'
        ? $_->{path} =~ m{/\Q$name\E:} : $_->{model} eq $name) }
        map { decode_json($_) } split /\n/, AiHttp->get($port, '/log')->body;
    my $good = ok(defined $status && $status == 0
        && slurp("$dir/copy") eq "$r->{secret}\n" && $said =~ /heard: /
        && (grep { grep { /\Q$r->{secret}\E/ } @{ $_->{results} } } @asked),
        "$name with $provider: a turn of its tools");

    $tried++;
    $passed += $good;
    diag(sprintf '%s with %s: %.1f s', $name, $provider, time - $r->{at});
    diag('status ' . ($status // 'none') . ', said: ' . substr($said, -900)
        . "\nthe provider was asked: " . substr(encode_json(\@asked), 0, 900))
        unless $good;
}


while (@todo || @running) {
    push @running, begin(@{ shift @todo }) while @todo && @running < 2;
    my ($r) = grep { !$_->{proc}->alive || time > $_->{at} + 150 } @running;
    if (!$r) {
        sleep 0.05;
        next;
    }
    $r->{proc}->stop;
    ended($r);
    @running = grep { $_ != $r } @running;
}
diag("programs: $tried tried, $passed passed");

$model->stop;
done_testing();
