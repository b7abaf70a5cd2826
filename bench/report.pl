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
            $v = ref $v eq 'HASH' ? $v->{$key} : undef;
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

my $latency = raw('latency');
print "\nLatency, one request at a time, \xc2\xb5s\n";
row('', qw(p50 p90 p99), '+p50', '+p99', 'failed');
for my $t (targets($latency)) {
    my %r = (
        (map { ($_ => median(rounds($latency, $t, 'latency_us', $_))) }
             qw(p50 p90 p99 max)),
        (map { ("added_$_" => added($latency, $t, 'direct', 'latency_us', $_)) }
             qw(p50 p99)),
        failures => failures($latency, $t),
    );
    $out{latency_us}{$t} = \%r;
    $failed += $r{failures};
    row("  $t", map({ num($_) } @r{qw(p50 p90 p99 added_p50 added_p99)}),
        $r{failures});
}
budget('added latency, p50, us', $out{latency_us}{gateway}{added_p50},
    '<=', 250);
budget('added latency, p99, us', $out{latency_us}{gateway}{added_p99},
    '<=', 1000);

my $first = raw('first');
print "\nFirst token, one stream at a time, \xc2\xb5s\n";
row('', qw(p50 p90 p99), '+p50', '+p99', 'failed');
for my $t (targets($first)) {
    my %r = (
        (map { ($_ => median(rounds($first, $t, 'ttft_us', $_))) }
             qw(p50 p90 p99 max)),
        (map { ("added_$_" => added($first, $t, 'direct', 'ttft_us', $_)) }
             qw(p50 p99)),
        failures => failures($first, $t),
    );
    $out{first_token_us}{$t} = \%r;
    $failed += $r{failures};
    row("  $t", map({ num($_) } @r{qw(p50 p90 p99 added_p50 added_p99)}),
        $r{failures});
}

my $through = raw('throughput');
print "\nThroughput, $through->{connections} connections\n";
row('', 'req/s', '/direct', '/proxy', 'p50 us', 'p99 us', 'failed');
for my $t (targets($through)) {
    my %r = (
        per_second    => median(rounds($through, $t, 'per_second')),
        of_direct     => ratio($through, $t, 'direct', 'per_second'),
        of_proxy_pass => ratio($through, $t, 'proxy_pass', 'per_second'),
        of_return_read => ratio($through, $t, 'return_read', 'per_second'),
        p50_us        => median(rounds($through, $t, 'latency_us', 'p50')),
        p99_us        => median(rounds($through, $t, 'latency_us', 'p99')),
        failures      => failures($through, $t),
    );
    for my $p (qw(mock plain), @parts) {
        my $cpu = median(rounds($through, $t, 'procs', $p,
                                'cpu_us_per_request'));
        $r{cpu_us_per_request}{$p} = $cpu if defined $cpu;
    }
    $out{throughput}{$t} = \%r;
    $failed += $r{failures};
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
        $failed += $r{failures};
        row("  $t", map({ num($_) } @r{qw(ttft_p50 ttft_p99 chunk_p50
                chunk_p99 added_chunk_p99)}), $r{failures});
    }
}

if (my $s = $out{streams}{ $levels[-1] }{gateway}) {
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

print "\n50 streams beside posts of 5 MB, ten a second, \xc2\xb5s\n";
row('', 'chunk p50', 'chunk p99', 'chunk max', 'post p50', 'posts', 'failed');
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
    $failed += $r{failures};
    row("  $t", map({ num($_) } @r{qw(chunk_p50 chunk_p99 chunk_max
            post_p50_us)}), $r{posts}, $r{failures});
}
if (my $r = $out{beside_large_bodies}{gateway}) {
    budget('chunk beside bodies of 5 MB, p99, us', $r->{chunk_p99}, '<=',
        5000);
}

my @groups = sort keys %{ $idle->{procs} };
my %memory = (idle => $idle->{procs});
print "\nMemory, MB (proportional set size; resident in brackets)\n";
row('', @groups);
row('  idle', map { sprintf '%.1f (%.1f)', $idle->{procs}{$_}{pss_kb} / 1024,
                    $idle->{procs}{$_}{rss_kb} / 1024 } @groups);
for my $level (@levels) {
    my $s = $out{streams}{$level}{gateway} or next;
    row("  $level streams", map { sprintf '%.1f (%.1f)',
        ($s->{pss_kb}{$_} // 0) / 1024, ($s->{rss_kb}{$_} // 0) / 1024 }
        @groups);
}
$out{memory_idle_kb} = $idle->{procs};

if ($idle->{procs}{edge} && $idle->{procs}{workers}) {
    my $mb = ($idle->{procs}{edge}{pss_kb} + $idle->{procs}{workers}{pss_kb})
        / 1024;
    budget('idle memory, edge and workers, MB', $mb, '<=', 30);

    # Between two levels, so that what earlier load left behind is in both.
    my ($low, $top) = @levels[0, -1];
    if ($low && $top > $low) {
        my ($few, $many) = map { $out{streams}{$_}{gateway}{pss_kb} }
            $low, $top;
        my $kb = 0;
        $kb += $many->{$_} - $few->{$_} for qw(edge workers);
        $kb /= $top - $low;
        $out{memory_kb_per_stream} = $kb;
        budget("memory of a stream ($low to $top), edge and workers, KB", $kb,
            '<=', 32);
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
