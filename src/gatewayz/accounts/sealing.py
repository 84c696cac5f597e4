"""Secrets at rest: sealed by a key that only this installation has, and bound to whom they belong.

    secret ── HKDF-SHA256 ──▶ key, and its id ──▶ AES-256-GCM(nonce, text, whose it is)

Who has the database, or Redis, without the installation's secret has nothing. A box that was altered, or moved to
another account or provider, does not open. A nonce is 96 random bits: after 2³² boxes by one key, two would share one
with a probability of 2⁻³³.
"""

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_INFO = b"gatewayz sealing 1"


class NotOpened(Exception):
    """The box was sealed by a key that is not here, or it is not what was sealed for this owner."""


class Sealed(Struct, frozen=True):
    """`by`: the id of the key that opens the box, which says nothing of the key."""

    by: str
    box: bytes


class Sealer:
    """Seals by the key of `secret`, and opens what it or one of the `former` secrets has sealed."""

    def __init__(self, secret: bytes, former: Sequence[bytes] = ()) -> None:
        derived = [_derived(each) for each in (secret, *former)]
        self.current = derived[0][0]
        self._ciphers = dict(reversed(derived))  # of two with one id the current one counts

    def seal(self, text: str, *, owner: bytes) -> Sealed:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return Sealed(self.current, nonce + self._ciphers[self.current].encrypt(nonce, text.encode(), owner))

    def open(self, sealed: Sealed, *, owner: bytes) -> str:
        """Raises NotOpened."""
        cipher = self._ciphers.get(sealed.by)
        if cipher is None:
            raise NotOpened(f"it was sealed by the key {sealed.by!r}, which is not here")
        nonce, rest = sealed.box[:_NONCE_BYTES], sealed.box[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, rest, owner).decode()
        except (InvalidTag, ValueError) as error:  # the latter: too short to hold a nonce
            raise NotOpened("it is not what was sealed for this owner") from error

    def __repr__(self) -> str:
        return f"Sealer({self.current!r})"


def _derived(secret: bytes) -> tuple[str, AESGCM]:
    derived = HKDF(SHA256(), _KEY_BYTES + _ID_BYTES, salt=None, info=_INFO).derive(secret)
    return derived[_KEY_BYTES:].hex(), AESGCM(derived[:_KEY_BYTES])
