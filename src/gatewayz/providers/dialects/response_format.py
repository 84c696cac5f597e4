"""The form that an answer is to have."""

from msgspec import Raw, Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.providers.dialects.asked import ABSENT


class _Named(Struct, frozen=True):
    schema: Raw = ABSENT


class ResponseFormat(Struct, frozen=True):
    """`type`: "text", "json_object" or "json_schema"."""

    type: str
    json_schema: _Named | None = None

    def schema(self) -> Raw | None:
        """The JSON schema as it came, None where any JSON will do. Raises InvalidRequest where one is missing."""
        if self.type == "json_object":
            return None
        found = self.json_schema.schema if self.type == "json_schema" and self.json_schema is not None else ABSENT
        if found == ABSENT:
            raise InvalidRequest(
                "'response_format' has no schema; use {'type': 'json_schema', 'json_schema': {'schema': {…}}}",
                param="response_format",
            )
        return found
