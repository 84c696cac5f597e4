from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.queued import Keeper

KEYS = st.integers(0, 25).map(str)
SIZES = st.integers(0, 30)


class Queues(RuleBasedStateMachine):
    """Against a dict of key → size: whatever is kept was put, is of the size last put, and is lost only for want of
    room.
    """

    @initialize(max_entries=st.integers(0, 12), max_bytes=st.integers(0, 200))
    def begin(self, max_entries: int, max_bytes: int) -> None:
        self.keeper = Keeper(max_entries=max_entries, max_bytes=max_bytes)
        self.model: dict[str, int] = {}

    @rule(key=KEYS, size=SIZES)
    def put(self, key: str, size: int) -> None:
        wanted = {**self.model, key: size}
        queues = self.keeper.queues
        roomy = len(wanted) <= queues.max_entries and sum(wanted.values()) <= queues.max_bytes
        self.keeper.evictions.clear()
        if self.keeper.put(key, size):
            self.model[key] = size
        else:
            assert size * 10 > queues.max_bytes or queues.max_entries == 0
            self.model.pop(key, None)
        if roomy:
            assert self.keeper.evictions == []
        for evicted in self.keeper.evictions:
            del self.model[evicted]

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        assert self.keeper.read(key) is (key in self.model)

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        if key in self.model:
            del self.model[key]
            self.keeper.remove(key)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        if hasattr(self, "keeper"):
            assert {key: item.size for key, item in self.keeper.items.items()} == self.model
            self.keeper.check()


TestQueues = Queues.TestCase
TestQueues.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


@given(
    size=st.integers(2, 40),
    hot=st.integers(1, 36),
    before=st.integers(0, 60),
    scan=st.integers(0, 400),
    reads=st.integers(2, 5),
)
@settings(deadline=None)
def test_keys_read_twice_survive_a_scan_of_any_length(
    *, size: int, hot: int, before: int, scan: int, reads: int
) -> None:
    keeper = Keeper(max_entries=size)
    keeper.put_all(f"before {n}" for n in range(before))
    keys = [f"hot {n}" for n in range(min(hot, size * 9 // 10))]
    keeper.put_all(keys)
    for key in keys:
        keeper.read(key, reads)
    keeper.put_all(f"cold {n}" for n in range(scan))
    assert all(key in keeper.items for key in keys)


@given(sizes=st.lists(st.integers(0, 10), max_size=300), hot=st.lists(st.integers(1, 10), min_size=1, max_size=9))
@settings(deadline=None)
def test_a_scan_of_any_sizes_does_no_harm_either(sizes: Sequence[int], hot: Sequence[int]) -> None:
    keeper = Keeper(max_entries=1000, max_bytes=100)
    for n, size in enumerate(hot):
        keeper.put(f"hot {n}", size)
        keeper.read(f"hot {n}", 2)
    for n, size in enumerate(sizes):
        keeper.put(f"cold {n}", size)
    assert all(f"hot {n}" in keeper.items for n in range(len(hot)))
