-- Conversations and their items, of one tenant each: what a response goes on
-- with, and what is added when it ends.

SET LOCAL ROLE ngxai_owner;

-- job: the response under way, which alone may add what it says; it is let go
-- when that is added, or taken over where Redis says that the job has ended.
-- items, bytes: sums over the items; tip: the last place that was given.
CREATE TABLE ngxai.conversations (
    tenant     text NOT NULL,
    id         text NOT NULL CHECK (id ~ '^[A-Za-z0-9_-]{1,128}$'),
    owner      text NOT NULL DEFAULT '',
    metadata   text NOT NULL DEFAULT '{}',
    items      integer NOT NULL DEFAULT 0 CHECK (items >= 0),
    bytes      bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    tip        bigint NOT NULL DEFAULT 0,
    job        text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (tenant, id)
);

-- job: what put it there, so that a repeat finds that it was.
CREATE TABLE ngxai.conversation_items (
    tenant       text NOT NULL,
    conversation text NOT NULL,
    place        bigint NOT NULL,
    id           text NOT NULL CHECK (id ~ '^[A-Za-z0-9_-]{1,128}$'),
    job          text NOT NULL,
    item         text NOT NULL,
    PRIMARY KEY (tenant, conversation, place),
    UNIQUE (tenant, conversation, id),
    FOREIGN KEY (tenant, conversation)
        REFERENCES ngxai.conversations (tenant, id) ON DELETE CASCADE
);

CREATE INDEX conversation_items_job
    ON ngxai.conversation_items (tenant, conversation, job);

ALTER TABLE ngxai.conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.conversations FORCE ROW LEVEL SECURITY;
ALTER TABLE ngxai.conversation_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE ngxai.conversation_items FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON ngxai.conversations TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''))
    WITH CHECK (tenant
                = nullif(current_setting('app.current_tenant_id', true), ''));
CREATE POLICY admin ON ngxai.conversations TO ngxai_admin
    USING (true) WITH CHECK (true);
CREATE POLICY tenant ON ngxai.conversation_items TO ngxai_worker
    USING (tenant = nullif(current_setting('app.current_tenant_id', true), ''))
    WITH CHECK (tenant
                = nullif(current_setting('app.current_tenant_id', true), ''));
CREATE POLICY admin ON ngxai.conversation_items TO ngxai_admin
    USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON ngxai.conversations, ngxai.conversation_items TO ngxai_worker;
GRANT SELECT, DELETE
    ON ngxai.conversations, ngxai.conversation_items TO ngxai_admin;

-- All that follows reads and writes as its caller, whom the policies bind to
-- the tenant; owner: only what is this user's, empty: all of the tenant.  Words
-- say how it went; no row: there is no such conversation.

-- Items behind those that are there; its callers hold the conversation's row.
CREATE FUNCTION ngxai.conversation_put(
    tenant text, id text, job text, ids text[], items text[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ngxai.conversation_items (tenant, conversation, place, id,
                                          job, item)
    SELECT c.tenant, c.id, c.tip + n.n, n.id, conversation_put.job, n.item
      FROM ngxai.conversations c,
           unnest(conversation_put.ids, conversation_put.items)
               WITH ORDINALITY AS n(id, item, n)
     WHERE c.tenant = conversation_put.tenant AND c.id = conversation_put.id;

    UPDATE ngxai.conversations c
       SET tip = c.tip + cardinality(conversation_put.ids),
           items = c.items + cardinality(conversation_put.ids),
           bytes = c.bytes + (SELECT coalesce(sum(octet_length(i)), 0)
                                FROM unnest(conversation_put.items) i)
     WHERE c.tenant = conversation_put.tenant AND c.id = conversation_put.id;
END
$$;

-- ok and its time, full (the tenant has so many).  A repeat is ok.
CREATE FUNCTION ngxai.conversation_make(
    tenant text, owner text, id text, metadata text, most integer,
    ids text[], items text[])
RETURNS TABLE (word text, created bigint)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', conversation_make.tenant,
                       true);

    PERFORM 1 FROM ngxai.conversations c
      WHERE c.tenant = conversation_make.tenant
        AND c.id <> conversation_make.id
     OFFSET conversation_make.most - 1 LIMIT 1;

    IF FOUND THEN
        RETURN QUERY SELECT 'full', 0::bigint;
        RETURN;
    END IF;

    INSERT INTO ngxai.conversations (tenant, id, owner, metadata)
    VALUES (conversation_make.tenant, conversation_make.id,
            conversation_make.owner, conversation_make.metadata)
    ON CONFLICT ON CONSTRAINT conversations_pkey DO NOTHING;

    IF FOUND THEN
        PERFORM ngxai.conversation_put(
            conversation_make.tenant, conversation_make.id,
            conversation_make.id, conversation_make.ids,
            conversation_make.items);
    END IF;

    RETURN QUERY
    SELECT 'ok', extract(epoch FROM c.created_at)::bigint
      FROM ngxai.conversations c
     WHERE c.tenant = conversation_make.tenant
       AND c.id = conversation_make.id;
END
$$;

-- metadata NULL: as it is.
CREATE FUNCTION ngxai.conversation_get(
    tenant text, owner text, id text, metadata text)
RETURNS TABLE (kept text, created bigint)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', conversation_get.tenant,
                       true);

    IF conversation_get.metadata IS NOT NULL THEN
        UPDATE ngxai.conversations c SET metadata = conversation_get.metadata
         WHERE c.tenant = conversation_get.tenant
           AND c.id = conversation_get.id
           AND (conversation_get.owner = ''
                OR c.owner = conversation_get.owner);
    END IF;

    RETURN QUERY
    SELECT c.metadata, extract(epoch FROM c.created_at)::bigint
      FROM ngxai.conversations c
     WHERE c.tenant = conversation_get.tenant AND c.id = conversation_get.id
       AND (conversation_get.owner = '' OR c.owner = conversation_get.owner);
END
$$;

CREATE FUNCTION ngxai.conversation_drop(tenant text, owner text, id text)
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n integer;
BEGIN
    PERFORM set_config('app.current_tenant_id', conversation_drop.tenant,
                       true);

    DELETE FROM ngxai.conversations c
     WHERE c.tenant = conversation_drop.tenant
       AND c.id = conversation_drop.id
       AND (conversation_drop.owner = '' OR c.owner = conversation_drop.owner);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;

-- ok, full, duplicate and which; no row: missing.
CREATE FUNCTION ngxai.conversation_add(
    tenant text, owner text, id text, job text, most integer,
    most_bytes bigint, ids text[], items text[])
RETURNS TABLE (word text, what text)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    have ngxai.conversations;
    twin text;
BEGIN
    PERFORM set_config('app.current_tenant_id', conversation_add.tenant,
                       true);

    SELECT * INTO have FROM ngxai.conversations c
     WHERE c.tenant = conversation_add.tenant AND c.id = conversation_add.id
       AND (conversation_add.owner = '' OR c.owner = conversation_add.owner)
       FOR UPDATE;

    IF NOT FOUND THEN
        RETURN;
    END IF;

    IF EXISTS (SELECT FROM ngxai.conversation_items i
                WHERE i.tenant = conversation_add.tenant
                  AND i.conversation = conversation_add.id
                  AND i.job = conversation_add.job)
    THEN
        RETURN QUERY SELECT 'ok', NULL::text;
        RETURN;
    END IF;

    SELECT i.id INTO twin FROM ngxai.conversation_items i
     WHERE i.tenant = conversation_add.tenant
       AND i.conversation = conversation_add.id
       AND i.id = ANY (conversation_add.ids) LIMIT 1;

    IF FOUND THEN
        RETURN QUERY SELECT 'duplicate', twin;
        RETURN;
    END IF;

    IF have.items + cardinality(conversation_add.ids) > conversation_add.most
       OR have.bytes + (SELECT coalesce(sum(octet_length(i)), 0)
                          FROM unnest(conversation_add.items) i)
          > conversation_add.most_bytes
    THEN
        RETURN QUERY SELECT 'full', NULL::text;
        RETURN;
    END IF;

    PERFORM ngxai.conversation_put(
        conversation_add.tenant, conversation_add.id, conversation_add.job,
        conversation_add.ids, conversation_add.items);

    RETURN QUERY SELECT 'ok', NULL::text;
END
$$;

-- One more than asked for, where there is one; an empty conversation is one row
-- of NULLs.  past: the id behind which to begin, empty: at the end.
CREATE FUNCTION ngxai.conversation_list(
    tenant text, owner text, id text, past text, rising boolean, most integer)
RETURNS TABLE (item_id text, item text)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mark bigint;
BEGIN
    PERFORM set_config('app.current_tenant_id', conversation_list.tenant,
                       true);

    IF conversation_list.past <> '' THEN
        SELECT i.place INTO mark FROM ngxai.conversation_items i
         WHERE i.tenant = conversation_list.tenant
           AND i.conversation = conversation_list.id
           AND i.id = conversation_list.past;
    END IF;

    RETURN QUERY
    SELECT n.id, n.item
      FROM ngxai.conversations c
      LEFT JOIN LATERAL (
           SELECT i.place, i.id, i.item FROM ngxai.conversation_items i
            WHERE i.tenant = c.tenant AND i.conversation = c.id
              AND (conversation_list.past = ''
                   OR CASE WHEN conversation_list.rising THEN i.place > mark
                           ELSE i.place < mark END)
            ORDER BY CASE WHEN conversation_list.rising THEN i.place
                          ELSE -i.place END
            LIMIT conversation_list.most + 1) n ON true
     WHERE c.tenant = conversation_list.tenant
       AND c.id = conversation_list.id
       AND (conversation_list.owner = '' OR c.owner = conversation_list.owner)
     ORDER BY CASE WHEN conversation_list.rising THEN n.place
                   ELSE -n.place END;
END
$$;

-- An item, which goes where dropped is true; a row without one: it is not
-- there.
CREATE FUNCTION ngxai.conversation_item(
    tenant text, owner text, id text, item text, dropped boolean)
RETURNS TABLE (kept text, created bigint, said text)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    have ngxai.conversations;
    was  text;
BEGIN
    PERFORM set_config('app.current_tenant_id', conversation_item.tenant,
                       true);

    SELECT * INTO have FROM ngxai.conversations c
     WHERE c.tenant = conversation_item.tenant
       AND c.id = conversation_item.id
       AND (conversation_item.owner = '' OR c.owner = conversation_item.owner)
       FOR UPDATE;

    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT i.item INTO was FROM ngxai.conversation_items i
     WHERE i.tenant = conversation_item.tenant
       AND i.conversation = conversation_item.id
       AND i.id = conversation_item.item;

    IF FOUND AND conversation_item.dropped THEN
        DELETE FROM ngxai.conversation_items i
         WHERE i.tenant = conversation_item.tenant
           AND i.conversation = conversation_item.id
           AND i.id = conversation_item.item;

        UPDATE ngxai.conversations c
           SET items = c.items - 1, bytes = c.bytes - octet_length(was)
         WHERE c.tenant = conversation_item.tenant
           AND c.id = conversation_item.id;
    END IF;

    RETURN QUERY
    SELECT have.metadata, extract(epoch FROM have.created_at)::bigint, was;
END
$$;

-- What a response begins with.  kept: it will add to it, so nobody else may
-- until then; ended: the job that held it and has ended, or empty.  held and by
-- whom, full, duplicate and which, done and its stored answer (this job has
-- added already), or ok and then its items, each a row.
CREATE FUNCTION ngxai.conversation_take(
    tenant text, owner text, id text, job text, ended text, kept boolean,
    most integer, most_bytes bigint, ids text[], bytes bigint)
RETURNS TABLE (word text, what text)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    have ngxai.conversations;
    twin text;
BEGIN
    PERFORM set_config('app.current_tenant_id', conversation_take.tenant,
                       true);

    SELECT * INTO have FROM ngxai.conversations c
     WHERE c.tenant = conversation_take.tenant
       AND c.id = conversation_take.id
       AND (conversation_take.owner = '' OR c.owner = conversation_take.owner)
       FOR UPDATE;

    IF NOT FOUND THEN
        RETURN;
    END IF;

    IF conversation_take.kept THEN

        IF EXISTS (SELECT FROM ngxai.conversation_items i
                    WHERE i.tenant = conversation_take.tenant
                      AND i.conversation = conversation_take.id
                      AND i.job = conversation_take.job)
        THEN
            RETURN QUERY
            SELECT 'done', (SELECT r.response FROM ngxai.responses r
                             WHERE r.tenant = conversation_take.tenant
                               AND r.id = 'resp_'
                                   || substr(conversation_take.job, 5));
            RETURN;
        END IF;

        IF have.job <> conversation_take.job
           AND have.job <> conversation_take.ended
        THEN
            RETURN QUERY SELECT 'held', have.job;
            RETURN;
        END IF;

        SELECT i.id INTO twin FROM ngxai.conversation_items i
         WHERE i.tenant = conversation_take.tenant
           AND i.conversation = conversation_take.id
           AND i.id = ANY (conversation_take.ids) LIMIT 1;

        IF FOUND THEN
            RETURN QUERY SELECT 'duplicate', twin;
            RETURN;
        END IF;

        IF have.items + cardinality(conversation_take.ids)
           >= conversation_take.most
           OR have.bytes + conversation_take.bytes
              >= conversation_take.most_bytes
        THEN
            RETURN QUERY SELECT 'full', NULL::text;
            RETURN;
        END IF;

        UPDATE ngxai.conversations c SET job = conversation_take.job
         WHERE c.tenant = conversation_take.tenant
           AND c.id = conversation_take.id;
    END IF;

    RETURN QUERY SELECT 'ok', NULL::text;
    RETURN QUERY
    SELECT 'item', i.item FROM ngxai.conversation_items i
     WHERE i.tenant = conversation_take.tenant
       AND i.conversation = conversation_take.id
     ORDER BY i.place;
END
$$;

-- What a response was asked and said.  ok, also of a repeat; missing: it was
-- deleted meanwhile; taken: another has it, for this job had ended.
CREATE FUNCTION ngxai.conversation_end(
    tenant text, id text, job text, ids text[], items text[])
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    have ngxai.conversations;
BEGIN
    PERFORM set_config('app.current_tenant_id', conversation_end.tenant,
                       true);

    SELECT * INTO have FROM ngxai.conversations c
     WHERE c.tenant = conversation_end.tenant AND c.id = conversation_end.id
       FOR UPDATE;

    IF NOT FOUND THEN
        RETURN 'missing';
    END IF;

    IF EXISTS (SELECT FROM ngxai.conversation_items i
                WHERE i.tenant = conversation_end.tenant
                  AND i.conversation = conversation_end.id
                  AND i.job = conversation_end.job)
    THEN
        RETURN 'ok';
    END IF;

    IF have.job IS DISTINCT FROM conversation_end.job THEN
        RETURN 'taken';
    END IF;

    PERFORM ngxai.conversation_put(
        conversation_end.tenant, conversation_end.id, conversation_end.job,
        conversation_end.ids, conversation_end.items);

    UPDATE ngxai.conversations c SET job = NULL
     WHERE c.tenant = conversation_end.tenant AND c.id = conversation_end.id;

    RETURN 'ok';
END
$$;

REVOKE ALL ON FUNCTION
    ngxai.conversation_put(text, text, text, text[], text[]),
    ngxai.conversation_make(text, text, text, text, integer, text[], text[]),
    ngxai.conversation_get(text, text, text, text),
    ngxai.conversation_drop(text, text, text),
    ngxai.conversation_add(text, text, text, text, integer, bigint, text[],
                           text[]),
    ngxai.conversation_list(text, text, text, text, boolean, integer),
    ngxai.conversation_item(text, text, text, text, boolean),
    ngxai.conversation_take(text, text, text, text, text, boolean, integer,
                            bigint, text[], bigint),
    ngxai.conversation_end(text, text, text, text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    ngxai.conversation_put(text, text, text, text[], text[]),
    ngxai.conversation_make(text, text, text, text, integer, text[], text[]),
    ngxai.conversation_get(text, text, text, text),
    ngxai.conversation_drop(text, text, text),
    ngxai.conversation_add(text, text, text, text, integer, bigint, text[],
                           text[]),
    ngxai.conversation_list(text, text, text, text, boolean, integer),
    ngxai.conversation_item(text, text, text, text, boolean),
    ngxai.conversation_take(text, text, text, text, text, boolean, integer,
                            bigint, text[], bigint),
    ngxai.conversation_end(text, text, text, text[], text[]) TO ngxai_worker;
