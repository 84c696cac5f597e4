"""An entity that is told of every change, and a cache whose sampler is asked by hand."""

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.samples import SampleStats
from gatewayz.cache.tables import Table
from tests.support.cache_world import Thing, load_thing
from tests.support.fake_clock import FakeClock

TOLD = Entity(
    name="test:told", value=Thing, load=load_thing, policy=Policy(fresh=300), filled_from=(Table("things", key="key"),)
)


async def sampled(cache: Cache, clock: FakeClock, seconds: float = 1) -> int:
    clock.advance(seconds)
    return await cache.sample()


def samples(cache: Cache) -> SampleStats:
    found = cache.stats().samples
    assert found is not None
    return found
