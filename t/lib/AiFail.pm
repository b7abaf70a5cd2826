# Allocations that fail when the test says so.
#
#   my $fail = AiFail->new($t);
#   $t->{built}{'ai-workers'} = $fail->workers;     # before they start
#   $fail->at(3);                                   # the third from now
#   … $fail->asked, $fail->failed
#   $fail->off;
#
# Programs are linked once more from the objects of the build, with malloc() or
# nginx's allocators wrapped (t/fail); a file that they have mapped is the plan.
package AiFail;

use strict;
use warnings;
use AiProc qw(slurp);
use AiTest ();
use File::Basename ();
use File::Find ();
use JSON::PP ();

my @libc = qw(malloc calloc realloc strdup);


sub new {
    my ($class, $t) = @_;
    my $self = bless { t => $t, dir => $t->subdir('fail') }, $class;

    $self->{plan} = "$self->{dir}/plan";
    open $self->{fh}, '+>', $self->{plan} or die "$self->{plan}: $!\n";
    $self->off;

    return $self;
}


sub write_plan {
    my ($self, @plan) = @_;

    sysseek $self->{fh}, 0, 0;
    syswrite $self->{fh}, pack 'I4', @plan, 0, 0;
}


# The nth allocation from now on fails, and so do span - 1 behind it.
sub at {
    my ($self, $n, $span) = @_;

    $self->write_plan($n, $span || 1);
}


sub off { $_[0]->write_plan(0, 0) }


sub counts {
    my ($self) = @_;

    sysseek $self->{fh}, 0, 0;
    sysread $self->{fh}, my $plan, 16;
    return unpack 'I4', $plan;
}


sub asked { ($_[0]->counts)[2] }
sub failed { ($_[0]->counts)[3] }


# Every n until none fails any more: the last, and what do->() said of them.
sub each_n {
    my ($self, $do, %o) = @_;
    my ($n, $failed, @bad) = (0, 1);

    while ($failed && $n < 1000 && @bad < 4) {
        $self->at($n += $o{step} || 1, $o{span});
        my $wrong = $do->();
        $failed = $self->failed;
        $self->off;
        push @bad, "$n: $wrong" if $wrong;
    }

    return ($n, join "\n", @bad);
}


# What is wrong with a whole answer, '' where nothing is: one without an error
# is a JSON object or, where stream was asked, a stream that says its end.
sub wrong {
    my ($res, $stream) = @_;
    my $body = $res->body;

    if ($res->status >= 400) {
        my $error = ($res->json || {})->{error};
        return ref $error eq 'HASH' && length $error->{message} ? ''
            : 'status ' . $res->status . ": $body";
    }
    if (!$stream) {
        return ref $res->json eq 'HASH' ? '' : "not JSON: $body";
    }

    my $type = $res->header('content-type') || '';
    return "no stream: $type" unless $type =~ m{^text/event-stream};
    return '' if $body =~ /(?:data: \[DONE\]|"type":"message_stop"\})\n\n\z/;
    my ($last) = $body =~ /data: ([^\n]*)\n\n\z/;
    my $data = eval { JSON::PP::decode_json($last) };
    return ref $data && $data->{error} ? '' : 'an end of: '
        . substr $body, -200;
}


sub objects {
    my ($dir) = @_;
    my @o;

    File::Find::find(sub { push @o, $File::Find::name if /\.o$/ }, $dir)
        if -d $dir;
    return sort @o;
}


# One program or library of objects and files of t/fail; its path.
sub link {
    my ($self, $name, $files, %o) = @_;
    my $out = "$self->{dir}/$name";
    my @objects = @{ $o{objects} || [] };
    my $san = '';

    # Built as its objects are.
    if (@objects) {
        my $needs = `nm -u $objects[0]`;
        $san = ' -fsanitize=address' if $needs =~ /__asan_/;
        $san .= ' -fsanitize=undefined' if $needs =~ /__ubsan_/;
        $san .= ' --coverage' if $needs =~ /__gcov_/;
    }

    my $cc = $ENV{CC} || 'cc';
    my $done = system join ' ', "$cc -std=gnu11 -O1 -g -fPIC$san",
        '-D_GNU_SOURCE', "-DFAIL_PLAN='\"$self->{plan}\"'",
        '-DFAIL_CHILD=' . ($o{child} ? 1 : 0),
        (defined $o{from} ? "-DFAIL_FROM='\"$o{from}\"'" : ()),
        ($o{shared} ? '-shared' : ()), '-o', $out,
        (map { "$AiTest::root/t/fail/$_" } 'fail.c', @$files), @objects,
        (map { "-Wl,--wrap=$_" } @{ $o{wrap} || [] }), $o{libs} || '';
    die "$out cannot be linked\n" if $done != 0;

    return $out;
}


sub libs {
    my ($libs) = `pkg-config --libs @_` =~ /(.*)/;
    return $libs;
}


# The workers, whose own allocations fail.
sub workers {
    my ($self) = @_;
    my $build = File::Basename::dirname($self->{t}->built('ai-workers'));
    # A source that has gone may have left its object.
    my @objects = grep { !m{/workers/aictl} && m{^\Q$build\E/obj/(.*)\.o$}
        && -e "$AiTest::root/$1.c" } map { objects("$build/obj/$_") }
        qw(workers src build);

    my ($libs) = slurp("$AiTest::root/Makefile") =~ /^LIBS := (.*)/m;

    return $self->link('ai-workers', ['fail_libc.c'], child => 1,
        objects => \@objects, wrap => \@libc, libs => libs($libs) . ' -lm');
}


# The module, whose own allocations fail; undef where it was not built here.
sub module {
    my ($self) = @_;
    my $dir = File::Basename::dirname(
        $self->{t}->built('ngx_http_ai_module.so'));
    my @objects = map { objects("$_/ngx/objs") } $dir, "$dir/module";

    return undef unless @objects;

    my @nginx = slurp("$AiTest::root/t/fail/fail_nginx.c")
        =~ /^FAIL_WRAP\((\w+)/mg;

    return $self->link('ngx_http_ai_module.so',
        ['fail_libc.c', 'fail_nginx.c'], objects => \@objects, shared => 1,
        wrap => [@libc, @nginx], libs => libs('libcrypto'));
}


# To be preloaded: all of a process, or of its libraries named like from.
sub preload {
    my ($self, %o) = @_;

    return $self->link('any.so', ['fail_any.c'], shared => 1, %o);
}

1;
