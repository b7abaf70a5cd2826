#!/usr/bin/perl
# tokens.pl DIR N: what bench/run.sh needs for signed tokens, in DIR: jwks.json
# with the public half of jwt.pem and a secret, jwt.one (RS256), and jwt.each, N
# of one length (HS256).

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use JSON::PP;
use MIME::Base64 qw(encode_base64url);

my ($dir, $n) = @ARGV;
die "usage: tokens.pl DIR N\n" unless $n;

my $json = JSON::PP->new->canonical;
my $secret = join '', map { chr int rand 256 } 1 .. 32;

sub put {
    my ($name, @lines) = @_;
    open my $f, '>', "$dir/$name" or die "$name: $!\n";
    print {$f} map { "$_\n" } @lines;
    close $f or die "$name: $!\n";
    return;
}

sub part { return encode_base64url($json->encode($_[0])) }

sub claims {
    my ($id) = @_;
    return part({ iss => 'https://bench.example', aud => 'ngx-ai',
        sub => 'user', tenant => 'demo', roles => ['member'],
        scope => 'completions', iat => time, exp => time + 36_000,
        jti => sprintf '%08d', $id });
}

my ($modulus) = `openssl rsa -in $dir/jwt.pem -noout -modulus` =~ /=([0-9A-F]+)/
    or die "no modulus\n";

put('jwks.json', $json->encode({ keys => [
    { kty => 'RSA', kid => 'rsa', alg => 'RS256', use => 'sig', e => 'AQAB',
      n => encode_base64url(pack 'H*', $modulus) },
    { kty => 'oct', kid => 'oct', alg => 'HS256', use => 'sig',
      k => encode_base64url($secret) } ] }));

my $text = part({ alg => 'RS256', kid => 'rsa', typ => 'JWT' }) . '.' . claims(0);
put('jwt.text', $text);
truncate "$dir/jwt.text", length $text or die "jwt.text: $!\n";
my $signature = `openssl dgst -sha256 -sign $dir/jwt.pem $dir/jwt.text`;
die "no signature\n" if $?;
put('jwt.one', "$text." . encode_base64url($signature));

my $head = part({ alg => 'HS256', kid => 'oct', typ => 'JWT' });
put('jwt.each', map { my $t = "$head." . claims($_);
    "$t." . encode_base64url(hmac_sha256($t, $secret)) } 1 .. $n);
