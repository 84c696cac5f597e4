"""The secret of an API key: 32 random bytes that vouch for themselves, so that a made-up one costs no look-up.

    gw_live_ 9YpD…43 digits…q7 4Xk2bN
    └─ environment ┘           └ checksum, keyed by the installation's pepper

Digits are of base 62. Keys of former releases, and those that settings give, have no checksum.
"""

import re
import secrets
import string

from gatewayz.accounts.digest import KeyDigester
from gatewayz.accounts.model import Environment

RANDOM_BYTES = 32
LONGEST_KEY = 256

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY = 43  # digits for 32 bytes
_CHECK = 6
_BEGINS_LIKE_ONE = re.compile(r"gw_(?:live|test)_")
_SELF_VERIFYING = re.compile(rf"gw_(?:live|test)_[0-9A-Za-z]{{{_BODY + _CHECK}}}")


def made_secret(digester: KeyDigester, environment: Environment) -> str:
    text = f"gw_{environment}_{_base62(int.from_bytes(secrets.token_bytes(RANDOM_BYTES)), _BODY)}"
    return text + _checksum(digester, text)


def is_genuine(digester: KeyDigester, secret: str) -> bool | None:
    """Whether this installation made the key, by its checksum; None where it has none. Says nothing of whether it is
    known still. One guess of 57 thousand million is taken for genuine.
    """
    if _SELF_VERIFYING.fullmatch(secret) is None:
        return None
    return secrets.compare_digest(secret[-_CHECK:], _checksum(digester, secret[:-_CHECK]))


def holds_secret(text: str) -> bool:
    """Whether a key may stand in the text, whole or in part."""
    return _BEGINS_LIKE_ONE.search(text) is not None


def _checksum(digester: KeyDigester, text: str) -> str:
    return _base62(digester.checksum(text) % len(_DIGITS) ** _CHECK, _CHECK)


def _base62(number: int, digits: int) -> str:
    found = []
    for _ in range(digits):
        number, digit = divmod(number, len(_DIGITS))
        found.append(_DIGITS[digit])
    return "".join(reversed(found))
