"""The form that an answer is to have."""

from typing import Any

from msgspec import Struct

from gatewayz.core.errors import InvalidRequest


class _Named(Struct, frozen=True):
    schema: Any = None


class ResponseFormat(Struct, frozen=True):
    """`type`: "text", "json_object" or "json_schema"."""

    type: str
    json_schema: _Named | None = None

    def schema(self) -> Any:  # noqa: ANN401  any JSON
        """The JSON schema, None where any JSON will do. Raises InvalidRequest where one is missing."""
        if self.type == "json_object":
            return None
        found = self.json_schema.schema if self.type == "json_schema" and self.json_schema is not None else None
        if found is None:
            raise InvalidRequest(
                "'response_format' has no schema; use {'type': 'json_schema', 'json_schema': {'schema': {…}}}",
                param="response_format",
            )
        return found
