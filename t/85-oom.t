#!/usr/bin/perl
# Every allocation of the module fails once, in requests of each kind: the
# connection ends, nothing crashes, nothing stays.  The module is linked once
# more from the objects of the build, with nginx's allocators wrapped; a small
# file that nginx and the test have mapped says which one fails.
use AiTest;
use File::Find ();

my ($objs) = grep { -d } map { "$_/ngx/objs" } $ENV{AI_T_BUILD} || (),
    "$AiTest::root/build";
AiTest::skip_all('no objects of the module in build/') unless $objs;
my $t = AiTest->new;

my @wrapped = (
    [ngx_palloc => 'ngx_pool_t *a, size_t b', 'a, b'],
    [ngx_pnalloc => 'ngx_pool_t *a, size_t b', 'a, b'],
    [ngx_pcalloc => 'ngx_pool_t *a, size_t b', 'a, b'],
    [ngx_alloc => 'size_t a, ngx_log_t *b', 'a, b'],
    [ngx_calloc => 'size_t a, ngx_log_t *b', 'a, b'],
    [ngx_create_temp_buf => 'ngx_pool_t *a, size_t b', 'a, b'],
    [ngx_alloc_chain_link => 'ngx_pool_t *a', 'a'],
    [ngx_list_push => 'ngx_list_t *a', 'a'],
    [ngx_array_push => 'ngx_array_t *a', 'a'],
    [ngx_http_cleanup_add => 'ngx_http_request_t *a, size_t b', 'a, b'],
    [ngx_pool_cleanup_add => 'ngx_pool_t *a, size_t b', 'a, b'],
);
my $plan = $t->dir . '/plan';
write_plan(0);
my $source = <<'C' . join '', map { wrapper(@$_) } @wrapped;
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

typedef void  ngx_pool_t;
typedef void  ngx_log_t;
typedef void  ngx_list_t;
typedef void  ngx_array_t;
typedef void  ngx_http_request_t;

static volatile unsigned  *plan;

static int
fails(void)
{
    int  fd;

    if (plan == NULL) {
        fd = open(PLAN, O_RDWR);
        plan = mmap(NULL, 8, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    }

    return plan[0] && ++plan[1] == plan[0];
}

C

sub wrapper {
    my ($name, $params, $args) = @_;
    return "void *__real_$name($params);\n"
        . "void *\n__wrap_$name($params)\n{\n"
        . "    return fails() ? NULL : __real_$name($args);\n}\n";
}

# Which one is to fail, 0 for none; and how many were asked for.
sub write_plan {
    my ($n) = @_;
    open my $fh, -e $plan ? '+<' : '>', $plan or die "$plan: $!";
    syswrite $fh, pack 'II', $n, 0;
    close $fh;
}
sub asked { return (unpack 'II', slurp($plan))[1] }

my $c = $t->dir . '/wrap.c';
open my $fh, '>', $c or die;
print $fh $source;
close $fh;
my @o;
File::Find::find(sub { push @o, $File::Find::name if /\.o$/ }, $objs);
my ($libs) = `pkg-config --libs libcrypto` =~ /(.*)/;
my $so = $t->dir . '/ngx_http_ai_module.so';
my $cc = $ENV{CC} || 'cc';
is(system("$cc -O1 -fPIC -shared -DPLAN='\"$plan\"' -o $so $c @o "
    . join(' ', map { "-Wl,--wrap=$_->[0]" } @wrapped) . " $libs"), 0,
    'a module that runs out of memory when told');

$t->start(edge => { module => $so,
    location => 'ai_stream_buffers 2 1k; ai_resume 1s; ai_body_memory 512k;' });
my $edge = $t->edge;
my ($pid) = $edge->workers;
my $chat = '/v1/chat/completions';
my $words = join ' ', map { "word$_" } 1 .. 12;
my %ask = (model => 'echo/echo',
    messages => [{ role => 'user', content => $words }]);
my $done = $t->post($chat, \%ask, headers => { Prefer => 'respond-async' });
my $id = $done->json->{id};
wait_for(sub { $t->get("/v1/jobs/$id")->json->{state} eq 'done' }, 20, 'it');

my %kinds = (
    'an answer' => sub { return (path => $chat, json => \%ask) },
    'a stream' => sub {
        return (path => $chat, json => { %ask, stream => \1 },
            headers => { 'X-AI-Resumable' => '1' });
    },
    'a long body' => sub {
        return (path => $chat, json => { %ask, x => 'y' x 300_000 });
    },
    'a body in front' => sub {
        return (path => $chat, json => { %ask, x => 'y' x 20_000 });
    },
    'background' => sub {
        return (path => $chat, json => \%ask,
            headers => { Prefer => 'respond-async' });
    },
    'a job' => sub { return (path => "/v1/jobs/$id") },
    'its events' => sub { return (path => "/v1/jobs/$id/events") },
    'its cancel' => sub {
        return (path => "/v1/jobs/$id/cancel", method => 'POST', body => '');
    },
    'models' => sub { return (path => '/v1/models') },
    'refused' => sub { return (path => '/v1/nothing', json => \%ask) },
    'a new key' => sub {
        return (path => '/v1/models', key => sprintf 'ngx-%043d', rand 1e9);
    },
);

for my $kind (sort keys %kinds) {
    my ($n, $asked, @bad) = (0, 1);

    while ($n < $asked && $n < 500) {
        write_plan(++$n);
        my $http = AiHttp->new(port => $edge->port);
        my $ended = eval {
            $http->send_request(key => $t->{key}, $kinds{$kind}->());
            $http->response(20);
            1;
        };
        push @bad, "$n: $@" if !$ended && $@ =~ /timed out/;
        $asked = asked();
        write_plan(0);
        $http->close;
        last if @bad > 3;
    }
    is(join(' ', @bad), '', "$kind: ends whichever of $n fails");
}

is_deeply([$edge->workers], [$pid], 'no process has died');
wait_for(sub {
    AiHttp->get($edge->port, '/metrics')->body =~ /active_jobs 0$/m
}, 20, 'nothing to be open');
my $res = $t->post($chat, { %ask, x => 'y' x 300_000 });
is($res->status, 200, 'and no memory for bodies has been lost');

done_testing();
