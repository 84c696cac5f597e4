"""From a secret key to the digest that finds it, and the secret that keys the digest."""

import os
import secrets
from hashlib import blake2b
from pathlib import Path

from gatewayz.core.errors import GatewayzError
from gatewayz.core.ids import KeyDigest

_SECRET_BYTES = 32


class KeyDigester:
    """Keyed BLAKE2b: whoever has the database without the pepper can neither guess keys nor confirm a guess."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def digest(self, secret: str) -> KeyDigest:
        return KeyDigest(blake2b(secret.encode(), key=self._pepper, digest_size=32).hexdigest())

    def checksum(self, text: str) -> int:
        """64 bits that nobody without the pepper can tell. Never the same as a digest's."""
        return int.from_bytes(blake2b(text.encode(), key=self._pepper, digest_size=8, person=b"checksum").digest())

    def installation(self) -> str:
        """A name for the installation that has this pepper, the same on all its hosts. Tells nothing of the pepper."""
        return blake2b(b"installation", key=self._pepper, digest_size=8).hexdigest()

    def secret_for(self, use: bytes) -> bytes:
        """A secret for another use of at most 16 bytes' name. Who knows it knows nothing of the pepper."""
        return blake2b(b"secret", key=self._pepper, digest_size=32, person=use).digest()

    def __repr__(self) -> str:
        return "KeyDigester(…)"


def pepper_from(setting: str | None, data_dir: Path) -> bytes:
    """The pepper: from the setting, else from `secret` in the data directory, made at the first start.

    All workers and hosts of one installation need the same one: with several hosts, use the setting.
    """
    if setting is not None:
        return blake2b(setting.encode(), digest_size=_SECRET_BYTES).digest()
    path = data_dir / "secret"
    try:
        return _read_or_make(path)
    except OSError as error:
        raise GatewayzError(
            f"the secret in {str(path)!r} can neither be read nor made ({error.strerror}); "
            "make the directory writable or set GATEWAYZ_SECRET_KEY"
        ) from error


def former_peppers(setting: str) -> tuple[bytes, ...]:
    """The peppers that a former secret may have stood for: one that was set, or the content of a `secret` file."""
    as_set = blake2b(setting.encode(), digest_size=_SECRET_BYTES).digest()
    try:
        as_file = bytes.fromhex(setting.strip())
    except ValueError:
        as_file = b""
    return (as_set, as_file) if len(as_file) == _SECRET_BYTES else (as_set,)


def _read_or_make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link fails where the file exists: of two first starts, one pepper wins for both.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    try:
        pepper = bytes.fromhex(path.read_text().strip())
    except ValueError:
        pepper = b""
    if len(pepper) != _SECRET_BYTES:
        raise GatewayzError(
            f"the secret in {str(path)!r} is damaged: it must hold {2 * _SECRET_BYTES} hexadecimal digits; restore it "
            "from a backup, as every API key depends on it"
        )
    return pepper
