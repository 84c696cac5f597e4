"""The ledger, what follows from it, and the money that is held for requests to come. Amounts are nano-dollars."""

from alembic import op

revision = "0005"
down_revision = "0004"

_LEDGER = (
    """
    -- Each concerns one account. `reference`: the same one is posted once.
    CREATE TABLE ledger_transactions (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account_id bigint NOT NULL REFERENCES accounts,
        kind       text NOT NULL CHECK (kind IN ('grant', 'adjustment', 'refund', 'allowance', 'expiry', 'fund',
                                                 'release', 'capture')),
        reason     text,
        made_by    text,
        reference  text,
        tranche_id bigint,
        -- of a refund
        request_id text,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE UNIQUE INDEX ledger_transactions_once ON ledger_transactions (reference) WHERE reference IS NOT NULL
    """,
    """
    CREATE INDEX ledger_transactions_account ON ledger_transactions (account_id, id)
    """,
    """
    -- The books of an account, and those of the system, which have none.
    CREATE TABLE ledger_entries (
        transaction_id bigint NOT NULL REFERENCES ledger_transactions,
        account_id     bigint,
        book           text NOT NULL,
        amount         bigint NOT NULL CHECK (amount <> 0),
        PRIMARY KEY (transaction_id, book),
        CHECK (book IN ('purchased', 'allowance', 'held') AND account_id IS NOT NULL
            OR book IN ('grants', 'adjustments', 'refunds', 'allowances', 'expired', 'revenue', 'write_offs')
               AND account_id IS NULL)
    )
    """,
    """
    CREATE TABLE credit_balances (
        account_id bigint PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
        purchased  bigint NOT NULL DEFAULT 0 CHECK (purchased >= 0),
        allowance  bigint NOT NULL DEFAULT 0 CHECK (allowance >= 0),
        held       bigint NOT NULL DEFAULT 0 CHECK (held >= 0)
    )
    """,
    """
    CREATE FUNCTION credits_new_account() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        INSERT INTO credit_balances (account_id) VALUES (NEW.id);
        RETURN NULL;
    END
    $body$
    """,
    """
    CREATE TRIGGER credits_new_account AFTER INSERT ON accounts
    FOR EACH ROW EXECUTE FUNCTION credits_new_account()
    """,
    """
    -- Runs once for each statement that adds entries. A transaction comes whole, in one statement, and sums to zero; so
    -- do all together, always. The balances follow in the same breath, whoever wrote the entries. What looks into
    -- tables that grow is planned anew each time: a plan made while they were small would read all of them.
    CREATE FUNCTION ledger_entries_follow() RETURNS trigger LANGUAGE plpgsql AS $body$
    DECLARE
        transactions bigint[];
        accounts bigint[];
        found bigint;
    BEGIN
        IF EXISTS (SELECT FROM new_rows GROUP BY transaction_id HAVING sum(amount) <> 0) THEN
            RAISE check_violation USING MESSAGE = 'the entries of a ledger transaction must sum to zero';
        END IF;
        SELECT array_agg(DISTINCT transaction_id), coalesce(array_agg(DISTINCT account_id ORDER BY account_id)
               FILTER (WHERE account_id IS NOT NULL), '{}') INTO transactions, accounts FROM new_rows;
        EXECUTE 'SELECT count(*) FROM ledger_entries WHERE transaction_id = ANY($1)' INTO found USING transactions;
        IF found <> (SELECT count(*) FROM new_rows) THEN
            RAISE check_violation USING MESSAGE = 'a ledger transaction takes no further entries';
        END IF;
        EXECUTE 'SELECT count(*) FROM ledger_transactions t JOIN new_rows n ON n.transaction_id = t.id '
                'WHERE t.id = ANY($1) AND n.account_id <> t.account_id' INTO found USING transactions;
        IF found > 0 THEN
            RAISE check_violation USING MESSAGE = 'the entries of a ledger transaction must be of its account';
        END IF;
        EXECUTE 'SELECT FROM credit_balances WHERE account_id = ANY($1) ORDER BY account_id FOR UPDATE' USING accounts;
        EXECUTE
            'UPDATE credit_balances b SET purchased = b.purchased + change.purchased, '
            'allowance = b.allowance + change.allowance, held = b.held + change.held FROM ('
            '    SELECT account_id, '
            '           coalesce(sum(amount) FILTER (WHERE book = ''purchased''), 0)::bigint AS purchased, '
            '           coalesce(sum(amount) FILTER (WHERE book = ''allowance''), 0)::bigint AS allowance, '
            '           coalesce(sum(amount) FILTER (WHERE book = ''held''), 0)::bigint AS held '
            '    FROM new_rows WHERE account_id IS NOT NULL GROUP BY account_id'
            ') change WHERE b.account_id = change.account_id AND b.account_id = ANY($1)' USING accounts;
        GET DIAGNOSTICS found = ROW_COUNT;
        IF found <> cardinality(accounts) THEN
            RAISE foreign_key_violation USING MESSAGE = 'a ledger entry is of an account without a balance';
        END IF;
        RETURN NULL;
    END
    $body$
    """,
    """
    CREATE TRIGGER ledger_entries_follow AFTER INSERT ON ledger_entries REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_follow()
    """,
    """
    CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        RAISE restrict_violation USING
            MESSAGE = 'the ledger is only added to: ' || TG_OP || ' on ' || TG_TABLE_NAME || ' is refused',
            HINT = 'Correct an amount by an adjustment.';
    END
    $body$
    """,
    *(
        f"""
        CREATE TRIGGER ledger_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()
        """
        for table in ("ledger_transactions", "ledger_entries")
    ),
    *(
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER ledger_refuse"
        for table in ("ledger_transactions", "ledger_entries")
    ),
    """
    -- Posts a whole transaction and returns its id; NULL, and nothing is posted, where the reference was posted before.
    -- Amounts of zero are left out.
    CREATE FUNCTION ledger_post(
        account bigint, kind text, books text[], amounts bigint[],
        reason text DEFAULT NULL, made_by text DEFAULT NULL, reference text DEFAULT NULL, tranche bigint DEFAULT NULL,
        request text DEFAULT NULL
    ) RETURNS bigint LANGUAGE plpgsql AS $body$
    DECLARE
        posted bigint;
    BEGIN
        INSERT INTO ledger_transactions AS t (account_id, kind, reason, made_by, reference, tranche_id, request_id)
        VALUES (
            account, ledger_post.kind, ledger_post.reason, ledger_post.made_by, ledger_post.reference, tranche, request
        )
        ON CONFLICT DO NOTHING RETURNING t.id INTO posted;
        IF posted IS NOT NULL THEN
            INSERT INTO ledger_entries (transaction_id, account_id, book, amount)
            SELECT posted, CASE WHEN e.book IN ('purchased', 'allowance', 'held') THEN account END, e.book, e.amount
            FROM unnest(books, amounts) AS e (book, amount) WHERE e.amount <> 0;
        END IF;
        RETURN posted;
    END
    $body$
    """,
    """
    -- Posts one transaction for each account, of the lines that name it: many at once cost little more than one.
    CREATE FUNCTION ledger_post_each(
        kind text, accounts bigint[], books text[], amounts bigint[]
    ) RETURNS void LANGUAGE plpgsql AS $body$
    BEGIN
        WITH lines AS (
            SELECT l.account, l.book, l.amount FROM unnest(accounts, books, amounts) AS l (account, book, amount)
            WHERE l.amount <> 0
        ), posted AS (
            INSERT INTO ledger_transactions AS t (account_id, kind)
            SELECT DISTINCT l.account, ledger_post_each.kind FROM lines l RETURNING t.id, t.account_id
        )
        INSERT INTO ledger_entries (transaction_id, account_id, book, amount)
        SELECT p.id, CASE WHEN l.book IN ('purchased', 'allowance', 'held') THEN l.account END, l.book, l.amount
        FROM lines l JOIN posted p ON p.account_id = l.account;
    END
    $body$
    """,
    """
    -- Adds to what the account purchased. For every feature that gives credits, inside its own transaction.
    CREATE FUNCTION credits_grant(
        account bigint, amount bigint, reason text, made_by text, reference text DEFAULT NULL
    ) RETURNS bigint LANGUAGE plpgsql AS $body$
    BEGIN
        IF amount IS NULL OR amount <= 0 THEN
            RAISE check_violation USING MESSAGE = 'a grant must be more than nothing';
        END IF;
        RETURN ledger_post(
            account, 'grant', ARRAY['purchased', 'grants'], ARRAY[amount, -amount], reason, made_by, reference
        );
    END
    $body$
    """,
)

_TRANCHES = (
    """
    -- What a plan or a trial gave for a time. `remaining`: what of it is in the account's book "allowance".
    CREATE TABLE allowances (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
        source     text NOT NULL CHECK (source IN ('plan', 'trial')),
        starts_at  timestamptz NOT NULL,
        ends_at    timestamptz NOT NULL,
        granted    bigint NOT NULL CHECK (granted > 0),
        remaining  bigint NOT NULL CHECK (remaining BETWEEN 0 AND granted),
        expired_at timestamptz,
        UNIQUE (account_id, source, starts_at),
        CHECK (expired_at IS NULL OR remaining = 0)
    )
    """,
    """
    CREATE INDEX allowances_open ON allowances (ends_at) WHERE expired_at IS NULL
    """,
    """
    -- An amount held for requests to come. `place`: who keeps its purse, `shared` for Redis, else a worker's name.
    CREATE TABLE tranches (
        id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account_id     bigint NOT NULL REFERENCES accounts,
        -- where the key has a budget
        key_id         text,
        place          text NOT NULL,
        from_allowance bigint NOT NULL DEFAULT 0 CHECK (from_allowance >= 0),
        from_purchased bigint NOT NULL DEFAULT 0 CHECK (from_purchased >= 0),
        captured       bigint NOT NULL DEFAULT 0 CHECK (captured >= 0),
        released       bigint NOT NULL DEFAULT 0 CHECK (released >= 0),
        rest           bigint GENERATED ALWAYS AS (from_allowance + from_purchased - captured - released) STORED
                       CHECK (rest >= 0),
        opened_at      timestamptz NOT NULL,
        retired_at     timestamptz,
        closed_at      timestamptz,
        CHECK (closed_at IS NULL OR (retired_at IS NOT NULL AND rest = 0))
    )
    """,
    """
    CREATE INDEX tranches_open ON tranches (account_id) WHERE closed_at IS NULL
    """,
    """
    CREATE INDEX tranches_unretired ON tranches (opened_at) WHERE retired_at IS NULL
    """,
    """
    CREATE INDEX tranches_retired ON tranches (retired_at) WHERE closed_at IS NULL
    """,
    """
    -- From where a tranche was filled, in order. It is spent from the first, and given back from the last. Without
    -- an allowance it came from what was purchased.
    CREATE TABLE tranche_draws (
        tranche_id   bigint NOT NULL REFERENCES tranches,
        number       integer NOT NULL,
        allowance_id bigint REFERENCES allowances,
        amount       bigint NOT NULL CHECK (amount > 0),
        released     bigint NOT NULL DEFAULT 0 CHECK (released BETWEEN 0 AND amount),
        PRIMARY KEY (tranche_id, number)
    )
    """,
)

_CHARGES = (
    """
    -- What each request cost. `charged` is less where the account could not pay it all.
    CREATE TABLE charges (
        request_id        text PRIMARY KEY,
        account_id        bigint NOT NULL REFERENCES accounts,
        key_id            text NOT NULL,
        model             text NOT NULL,
        provider          text NOT NULL,
        native_id         text NOT NULL,
        prompt_tokens     bigint NOT NULL CHECK (prompt_tokens >= 0),
        completion_tokens bigint NOT NULL CHECK (completion_tokens >= 0),
        cached_tokens     bigint NOT NULL CHECK (cached_tokens >= 0),
        cost              bigint NOT NULL CHECK (cost >= 0),
        charged           bigint NOT NULL CHECK (charged BETWEEN 0 AND cost),
        refunded          bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND charged),
        tranche_id        bigint,
        cache_status      text NOT NULL,
        is_stream         boolean NOT NULL,
        -- seconds
        latency           float8 NOT NULL,
        ended_at          timestamptz NOT NULL,
        settled_at        timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE INDEX charges_account ON charges (account_id, ended_at)
    """,
    """
    CREATE TABLE usage_by_day (
        account_id        bigint NOT NULL REFERENCES accounts,
        day               date NOT NULL,
        key_id            text NOT NULL,
        model             text NOT NULL,
        provider          text NOT NULL,
        requests          bigint NOT NULL,
        cache_hits        bigint NOT NULL,
        prompt_tokens     bigint NOT NULL,
        completion_tokens bigint NOT NULL,
        cached_tokens     bigint NOT NULL,
        cost              bigint NOT NULL,
        charged           bigint NOT NULL,
        PRIMARY KEY (account_id, day, key_id, model, provider)
    )
    """,
    """
    CREATE INDEX usage_by_day_key ON usage_by_day (key_id, day)
    """,
)

_OPENING = (
    """
    INSERT INTO credit_balances (account_id) SELECT id FROM accounts
    """,
    """
    SELECT credits_grant(id, credits, 'the balance before there was a ledger', 'migration', 'opening-' || id)
    FROM accounts WHERE credits > 0
    """,
    """
    ALTER TABLE accounts DROP COLUMN credits
    """,
)


def upgrade() -> None:
    for statement in (*_LEDGER, *_TRANCHES, *_CHARGES, *_OPENING):
        op.execute(statement)
