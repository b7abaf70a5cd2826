#!/usr/bin/perl
# Recorded answers of one dialect through the gateway, read by the Vercel AI
# SDK's client of another: text, calls, finish and usage are the recording's.
use AiTest;
use AiRecorded;

cmp_ok(AiRecorded::run('translate-ai.mjs', 24), '>=', 40, 'all pairs are tried');

done_testing();
