#!/usr/bin/perl
# Every target of t/fuzz for a while, two at a time: t/fuzz/NAME_fuzz.c over
# corpus/NAME and what earlier runs found (build/fuzz/NAME).  An input that
# fails is left in build/fuzz.
#
#   AI_T_FUZZ_SECONDS  for each (10; 3600 with AI_T_FULL)
#   AI_T_FUZZ          a pattern of names
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname basename);
use File::Path qw(make_path);
use Test::More;
use lib dirname(__FILE__) . '/lib';
use AiProc qw(slurp);

my $root = abs_path(dirname(__FILE__) . '/..');
my $only = $ENV{AI_T_FUZZ} || '.';
my $seconds = $ENV{AI_T_FUZZ_SECONDS} || ($ENV{AI_T_FULL} ? 3600 : 10);
my @names = grep { /$only/ } map { basename($_, '_fuzz.c') }
    sort glob "$root/t/fuzz/*_fuzz.c";

chdir $root or die "$root: $!\n";
if (!grep { -x "$_/clang" } split /:/, $ENV{PATH}) {
    diag('SKIPPED: no clang: nothing is fuzzed');
    plan skip_all => 'no clang';
}
if (system('make', '-s', 'CC=clang', 'SAN=fuzz', 'fuzzers') != 0) {
    fail('the fuzzers build');
    done_testing();
    exit;
}
plan skip_all => 'there are no targets' unless @names;

my %running;

for my $name (@names) {
    finish() if keys %running >= 2;
    start($name);
}
finish() while %running;
ok(-d "t/fuzz/corpus/$_", "$_ has seeds") for @names;
done_testing();


sub start {
    my ($name) = @_;

    # The first folder is written to, the seeds are only read.
    make_path("build/fuzz/$name");
    unlink "build/fuzz/$name.log";
    my $proc = AiProc->spawn(name => $name, out => "build/fuzz/$name.log",
        env => { ASAN_OPTIONS => 'detect_leaks=1',
            UBSAN_OPTIONS => 'print_stacktrace=1:halt_on_error=1' },
        cmd => ["build/clang-fuzz/fuzz/${name}_fuzz", "build/fuzz/$name",
            (-d "t/fuzz/corpus/$name" ? "t/fuzz/corpus/$name" : ()),
            "-max_total_time=$seconds", '-timeout=20', '-rss_limit_mb=2048',
            "-artifact_prefix=build/fuzz/$name-", '-print_final_stats=1']);
    $running{$name} = $proc;
}


# Waits for one that ends.
sub finish {
    my ($name);

    AiProc::wait_for(sub {
        ($name) = grep { !$running{$_}->alive } sort keys %running;
        return $name;
    }, $seconds + 120, 'a fuzzer to end');

    my $status = (delete $running{$name})->status;
    my $log = slurp("build/fuzz/$name.log");
    my ($runs) = $log =~ /.*stat::number_of_executed_units:\s*(\d+)/s;
    my ($covered) = $log =~ /.*\bcov: (\d+)/s;

    note(sprintf '%s: %s runs, %s edges', $name, $runs || 'no',
        $covered || 'no');
    if (!ok($status == 0 && $runs, "$name: $seconds s")) {
        my @tail = split /\n/, $log;
        diag(join "\n", "$name: status $status",
            @tail > 40 ? @tail[-40 .. -1] : @tail);
        diag("the input: $root/$1") while $log =~ /Test unit written to (\S+)/g;
    }
}
