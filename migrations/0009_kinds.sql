-- Tokens by the kinds that cost something else, beside the money charged.

SET LOCAL ROLE ngxai_owner;

-- Without a default, so no row is written; and none is read, for each has NULL.
ALTER TABLE ngxai.ledger
    ADD COLUMN cached_write_1h bigint,
    ADD COLUMN audio_input bigint,
    ADD COLUMN audio_output bigint,
    ADD COLUMN image_input bigint,
    ADD COLUMN image_output bigint,
    ADD CONSTRAINT ledger_kinds_check CHECK (
        cached_write_1h >= 0 AND audio_input >= 0 AND audio_output >= 0
        AND image_input >= 0 AND image_output >= 0) NOT VALID;

COMMENT ON COLUMN ngxai.ledger.cached_write IS
    'tokens, written to a prompt cache for whatever time';
COMMENT ON COLUMN ngxai.ledger.cached_write_1h IS 'of cached_write';
COMMENT ON COLUMN ngxai.ledger.audio_input IS 'of input, as image_input';
COMMENT ON COLUMN ngxai.ledger.audio_output IS
    'of output, as image_output and reasoning';
COMMENT ON COLUMN ngxai.ledger.estimated IS
    'the provider did not say what it took: tokens, and so cost, are a guess';
