# Tokens and the keys that verify them, made in the test: HS* by Perl's own
# Digest::SHA, all else by the openssl command.
#
#   my $key = AiJwt->new(alg => 'RS256', kid => 'one');
#   my $token = $key->token({ iss => 'x', sub => 'me', exp => time + 60 });
#   AiJwt::write_jwks($path, $key, $other);
package AiJwt;

use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 hmac_sha384 hmac_sha512);
use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

our $json = JSON::PP->new->canonical->utf8;

my $dir = File::Temp->newdir('ai-jwt-XXXXXX', TMPDIR => 1);
my $n = 0;

my %curves = (ES256 => ['P-256', 32], ES384 => ['P-384', 48],
    ES512 => ['P-521', 66]);


# alg, kid (undef: none), secret (of HS*), bits (of RSA); from: another key,
# whose private key it shares; jwk: what its JWK has besides.
sub new {
    my ($class, %o) = @_;
    my $self = bless { alg => 'HS256', jwk => {}, %o }, $class;

    $self->{kid} = 'key' . ++$n unless exists $o{kid};
    if ($self->{alg} =~ /^HS/) {
        $self->{secret} = join '', map { chr(33 + int rand 90) } 1 .. 64
            unless defined $o{secret};
        return $self;
    }
    if ($o{from}) {
        $self->{pem} = $o{from}{pem};
        return $self;
    }

    $self->{pem} = "$dir/" . ++$n . '.pem';
    my @type = $self->{alg} =~ /^[RP]S/
        ? ('RSA', '-pkeyopt', 'rsa_keygen_bits:' . ($o{bits} || 2048))
        : $self->{alg} eq 'EdDSA' ? ('ED25519')
        : ('EC', '-pkeyopt', "ec_paramgen_curve:$curves{$self->{alg}}[0]");
    openssl(undef, 'genpkey', '-quiet', '-algorithm', @type, '-out', $self->{pem});

    return $self;
}


# What the command prints, given this on its standard input.
sub openssl {
    my ($in, @cmd) = @_;
    my $file = "$dir/in";

    @cmd = grep { $_ ne '-quiet' } @cmd;
    open my $fh, '>:raw', $file or die "$file: $!\n";
    print $fh defined $in ? $in : '';
    close $fh;
    open my $out, '-|', join(' ', map { quotemeta } 'openssl', @cmd)
        . " < \Q$file\E 2>\Q$dir\E/err" or die "openssl: $!\n";
    binmode $out;
    local $/;
    my $text = <$out>;
    close $out or die "openssl @cmd: " . do { open my $e, '<', "$dir/err"; <$e> };

    return $text;
}


# Its public part, as PEM or DER.
sub public {
    my ($self, $form) = @_;

    return openssl(undef, 'pkey', '-in', $self->{pem}, '-pubout', '-outform',
        $form || 'PEM');
}


sub jwk {
    my ($self) = @_;
    my %jwk = (alg => $self->{alg}, use => 'sig',
        defined $self->{kid} ? (kid => $self->{kid}) : ());

    if ($self->{alg} =~ /^HS/) {
        @jwk{qw(kty k)} = ('oct', encode_base64url($self->{secret}));
    } elsif ($self->{alg} =~ /^[RP]S/) {
        my ($hex) = openssl(undef, 'rsa', '-in', $self->{pem}, '-noout',
            '-modulus') =~ /=([0-9A-F]+)/;
        @jwk{qw(kty n e)} = ('RSA', encode_base64url(pack 'H*', $hex), 'AQAB');
    } elsif ($self->{alg} eq 'EdDSA') {
        @jwk{qw(kty crv x)} = ('OKP', 'Ed25519',
            encode_base64url(substr $self->public('DER'), -32));
    } else {
        my ($curve, $size) = @{ $curves{ $self->{alg} } };
        my $point = substr $self->public('DER'), -2 * $size;
        @jwk{qw(kty crv x y)} = ('EC', $curve,
            map { encode_base64url($_) } unpack "a$size a$size", $point);
    }

    %jwk = (%jwk, %{ $self->{jwk} });
    delete $jwk{$_} for grep { !defined $jwk{$_} } keys %jwk;
    return \%jwk;
}


sub jwks { return $json->encode({ keys => [map { ref eq 'HASH' ? $_ : $_->jwk } @_] }) }


# Put in the place of what is there, as an administrator should.
sub write_jwks {
    my ($path, @keys) = @_;

    write_file($path, jwks(@keys));
}


sub write_file {
    my ($path, $text) = @_;

    open my $fh, '>:raw', "$path.new" or die "$path.new: $!\n";
    print $fh $text;
    close $fh;
    rename "$path.new", $path or die "$path: $!\n";
}


# The raw signature of an input.
sub sign {
    my ($self, $input) = @_;
    my $alg = $self->{alg};
    my ($bits) = $alg =~ /(\d+)$/;

    return ($bits == 256 ? \&hmac_sha256 : $bits == 384 ? \&hmac_sha384
        : \&hmac_sha512)->($input, $self->{secret}) if $alg =~ /^HS/;

    if ($alg eq 'EdDSA') {
        my $file = "$dir/message";
        open my $fh, '>:raw', $file or die "$file: $!\n";
        print $fh $input;
        close $fh;
        return openssl(undef, 'pkeyutl', '-sign', '-rawin', '-in', $file,
            '-inkey', $self->{pem});
    }

    my $sig = openssl($input, 'dgst', "-sha$bits", '-sign', $self->{pem},
        '-binary', $alg =~ /^PS/ ? ('-sigopt', 'rsa_padding_mode:pss',
            '-sigopt', 'rsa_pss_saltlen:digest') : ());
    return $sig if $alg !~ /^ES/;

    # SEQUENCE of two INTEGERs, into two numbers of one length.
    my $size = $curves{$alg}[1];
    $sig =~ s/^\x30(?:\x81.|.)//s;
    my $raw = '';
    for (1, 2) {
        my $len = ord substr $sig, 1, 1;
        my $int = substr $sig, 2, $len;
        substr($sig, 0, 2 + $len) = '';
        $int =~ s/^\0+//;
        $raw .= ("\0" x ($size - length $int)) . $int;
    }
    return $raw;
}


# claims: a hash, or the payload's text.  header: members besides (undef: not
# that one), or its text.
sub token {
    my ($self, $claims, $header) = @_;
    my %header = (alg => $self->{alg}, typ => 'JWT',
        defined $self->{kid} ? (kid => $self->{kid}) : (),
        ref $header ? %$header : ());
    delete $header{$_} for grep { !defined $header{$_} } keys %header;
    my $input = encode_base64url(ref $header || !defined $header
            ? $json->encode(\%header) : $header)
        . '.' . encode_base64url(ref $claims ? $json->encode($claims) : $claims);

    return "$input." . encode_base64url($self->sign($input));
}


1;
