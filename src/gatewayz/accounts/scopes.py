"""What a key may be used for."""

from collections.abc import Mapping

INFERENCE = "inference"
ACCOUNT = "account"
PROVIDER_KEYS = "provider_keys"
ADMIN = "admin"

SCOPES: Mapping[str, str] = {
    INFERENCE: "send requests to models",
    ACCOUNT: "read what its account has and has used",
    # Who sets the key decides in whose log at the provider every prompt of the account stands: not for any key.
    PROVIDER_KEYS: "set and remove its account's own keys at providers",
    ADMIN: "administer every account, and the gateway",
}
DEFAULT_SCOPES = (INFERENCE, ACCOUNT)
