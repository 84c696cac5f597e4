"""What can be wrong with an account, a key or a plan that is asked for or changed.

GatewayzError
├── InvalidApiKey   one sentence for keys that are missing, unknown, revoked or expired
└── NotFound        there is no such account, key, plan, trial or key at a provider
"""

from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidApiKey


class NotFound(GatewayzError):
    kind = ErrorKind.NOT_FOUND


def no_key(key_id: object) -> NotFound:
    return NotFound(f"there is no API key {key_id!r}; `gatewayz keys list` shows their ids")


def no_account(account: object) -> NotFound:
    return NotFound(f"there is no account {account!r}; `gatewayz accounts list` shows them")


def no_plan(plan_id: object) -> NotFound:
    return NotFound(f"there is no plan {plan_id!r}; `gatewayz plans list` shows them")


def no_provider_key(provider: str) -> NotFound:
    return NotFound(f"the account has no key of its own at the provider {provider[:80]!r}")


def invalid_key() -> InvalidApiKey:
    # The same words for missing, unknown, revoked and expired: a refusal tells a guesser nothing.
    return InvalidApiKey(
        "the API key is missing or not valid; send it as 'Authorization: Bearer gw_live_…' "
        "(`gatewayz keys create` makes one)"
    )
