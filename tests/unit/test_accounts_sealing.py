"""Secrets at rest: what opens them, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayz.accounts.digest import KeyDigester, former_peppers, pepper_from
from gatewayz.accounts.provider_keys import _owner
from gatewayz.accounts.sealing import NotOpened, Sealed, Sealer
from gatewayz.core.ids import AccountId

SECRET, OTHER = b"s" * 32, b"o" * 32
OWNER = _owner(AccountId(1), "openai")
KEY = "sk-very-secret-0123456789"


@given(st.text(min_size=1, max_size=300), st.binary(max_size=40))
def test_what_was_sealed_opens_for_its_owner(text: str, owner: bytes) -> None:
    assert Sealer(SECRET).open(Sealer(SECRET).seal(text, owner=owner), owner=owner) == text


def test_a_box_says_nothing_and_is_another_one_each_time() -> None:
    sealer = Sealer(SECRET)
    boxes = [sealer.seal(KEY, owner=OWNER) for _ in range(2)]
    assert boxes[0].box != boxes[1].box
    assert KEY not in repr((sealer, boxes))
    assert SECRET.decode() not in repr(sealer)


def test_a_box_of_which_any_byte_was_altered_does_not_open() -> None:
    sealer = Sealer(SECRET)
    sealed = sealer.seal(KEY, owner=OWNER)
    for place in range(len(sealed.box)):
        altered = bytearray(sealed.box)
        altered[place] ^= 1
        with pytest.raises(NotOpened):
            sealer.open(Sealed(sealed.by, bytes(altered)), owner=OWNER)
    for length in range(len(sealed.box)):
        with pytest.raises(NotOpened):
            sealer.open(Sealed(sealed.by, sealed.box[:length]), owner=OWNER)


@pytest.mark.parametrize(("account", "provider"), [(2, "openai"), (1, "groq"), (11, "openai"), (1, "openai ")])
def test_a_box_does_not_open_for_another_account_or_provider(account: int, provider: str) -> None:
    sealer = Sealer(SECRET)
    with pytest.raises(NotOpened):
        sealer.open(sealer.seal(KEY, owner=OWNER), owner=_owner(AccountId(account), provider))


def test_another_installation_cannot_open_it_whatever_key_it_is_said_to_be_sealed_by() -> None:
    sealed = Sealer(SECRET).seal(KEY, owner=OWNER)
    other = Sealer(OTHER)
    for by in (sealed.by, other.current):
        with pytest.raises(NotOpened):
            other.open(Sealed(by, sealed.box), owner=OWNER)


def test_what_a_former_secret_has_sealed_opens_and_is_sealed_by_the_present_one_then() -> None:
    sealed = Sealer(OTHER).seal(KEY, owner=OWNER)
    rotated = Sealer(SECRET, [OTHER])
    assert rotated.open(sealed, owner=OWNER) == KEY
    again = rotated.seal(KEY, owner=OWNER)
    assert again.by == Sealer(SECRET).current != sealed.by
    assert Sealer(SECRET).open(again, owner=OWNER) == KEY


def test_a_former_secret_may_be_one_that_was_set_or_the_content_of_the_file(tmp_path: object) -> None:
    assert (
        KeyDigester(former_peppers("set")[0]).installation()
        == KeyDigester(
            pepper_from("set", tmp_path)  # type: ignore[arg-type]
        ).installation()
    )
    made = pepper_from(None, tmp_path)  # type: ignore[arg-type]
    assert made in former_peppers((tmp_path / "secret").read_text())  # type: ignore[operator]
