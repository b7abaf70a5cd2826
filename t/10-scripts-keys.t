#!/usr/bin/perl

# Keys are spelled once in C (src/contract/ai_keys) and once in Lua
# (src/scripts/_prelude.lua): the two agree.  And what is compiled in is what
# runs: each script is found by the SHA-1 that stands in ai_scripts.c.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AiTest;
use AiScripts;

my $t = AiTest->new;
my $s = AiScripts->new($t);
my $root = $t->root;
my $dir = $t->subdir('keys');

# What C makes of each key of its enum, with a name that suits it.

my %name = (map({ $_ => 'job_' . 'a' x 32 } qw(JOB BODY EV SHARED)),
    map({ $_ => 'ten.ant' } qw(BACKLOG BACKLOG_BATCH BACKLOG_LAST RUNNING LIM)),
    CACHE => 'ab' x 32, FLIGHT => 'ab' x 32 . 'o',
    PV => 'k1', EDGE_CHANNEL => 'host-1-2', HELD => 'host-1-2',
    WORKER_CHANNEL => 'host-1-2');
my ($enum) = slurp("$root/src/contract/ai_keys.h")
    =~ /typedef enum \{([^}]*)\} ai_key_e;/;
$enum =~ s{/\*.*?\*/}{}gs;
my @enum = $enum =~ /AI_KEY_(\w+)/g;

open my $c, '>', "$dir/keys.c" or die "keys.c: $!\n";
print $c <<'C';
#include <stdio.h>
#include <string.h>
#include "ai_keys.h"

static void
show(const char *what, ai_key_e key, const char *text)
{
    char      buf[AI_KEY_MAX];
    size_t    n;
    ai_str_t  name = { .data = (void *) text, .len = strlen(text) };

    n = ai_keys_make(buf, sizeof(buf), key, 3, name);
    printf("%s %.*s\n", what, (int) n, buf);
}

int
main(void)
{
    char      buf[AI_KEY_MAX];
    size_t    n;
    ai_str_t  hex = { .data = (void *) HEX, .len = 64 };
    ai_str_t  tenant = { .data = (void *) "ten.ant", .len = 7 };

    n = ai_keys_prefix(buf, sizeof(buf), 3);
    printf("P %.*s\n", (int) n, buf);
    n = ai_keys_principal(buf, sizeof(buf), hex);
    printf("KEY %.*s\n", (int) n, buf);
    n = ai_keys_principal(buf, sizeof(buf), tenant);
    printf("TENANT %.*s\n", (int) n, buf);
    printf("KEYS_CHANNEL %s\n", AI_KEYS_CHANNEL);
    printf("GLOBAL %s\n", AI_GLOBAL_PREFIX);
    printf("LEDGER %s\n", AI_GROUP_LEDGER);
    printf("BREAKERS %s\n", AI_BREAKERS_KEY);
C
printf $c "    show(\"%s\", AI_KEY_%s, \"%s\");\n", $_, $_, $name{$_} || ''
    for @enum;
print $c "    return 0;\n}\n";
close $c;

my $hex = 'ab' x 32;
my $sources = join ' ', map { "$root/src/contract/$_" }
    qw(ai_keys.c ai_id.c ai_str.c ai_crypto.c);
is(system("cc -std=c11 -D_GNU_SOURCE '-DHEX=\"$hex\"' -I$root/src/contract"
    . " -o $dir/keys $dir/keys.c $sources -lcrypto"), 0, 'the C side builds')
    or BAIL_OUT('no C side');
my %c = map { chomp; my ($n, $key) = split / /; $n => $key } `$dir/keys`;
is($c{P}, 'ai1:{3}:', 'prefix');

# What Lua makes of them: each local of the prelude that is a name.

my $prelude = slurp("$root/src/scripts/_prelude.lua");
my @lua;
push @lua, grep { /^[A-Z_]+$/ } split /,\s*/, $1
    while $prelude =~ /^local ([A-Z_, ]+) = '/gm;
my %spelt = @{ $s->cmd('EVAL', "$prelude\nreturn { "
    . join(', ', map { "'$_', $_" } @lua) . ' }', 1, $c{P}) };
cmp_ok(scalar keys %spelt, '>', 20, 'names in the prelude');

my %alias = (EDGE => 'EDGE_CHANNEL', WORKER => 'WORKER_CHANNEL');
for my $lua (sort keys %spelt) {
    my $enum = $alias{$lua} || $lua;
    my $prefix = $lua =~ /^(?:KEY|TENANT|KEYS_CHANNEL|BREAKERS)$/ ? $c{GLOBAL}
        : $lua eq 'LEDGER' ? '' : $c{P};
    my $name = $lua eq 'KEY' ? $hex : $lua eq 'TENANT' ? 'ten.ant'
        : $name{$enum} || '';
    is("$prefix$spelt{$lua}$name", $c{$enum}, "$lua is spelt the same");
}
my %never = map { $_ => 1 }      # no script reads or writes them
    qw(RESPONSE PARK PARKED PARKING);
for my $name (grep { !$never{$_} } @enum) {
    my ($lua) = grep { $alias{$_} && $alias{$_} eq $name } keys %alias;
    ok(exists $spelt{ $lua || $name }, "Lua knows $name");
}

# No other file of the scripts spells a key.

my @names = map { quotemeta } values %spelt;
my $any = join '|', map { "'$_'|\"$_\"" } @names;
for my $file (glob "$root/src/scripts/*.lua") {
    next if $file =~ /_prelude\.lua$/;
    my @bad = grep { /\bcall\(.*P \.\. '|(?:P \.\. )(?:$any)/ }
        split /\n/, slurp($file);
    is(join("\n", @bad), '', "$file spells no key");
}

# The table that is compiled in.

my $scripts = AiRedis->scripts($root, $dir);
my ($table) = slurp("$root/src/contract/ai_scripts.h")
    =~ /typedef enum \{([^}]*)\} ai_script_e;/;
my @order = map { lc } grep { $_ ne 'LAST' } $table =~ /AI_SCRIPT_(\w+)/g;
my $gen = slurp($t->dir . '/gen/ai_scripts.c');
is(join(' ', $gen =~ /^    \{ "(\w+)"/gm), "@order", 'in the enum\'s order');
for my $name (@order) {
    my $script = $scripts->{$name};
    is($s->cmd('SCRIPT', 'LOAD', $script->{text}), $script->{sha},
        "$name: its SHA-1");
    my ($len) = $gen =~ /\{ "$name", "\w+", (\d+),/;
    is($len, length $script->{text}, "$name: its length");
    my $flags = $name =~ /^(?:body|admit|emit|join|principal|keep|find|hits)$/
        ? '' : ' flags=allow-oom';
    like($script->{text}, qr/^#!lua$flags\n/, "$name: flags");
    unlike($script->{text}, qr/\@include/, "$name: complete");
}

done_testing();
