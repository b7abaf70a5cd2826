# The replay server of the shared traffic: recorded answers of real providers
# to the requests that they answered.
package AiReplay;
use strict;
use warnings;
use AiProc;
use AiTest;


# What a test with it needs is here, or the test is skipped: the folder of the
# recordings.
sub here {
    my $dir = AiTest::shared() . '/traffic';

    AiTest::skip_all("no recordings in $dir")
        unless -f "$dir/replay.mjs" && -f "$dir/recordings.jsonl";
    if (!node()) {
        Test::More::diag('SKIPPED: no node for the replay server');
        AiTest::skip_all('no node');
    }

    return $dir;
}


# The machine's node, or the one that npm brought.
sub node {
    return (grep { -x } '/usr/bin/node', '/usr/local/bin/node',
        glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node"))[0];
}


# One that listens: port, out (the file it writes to), proc.
sub start {
    my ($class, $t, $name) = @_;
    my $dir = here();
    $name ||= 'replay';
    my $self = bless { port => free_port(), out => "$t->{dir}/$name.out" },
        $class;

    $self->{proc} = AiProc->spawn(name => $name, cwd => $t->{dir},
        out => $self->{out}, cmd => [node(), "$dir/replay.mjs",
            $self->{port}, "$dir/recordings.jsonl"]);
    wait_for(sub { slurp($self->{out}) =~ /recordings on/ }, 60,
        'the replay server');

    return $self;
}


sub stop {
    my ($self) = @_;
    return $self->{proc}->stop;
}


1;
