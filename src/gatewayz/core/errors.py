"""What can go wrong, by kind. HTTP knows which status a kind has (api/errors.py); nothing here does.

GatewayzError
├── InvalidRequest      the caller can mend it; `param` names the field
│   ├── ModelNotFound
│   └── PriceUnknown    nobody can tell what the request will cost
├── InvalidApiKey       who are you?
├── ScopeMissing        we know you, but this key may not do that
├── ModelNotAllowed     … or not with this model
├── AddressNotAllowed   … or not from there
├── Conflict            it contradicts what is there
├── TooManyUnknownKeys  more keys nobody knows than are looked up; try again in a while
├── RequestTooLarge
├── InsufficientQuota   the account, or the key's budget, cannot pay for this; `retry_after` where that may change
├── Unavailable         our side cannot answer now (database, catalog)
└── ProviderFailed      a provider refused or broke
    ├── OwnKeyRefused   … the key of the caller's own, or that key cannot be used any more
    └── NotSupported    its wire format has no room for what the request asks; that of another may
"""

from enum import StrEnum
from typing import Self


class ErrorKind(StrEnum):
    """The `code` that clients see in an error body."""

    INVALID_REQUEST = "invalid_request"
    INVALID_API_KEY = "invalid_api_key"
    SCOPE_MISSING = "insufficient_permissions"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    MODEL_NOT_FOUND = "model_not_found"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    REQUEST_TOO_LARGE = "request_too_large"
    IDEMPOTENCY_KEY_IN_USE = "idempotency_key_in_use"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    CONTENT_FILTER = "content_filter"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    NOT_CACHED = "not_cached"
    INSUFFICIENT_QUOTA = "insufficient_quota"
    PRICE_UNKNOWN = "price_unknown"
    RATE_LIMITED = "rate_limit_exceeded"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_KEY_REFUSED = "provider_key_refused"
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    HEADERS_TOO_LARGE = "headers_too_large"
    UNAVAILABLE = "service_unavailable"
    INTERNAL = "internal_error"


class GatewayzError(Exception):
    """An error with an answer for the caller.

    `message` is one sentence that names the thing and the remedy and carries no secret.
    `param` is the name of the offending field, if one is to blame. `retry_after`: seconds until another try may
    succeed, where that is known.
    """

    kind = ErrorKind.INTERNAL
    retry_after: float | None = None

    def __init__(self, message: str, *, param: str | None = None, kind: ErrorKind | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if kind is not None:
            self.kind = kind

    def anew(self) -> Self:
        """The same error to be raised once more: one that several raise would grow a traceback by all of them."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        return twin


def unexpected() -> GatewayzError:
    """What a client is told of an error that nobody foresaw."""
    return GatewayzError("the gateway failed; its log tells more under this request id")


class InvalidRequest(GatewayzError):
    kind = ErrorKind.INVALID_REQUEST


class ModelNotFound(InvalidRequest):
    kind = ErrorKind.MODEL_NOT_FOUND


class PriceUnknown(InvalidRequest):
    kind = ErrorKind.PRICE_UNKNOWN


class InvalidApiKey(GatewayzError):
    kind = ErrorKind.INVALID_API_KEY


class ScopeMissing(GatewayzError):
    kind = ErrorKind.SCOPE_MISSING


class ModelNotAllowed(GatewayzError):
    kind = ErrorKind.MODEL_NOT_ALLOWED


class AddressNotAllowed(GatewayzError):
    kind = ErrorKind.ADDRESS_NOT_ALLOWED


class Conflict(GatewayzError):
    kind = ErrorKind.CONFLICT


class TooManyUnknownKeys(GatewayzError):
    kind = ErrorKind.RATE_LIMITED

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RequestTooLarge(GatewayzError):
    kind = ErrorKind.REQUEST_TOO_LARGE


class InsufficientQuota(GatewayzError):
    """`needed` and `available` are nano-dollars. Without `retry_after` it will not be enough by itself."""

    kind = ErrorKind.INSUFFICIENT_QUOTA

    def __init__(self, message: str, *, needed: int, available: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.needed = needed
        self.available = available
        self.retry_after = retry_after


class Unavailable(GatewayzError):
    kind = ErrorKind.UNAVAILABLE


class ProviderFailed(GatewayzError):
    """`status` is the provider's HTTP status where it gave one. `is_quota`: our account there is used up."""

    kind = ErrorKind.PROVIDER_ERROR

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: ErrorKind | None = None,
        retry_after: float | None = None,
        is_quota: bool = False,
    ) -> None:
        super().__init__(message, kind=kind)
        self.status = status
        self.retry_after = retry_after
        self.is_quota = is_quota


class OwnKeyRefused(ProviderFailed):
    """Nobody stands in: whose key has ended must not pay with credits instead without being told."""

    kind = ErrorKind.PROVIDER_KEY_REFUSED


class NotSupported(ProviderFailed):
    """No fault of the provider's health: it was not even asked. `param` names the field."""

    kind = ErrorKind.INVALID_REQUEST

    def __init__(self, message: str, *, param: str) -> None:
        super().__init__(message)
        self.param = param
