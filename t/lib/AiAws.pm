# What AWS does, of our own: checks a request's signature (SigV4) and frames
# events of a stream.
package AiAws;

use strict;
use warnings;
use Compress::Zlib qw(crc32);
use Digest::SHA qw(sha256_hex hmac_sha256 hmac_sha256_hex);
use Exporter 'import';
use JSON::PP ();

our @EXPORT_OK = qw(unsigned frame event);

my $json = JSON::PP->new->utf8->canonical;


sub encode {
    my ($text) = @_;

    $text =~ s/([^A-Za-z0-9_.~\/-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}


# Why a provider's request is not signed by one of the keys (id => secret) for
# this region and service; empty: it is.
sub unsigned {
    my ($req, $region, $service, %keys) = @_;
    my %h = %{ $req->{headers} };

    my ($id, $scope, $signed, $signature) = ($h{authorization} || '')
        =~ m{^AWS4-HMAC-SHA256\ Credential=([^/]+)/([^,]+),\ *
            SignedHeaders=([^,]+),\ *Signature=([0-9a-f]{64})$}x
        or return 'no signature';
    my $secret = $keys{$id} or return "no key $id";
    my ($date) = ($h{'x-amz-date'} || '') =~ /^(\d{8})T\d{6}Z$/
        or return 'no date';
    return "a scope $scope" if $scope ne "$date/$region/$service/aws4_request";

    my @names = split /;/, $signed;
    return "headers in no order: $signed" if "@names" ne "@{[sort @names]}";
    for my $name (qw(host x-amz-date), grep { /^x-amz-/ } keys %h) {
        return "$name is not signed" unless grep { $_ eq $name } @names;
    }
    for my $name (@names) {
        return "$name is signed, but not here" unless defined $h{$name};
    }

    # A path is encoded once more than it is sent.
    my $canonical = join "\n", $req->{method}, encode($req->{path}),
        join('&', sort split /&/, $req->{query} // ''),
        (map { my $v = $h{$_}; $v =~ s/\s+/ /g; "$_:$v" } @names), '',
        $signed, sha256_hex($req->{body});
    my $key = "AWS4$secret";
    $key = hmac_sha256($_, $key) for split m{/}, $scope;
    my $want = hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256',
        $h{'x-amz-date'}, $scope, sha256_hex($canonical)), $key);

    return $want eq $signature ? '' : 'another signature';
}


# A frame of headers (name, value, ...) that are strings.
sub frame {
    my ($payload, @headers) = @_;
    my $headers = '';

    while (my ($name, $value) = splice @headers, 0, 2) {
        $headers .= pack 'C/a* C n/a*', $name, 7, $value;
    }
    my $text = pack 'NN', 16 + length($headers) + length($payload),
        length $headers;
    $text .= pack('N', crc32($text)) . $headers . $payload;
    return $text . pack 'N', crc32($text);
}


# An event, or an exception.
sub event {
    my ($type, $data) = @_;
    my $kind = $type =~ /Exception$/ ? 'exception' : 'event';

    return frame($json->encode($data), ":$kind-type" => $type,
        ':content-type' => 'application/json', ':message-type' => $kind);
}

1;
