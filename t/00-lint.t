#!/usr/bin/perl
# The rules of the house that a machine can check.  One test a rule; each names
# file and line of what breaks it.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname basename);
use File::Find ();
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
chdir $root or die "$root: $!\n";

my @files = files();
my %lines = map { $_ => [read_lines($_)] } @files;

my @c = grep { /\.[ch]$/ } @files;
my @ours = grep { m{^(?:src|workers)/} } @c;
my @lua = grep { /\.lua$/ } @files;
my @perl = grep { /\.(?:pm|t|pl)$/ } @files;
my @sh = grep { /\.sh$/ || $lines{$_}[0] =~ m{^#!/bin/(?:ba)?sh} } @files;
my @made = (@c, @lua, @perl, @sh);


sub files {
    my @all = split /\n/,
        `git ls-files -co --exclude-standard 2>/dev/null` || '';

    if (!@all) {
        File::Find::find({ no_chdir => 1, wanted => sub {
            my $path = $File::Find::name =~ s{^\./}{}r;
            $File::Find::prune = 1
                if $path =~ m{^(?:build|run|\.git)$|(?:^|/)node_modules$};
            push @all, $path if -f $path && !$File::Find::prune;
        } }, '.');
    }

    return sort grep { -f && -T && -s } @all;
}


sub read_lines {
    my ($path) = @_;

    open my $fh, '<:raw', $path or die "$path: $!\n";
    my @lines = <$fh>;
    # What is no UTF-8 (a corpus of the fuzzers) stays bytes.
    utf8::decode($_) for @lines;
    return @lines;
}


# Runs check->(line, number, file) over files; what it returns is a complaint.
sub rule {
    my ($name, $files, $check) = @_;
    my @bad;

    for my $file (@$files) {
        my $n = 0;
        for my $line (@{ $lines{$file} }) {
            $n++;
            my $wrong = $check->($line, $n, $file);
            push @bad, "$file:$n: $wrong" if $wrong;
        }
    }

    is(join("\n", @bad), '', $name);
}


# The same over whole files.
sub file_rule {
    my ($name, $files, $check) = @_;
    my @bad = map {
        my $file = $_;
        map { "$file: $_" } grep { $_ } $check->($file, $lines{$file});
    } @$files;

    is(join("\n", @bad), '', $name);
}


# A line of C without strings and without what is commented out on it.
sub code {
    my ($line) = @_;

    $line =~ s/"(?:[^"\\]|\\.)*"/""/g;
    $line =~ s{/\*.*?\*/}{}g;
    return $line =~ m{^\s*(?:/\*|\*)} ? '' : $line;
}


# Text.

rule('80 columns', [@c, @lua], sub {
    chomp(my $line = $_[0]);
    return length $line > 80 ? length($line) . ' columns' : '';
});

rule('100 columns in tests', \@perl, sub {
    chomp(my $line = $_[0]);
    return length $line > 100 ? length($line) . ' columns' : '';
});

rule('no tabs, no trailing space, no carriage return', \@made, sub {
    return $_[0] =~ /\t/ ? 'tab' : $_[0] =~ /[ \r]$/ ? 'trailing space' : '';
});

file_rule('ends with one newline', \@made, sub {
    my $last = $_[1][-1];
    return $last !~ /\n\z/ ? 'no newline at the end'
        : $last =~ /^\s*$/ ? 'empty line at the end' : '';
});

my $later = join '|', map { join '', @$_ } ['TO', 'DO'], ['FIX', 'ME'],
    ['XX', 'X'], ['HA', 'CK'];
rule('nothing left for later', [grep { !m{^t/node[^/]*/.*lock} } @files], sub {
    return $_[0] =~ /\b($later)\b/ ? $1 : '';
});

rule('no path of a machine', \@files, sub {
    return $_[0] =~ m{(/(?:work|home|root)/[\w.]+)} ? $1 : '';
});

rule('no download address in a lock file',
    [grep { /package-lock\.json$/ } @files], sub {
        return $_[0] =~ /"resolved":\s*"([^"]+)"/ ? $1 : '';
    });


# C.

file_rule('a comment at the head', [@c, @lua, @sh, @perl], sub {
    my ($file, $text) = @_;
    my @head = grep { !/^#!/ && /\S/ } @$text;

    return $file =~ /\.[ch]$/ && $head[0] !~ m{^/\*}
        || $file !~ /\.[ch]$/ && $head[0] !~ /^(?:#|--) ?\S/
        ? 'says nothing about itself' : '';
});

file_rule('two blank lines between functions', [grep { /\.c$/ } @ours], sub {
    my ($file, $text) = @_;
    my @bad;

    for my $i (0 .. $#$text) {
        next if $text->[$i] ne "}\n";
        my $next = $i + 1;
        $next++ while $next < @$text && $text->[$next] =~ /^$/;
        next if $next >= @$text || $text->[$next] =~ /^#/;
        push @bad, $i + 1 . ': ' . ($next - $i - 1)
            . ' blank lines after a function' if $next - $i != 3;
    }

    return @bad;
});

file_rule('the return type on its own line', [grep { /\.c$/ } @ours], sub {
    my ($file, $text) = @_;
    my @bad;

    for my $i (1 .. $#$text) {
        next if $text->[$i] ne "{\n";
        my $at = $i - 1;
        $at-- while $at > 0 && $text->[$at] =~ /^\s/ && $text->[$at] !~ /^$/;
        push @bad, $at + 1 . ": $text->[$at]" if $text->[$at] !~ /^\w+\(/;
    }

    return @bad;
});

my %banned = map { $_ => 'is banned' } qw(sprintf vsprintf strcpy stpcpy strcat
    strncat gets strtok atoi atol atoll atof system popen tmpnam mktemp
    alloca setjmp longjmp);
rule('no banned function', \@ours, sub {
    for my $name (code($_[0]) =~ /(?<![\w.>])(\w+)\s*\(/g) {
        return "$name $banned{$name}" if $banned{$name};
    }
    return '';
});

my %blocks = map { $_ => 1 } qw(sleep usleep nanosleep getaddrinfo
    gethostbyname gethostbyaddr getnameinfo poll select fopen popen
    printf fprintf exit abort fork);
rule('nothing that blocks or ends nginx', [grep { m{^src/} } @ours], sub {
    for my $name (code($_[0]) =~ /(?<![\w.>])(\w+)\s*\(/g) {
        return "$name in src/" if $blocks{$name};
    }
    return '';
});

my %key_place = map { $_ => 1 } 'src/contract/ai_keys.c',
    'src/contract/ai_keys.h';
rule('Redis keys are spelled in ai_keys only', [@ours, @lua], sub {
    my ($line, undef, $file) = @_;
    return '' if $key_place{$file} || $line =~ m{^\s*(?:/\*|\*|--)};
    return $line =~ /["']ai\d+:/ ? 'a key' : '';
});


# Layers: what includes what.

my %where = map { basename($_) => dirname($_) } grep { /\.h$/ } @ours;
my %level = ('src/contract' => 0, 'src/redis' => 1, 'src/edge' => 2,
    'src' => 3);

rule('a file includes its own layer and lower ones', \@ours, sub {
    my ($line, undef, $file) = @_;
    my ($name) = $line =~ /^\s*#\s*include\s+"([^"]+)"/ or return '';
    my ($from, $to) = (dirname($file), $where{$name});

    return "no header $name" unless defined $to;
    return '' if $to eq $from || $to eq 'src/contract';
    return "$from includes $to ($name)"
        unless exists $level{$from} && exists $level{$to}
            && $level{$to} < $level{$from};
    return '';
});

rule('the contract knows neither nginx nor libuv',
    [grep { m{^src/contract/} } @ours], sub {
        return $_[0] =~ /^\s*#\s*include\s+<((?:ngx_|uv|curl|libpq)[^>]*)>/
            ? $1 : '';
    });

rule('the module brings no other event loop, and no hiredis',
    [grep { m{^src/} } @ours], sub {
        return $_[0] =~ m{^\s*\#\s*include\s+
            <((?:uv|curl/|libpq|jansson|hiredis)[^>]*)>}x
            ? $1 : '';
    });

my %stem;
push @{ $stem{ basename($_, '.c') } }, $_ for grep { /\.c$/ } @ours;
is(join("\n", map { "@{ $stem{$_} }" } grep { @{ $stem{$_} } > 1 }
    sort keys %stem), '', 'base names are unique');

file_rule('names carry their prefix', [grep { m{^src/} } @ours], sub {
    my ($file) = @_;
    my $want = $file =~ m{^src/contract/} ? 'ai_' : 'ngx_http_ai_';
    return index(basename($file), $want) == 0 ? '' : "is not $want…";
});

file_rule('headers are guarded by their name', [grep { /\.h$/ } @ours], sub {
    my ($file, $text) = @_;
    my $guard = uc(basename($file, '.h')) . '_H';
    return grep({ /^#ifndef (?:AI_)?$guard$/ } @$text) ? '' : "no $guard";
});


# The parts against each other.

SKIP: {
    my ($module, $docs) = ('src/ngx_http_ai_module.c', 'docs/directives.md');
    skip "no $module or no $docs", 1 unless $lines{$module} && $lines{$docs};
    my $text = join '', @{ $lines{$docs} };
    my %known = map { $_ => 1 } $text =~ /^#+\s*`?(ai_\w+)/mg;
    my @names = join('', @{ $lines{$module} }) =~ /ngx_string\("(ai_\w+)"\)/g;
    is(join(' ', grep { !$known{$_} } @names), '',
        'every directive has its section in docs/directives.md');
}

SKIP: {
    my ($page, $code) = ('docs/wire.md', 'src/contract/ai_error.c');
    skip "no $page or no $code", 1 unless $lines{$page} && $lines{$code};
    my ($table) = join('', @{ $lines{$page} }) =~ /^## 10\..*?\n(.*?)^## 11/ms;
    my $text = join '', @{ $lines{$code} };
    my @rows = $table =~ /^\| `(\w+)` \| (\d{3}) \|/mg;
    my @bad;
    while (my ($cause, $status) = splice @rows, 0, 2) {
        push @bad, "$cause $status"
            if $text !~ /"$cause"[^}]{0,120}\b$status\b/s;
    }
    is(join(', ', @bad), '', 'every error of docs/wire.md is in ai_error');
}


# Shell.

file_rule('scripts stop at an error', \@sh, sub {
    return grep({ /^set -eu/ } @{ $_[1] }) ? '' : 'no set -eu';
});

SKIP: {
    my ($tool) = grep { -x } map { "$_/shellcheck" } split /:/, $ENV{PATH};
    skip 'no shellcheck', 1 unless $tool;
    is(`$tool -x @sh 2>&1`, '', 'shellcheck');
}

SKIP: {
    my ($tool) = grep { -x } map { "$_/cppcheck" } split /:/, $ENV{PATH};
    my @sources = grep { /\.c$/ && m{^(?:src/contract|workers)/} } @ours;
    skip 'no cppcheck', 1 unless $tool && @sources;
    is(`$tool --quiet --enable=warning,portability --inline-suppr \\
        --suppress=missingInclude --suppress=invalidPrintfArgType_uint \\
        --suppress=normalCheckLevelMaxBranches \\
        --std=c11 -Isrc/contract -Iworkers \\
        --error-exitcode=0 --template='{file}:{line}: {id}: {message}' \\
        @sources 2>&1`, '', 'cppcheck');
}

done_testing();
