# What the test of a provider's dialect shares with the others: its faults, as
# both clients see them, and a turn of tools through the stock SDKs.
package AiDialect;

use strict;
use warnings;
use AiTest;

my %openai = (400 => 'invalid_request_error', 401 => 'authentication_error',
    403 => 'permission_error', 404 => 'invalid_request_error',
    408 => 'invalid_request_error', 413 => 'invalid_request_error',
    429 => 'rate_limit_error', 500 => 'server_error', 503 => 'server_error',
    529 => 'server_error');
my %anthropic = (400 => 'invalid_request_error',
    401 => 'authentication_error', 403 => 'permission_error',
    404 => 'not_found_error', 408 => 'invalid_request_error',
    413 => 'request_too_large', 429 => 'rate_limit_error', 500 => 'api_error',
    503 => 'overloaded_error', 529 => 'overloaded_error');


# In a provider's script: does what the model's name says and is true, or it
# is no fault.  error => what it says of a status, type => of its streams,
# first => their first bytes, inside => an error in one.
sub fault {
    my ($req, $out, %o) = @_;
    my $model = ref $req->{json} ? $req->{json}{model} : '';
    my $stream = $req->{json}{stream};

    if ($model =~ /^status(\d+)(r?)$/) {
        $out->answer($1, $o{error}->("no \"$1\""),
            ($2 ? ('Retry-After' => 7) : ()));
    } elsif ($model eq 'html') {
        $out->answer(200, '<html>hello</html>',
            'Content-Type' => 'text/html');
    } elsif ($model eq 'gateway') {
        $out->answer(502, '<html>Bad Gateway</html>',
            'Content-Type' => 'text/html');
    } elsif ($model eq 'garbage') {
        $out->answer(200, "\x{1}garbage\n\n{", 'Content-Type' => $stream
            ? $o{type} : 'application/json');
    } elsif ($model eq 'empty') {
        $out->answer(200, '', 'Content-Type' => $stream ? $o{type}
            : 'application/json');
    } elsif ($model eq 'silent') {
        $out->stall;
    } elsif ($model eq 'hangup') {
        $out->cut;
    } elsif ($model =~ /^(?:inside|broken|ends|cut|reset|stalls)$/) {
        $out->head(200, 'Content-Type' => $o{type});
        $out->chunk($o{first});
        $out->wait(0.3);
        $out->chunk($o{inside}) if $model eq 'inside';
        $out->chunk("garbage\n\ndata: {\n\n") if $model eq 'broken';
        $out->stall if $model eq 'stalls';
        return $out->cut($model eq 'reset') || 1 if $model =~ /^(?:cut|reset)$/;
        $out->end;
    } else {
        return 0;
    }
    return 1;
}


# The table: $name is the provider's, whose timeouts are short.
sub faults {
    my ($t, $name) = @_;
    my @client = (['OpenAI', '/v1/chat/completions', \%openai],
        ['Anthropic', '/v1/messages', \%anthropic]);

    for (@client) {
        my ($who, $path, $types) = @$_;
        my %ask = (messages => [{ role => 'user', content => 'x' }],
            max_tokens => 5);

        for my $how ('400', '401', '403', '404', '408', '413', '429', '429r',
                     '500', '503', '503r', '529') {
            my ($status) = $how =~ /(\d+)/;
            for my $stream (0, 1) {
                my $what = "$who: $how, " . ($stream ? 'stream' : 'object');
                my $res = $t->post($path, { model => "$name/status$how", %ask,
                    ($stream ? (stream => JSON::PP::true) : ()) });
                is($res->status, $status, "$what: passes");
                my $e = $res->json->{error};
                is($e->{message}, "no \"$status\"", "$what: its words");
                is($e->{type}, $types->{$status}, "$what: as its type");
                is($res->header('retry-after'), $how =~ /r$/ ? 7 : undef,
                    "$what: when to come back");
            }
        }

        # What is no answer at all.
        for (['html', 502], ['garbage', 502], ['empty', 502],
             ['gateway', 502], ['silent', 504], ['hangup', 502]) {
            my ($how, $status) = @$_;
            for my $stream (0, 1) {
                my $what = "$who: $how, " . ($stream ? 'stream' : 'object');
                my $res = $t->post($path, { model => "$name/$how", %ask,
                    ($stream ? (stream => JSON::PP::true) : ()) });
                is($res->status, $status, "$what: is an error");
                ok(length $res->json->{error}{message}, "$what: in shape");
            }
        }

        # A stream that began, and so it ends well formed.
        for my $how (qw(inside broken ends cut reset stalls)) {
            my $s = $t->stream($path, { model => "$name/$how", %ask,
                stream => JSON::PP::true });
            is($s->head->status, 200, "$who: $how: begins");
            my @e = map { decode_json($_->{data}) } $s->events;
            my @errors = grep { $_->{error} } @e;
            is(@errors, 1, "$who: $how: one error");
            ok($e[-1]{error}, "$who: $how: is its end");
            is($e[-1]{error}{message}, 'it broke', "$who: $how: its words")
                if $how eq 'inside';
            my $text = join '', map { $who eq 'OpenAI'
                ? $_->{choices}[0]{delta}{content} // ''
                : $_->{delta}{text} // '' } @e;
            is($text, 'some', "$who: $how: what it said stays said");
            $s->close;
        }
    }
}


# The SDKs' turn of tools; what => { text, model, input, output }.
sub sdk {
    my ($t, $model, $what) = @_;
    my $node = (glob("$AiTest::root/t/node/node_modules/node-linux-*/bin/node")
        )[0];

    if (!$node) {
        diag('SKIPPED: no SDKs: run npm ci in t/node');
        return;
    }
    open my $out, '-|', $node, "$AiTest::root/t/node/dialect.mjs",
        'http://127.0.0.1:' . $t->edge->port, $t->{key}, $model,
        encode_json($what) or die;
    my $said = 0;
    while (<$out>) {
        if (/^(not )?ok \d+ - (.*)/) {
            my ($bad, $name) = ($1, $2);
            ok(!$bad, $name);
            diag($name) if $name =~ /tried/;
            $said++;
        } elsif (/^# (.*)/) {
            diag($1);
        }
    }
    close $out;
    is($?, 0, 'the SDKs ended well');
    cmp_ok($said, '>=', 38, 'and tried all');
}

1;
