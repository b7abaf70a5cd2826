#!/usr/bin/perl
# report.pl DIR RESULTS: what bench/run.sh measured, as medians and ratios of
# one run, as a table on standard output and as JSON.

use strict;
use warnings;

use JSON::PP;
use POSIX qw(strftime uname);

my ($dir, $results) = @ARGV;
die "usage: report.pl DIR RESULTS\n" unless defined $results;

my $json = JSON::PP->new->canonical->pretty;
my @parts = qw(edge redis workers postgres);

sub raw {
    my ($name) = @_;
    open my $f, '<', "$dir/$name.json" or return;
    local $/ = undef;
    return decode_json(<$f>);
}

sub median {
    my @v = sort { $a <=> $b } grep { defined } @_;
    return unless @v;
    my $m = int(@v / 2);
    return @v % 2 ? $v[$m] : ($v[$m - 1] + $v[$m]) / 2;
}

# The value at a path of keys in each round of a target, by round.
sub rounds {
    my ($raw, $target, @path) = @_;
    my @v;
    for my $run (@{ $raw->{runs} }) {
        next if $run->{target} ne $target;
        my $v = $run;
        for my $key (@path) {
            # A histogram of nothing has no percentiles.
            $v = ref $v eq 'HASH' && ($v->{n} // 1) ? $v->{$key} : undef;
        }
        $v[ $run->{round} ] = $v;
    }
    return @v;
}

# Median over the rounds of the difference to another target in that round.
sub added {
    my ($raw, $target, $base, @path) = @_;
    my @a = rounds($raw, $target, @path);
    my @b = rounds($raw, $base, @path);
    return median(map { defined $a[$_] && defined $b[$_] ? $a[$_] - $b[$_] : () }
                      0 .. $#a);
}

sub ratio {
    my ($raw, $target, $base, @path) = @_;
    my @a = rounds($raw, $target, @path);
    my @b = rounds($raw, $base, @path);
    return median(map { defined $a[$_] && $b[$_] ? $a[$_] / $b[$_] : () }
                      0 .. $#a);
}

sub targets {
    my ($raw) = @_;
    my (%seen, @names);
    for my $run (@{ $raw->{runs} }) {
        push @names, $run->{target} unless $seen{ $run->{target} }++;
    }
    return @names;
}

sub failures {
    my ($raw, $target) = @_;
    my $n = 0;
    for my $run (@{ $raw->{runs} }) {
        next if $run->{target} ne $target;
        $n += $run->{$_} // 0
            for qw(status_errors broken timeouts unended stream_errors
                   short_streams gaps);
    }
    return $n;
}

# What Redis counted, by command: calls and microseconds.
sub commands {
    my ($when) = @_;
    my %c;
    open my $f, '<', "$dir/redis.$when" or return;
    while (<$f>) {
        $c{$1} = [$2, $3] if /^cmdstat_(\S+?):calls=(\d+),usec=(\d+),/;
    }
    return %c;
}

sub num {
    my ($v, $digits) = @_;
    return '-' unless defined $v;
    return sprintf('%.*f', $digits // (abs $v >= 100 ? 0 : abs $v < 1 ? 2 : 1),
        $v);
}

sub row {
    printf "%-26s" . ' %10s' x (@_ - 1) . "\n", @_;
}

my ($sys, undef, $release, undef, $machine) = uname();
my $cpus = () = do { local (@ARGV, $/) = '/proc/cpuinfo'; <> }
    =~ /^processor\s*:/mg;

my %out = (
    when   => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime),
    where  => "$sys $release $machine, $cpus processors, all on one machine",
    budget => [],
);
my $failed = 0;
my $rivals = raw('rivals') // [];
my %rival = map { ($_->{name} => $_) } @$rivals;

# What fails in other gateways is their row's to say.
sub failed {
    my ($target, $n) = @_;
    $failed += $n unless $rival{$target};
    return;
}

sub budget {
    my ($what, $value, $op, $limit) = @_;
    return unless defined $value;
    my $ok = $op eq '<=' ? $value <= $limit : $value >= $limit;
    push @{ $out{budget} }, {
        what  => $what,
        value => $value + 0,
        limit => "$op $limit",
        met   => $ok ? JSON::PP::true : JSON::PP::false,
    };
    return;
}

sub latency {
    my ($file, $title, $key, $field) = @_;
    my $raw = raw($file) or return;
    print "\n$title, \xc2\xb5s\n";
    row('', qw(p50 p90 p99), '+p50', '+p99', 'failed');
    for my $t (targets($raw)) {
        my %r = (
            (map { ($_ => median(rounds($raw, $t, $field, $_))) }
                 qw(p50 p90 p99 max)),
            (map { ("added_$_" => added($raw, $t, 'direct', $field, $_)) }
                 qw(p50 p99)),
            failures => failures($raw, $t),
        );
        $out{$key}{$t} = \%r;
        failed($t, $r{failures});
        row("  $t", map({ num($_) } @r{qw(p50 p90 p99 added_p50 added_p99)}),
            $r{failures});
    }
    return;
}

# CPU of a request by part, and their sum; a second gateway's has a suffix.
sub cpu {
    my ($raw, $t, $suffix) = @_;
    my %cpu;
    for my $p (@parts) {
        my $us = median(rounds($raw, $t, 'procs', "$p$suffix",
                               'cpu_us_per_request')) // next;
        $cpu{$p} = $us;
        $cpu{sum} += $us;
    }
    return \%cpu;
}

# What grows: rows of [label, target, direct, proxy_pass, suffix of the CPU].
sub growth {
    my ($part, $title, @rows) = @_;
    my $lat = raw("$part-latency") or return;
    my $thr = raw("$part-throughput");
    my $streams = raw("$part-streams");
    print "\n$title\n";
    row('', 'p50 us', 'p99 us', '+p50 us', 'req/s', '/proxy',
        ($streams ? 'chunk p99' : ()), map({ "$_ us" } @parts, 'sum'),
        'failed');
    for (@rows) {
        my ($label, $t, $direct, $proxy, $suffix) = @$_;
        next unless grep { $_ eq $t } targets($lat);
        my %r = (
            p50       => median(rounds($lat, $t, 'latency_us', 'p50')),
            p99       => median(rounds($lat, $t, 'latency_us', 'p99')),
            added_p50 => added($lat, $t, $direct, 'latency_us', 'p50'),
            added_p99 => added($lat, $t, $direct, 'latency_us', 'p99'),
            per_second    => median(rounds($thr, $t, 'per_second')),
            of_proxy_pass => ratio($thr, $t, $proxy, 'per_second'),
            failures      => failures($lat, $t) + failures($thr, $t),
        );
        if ($t =~ /^gateway/) {
            $r{cpu_us_per_request} = cpu($thr, $t, $suffix // '');
        }
        if ($streams) {
            $r{chunk_p99} = median(rounds($streams, $t, 'chunk_delay_us',
                                          'p99'));
            $r{ttft_p99} = median(rounds($streams, $t, 'added_ttft_us',
                                         'p99'));
            $r{failures} += failures($streams, $t);
        }
        $out{grows}{$part}{$label} = \%r;
        failed($t, $r{failures});
        row("  $label", map({ num($_) } @r{qw(p50 p99 added_p50)}),
            num($r{per_second}, 0), num($r{of_proxy_pass}, 2),
            ($streams ? num($r{chunk_p99}) : ()),
            map({ num($r{cpu_us_per_request}{$_}) } @parts, 'sum'),
            $r{failures});
    }
    return;
}

latency('latency', 'Latency, one request at a time', 'latency_us',
    'latency_us');
budget('added latency, p50, us', $out{latency_us}{gateway}{added_p50},
    '<=', 250);
budget('added latency, p99, us', $out{latency_us}{gateway}{added_p99},
    '<=', 1000);

latency('first', 'First token, one stream at a time', 'first_token_us',
    'ttft_us');

my $through = raw('throughput');
if ($through) {
    print "\nThroughput, $through->{connections} connections\n";
    row('', 'req/s', '/direct', '/proxy', 'p50 us', 'p99 us', 'failed');
}
for my $t ($through ? targets($through) : ()) {
    my %r = (
        per_second    => median(rounds($through, $t, 'per_second')),
        of_direct     => ratio($through, $t, 'direct', 'per_second'),
        of_proxy_pass => ratio($through, $t, 'proxy_pass', 'per_second'),
        of_return_read => ratio($through, $t, 'return_read', 'per_second'),
        p50_us        => median(rounds($through, $t, 'latency_us', 'p50')),
        p99_us        => median(rounds($through, $t, 'latency_us', 'p99')),
        failures      => failures($through, $t),
    );
    for my $p (qw(mock plain), @parts, keys %rival) {
        my $cpu = median(rounds($through, $t, 'procs', $p,
                                'cpu_us_per_request'));
        $r{cpu_us_per_request}{$p} = $cpu if defined $cpu;
    }
    $out{throughput}{$t} = \%r;
    failed($t, $r{failures});
    row("  $t", num($r{per_second}, 0), num($r{of_direct}, 2),
        num($r{of_proxy_pass}, 2), num($r{p50_us}), num($r{p99_us}),
        $r{failures});
}

my $gw = $out{throughput}{gateway};
if ($gw) {
    budget('completions per second', $gw->{per_second}, '>=', 10000);
    budget('completions, of proxy_pass', $gw->{of_proxy_pass}, '>=', 0.25);

    my $sum = 0;
    print "\nCPU of a completion, \xc2\xb5s\n";
    row('', @parts, 'sum', 'mock');
    my $cpu = $gw->{cpu_us_per_request};
    $sum += $cpu->{$_} // 0 for @parts;
    $cpu->{sum} = $sum;
    row('  gateway', map { num($cpu->{$_}, 1) } @parts, 'sum', 'mock');
    budget('CPU of a completion, us', $sum, '<=', 100);

    # A script's own time holds that of the commands it calls.
    my %before = commands('before');
    my %after = commands('after');
    my $n = 0;
    $n += $_ // 0 for rounds($through, 'gateway', 'requests');
    my %redis;
    for my $name (keys %after) {
        my $was = $before{$name} // [0, 0];
        my ($calls, $usec) = map { ($after{$name}[$_] - $was->[$_]) / $n } 0, 1;
        $redis{$name} = { calls => $calls, us => $usec } if $usec >= 0.1;
    }
    $gw->{redis_commands} = \%redis;
    print "\nRedis commands of a completion (scripts hold what they call)\n";
    row('', 'calls', "\xc2\xb5s ");
    row("  $_", num($redis{$_}{calls}, 2), num($redis{$_}{us}, 1))
        for grep { defined } (sort { $redis{$b}{us} <=> $redis{$a}{us} }
                              keys %redis)[0 .. 11];
}

# What policy costs: beside the same gateway without it.
if (my $raw = raw('policy')) {
    print "\nPolicy, $raw->{connections} connections\n";
    row('', 'req/s', '/gateway', '/read', 'p50 us', 'p99 us',
        map({ "$_ us" } @parts, 'sum'), 'failed');
    my %p;
    for my $t (targets($raw)) {
        my $r = $p{$t} = {
            per_second     => median(rounds($raw, $t, 'per_second')),
            of_gateway     => ratio($raw, $t, 'gateway', 'per_second'),
            of_return_read => ratio($raw, $t, 'return_read', 'per_second'),
            p50_us         => median(rounds($raw, $t, 'latency_us', 'p50')),
            p99_us         => median(rounds($raw, $t, 'latency_us', 'p99')),
            failures       => failures($raw, $t),
        };
        $r->{cpu_us_per_request} = cpu($raw, $t,
            $t eq 'hit_redis' ? '_kept' : '_policy')
            unless $t =~ /^(?:direct|proxy_pass|return_)/;
        failed($t, $r->{failures});
        row("  $t", num($r->{per_second}, 0), num($r->{of_gateway}, 2),
            num($r->{of_return_read}, 2), map({ num($_) } @$r{qw(p50_us p99_us)},
            map { $r->{cpu_us_per_request}{$_} } @parts, 'sum'),
            $r->{failures});
    }
    $out{policy} = \%p;
    budget('hits from shared memory, of a POST that is read',
        $p{hit}{of_return_read}, '>=', 0.5);
    budget('CPU of a refusal, of that of a served request',
        $p{refused}{cpu_us_per_request}{sum}
            / $p{gateway}{cpu_us_per_request}{sum}, '<=', 1) if $p{refused};
}

my $idle = raw('idle');
my @levels = sort { $a <=> $b } map { m{streams-(\d+)\.json$} ? $1 : () }
    glob "$dir/streams-*.json";

for my $level (@levels) {
    my $raw = raw("streams-$level");
    print "\n$level stream" . ($level > 1 ? 's' : '')
        . " at 50 chunks/s, \xc2\xb5s\n";
    row('', 'ttft p50', 'ttft p99', 'chunk p50', 'chunk p99', '+chunk p99',
        'failed');
    for my $t (targets($raw)) {
        my %r = (
            (map { ("ttft_$_" => median(rounds($raw, $t, 'added_ttft_us', $_)),
                    "chunk_$_" => median(rounds($raw, $t, 'chunk_delay_us',
                                                $_)),
                    "added_ttft_$_" => added($raw, $t, 'direct',
                                             'added_ttft_us', $_),
                    "added_chunk_$_" => added($raw, $t, 'direct',
                                              'chunk_delay_us', $_)) }
                 qw(p50 p99 max)),
            chunks   => median(rounds($raw, $t, 'chunks')),
            streams  => median(rounds($raw, $t, 'requests')),
            failures => failures($raw, $t),
        );
        for my $p (qw(mock plain), @parts) {
            my @cpu = rounds($raw, $t, 'procs', $p, 'cpu_us');
            my @n = rounds($raw, $t, 'chunks');
            my $cpu = median(map { defined $cpu[$_] && $n[$_]
                                       ? $cpu[$_] / $n[$_] : () } 0 .. $#cpu);
            $r{cpu_us_per_chunk}{$p} = $cpu if defined $cpu;
            my $pss = median(rounds($raw, $t, 'procs', $p, 'pss_kb'));
            $r{pss_kb}{$p} = $pss if defined $pss;
            my $rss = median(rounds($raw, $t, 'procs', $p, 'rss_kb'));
            $r{rss_kb}{$p} = $rss if defined $rss;
        }
        $out{streams}{$level}{$t} = \%r;
        failed($t, $r{failures});
        row("  $t", map({ num($_) } @r{qw(ttft_p50 ttft_p99 chunk_p50
                chunk_p99 added_chunk_p99)}), $r{failures});
    }
}

if (my $s = @levels && $out{streams}{ $levels[-1] }{gateway}) {
    my $cpu = $s->{cpu_us_per_chunk};
    my $sum = 0;
    $sum += $cpu->{$_} // 0 for @parts;
    $cpu->{sum} = $sum;
    print "\nCPU of a chunk at $levels[-1] streams, \xc2\xb5s\n";
    row('', @parts, 'sum', 'mock');
    row('  gateway', map { num($cpu->{$_}, 1) } @parts, 'sum', 'mock');
}

if (my $s = $out{streams}{500}{gateway}) {
    budget('added first token, 500 streams, p99, us',
        $s->{added_ttft_p99}, '<=', 2000);
    budget('added chunk delay, 500 streams, p99, us',
        $s->{added_chunk_p99}, '<=', 2000);
}

if (raw('beside-direct')) {
    print "\n50 streams beside posts of 5 MB, ten a second, \xc2\xb5s\n";
    row('', 'chunk p50', 'chunk p99', 'chunk max', 'post p50', 'posts',
        'failed');
}
for my $t (qw(direct proxy_pass gateway)) {
    my $streams = raw("beside-$t") or next;
    my $posts = raw("large-$t");
    my %r = (
        (map { ("chunk_$_" => median(rounds($streams, $t, 'chunk_delay_us',
                                            $_))) } qw(p50 p99 max)),
        post_p50_us => median(rounds($posts, $t, 'latency_us', 'p50')),
        posts       => median(rounds($posts, $t, 'requests')),
        failures    => failures($streams, $t) + failures($posts, $t),
    );
    $out{beside_large_bodies}{$t} = \%r;
    failed($t, $r{failures});
    row("  $t", map({ num($_) } @r{qw(chunk_p50 chunk_p99 chunk_max
            post_p50_us)}), $r{posts}, $r{failures});
}
if (my $r = $out{beside_large_bodies}{gateway}) {
    budget('chunk beside bodies of 5 MB, p99, us', $r->{chunk_p99}, '<=',
        5000);
}

sub size {
    my ($n) = @_;
    return $n >= 1048576 ? $n / 1048576 . ' MB' : $n / 1024 . ' KB';
}

if (my $raw = raw('prompt-latency')) {
    my @sizes = map { /^direct_(\d+)$/ ? $1 : () } targets($raw);
    growth('prompt', 'By the prompt', map {
        my $n = $_;
        map { [size($n) . ", $_", "${_}_$n", "direct_$n", "proxy_pass_$n"] }
            qw(direct proxy_pass gateway)
    } @sizes);
}

if (my $raw = raw('tenants-latency')) {
    growth('tenants', 'By the number of tenants, chunks at 100 streams',
        map { [s/^gateway_(\d+)$/gateway, $1/r, $_, 'direct', 'proxy_pass'] }
            targets($raw));
    my $first = raw('tenants-first');
    $out{grows}{tenants}{first_use_us} = {
        map { ($_ => median(rounds($first, 'first_use', 'latency_us', $_))) }
            qw(p50 p99) };
    failed('first_use', failures($first, 'first_use'));
    printf "  the first use of a key, 16 at a time: p50 %s, p99 %s us\n",
        map { num($out{grows}{tenants}{first_use_us}{$_}) } qw(p50 p99);
}

if (my $raw = raw('ledger-latency')) {
    my $has = raw('rows')->{rows};
    growth('ledger', "By the rows of the ledger (empty, $has)",
        map { [s/^gateway_(\d+)$/gateway, $1/r, $_, 'direct', 'proxy_pass',
               /_[1-9]\d*$/ ? '_full' : ''] } targets($raw));
}

my @groups = sort keys %{ $idle->{procs} };
my %before = %{ $idle->{procs} };
print "\nMemory, MB (proportional set size; resident in brackets)\n";
row('', @groups);
row('  idle', map { sprintf '%.1f (%.1f)', $before{$_}{pss_kb} / 1024,
                    $before{$_}{rss_kb} / 1024 } @groups);
for my $level (@levels) {
    my $s = $out{streams}{$level}{gateway} or next;
    row("  $level streams", map { sprintf '%.1f (%.1f)',
        ($s->{pss_kb}{$_} // 0) / 1024, ($s->{rss_kb}{$_} // 0) / 1024 }
        @groups);
}
$out{memory_idle_kb} = \%before;
if ($before{edge} && $before{workers}) {
    my $mb = ($before{edge}{pss_kb} + $before{workers}{pss_kb}) / 1024;
    budget('idle memory, edge and workers, MB', $mb, '<=', 30);
}

# What the workers' code takes, alone, and what of it a call that passes would
# not have taken.
if (my $raw = raw('translate')) {
    my @keys = qw(answer_us answer_added_us chunk_us chunk_added_us);
    print "\nTranslation, CPU of a worker, \xc2\xb5s\n";
    row('', qw(answer added chunk added));
    for my $t (targets($raw)) {
        my %r = map { ($_ => median(rounds($raw, $t, $_))) } @keys;
        $out{translate}{$t} = \%r;
        row("  $t", map { num($_) } @r{@keys});
        budget("added to a small answer, $t, us", $r{answer_added_us}, '<=',
            50);
        budget("added to a chunk, $t, us", $r{chunk_added_us}, '<=', 5);
    }
}

# What a failover adds to a call, in rounds of files of their own.
if (raw('failover-1')) {
    my @runs;
    for (my $i = 0; my $raw = raw('failover-' . ($i + 1)); $i++) {
        push @runs, map { { %$_, round => $i } } @{ $raw->{runs} };
    }
    my $raw = { runs => \@runs };
    my %base = (connection => 'direct', refused => 'gateway',
        failed => 'gateway');
    print "\nFailover, one request at a time, \xc2\xb5s (added: to direct, or",
        " to the gateway's)\n";
    row('', 'p50', '+p50', 'failed');
    for my $t (targets($raw)) {
        my %r = (p50 => median(rounds($raw, $t, 'latency_us', 'p50')),
            failures => failures($raw, $t));
        $r{added_p50} = added($raw, $t, $base{$t}, 'latency_us', 'p50')
            if $base{$t};
        $out{failover}{$t} = \%r;
        failed($t, $r{failures});
        row("  $t", num($r{p50}), num($r{added_p50}), $r{failures});
    }
    my $one = $out{failover}{connection}{p50};
    for my $t (qw(refused failed)) {
        my $r = $out{failover}{$t};
        $r->{of_connection} = $r->{added_p50} / $one;
        budget("failover, $t, added, of a call on a new connection",
            $r->{of_connection}, '<=', 1);
    }
}

# Streams that are open and all but silent: what each adds to idle processes.
if (my $raw = raw('held')) {
    my $was = raw('held-idle')->{procs};
    my @of = grep { $_ ne 'mock' } sort keys %$was;
    my %at;
    print "\nMemory of an open stream, KB (proportional; resident in",
        " brackets)\n";
    row('', 'open', @of, 'failed');
    for my $t (targets($raw)) {
        my ($open) = rounds($raw, $t, 'open_at_sample');
        my %r = (open => $open, failures => failures($raw, $t));
        for my $p (@of) {
            for my $kind (qw(pss_kb rss_kb)) {
                my ($now) = rounds($raw, $t, 'procs', $p, $kind);
                next unless $open && defined $now;
                $r{$p}{$kind} = ($now - $was->{$p}{$kind}) / $open;
            }
        }
        failed($t, $r{failures});
        $out{memory_per_stream}{$t} = \%r;
        # What another target left behind in processes tells nothing.
        my %own = $t eq 'gateway' ? map { ($_ => 1) } @parts
            : $t eq 'proxy_pass' ? (plain => 1) : ();
        row("  $t", $open, map({ $own{$_} && $r{$_}{rss_kb}
            ? sprintf '%.1f (%.1f)', $r{$_}{pss_kb}, $r{$_}{rss_kb} : '-' }
            @of), $r{failures});
    }
    if (my $g = $out{memory_per_stream}{gateway}) {
        my $kb = ($g->{edge}{pss_kb} // 0) + ($g->{workers}{pss_kb} // 0);
        budget("memory of a stream, $g->{open} open, edge and workers, KB",
            $kb, '<=', 32);
    }
}

if (@$rivals) {
    print "\nBeside other gateways (us; req/s; MB, resident)\n";
    row('', '+p50', '+p99', 'req/s', 'CPU us', '+ttft p99', '+chunk p50',
        '+chunk p99', 'RSS idle', 'failed');
    for my $t ('direct', 'proxy_pass', 'gateway', sort keys %rival) {
        my ($why, $name) = $rival{$t} ? ($rival{$t}{why},
            "$t $rival{$t}{version}") : ('', $t);
        if ($why) {
            printf "%-26s %s\n", "  $name", $why;
            $out{rivals}{$t} = { why => $why };
            next;
        }
        my $s = $out{streams}{100}{$t};
        my $thr = $out{throughput}{$t};
        my @own = $t eq 'gateway' ? @parts : $t eq 'proxy_pass' ? 'plain' : $t;
        my ($rss, $cpu, $failures) = (0, 0, 0);
        $rss += ($before{$_}{rss_kb} // 0) / 1024 for @own;
        $cpu += $thr->{cpu_us_per_request}{$_} // 0 for @own;
        $failures += $_->{failures} // 0
            for $out{latency_us}{$t}, $thr, $s, $out{first_token_us}{$t};
        my %r = (
            version       => $rival{$t}{version},
            added_p50_us  => $out{latency_us}{$t}{added_p50},
            added_p99_us  => $out{latency_us}{$t}{added_p99},
            per_second    => $thr->{per_second},
            cpu_us        => $cpu || undef,
            ttft_p99_us   => $s->{added_ttft_p99},
            chunk_p50_us  => $s->{added_chunk_p50},
            chunk_p99_us  => $s->{added_chunk_p99},
            rss_idle_mb   => $rss || undef,
            failures      => $failures,
        );
        $out{rivals}{$t} = \%r;
        row("  $name", map({ num($_) } @r{qw(added_p50_us added_p99_us)}),
            num($r{per_second}, 0), map({ num($_) }
            @r{qw(cpu_us ttft_p99_us chunk_p50_us chunk_p99_us rss_idle_mb)}),
            $failures);
    }
}

if (@{ $out{budget} }) {
    print "\nBudgets\n";
    for my $b (@{ $out{budget} }) {
        printf "  %-52s %10s  %-9s %s\n", $b->{what}, num($b->{value}),
            $b->{limit}, $b->{met} ? 'met' : 'MISSED';
    }
}

my $busy = raw('busy');
$out{load_average_before} = $busy->{load} + 0;
print "\n$out{where}\n";
print "The machine was busy before the run (load average $busy->{load}):",
    " tails are not the gateway's alone.\n" if $busy->{load} > 0.5;
$out{failures} = $failed;

open my $f, '>', "$results.new" or die "$results.new: $!\n";
print $f $json->encode(\%out);
close $f or die "$results.new: $!\n";
rename "$results.new", $results or die "$results: $!\n";
print "wrote $results\n";

if ($failed) {
    print STDERR "bench: $failed requests or streams failed\n";
    exit 1;
}
