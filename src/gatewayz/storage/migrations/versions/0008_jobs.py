"""Jobs of the fleet, and each of their runs."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = (
    """
    CREATE TABLE jobs (
        name        text PRIMARY KEY,
        description text NOT NULL,
        -- seconds
        every       double precision NOT NULL CHECK (every > 0),
        can_be_dry  boolean NOT NULL,
        -- whether whoever holds the jobs knows it
        is_declared boolean NOT NULL DEFAULT true,
        due_at      timestamptz NOT NULL,
        -- in a row
        failures    integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
        holder      text NOT NULL
    )
    """,
    """
    -- Asked for while began_at is NULL; running while ended_at is.
    CREATE TABLE job_runs (
        id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        job      text NOT NULL REFERENCES jobs ON DELETE CASCADE,
        -- NULL: its time had come
        asked_by text,
        is_dry   boolean NOT NULL DEFAULT false,
        asked_at timestamptz NOT NULL DEFAULT now(),
        holder   text,
        began_at timestamptz,
        -- when its holder last said so
        alive_at timestamptz,
        progress text,
        ended_at timestamptz,
        outcome  text CHECK (outcome IN ('succeeded', 'failed', 'abandoned')),
        result   jsonb,
        reason   text,
        CHECK ((ended_at IS NULL) = (outcome IS NULL))
    )
    """,
    """
    CREATE UNIQUE INDEX job_runs_one_at_once ON job_runs (job) WHERE began_at IS NOT NULL AND ended_at IS NULL
    """,
    """
    CREATE INDEX job_runs_by_job ON job_runs (job, id)
    """,
    """
    CREATE INDEX job_runs_asked ON job_runs (id) WHERE began_at IS NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
