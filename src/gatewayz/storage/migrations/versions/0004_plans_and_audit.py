"""Plans, trials and limits; what a key may do; who changed what.

Limits are JSON objects such as {"requests_per_minute": 600, "concurrent": 20}. In an account's own limits null lifts
the plan's limit of that name.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    """
    CREATE FUNCTION are_limits(limits jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
        SELECT CASE WHEN jsonb_typeof(limits) = 'object' THEN NOT EXISTS (
            SELECT FROM jsonb_each(limits) AS l
            WHERE l.key !~ '^((requests|tokens)_per_(minute|hour|day)|concurrent)$'
               OR CASE jsonb_typeof(l.value)
                  WHEN 'null' THEN false
                  WHEN 'number' THEN l.value::numeric NOT BETWEEN 1 AND 1e15 OR l.value::numeric % 1 <> 0
                  ELSE true END
        ) ELSE false END
    $body$
    """,
    """
    CREATE TABLE plans (
        id             text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
        name           text NOT NULL,
        -- included each month, in nano-dollars
        allowance_nano bigint NOT NULL DEFAULT 0 CHECK (allowance_nano >= 0),
        -- of each account that has the plan
        limits         jsonb NOT NULL DEFAULT '{}' CHECK (are_limits(limits)),
        created_at     timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    -- plan_id holds until plan_ends_at, next_plan_id from then on. Of an identity's subject a keyed digest is kept.
    ALTER TABLE accounts
        ADD COLUMN plan_id         text REFERENCES plans,
        ADD COLUMN plan_ends_at    timestamptz,
        ADD COLUMN next_plan_id    text REFERENCES plans,
        ADD COLUMN limits          jsonb NOT NULL DEFAULT '{}' CHECK (are_limits(limits)),
        ADD COLUMN identity_issuer text,
        ADD COLUMN identity_digest text,
        ADD COLUMN identity        text GENERATED ALWAYS AS (identity_issuer || ':' || identity_digest) STORED UNIQUE,
        ADD CHECK ((identity_issuer IS NULL) = (identity_digest IS NULL)),
        ADD CHECK (plan_ends_at IS NULL OR plan_id IS NOT NULL),
        ADD CHECK (next_plan_id IS NULL OR plan_ends_at IS NOT NULL)
    """,
    """
    CREATE INDEX accounts_plan ON accounts (plan_id)
    """,
    """
    CREATE TABLE trials (
        account_id     bigint PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
        allowance_nano bigint NOT NULL CHECK (allowance_nano > 0),
        started_at     timestamptz NOT NULL DEFAULT now(),
        ends_at        timestamptz NOT NULL,
        CHECK (ends_at > started_at)
    )
    """,
    """
    -- Empty models or networks: any. The former secret of a rotated key is good until former_expires_at.
    ALTER TABLE api_keys
        ADD COLUMN environment         text NOT NULL DEFAULT 'live' CHECK (environment IN ('live', 'test')),
        ADD COLUMN models              text[] NOT NULL DEFAULT '{}',
        ADD COLUMN networks            cidr[] NOT NULL DEFAULT '{}',
        ADD COLUMN limits              jsonb NOT NULL DEFAULT '{}' CHECK (are_limits(limits)),
        ADD COLUMN budget_nano         bigint CHECK (budget_nano > 0),
        ADD COLUMN budget_period       text NOT NULL DEFAULT 'total' CHECK (budget_period IN ('total', 'day', 'month')),
        ADD COLUMN pays_unknown_prices boolean NOT NULL DEFAULT false,
        ADD COLUMN former_digest       text UNIQUE,
        ADD COLUMN former_expires_at   timestamptz,
        ADD CHECK ((former_digest IS NULL) = (former_expires_at IS NULL))
    """,
    """
    -- Who did what to what. `actor`: the id of an admin's key, or 'cli'. `before`, `after`: what differs, no secrets.
    CREATE TABLE audit_log (
        id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at     timestamptz NOT NULL DEFAULT now(),
        actor  text NOT NULL,
        action text NOT NULL,
        target text NOT NULL,
        before jsonb NOT NULL DEFAULT '{}',
        after  jsonb NOT NULL DEFAULT '{}',
        reason text
    )
    """,
    """
    CREATE INDEX audit_log_target ON audit_log (target, id)
    """,
    """
    CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        RAISE restrict_violation USING MESSAGE = 'the audit log is only added to: ' || TG_OP || ' is refused';
    END
    $body$
    """,
    """
    CREATE TRIGGER audit_log_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()
    """,
    """
    ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_refuse
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
