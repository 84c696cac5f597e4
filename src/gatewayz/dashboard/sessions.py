"""Sessions of the dashboard: signed, for all workers, kept by none.

A cookie holds a random id, the digest of the admin key, an end, and a signature over them with a secret of the
installation, so any worker knows a session that another began, also after a restart. Whether the key is still good is
asked of the cache at each request: a revoked key ends its sessions at once.

What it withstands:

- A page of another site makes the browser ask us: the cookie is SameSite=Strict and does not come along.
- A page of this origin, such as /docs with its scripts of another host, asks with the cookie: no request counts without
  the session's token, reads no less than changes. The token is shown once, to who signed in, and no cookie holds it.
- A script reads the cookie: it is HttpOnly. Who steals it still lacks the token, and it ends after an hour.
- Somebody tries keys: these are looked up as all keys are, with the bound on unknown ones (accounts/strangers.py).
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from http.cookies import CookieError, SimpleCookie

from msgspec import Struct

from gatewayz.accounts.digest import KeyDigester
from gatewayz.api.answer import Scope, header
from gatewayz.core.clock import Clock
from gatewayz.core.ids import KeyDigest

COOKIE = "gatewayz-session"
TOKEN_HEADER = b"x-csrf-token"
LASTS = 3600
"""Seconds until one must sign in again."""

_ID = 16
_DIGEST = 32
_END = 8
_SIGNATURE = 32
_LONGEST_COOKIE = 4096


class Begun(Struct, frozen=True):
    """`cookie`: what the browser keeps. `token`: what its page sends in the header beside it."""

    cookie: str
    token: str


class DashboardSessions:
    def __init__(self, digester: KeyDigester, clock: Clock) -> None:
        self._digester = digester
        self._secret = digester.secret_for(b"dashboard")
        self._clock = clock

    def begin(self, key: str) -> Begun:
        """A session of a key that was found good."""
        end = int(self._clock.now()) + LASTS
        said = secrets.token_bytes(_ID) + bytes.fromhex(self._digester.digest(key)) + end.to_bytes(_END)
        return Begun(urlsafe_b64encode(said + self._sign(said, b"cookie")).decode(), self._sign(said, b"token").hex())

    def key_of(self, request: Scope) -> KeyDigest | None:
        """Of which key the session is that cookie and header show together; None where they show none that is good."""
        said = self._said(_cookie(request))
        if said is None or int.from_bytes(said[-_END:]) <= self._clock.now():
            return None
        token = header(request, TOKEN_HEADER) or b""
        if not secrets.compare_digest(token, self._sign(said, b"token").hex().encode()):
            return None
        return KeyDigest(said[_ID : _ID + _DIGEST].hex())

    def _said(self, cookie: str) -> bytes | None:
        try:
            found = urlsafe_b64decode(cookie)
        except ValueError:
            return None
        said, signature = found[:-_SIGNATURE], found[-_SIGNATURE:]
        if len(said) != _ID + _DIGEST + _END or not secrets.compare_digest(signature, self._sign(said, b"cookie")):
            return None
        return said

    def _sign(self, said: bytes, use: bytes) -> bytes:
        return blake2b(said, key=self._secret, digest_size=_SIGNATURE, person=use).digest()


def _cookie(request: Scope) -> str:
    sent = header(request, b"cookie")
    if sent is None or len(sent) > _LONGEST_COOKIE:
        return ""
    try:
        found = SimpleCookie(sent.decode("latin-1")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""
