#!/usr/bin/perl
# Recorded answers of one dialect through the gateway, read by the stock SDK of
# the other: text, calls, finish and usage are those of the recording.
use AiTest;
use AiRecorded;

cmp_ok(AiRecorded::run('translate.mjs', 120), '>=', 40, 'all pairs are tried');

done_testing();
