"""What changed and which caches have not heard of yet. The triggers that write it are made of declarations: see
storage/triggers.py.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """
    CREATE TABLE cache_outbox (
        id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        xact   xid8 NOT NULL DEFAULT pg_current_xact_id(),
        entity text NOT NULL,
        -- NULL: any key
        keys   text[]
    )
    """,
    """
    -- Finds a transaction's own rows, and keeps a loop of single-row updates from noting the same key again.
    CREATE UNIQUE INDEX cache_outbox_once ON cache_outbox
        (xact, entity, (CASE WHEN keys IS NULL THEN '' WHEN cardinality(keys) = 1 THEN md5(keys[1]) END))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
