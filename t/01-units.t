#!/usr/bin/perl
# Runs every unit test of build/t, each check of it a test of this file; those
# of AI_T_BUILD, made with sanitizers, too.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname basename);
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
my @sources = sort glob "$root/t/unit/*_test.c";

plan skip_all => 'there are no unit tests' unless @sources;

for my $source (@sources) {
    my $name = basename($source, '.c');

    for my $build ("$root/build", $ENV{AI_T_BUILD} || ()) {
        my $binary = "$build/t/$name";
        my $short = $binary =~ s{^\Q$root\E/}{}r;
        # Older than its source, it would test something else.
        my $new = -x $binary && -M $binary <= -M $source;
        ok($new, "$short is built") or diag('run make build');
        unit($binary, $short) if $new;
    }
}

done_testing();


sub unit {
    my ($binary, $name) = @_;
    my ($plan, $seen, @notes) = (0, 0);

    my $pid = open my $fh, '-|';
    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        $ENV{CMOCKA_MESSAGE_OUTPUT} = 'TAP';
        $ENV{ASAN_OPTIONS} = 'detect_leaks=1';
        $ENV{UBSAN_OPTIONS} = 'print_stacktrace=1:halt_on_error=1';
        chdir $root;
        exec 'timeout', '-k', '5', '300', $binary;
        exit 127;
    }

    while (my $line = <$fh>) {
        chomp $line;
        if ($line =~ /^\s*1\.\.(\d+)/) {
            $plan += $1;
        } elsif ($line =~ /^\s*(not )?ok\b\s*\d*\s*(?:-\s*)?(.*)/) {
            $seen++;
            if ($2 =~ /^# ?SKIP\b\s*(.*)/i) {
                diag(join "\n", "SKIPPED $name: $1", @notes);
                SKIP: { skip $1, 1 }
                @notes = ();
                next;
            }
            ok(!$1, "$name: $2");
            diag(join "\n", @notes) if $1 && @notes;
            @notes = ();
        } else {
            push @notes, $line;
        }
    }
    close $fh;
    my $status = $?;

    # What an assertion prints may follow its "not ok".
    diag(join "\n", @notes) if $status;
    is($seen, $plan, "$name: all planned checks ran");
    is($status, 0, "$name: ended well");
}
