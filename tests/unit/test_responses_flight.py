"""An answer under way: read by many from its beginning, at their own pace, and nobody harms another."""

import asyncio

import pytest
from tests.support.cache_world import settled
from tests.support.patience import PATIENCE

from gatewayz.core.errors import ProviderFailed
from gatewayz.responses.flight import MOST_AHEAD, Begun, Failed, Flight, Lost
from gatewayz.responses.flights import Flights

STREAM = Begun("acme", "text/event-stream", is_stream=True)
USAGE = b'data: {"choices":[],"usage":{"total_tokens":1}}\n\n'


def event(number: int) -> bytes:
    return b"data: %d\n\n" % number


@pytest.fixture
async def flight() -> Flight:
    begun = Flight(lambda: None, most_bytes=1 << 20)
    begun.begin(STREAM)
    return begun


async def all_read(flight: Flight, place: object, *, shows_usage: bool = False) -> bytes:
    return b"".join([chunk async for chunk in flight.read(place, shows_usage=shows_usage)])


async def test_who_comes_late_reads_all_from_the_beginning_and_then_live(flight: Flight) -> None:
    await flight.append(event(1))
    early, late = flight.join(), flight.join()
    readings = [asyncio.create_task(all_read(flight, place)) for place in (early, late)]
    await settled()
    await flight.append(event(2))
    flight.complete(None)
    assert await asyncio.gather(*readings) == [event(1) + event(2)] * 2
    assert await all_read(flight, flight.join()) == event(1) + event(2)


async def test_usage_is_shown_to_those_who_asked_only(flight: Flight) -> None:
    await flight.append(event(1) + USAGE)
    flight.complete(None)
    assert await all_read(flight, flight.join()) == event(1)
    assert await all_read(flight, flight.join(), shows_usage=True) == event(1) + USAGE
    assert flight.all_bytes() == event(1) + USAGE


async def test_a_reader_who_leaves_changes_nothing_for_the_others(flight: Flight) -> None:
    leaving, staying = flight.join(), flight.join()
    reading = asyncio.create_task(all_read(flight, leaving))
    stays = asyncio.create_task(all_read(flight, staying))
    await flight.append(event(1))
    await settled()
    reading.cancel()
    flight.leave(leaving)
    await flight.append(event(2))
    flight.complete(None)
    assert await stays == event(1) + event(2)


async def test_each_reader_has_an_error_of_its_own_after_what_there_was(flight: Flight) -> None:
    await flight.append(event(1))
    flight.fail(Failed(ProviderFailed("it broke"), is_shared=True))
    caught = []
    for _ in range(2):
        place, read = flight.join(), []
        with pytest.raises(Failed) as failed:
            read.extend([chunk async for chunk in flight.read(place, shows_usage=False)])
        caught.append(failed.value)
    assert caught[0] is not caught[1]
    assert caught[0].error.anew() is not caught[0].error
    assert str(caught[0].error.anew()) == "it broke"


async def test_what_fails_before_its_first_byte_has_not_begun(flight: Flight) -> None:
    flight.fail(Lost())
    with pytest.raises(Lost):
        await flight.until_begun()


async def test_the_maker_waits_for_the_fastest_reader_and_not_for_a_slow_one(flight: Flight) -> None:
    big = b"x" * (MOST_AHEAD // 2)
    fast, _slow = flight.join(), flight.join()

    async def make() -> None:
        for _ in range(6):
            await flight.append(big)
        flight.complete(None)

    making = asyncio.create_task(make())
    await settled()
    assert not making.done()
    async with asyncio.timeout(PATIENCE):
        assert len(await all_read(flight, fast)) == 6 * len(big)
    assert making.done()


async def test_what_is_too_long_for_latecomers_is_forgotten_once_all_have_read_it() -> None:
    flight = Flight(lambda: None, most_bytes=100)
    flight.begin(STREAM)
    one, other = flight.join(), flight.join()
    assert flight.is_open
    for number in range(40):
        await flight.append(event(number))
    assert not flight.is_open
    flight.complete(None)
    whole = b"".join(event(number) for number in range(40))
    assert await all_read(flight, one) == whole
    assert await all_read(flight, other) == whole
    assert flight.all_bytes() == b""


async def test_a_flight_ends_early_only_when_its_last_reader_has_gone() -> None:
    flights, ended = Flights(most_bytes=100), asyncio.Event()

    async def make(flight: Flight) -> None:
        flight.begin(STREAM)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    flight = flights.begin("k", make)
    one, other = flight.join(), flight.join()
    assert flights.of("k") is flight
    await settled()
    flight.leave(one)
    await settled()
    assert not ended.is_set()
    flight.leave(other)
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    assert flights.of("k") is None
    await settled()
    assert flights.under_way == 0


async def test_a_flight_that_others_follow_elsewhere_goes_on_until_they_have_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatewayz.responses.flights._LOOK_AGAIN", 0)
    flights, followed, ended = Flights(most_bytes=100), [True] * 5, asyncio.Event()

    async def is_followed() -> bool:
        return bool(followed) and followed.pop()

    async def make(flight: Flight) -> None:
        flight.is_followed = is_followed
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    flight = flights.begin("k", make)
    place = flight.join()
    await settled()
    flight.leave(place)
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    assert not followed


async def test_a_maker_that_fails_for_no_known_reason_fails_those_who_wait() -> None:
    flights = Flights(most_bytes=100)

    async def make(_: Flight) -> None:
        raise ZeroDivisionError

    flight = flights.begin("k", make)
    flight.join()
    with pytest.raises(Failed, match="the gateway failed"):
        await flight.until_begun()
    assert flights.of("k") is None
