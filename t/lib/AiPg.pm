# A private Postgres on a Unix socket.  The cluster, with its roles and the
# migrations, is made once and copied: into $AI_T_CACHE where a run of several
# tests gives one, else into the test's own folder.
package AiPg;

use strict;
use warnings;
use AiProc qw(wait_for slurp);
use Fcntl qw(LOCK_EX);

my $user = $> == 0 ? 'postgres' : getpwuid $>;


sub bin {
    my ($name) = @_;

    my @dirs = sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] }
        glob '/usr/lib/postgresql/*/bin';
    for my $dir (@dirs, split /:/, $ENV{PATH}) {
        return "$dir/$name" if -x "$dir/$name";
    }

    die "no $name: install postgresql\n";
}


# Runs as the database's user; dies with the output when it fails.
sub run {
    my ($dir, @cmd) = @_;
    my $out = "$dir/run.log";

    unlink $out;
    my $proc = AiProc->spawn(cmd => \@cmd, user => $user, out => $out,
        cwd => '/', env => { LC_ALL => 'C.UTF-8' });
    my $status = $proc->wait(120);
    die "$cmd[0]: " . slurp($out) . "\n" if $status;

    return slurp($out);
}


# dir: its folder; root: the repository; bare => 1 leaves the migrations out.
sub new {
    my ($class, %o) = @_;
    my $self = bless { dir => $o{dir}, root => $o{root},
        data => "$o{dir}/data", log => "$o{dir}/postgres.log" }, $class;

    mkdir $o{dir};
    own($o{dir});
    my $cache = $ENV{AI_T_CACHE} || $o{dir};
    my $from = "$cache/" . ($o{bare} ? 'pg-bare' : 'pg-migrated');

    open my $lock, '>>', "$cache/pg.lock" or die "$cache/pg.lock: $!\n";
    flock $lock, LOCK_EX;
    $self->make_template($from, $o{bare}) unless -d $from;
    close $lock;

    system('cp', '-a', $from, $self->{data}) == 0 or die "cp failed\n";

    return $self->start;
}


sub own {
    my ($path) = @_;

    chmod 0700, $path;
    chown((getpwnam $user)[2, 3], $path) if $> == 0;
}


sub make_template {
    my ($self, $to, $bare) = @_;
    my $tmp = "$to.tmp";

    system 'rm', '-rf', $tmp;
    mkdir $tmp or die "$tmp: $!\n";
    own($tmp);
    run($self->{dir}, bin('initdb'), '-D', $tmp, '-U', 'postgres', '-A',
        'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync');

    my $data = $self->{data};
    $self->{data} = $tmp;
    $self->start;
    $self->psql('postgres', "create role $_")
        for 'ngxai_owner login createrole', 'ngxai_worker login',
            'ngxai_ledger login', 'ngxai_admin login';
    $self->psql('postgres', 'create database ngxai owner ngxai_owner');
    if (!$bare) {
        my $status = system("AI_POSTGRES_OWNER='"
            . $self->conninfo('ngxai_owner') . "' $self->{root}/build/aictl "
            . "migrate --dir $self->{root}/migrations "
            . "> $self->{dir}/migrate.log 2>&1");
        die 'aictl migrate: ' . slurp("$self->{dir}/migrate.log") if $status;
    }
    $self->stop;
    $self->{data} = $data;
    rename $tmp, $to or die "$to: $!\n";
}


sub start {
    my ($self) = @_;

    # Not durable: a test's Postgres is killed, the machine is not.
    $self->{proc} = AiProc->spawn(name => 'postgres', user => $user,
        cwd => $self->{dir}, out => $self->{log},
        env => { LC_ALL => 'C.UTF-8' },
        cmd => [bin('postgres'), '-D', $self->{data}, '-k', $self->{dir},
            '-c', 'listen_addresses=', '-c', 'fsync=off',
            '-c', 'full_page_writes=off', '-c', 'shared_buffers=16MB',
            '-c', 'log_statement=none']);

    wait_for(sub {
        die 'postgres: ' . slurp($self->{log}) . "\n"
            unless $self->{proc}->alive;
        return 0 unless -S "$self->{dir}/.s.PGSQL.5432";
        return eval { $self->psql('postgres', 'select 1') };
    }, 60, 'postgres');

    return $self;
}


sub pid { $_[0]{proc}->pid }


# Fast shutdown; immediate is how a crash looks.
sub stop { $_[0]{proc}->stop($_[1] || 'INT') }
sub kill9 { $_[0]{proc}->stop('QUIT') }
sub freeze { kill 'STOP', $_[0]->pid, AiProc::children_of($_[0]->pid) }
sub thaw { kill 'CONT', $_[0]->pid, AiProc::children_of($_[0]->pid) }


sub conninfo {
    my ($self, $role, $db) = @_;

    return "host=$self->{dir} dbname=" . ($db || 'ngxai')
        . ' user=' . ($role || 'ngxai_worker');
}


sub psql {
    my ($self, $db, $sql, $role) = @_;
    my $conn = $self->conninfo($role || 'postgres', $db);

    open my $fh, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', 'psql', '-XAtq',
        '-v', 'ON_ERROR_STOP=1', '-F', "\t", '-d', $conn, '-c', $sql
        or die "psql: $!\n";
    local $/;
    my $out = <$fh>;
    close $fh or die "psql: $out\n";
    chomp $out;

    return defined $out && length $out ? $out : '0E0';
}


# Rows of a query as lists; role defaults to the superuser, whom RLS does not
# bind.
sub query {
    my ($self, $sql, $role) = @_;
    my $out = $self->psql('ngxai', $sql, $role);

    return () if $out eq '0E0';
    return map { [split /\t/, $_, -1] } split /\n/, $out;
}


# A connection that stays: ->do(statements) returns when they are done.
sub session {
    my ($self, $role) = @_;
    my $out = "$self->{dir}/session-" . ++$self->{sessions} . '.out';

    open my $fh, '|-', 'sh', '-c', 'exec "$@" > "$0" 2>&1', $out, 'psql',
        '-XAtq', '-d', $self->conninfo($role) or die "psql: $!\n";
    $fh->autoflush(1);

    return bless { fh => $fh, out => $out, n => 0 }, 'AiPg::Session';
}


sub value { my @rows = query(@_); return @rows ? $rows[0][0] : undef }


package AiPg::Session;

use AiProc qw(wait_for slurp);


sub send { my ($self, @sql) = @_; print { $self->{fh} } "$_;\n" for @sql }


# Ends with what holds it; what it had open is rolled back.
sub DESTROY { close $_[0]{fh} if $_[0]{fh} }


# What psql has printed by then.
sub do {
    my ($self, @sql) = @_;
    my $mark = 'done-' . ++$self->{n};

    $self->send(@sql);
    print { $self->{fh} } "\\echo $mark\n";
    wait_for(sub { slurp($self->{out}) =~ /^$mark$/m }, 30, "@sql");
    my ($text) = slurp($self->{out}) =~ /(?:.*^done-\d+\n)?(.*?)^$mark$/ms;

    return $text;
}

1;
