"""Settings of the database."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, SecretStr


def _postgresql(url: SecretStr) -> SecretStr:
    if urlsplit(url.get_secret_value()).scheme not in ("postgresql", "postgres"):
        raise ValueError("must be a URL such as postgresql://user:password@host/database")
    return url


class StorageConfig(BaseModel):
    database_url: Annotated[SecretStr, AfterValidator(_postgresql)] | None = Field(
        None, description="PostgreSQL URL. Unset: the gateway starts a PostgreSQL of its own in the data directory."
    )
    pool_size: int = Field(10, ge=1, le=500, description="Connections each worker may hold.")
    connect_timeout: float = Field(5.0, gt=0, description="Seconds to wait for a new connection.")
    command_timeout: float = Field(30.0, gt=0, description="Seconds one statement may take.")
