"""Requests that are to run once, and the answers that they were given."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = (
    """
    CREATE TABLE idempotent_requests (
        key_id        text NOT NULL REFERENCES api_keys ON DELETE CASCADE,
        -- the caller's own
        name          text NOT NULL,
        fingerprint   bytea NOT NULL,
        -- under which it is charged, whoever runs it
        generation    text NOT NULL,
        token         text NOT NULL,
        claimed_until timestamptz NOT NULL,
        expires_at    timestamptz NOT NULL,
        content_type  text,
        -- NULL: not answered yet
        body          bytea,
        PRIMARY KEY (key_id, name)
    )
    """,
    """
    CREATE INDEX idempotent_requests_expiry ON idempotent_requests (expires_at)
    """,
    """
    CREATE INDEX idempotent_requests_running ON idempotent_requests (token) WHERE body IS NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
