#!/usr/bin/perl
# Lines that ran, of C (gcov) and of the Redis scripts (tools/cover-lua.pl).
#
#   coverage.pl prepare BUILD…   empty counters that processes of any user add to
#   coverage.pl report SCRIPTS BUILD…   a table; the last lines are
#                                "total GROUP PERCENT RUN OF"
#
# A line of several builds ran if it did in one of them.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find ();
use JSON::PP ();

my $root = abs_path(dirname(__FILE__) . '/..');
my ($what, @args) = @ARGV;
my %lines;

chdir $root or die "$root: $!\n";
$what ||= '';
if ($what eq 'prepare') {
    prepare($_) for @args;
} elsif ($what eq 'report' && @args > 1) {
    scripts(shift @args);
    builds(@args);
    report();
} else {
    die "coverage.pl prepare BUILD… | report SCRIPTS BUILD…\n";
}


sub found {
    my ($dir, $re) = @_;
    my @found;

    File::Find::find({ no_chdir => 1, wanted => sub {
        push @found, $_ if /$re/;
    } }, $dir);
    return sort @found;
}


# Workers of nginx run as another user, so the files are there before.
sub prepare {
    my ($dir) = @_;

    unlink $_ for found($dir, qr/\.gcda$/);
    for my $path (found($dir, qr/\.gcno$/)) {
        my $data = $path =~ s/\.gcno$/.gcda/r;
        open my $fh, '>', $data or die "$data: $!\n";
        close $fh;
        chmod 0666, $data;
    }
}


sub builds {
    my @dirs = @_;
    my $json = JSON::PP->new;

    for my $path (map { found($_, qr/\.gcno$/) } @dirs) {
        next if $path =~ m{/t/(?:unit|fuzz)/|/gen/|_modules\.gcno$};
        my $data = $path =~ s/\.gcno$/.gcda/r;
        unlink $data if -e $data && !-s $data;
        open my $fh, '-|', 'gcov', '--json-format', '--stdout', $path
            or die "gcov: $!\n";
        for my $text (<$fh>) {
            my $got = $json->decode($text);
            for my $file (@{ $got->{files} }) {
                my $name = $file->{file} =~ s{^\Q$root\E/}{}r;
                next unless $name =~ m{^(?:src|workers)/.*\.c$};
                $lines{$name}{ $_->{line_number} } += $_->{count}
                    for @{ $file->{lines} };
            }
        }
        close $fh or die "gcov $path: status $?\n";
    }
}


sub scripts {
    my ($dir) = @_;

    for my $path ("$dir/lines", glob "$dir/hit/*") {
        my $ran = $path !~ m{/lines$};
        open my $fh, '<', $path or die "$path: $!\n";
        while (<$fh>) {
            chomp;
            my ($name, $line) = split /:/;
            $lines{"src/scripts/$name.lua"}{$line} += $ran;
        }
    }
}


sub report {
    my (%run, %of, %low);

    for my $name (sort keys %lines) {
        my $group = $name =~ m{^src/contract/} ? 'contract'
            : $name =~ m{^src/scripts/} ? 'scripts' : 'rest';
        my $of = keys %{ $lines{$name} };
        my @not = grep { !$lines{$name}{$_} } keys %{ $lines{$name} };
        $run{$group} += $of - @not;
        $of{$group} += $of;
        my $floor = $group eq 'rest' ? 85 : 95;
        my $percent = 100 * ($of - @not) / $of;
        next if $percent >= $floor;
        printf "%5.1f %% %4d of %4d  %s  (%s)\n", $percent, $of - @not, $of,
            $name, ranges(@not);
    }
    printf "total %s %.1f %d %d\n", $_, 100 * $run{$_} / $of{$_}, $run{$_},
        $of{$_} for sort keys %of;
}


# Numbers, those that follow each other joined.
sub ranges {
    my @n = sort { $a <=> $b } map { s/\+//r } @_;
    my @out;

    for my $n (@n) {
        if (@out && $n <= $out[-1][1] + 1) {
            $out[-1][1] = $n;
        } else {
            push @out, [$n, $n];
        }
    }
    return join ' ', map { $_->[0] == $_->[1] ? $_->[0] : "$_->[0]-$_->[1]" }
        @out;
}
