"""Settings of idempotent requests."""

from pydantic import BaseModel, Field


class IdempotencyConfig(BaseModel):
    keep: float = Field(86_400, ge=60, description="Seconds for which the answer to an Idempotency-Key is kept.")
    max_answer_bytes: int = Field(
        8 * 1024 * 1024, ge=0, description="Bytes of an answer that is kept; a larger one is only given once."
    )
