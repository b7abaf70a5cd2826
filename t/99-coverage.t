#!/usr/bin/perl
# What of the code the whole run reached, against its floors.  Last of all
# (t/testrules.yml); the counters are those of tools/test.sh.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
my $dirs = $ENV{AI_T_COVERAGE};         # as tools/coverage.pl report wants
my %floor = (contract => 95, scripts => 95, rest => 85);

plan skip_all => 'nothing was counted: this is for a whole make test'
    unless $dirs;

my @report = split /\n/, `$root/tools/coverage.pl report $dirs`;
is($?, 0, 'the counters can be read');
diag(join "\n", 'Coverage, files below their floor first:', @report);
for my $group (sort keys %floor) {
    my ($percent) = map { /^total $group ([\d.]+)/ } @report;
    cmp_ok($percent || 0, '>=', $floor{$group},
        "lines of $group that ran, in percent");
}
done_testing();
