# What an edge with ai_redis ... sign=file: adds to a spec and to a catalog,
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

1;
