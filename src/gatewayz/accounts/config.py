"""Settings of accounts and keys."""

from decimal import Decimal

from pydantic import BaseModel, Field


class AccountsConfig(BaseModel):
    first_key_credits: Decimal = Field(
        Decimal(10), ge=0, description="US dollars on the first account, made at the first start."
    )
    unknown_key_burst: int = Field(
        200,
        ge=1,
        description="Keys without a checksum that a worker does not know and looks up at once. Keys that this version "
        "makes have one, and are not counted.",
    )
    unknown_key_rate: float = Field(20, gt=0, description="How many of them a second beyond that; others are told 429.")
