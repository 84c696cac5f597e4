import base64
import hashlib
import sys

import msgspec
import pytest
from msgspec import Struct
from prometheus_client import CollectorRegistry
from tests.support.cache_world import STRICT, Source, Thing, load_thing, local_cache
from tests.support.fake_clock import FakeClock

from gatewayz.cache.breaker import Breaker
from gatewayz.cache.codec import DECODED_ASIDE_FROM, Codec, Envelope, Life, Rubbish, opened, sealed
from gatewayz.cache.decorator import cached
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.metrics import register
from gatewayz.cache.schema import fingerprint

LIFE = Life(1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize("length", [0, 5_000, 2 * DECODED_ASIDE_FROM])
async def test_a_value_survives_the_codec(length: int) -> None:
    codec = Codec(STRICT)
    thing = Thing("a", 1, "é" * length)
    payload, zipped = await codec.payload(thing)
    assert zipped is (length > 0)
    assert await codec.value(opened(sealed(Envelope(LIFE, zipped, payload)))) == thing


async def test_what_would_hardly_shrink_is_not_compressed() -> None:
    digests = "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(100))
    once = base64.b85encode(bytes.fromhex(digests)).decode()
    for text, is_compressed in (("a few words, " * 300, True), (once, False)):
        _, zipped = await Codec(STRICT).payload(Thing("a", 1, text))
        assert zipped is is_compressed


async def test_an_absence_survives_the_codec() -> None:
    codec = Codec(STRICT)
    payload, zipped = await codec.payload(None)
    assert await codec.value(opened(sealed(Envelope(LIFE, zipped, payload)))) is None


@pytest.mark.parametrize(
    ("payload", "zipped"),
    [
        (b"", False),
        (b"\xc1", False),
        (msgspec.msgpack.encode({"key": 5}), False),
        (b"not zstd", True),
        (b"", True),
    ],
)
async def test_bytes_that_are_no_value_of_the_type_are_rubbish(payload: bytes, *, zipped: bool) -> None:
    with pytest.raises(Rubbish):
        await Codec(STRICT).value(Envelope(LIFE, zipped, payload))


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x90", b"plain text"])
def test_bytes_that_are_no_envelope_are_rubbish(raw: bytes) -> None:
    with pytest.raises(Rubbish):
        opened(raw)


def _entity(value: type[Struct]) -> Entity[str, Struct]:
    return Entity(name="shape", value=value, policy=Policy(fresh=1))


def test_the_fingerprint_follows_the_shape_and_not_the_remarks() -> None:
    one = msgspec.defstruct("Shape", [("description", str), ("price", float)])
    same = msgspec.defstruct("Shape", [("description", str), ("price", float)], namespace={"__doc__": "A remark."})
    other_type = msgspec.defstruct("Shape", [("description", str), ("price", str)])
    other_name = msgspec.defstruct("Shape", [("title", str), ("price", float)])
    other_default = msgspec.defstruct("Shape", [("description", str), ("price", float, 1.0)])
    prints = [fingerprint([_entity(each)]) for each in (one, same, other_type, other_name, other_default)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4
    assert len(prints[0]) == 12


def test_one_timeout_or_five_failures_open_the_breaker_and_one_probe_closes_it() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    for _ in range(4):
        assert breaker.admits()
        breaker.failed(timeout=False)
    assert breaker.state == "closed"
    breaker.failed(timeout=False)
    assert not breaker.admits()
    clock.advance(1)
    assert breaker.state == "half_open"
    assert breaker.admits()
    assert not breaker.admits()
    breaker.succeeded()
    assert breaker.state == "closed"
    breaker.admits()
    breaker.failed(timeout=True)
    assert breaker.state == "open"


def test_the_breaker_asks_again_soon_enough_to_find_a_redis_within_two_seconds() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    breaker.failed(timeout=True)
    for pause in (1, 1.5, 1.5, 1.5):
        clock.advance(pause - 0.01)
        assert not breaker.admits()
        clock.advance(0.02)
        assert breaker.admits()
        breaker.failed(timeout=False)


def test_a_probe_that_was_cancelled_leaves_the_next_one_free() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    breaker.failed(timeout=True)
    clock.advance(1)
    assert breaker.admits()
    breaker.abandoned()
    assert breaker.admits()


async def test_a_decorated_function_is_cached_by_its_key_however_it_is_called() -> None:
    cheapest_entity: Entity[tuple[object, ...], Thing] = Entity(name="cheapest", value=Thing, policy=Policy(fresh=10))

    @cached(cheapest_entity, key=lambda modality, limit=10, *, free=False: f"{modality}:{limit}:{free}")
    async def cheapest(source: Source, modality: str, limit: int = 10, *, free: bool = False) -> Thing:
        source.loads.append(modality)
        return Thing(modality, limit, str(free))

    source = Source()
    cache = local_cache(source, FakeClock(), entities=[cheapest.entity])
    assert await cheapest(cache, "text") == Thing("text", 10, "False")
    assert await cheapest(cache, "text", limit=10) == Thing("text", 10, "False")
    assert await cheapest(cache, "text", 5, free=True) == Thing("text", 5, "True")
    assert source.loads == ["text", "text"]
    await cache.invalidate(cheapest.entity)
    await cheapest(cache, "text")
    assert len(source.loads) == 3


async def test_the_metrics_count_by_entity_and_never_name_a_key() -> None:
    source = Source()
    source.rows["secret-key"] = 1
    cache = local_cache(source, FakeClock())
    registry = CollectorRegistry()
    register(cache, registry)
    await cache.get(STRICT, "secret-key")
    cache.peek(STRICT, "secret-key")
    await cache.invalidate(STRICT, "secret-key")
    entity = {"entity": "test:strict"}
    assert registry.get_sample_value("model_cache_hits_total", entity) == 1
    assert registry.get_sample_value("model_cache_misses_total", entity) == 1
    assert registry.get_sample_value("model_cache_invalidations_total", entity) == 1
    assert registry.get_sample_value("model_cache_size_bytes", entity) == 0
    assert registry.get_sample_value("model_cache_ttl_seconds", entity) == 300
    l1 = {**entity, "tier": "l1", "result": "hit_l1"}
    assert registry.get_sample_value("gatewayz_cache_requests_total", l1) == 1
    assert registry.get_sample_value("gatewayz_cache_load_seconds_count", entity) == 1
    labels = [str(sample.labels) for family in registry.collect() for sample in family.samples]
    assert not any("secret" in each for each in labels)


def test_peek_makes_no_object_that_outlives_it() -> None:
    cache = local_cache(Source(), FakeClock())
    cache.peek(STRICT, "a")
    before = sys.getallocatedblocks()
    for _ in range(1000):
        cache.peek(STRICT, "a")
    assert sys.getallocatedblocks() - before < 50


def test_text_of_a_key_is_the_entitys_own() -> None:
    pair = Entity(name="pair", value=Thing, load=load_thing, policy=Policy(fresh=1), key_text=lambda key: f"<{key}>")
    assert pair.text("a") == "<a>"
