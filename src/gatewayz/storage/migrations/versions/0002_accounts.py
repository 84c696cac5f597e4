"""Accounts and API keys in their first form."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
    CREATE TABLE accounts (
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        username    text NOT NULL UNIQUE,
        -- prepaid, in nano-dollars
        credits     bigint NOT NULL DEFAULT 0 CHECK (credits >= 0),
        is_active   boolean NOT NULL DEFAULT true,
        created_at  timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    -- The key itself is never stored: a keyed digest finds it, the last four characters name it to people.
    CREATE TABLE api_keys (
        id          text PRIMARY KEY,
        account_id  bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
        name        text NOT NULL,
        digest      text NOT NULL UNIQUE,
        last_four   text NOT NULL CHECK (length(last_four) = 4),
        scopes      text[] NOT NULL DEFAULT '{inference}',
        created_at  timestamptz NOT NULL DEFAULT now(),
        expires_at  timestamptz,
        revoked_at  timestamptz
    )
    """,
    """
    CREATE INDEX api_keys_account ON api_keys (account_id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
