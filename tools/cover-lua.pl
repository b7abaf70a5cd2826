#!/usr/bin/perl
# A copy of the Redis scripts that counts, for tests: cover-lua.pl SRC OUT.
# Each statement that begins a line, or stands behind a "then", "else" or "do"
# of its line, notes that it was reached; as a script ends, however it does,
# it logs one line "COVERED FILE:LINE …" to Redis' log.  OUT/lines names all
# there are.
use strict;
use warnings;
use File::Basename qw(basename);
use File::Path qw(make_path);

my ($src, $out) = @ARGV;
die "cover-lua.pl SRC OUT\n" unless $out;
make_path($out);

my @lines;

# What a script becomes: a function that is called, its error raised again.
my $head = "local __c = {}\nlocal function __main()\n";
my $tail = <<'LUA';
end
local __r = { pcall(__main) }
local __l = {}
for k in pairs(__c) do __l[#__l + 1] = k end
redis.log(redis.LOG_WARNING, 'COVERED ' .. table.concat(__l, ' '))
if not __r[1] then error(__r[2], 0) end
return __r[2]
LUA

for my $path (sort glob "$src/*.lua") {
    my $name = basename($path, '.lua');
    open my $in, '<', $path or die "$path: $!\n";
    my $text = join '', probed($name, <$in>);
    $text = $head . $text if $name eq '_prelude';
    $text .= $tail if $name !~ /^_/;
    put("$out/$name.lua", $text);
}
put("$out/lines", join '', map { "$_\n" } @lines);


sub put {
    my ($path, $text) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}


sub probe {
    my ($id) = @_;

    push @lines, $id;
    return "__c['$id'] = 1; ";
}


sub probed {
    my ($name, @text) = @_;
    my ($depth, $open, $n) = (0, 0, 0);
    my @out;

    for my $line (@text) {
        $n++;
        # What stands in strings and comments is nothing to look at.
        my $code = $line =~ s/'(?:[^'\\]|\\.)*'/"'" . '_' x (length($&) - 2) . "'"/ger;
        $code =~ s/--.*//;
        my $starts = $depth == 0 && !$open && $code =~ /^\s*[A-Za-z_]/
            && $code !~ /^\s*(?:else|elseif|end|until|then|do|and|or|not)\b/;
        my $inline = $code =~ /\b(?:then|else|do)\s+(?=[A-Za-z_])/
            ? $+[0] : 0;

        substr($line, $inline, 0) = probe("$name:$n+") if $inline;
        $line =~ s/^(\s*)/$1 . probe("$name:$n")/e if $starts;
        push @out, $line;

        next if $code !~ /\S/;
        $depth += ($code =~ tr/({[//) - ($code =~ tr/)}]//);
        $open = $code =~ /(?:[=,+\-*\/%<>~]|\.\.|\b(?:and|or|not|return))\s*$/;
        die "$name:$n: more is closed than open\n" if $depth < 0;
    }

    return @out;
}
