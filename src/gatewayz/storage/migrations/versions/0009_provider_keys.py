"""Keys that accounts have at providers themselves, sealed; and which requests they have paid for."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = (
    """
    CREATE TABLE provider_keys (
        account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
        provider   text NOT NULL,
        -- another one with each key, so that what is known of a former one does not count for it
        id         text NOT NULL UNIQUE,
        last_four  text NOT NULL,
        -- which secret of the installation opens `sealed`
        sealed_by  text NOT NULL,
        -- a nonce and what AES-256-GCM made of the key, bound to account_id and provider
        sealed     bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (account_id, provider)
    )
    """,
    """
    -- The provider's bill goes to the account itself: such a request costs nothing here.
    ALTER TABLE charges ADD COLUMN is_own_key boolean NOT NULL DEFAULT false
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
