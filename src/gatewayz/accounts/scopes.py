"""What a key may be used for."""

from collections.abc import Mapping

INFERENCE = "inference"
ACCOUNT = "account"
ADMIN = "admin"

SCOPES: Mapping[str, str] = {
    INFERENCE: "send requests to models",
    ACCOUNT: "read what its account has and has used",
    ADMIN: "administer every account, and the gateway",
}
DEFAULT_SCOPES = (INFERENCE, ACCOUNT)
