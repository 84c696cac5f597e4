"""Settings of the response cache. How long an answer is good for is the entity's: GATEWAYZ_CACHE__TTL__CHAT, and for a
vector GATEWAYZ_CACHE__TTL__EMBED.
"""

from pydantic import BaseModel, Field

from gatewayz.responses.key import Sharing


class ResponsesConfig(BaseModel):
    enabled: bool = Field(
        True, description="Whether answers to chat requests, and vectors, are kept, and shared while they come."
    )
    sharing: Sharing = Field(
        Sharing.ACCOUNT,
        description="Who may read what a request brought: all keys of its account, or its key alone.",
    )
    max_bytes: int = Field(1 << 20, ge=1024, description="Bytes an answer may have to be kept.")
    max_temperature: float = Field(
        1.0, ge=0, description="Requests of a higher temperature are neither looked up nor kept."
    )
    wait: float = Field(
        60.0, gt=0, description="Seconds to wait for the first word of another request's answer before asking alone."
    )
    lease: float = Field(
        3.0, ge=0.5, description="Seconds after which another worker may make the answer that a dead one had begun."
    )
