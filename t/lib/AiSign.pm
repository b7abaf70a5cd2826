# What edges and workers add to a spec, a catalog, a principal and a JWKS,
# written anew after docs/wire.md.
package AiSign;

use strict;
use warnings;
use Digest::SHA qw(sha256_hex hmac_sha256_hex);


# A file of keys, mode 0600; its path.
sub file {
    my ($path, @keys) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    chmod 0600, $path;
    print $fh map { "$_\n" } @keys;
    close $fh;

    return $path;
}


# The spec with the hash of its body and a signature.
sub spec {
    my ($key, $spec, $body) = @_;

    $spec .= "digest 64\n" . sha256_hex($body) . "\n";
    return $spec . "mac 64\n" . hmac_sha256_hex("ngx-ai job 1\n$spec", $key)
        . "\n";
}


sub catalog {
    my ($key, $text) = @_;

    return "$text\n" . hmac_sha256_hex("ngx-ai catalog 1\n"
        . sha256_hex($text), $key);
}


# The field mac of a principal (a key's SHA-256, or a tenant).
sub principal {
    my ($key, $name, $f) = @_;
    my @v = map { defined $f->{$_} ? $f->{$_} : '' } qw(v state id tenant
        tenant_state weight plan user role scopes models expires networks);

    return hmac_sha256_hex("ngx-ai principal 1\n$name"
        . join('', map { ' ' . length } @v) . "\n" . join('', @v), $key);
}


sub jwks {
    my ($key, $url, $text) = @_;

    return "$text\n" . hmac_sha256_hex("ngx-ai jwks 1\n" . sha256_hex($url)
        . $text, $key);
}

1;
