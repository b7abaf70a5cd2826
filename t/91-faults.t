#!/usr/bin/perl
# Whatever a provider's dialect, and whatever fails: what each client is told,
# who is asked next, whether the same is asked again, and what is held against
# whom.  docs/routing.md has the table.
use AiTest;
use AiFault;

my $t = AiTest->new;
my $yes = JSON::PP::true;
my @dialects = sort keys %AiFault::dialects;
my @script = (script => AiFault::script($t->dir));
my $up = $t->provider(name => 'up', @script);
my $keyed = $t->provider(name => 'keyed', @script);
my $good = $t->provider(name => 'good');

# A failure, as an object (o) or a stream (s): whether another target is asked,
# whether the same again, against what it is held, what the client gets.
my @rows = (
    ['400', 'o', 0, 0, '', 400], ['404', 'o', 1, 0, '', 404],
    ['403', 'o', 1, 0, 'd', 403], ['408', 'o', 1, 1, '', 408],
    ['413', 'o', 0, 0, '', 413], ['429', 'o', 1, 1, 'l', 429],
    ['429-60', 'o', 1, 0, 'l', 429], ['500', 'o', 1, 1, 'm', 500],
    ['503', 's', 1, 1, 'm', 503], ['503-60', 'o', 1, 0, 'm', 503],
    ['529', 's', 1, 1, 'm', 529], ['gateway', 'o', 1, 1, 'm', 502],
    ['html', 'o', 1, 1, 'm', 502], ['html', 's', 1, 1, 'm', 502],
    ['garbage', 'o', 1, 1, 'm', 502], ['garbage', 's', 1, 1, 'm', 502],
    ['empty', 'o', 1, 1, 'm', 502], ['empty', 's', 1, 1, 'm', 502],
    ['half', 'o', 1, 1, 'm', 502], ['hangup', 'o', 1, 1, 'm', 502],
    ['refuse', 's', 1, 1, 'm', 502], ['silent', 'o', 1, 0, 'm', 504],
    ['silent', 's', 1, 0, 'm', 504],
    (map { ["h-$_", 's', 1, 1, 'm', 502] } qw(broken ends torn cut reset)),
    ['h-stalls', 's', 1, 0, 'm', 504], ['h-inside', 's', 1, 1, 'm', 0],
);

my $dir = $t->subdir('secrets');
for (qw(one two)) {
    open my $fh, '>', "$dir/$_" or die $!;
    print $fh "$_-key\n";
    close $fh;
}
my $routes = '';
for my $d (@dialects) {
    for my $row (@rows) {
        my ($fault, $how) = @$row;
        my $p = ($fault =~ /silent|stalls/ ? 'hasty-' : 'b-') . $d;
        $routes .= "ai_model $d.$fault.$how.next { retry 0;"
            . " route $p model=$fault.$how.next;"
            . " fallback good/fine; }\n"
            . "ai_model $d.$fault.$how.same { retry 1;"
            . " route $p model=$fault.$how.same; }\n";
    }
    $routes .= "ai_model $d.$_ { retry 0; route k-$d model=$_;"
        . " fallback good/fine; }\n"
        for qw(keyed403 keyed429-30 keyed401 whole);
}
my $url = $up->url;
$t->start(edge => { ai => AiFault::conf($url, name => 'a-%s',
        more => 'key file:one;')
    . AiFault::conf($url, name => 'b-%s', more => 'key file:one;')
    . AiFault::conf($keyed->url, name => 'k-%s', more => 'key file:one file:two;')
    . AiFault::conf($url, name => 'hasty-%s',
        more => 'key file:one; timeout first=2s;')
    . AiFault::conf($url, name => 'idle-%s',
        more => 'key file:one; timeout idle=2s;')
    . "ai_provider good { api openai; url ${\$good->url('/v1')}; }\n"
    . $routes });
$t->{pooled} = 128;

my %client = (
    chat => ['/v1/chat/completions', \%AiFault::openai],
    messages => ['/v1/messages', \%AiFault::anthropic],
    responses => ['/v1/responses', \%AiFault::openai],
);
# Whose bytes pass as they are.
my %same = (chat => 'openai|azure', messages => 'anthropic',
    responses => 'responses');
sub asked {
    my ($who, $model, $how) = @_;
    return $t->stream($client{$who}[0], { model => $model, ($who eq
        'responses' ? (input => 'x') : (max_tokens => 5, messages => [{
        role => 'user', content => 'x' }])), $how eq 's' ? (stream => $yes)
        : () }, timeout => 60);
}

# Many at once, those that wait for a timeout together; each one's answer is
# looked at by its own sub, behind another one of all.
sub all {
    my @left = sort { ($a->[0][1] =~ /silent|stalls/)
        <=> ($b->[0][1] =~ /silent|stalls/) } @_;
    while (my @now = splice @left, 0, 64) {
        $_->[0] = asked(@{ $_->[0] }) for @now;
        $_->[2] && $_->[2]->($_->[0]) for @now;
        for (@now) {
            $_->[1]->($_->[0]);
            $_->[0]->close;
        }
    }
}
sub failed {
    my ($what, $bad) = @_;
    is(join(', ', @$bad), '', $what);
}

my $heard = $t->redis->subscribe('ai1:breakers');


# What each client is told, of who is asked once.

for my $d (@dialects) {
    my (%bad, @all);
    for my $who (sort keys %client) {
        my $types = $client{$who}[1];
        my $see = sub { my ($fault, $how, $check) = @_;
            push @{ $bad{$fault} }, ();
            push @all, [[$who, "a-$d/$fault.$who.$how", $how], sub {
                my $res = $_[0]->response;
                my $wrong = $check->($res);
                push @{ $bad{$fault} }, "$who $how: $wrong: " . $res->status
                    . ' ' . $res->body if $wrong;
            }] };
        for my $fault (@AiFault::statuses, '429-7', '503-7') {
            my ($status, $after) = split /-/, $fault;
            $see->($fault, $_, sub {
                my $e = ($_[0]->json || {})->{error} || {};
                return $_[0]->status != $status ? 'status'
                    : $e->{message} ne "no \"$status\"" ? 'words'
                    : ($e->{type} // '') ne $types->{$status} ? 'type'
                    : ($_[0]->header('retry-after') // '-') ne ($after // '-')
                    ? 'when to come back' : '';
            }) for qw(o s);
        }
        my $same = $d =~ /^(?:$same{$who})$/;
        for my $fault (qw(html garbage unclosed senseless empty gateway hangup
                          refuse half)) {
            next if $fault eq 'senseless' && $same;
            $see->($fault, $_, sub {
                my $e = ($_[0]->json || {})->{error} || {};
                return $_[0]->status != 502 ? 'status'
                    : length $e->{message} || ($fault eq 'gateway'
                        && $same) ? '' : 'no words';
            }) for $fault =~ /half|unclosed|senseless/ ? 'o' : qw(o s);
        }
    }
    all(@all);
    failed("$d: $_", $bad{$_}) for sort keys %bad;
}


# Streams that had begun end well formed, with one error.

sub begun {
    my ($who, $how, $s) = @_;
    return 'status' if $s->{res}->status != 200;
    my @e = map { $_->{data} eq '[DONE]' ? {} : eval { decode_json($_->{data}) }
        // return 'no JSON' } grep { defined $_->{data} } $s->events;
    my $error = $e[-1]{error} || ($e[-1]{response} || {})->{error}
        || ($e[-1]{type} // '') eq 'error' && $e[-1];
    my $text = join '', map { $who eq 'chat' ? $_->{choices}[0]{delta}{content}
        // '' : $who eq 'messages' ? $_->{delta}{text} // ''
        : ($_->{type} // '') eq 'response.output_text.delta' ? $_->{delta}
        : '' } @e;
    return !$error ? 'it ends without an error'
        : (grep { $_->{error} } @e) > 1 ? 'two errors'
        : $how eq 'inside' && $error->{message} ne 'it broke' ? 'words'
        : $text ne 'some' ? "it said $text" : '';
}
{
    my (%bad, @all);
    for my $d (@dialects) {
        for my $how (qw(inside broken ends torn cut reset stalls)) {
            push @{ $bad{"$d: $how"} }, ();
            for my $who (sort keys %client) {
                my $p = $how eq 'stalls' ? 'idle' : 'a';
                push @all, [[$who, "$p-$d/$how.$who", 's'], sub {
                    my $wrong = begun($who, $how, $_[0]);
                    push @{ $bad{"$d: $how"} }, "$who: $wrong: "
                        . $_[0]{res}->body if $wrong;
                }, sub {
                    $_[0]->head;
                    AiFault::go($t->dir, $d, "$how.$who");
                }];
            }
        }
    }
    all(@all);
    failed("$_, after a word", $bad{$_}) for sort keys %bad;
}


# Who is asked next.

my %held;
sub hear {
    my @want = @_;                          # "<kind> <name>"
    my $late = time + 20;
    while ((my $m = $heard->message(0.3)) || time < $late) {
        $held{$2}{$1} = 1 if $m
            && $m->[1] =~ m{^[CO] .* ([pmkld]) \w+-(.*)@\d+(?: [\w.-]+)?$};
        last if !$m && !grep { my ($kind, $name) = split / /;
            !$held{$name}{$kind} } @want;
    }
}
{
    my (%bad, @all);
    for my $d (@dialects) {
        for my $row (@rows) {
            my ($fault, $how, $next, $same, $held, $status) = @$row;
            my $name = "$d: $fault, $how";
            push @{ $bad{$name} }, ();
            push @all, [['chat', "$d.$fault.$how.next", $how], sub {
                my $res = $_[0]->response;
                my $got = join ' ', $res->status,
                    map { $res->header("x-ai-$_") } qw(provider attempts);
                push @{ $bad{$name} }, "another: $got " . $res->body
                    unless $got eq ($next ? '200 good 2' : "$status b-$d 1");
            }], [['chat', "$d.$fault.$how.same", $how], sub {
                my $res = $_[0]->response;
                my $n = $res->header('x-ai-attempts');
                push @{ $bad{$name} }, "the same: $n calls" if $n != 1 + $same;
                push @{ $bad{$name} }, 'status ' . $res->status . $res->body
                    if $res->status != ($status || 200);
            }];
        }
    }
    all(@all);
    hear(map { my $d = $_; map { my ($fault, $how, undef, undef, $held) = @$_;
        $held ? "$held $d/$fault.$how.next" . ($held =~ /[ld]/ ? '#0' : '') : ()
        } @rows } @dialects);
    for my $d (@dialects) {
        for my $row (@rows) {
            my ($fault, $how, $next, $same, $held) = @$row;
            my %got = (map { %{ $held{"$d/$fault.$how.next$_"} || {} } }
                '', '#0');
            my $got = join '', sort keys %got;
            push @{ $bad{"$d: $fault, $how"} }, "held against '$got'"
                if $got ne $held;
        }
    }
    failed("$_: who is asked", $bad{$_}) for sort keys %bad;
}
is(join(' ', grep { $held{$_}{p} } sort keys %held), '',
    'no provider is held to be away');


# Keys: the next one is asked at once, and the first one benched.

for my $d (@dialects) {
    my @bad;
    for my $fault (qw(keyed403 keyed429-30 keyed401)) {
        my $n = $keyed->requests;
        my $s = asked('chat', "$d.$fault", 'o');
        my $res = $s->response;
        my $got = join ' ', $res->status, map { $res->header("x-ai-$_") }
            qw(provider attempts);
        push @bad, "$fault: $got " . $res->body if $got ne "200 k-$d 2";
        my @asked = $keyed->requests;
        push @bad, "$fault: keys" if join(' ', map {
            (join ' ', values %{ $_->{headers} }) =~ /(one|two)-key/ }
            @asked[$n .. $#asked]) ne 'one two';
        $s->close;
    }
    my $n = $keyed->requests;
    my $s = asked('chat', "$d.whole", 'o');
    push @bad, 'whole' if $s->response->status != 200;
    $s->close;
    push @bad, 'the key that was refused' unless grep { /two-key/ }
        values %{ ($keyed->requests)[$n]{headers} };
    failed("$d: keys", \@bad);
}
hear(map { ("d $_/keyed403#0", "l $_/keyed429-30#0", "k $_#0") } @dialects);
for my $d (@dialects) {
    is(join(' ', map { join '', sort keys %{ $held{$_} || {} } }
        "$d/keyed403#0", "$d/keyed429-30#0", "$d#0"), 'd l k',
        "$d: what is benched");
}


# Ten failures open a breaker, in any dialect.

{
    my @all;
    for my $d (@dialects) {
        for my $fault (qw(500 h-inside)) {
            push @all, [['chat', "b-$d/$fault.trip", 's'], sub {
                $_[0]->response }] for 1 .. 10;
        }
    }
    all(@all);
    my $want = 2 * @dialects;
    my %open = @{ $t->redis->cmd('HGETALL', 'ai1:breakers') };
    is(scalar(grep { /^m b-.*\.trip@/ } keys %open), $want,
        'what fails ten times is not asked for a while');
    is(scalar(grep { /^m / && !/\.trip@/ } keys %open), 0, 'and nothing else');
}

done_testing();
