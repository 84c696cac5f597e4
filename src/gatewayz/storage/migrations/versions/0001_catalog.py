"""Providers, their models and prices, and the models that are the same over all of them."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE providers (
        slug       text PRIMARY KEY,
        name       text NOT NULL,
        source     text NOT NULL CHECK (source IN ('offline', 'live')),
        -- the last accepted list that changed anything
        changed_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    -- One row is one offer: a model as one provider sells it.
    CREATE TABLE models (
        id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        provider             text NOT NULL REFERENCES providers ON DELETE CASCADE,
        native_id            text NOT NULL,
        public_id            text NOT NULL,
        name                 text NOT NULL,
        created              bigint,
        description          text NOT NULL DEFAULT '',
        context_length       bigint CHECK (context_length > 0),
        max_output_tokens    bigint CHECK (max_output_tokens > 0),
        input_modalities     text[] NOT NULL DEFAULT '{}',
        output_modalities    text[] NOT NULL DEFAULT '{}',
        tokenizer            text,
        supported_parameters text[] NOT NULL DEFAULT '{}',
        tools                boolean,
        vision               boolean,
        streaming            boolean,
        json                 boolean,
        reasoning            boolean,
        prompt_caching       boolean,
        is_free              boolean NOT NULL DEFAULT false,
        is_active            boolean NOT NULL DEFAULT true,
        -- how many accepted lists in a row lacked it
        missing_count        smallint NOT NULL DEFAULT 0,
        content_hash         bytea NOT NULL,
        updated_at           timestamptz NOT NULL DEFAULT now(),
        UNIQUE (provider, native_id)
    )
    """,
    """
    CREATE INDEX models_public_id ON models (public_id)
    """,
    """
    CREATE INDEX models_native_id ON models (lower(native_id))
    """,
    """
    -- US dollars per token (image, request: per piece). NULL is unknown, zero is free.
    CREATE TABLE pricing (
        model_id          bigint PRIMARY KEY REFERENCES models ON DELETE CASCADE,
        prompt            numeric CHECK (prompt >= 0),
        completion        numeric CHECK (completion >= 0),
        input_cache_read  numeric CHECK (input_cache_read >= 0),
        input_cache_write numeric CHECK (input_cache_write >= 0),
        image             numeric CHECK (image >= 0),
        request           numeric CHECK (request >= 0)
    )
    """,
    """
    CREATE TABLE unique_models (
        id   text PRIMARY KEY,
        name text NOT NULL
    )
    """,
    """
    CREATE TABLE unique_model_offers (
        model_id        bigint PRIMARY KEY REFERENCES models ON DELETE CASCADE,
        unique_model_id text NOT NULL REFERENCES unique_models ON DELETE CASCADE
    )
    """,
    """
    CREATE INDEX unique_model_offers_unique ON unique_model_offers (unique_model_id)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
