"""The rules of the paper, one by one. `Keeper` checks bounds, sums and links after every write."""

from tests.support.queued import Keeper


def named(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def with_main(keys: list[str], *, size: int = 10) -> Keeper:
    """Keys that came to the main queue by being read while they waited, and nothing beside them."""
    keeper = Keeper(max_entries=size)
    keeper.put_all(keys)
    for key in keys:
        keeper.read(key, 2)
    cold = named("to promote ", size)
    keeper.put_all(cold)
    for key in cold:
        if key in keeper.items:
            keeper.remove(key)
    assert keeper.main() == keys
    keeper.evictions.clear()
    return keeper


def test_a_new_key_waits_in_the_small_queue() -> None:
    keeper = Keeper()
    keeper.put_all(["a", "b"])
    assert (keeper.small(), keeper.main()) == (["a", "b"], [])


def test_nothing_is_evicted_while_there_is_room() -> None:
    keeper = Keeper(max_entries=10)
    keeper.put_all(named("k", 10))
    assert keeper.evictions == []


def test_keys_that_nobody_reads_leave_in_the_order_in_which_they_came() -> None:
    keeper = Keeper(max_entries=3)
    keeper.put_all(["a", "b", "c", "d", "e"])
    assert keeper.evictions == ["a", "b"]


def test_a_read_moves_nothing() -> None:
    keeper = Keeper()
    keeper.put_all(["a", "b", "c"])
    keeper.read("a", 3)
    assert keeper.small() == ["a", "b", "c"]


def test_a_key_read_twice_while_it_waited_is_promoted_and_begins_anew() -> None:
    keeper = Keeper(max_entries=3)
    keeper.put_all(["a", "b", "c"])
    keeper.read("a", 2)
    keeper.put("d")
    assert (keeper.small(), keeper.main(), keeper.evictions) == (["c", "d"], ["a"], ["b"])
    assert keeper.items["a"].hits == 0


def test_a_key_read_once_while_it_waited_goes() -> None:
    keeper = Keeper(max_entries=3)
    keeper.put_all(["a", "b", "c"])
    keeper.read("a")
    keeper.put("d")
    assert keeper.evictions == ["a"]


def test_a_key_that_comes_back_soon_enters_the_main_queue() -> None:
    keeper = Keeper(max_entries=3)
    keeper.put_all(["a", "b", "c", "d"])
    keeper.put("a")
    assert keeper.main() == ["a"]
    assert hash("a") not in keeper.queues.ghosts


def test_a_key_that_comes_back_too_late_waits_again() -> None:
    keeper = Keeper(max_entries=3)
    keeper.put_all(["a", "b", "c", "d", "e", "f", "g"])
    keeper.put("a")
    assert keeper.small()[-1] == "a"


def test_there_are_never_more_ghosts_than_entries_after_a_put() -> None:
    keeper = Keeper(max_entries=10)
    keeper.put_all(named("k", 40))
    assert len(keeper.queues.ghosts) == 10
    for key in keeper.small()[2:]:
        keeper.remove(key)
    keeper.put("one more")
    assert len(keeper.queues.ghosts) == 3


def test_the_main_queue_gives_a_key_another_round_for_each_hit() -> None:
    keeper = with_main(named("m", 9))
    keeper.put("tenth")
    keeper.read("tenth", 2)
    keeper.read("m0", 2)
    keeper.put("new")
    assert keeper.evictions == ["m1"]
    assert keeper.main() == [*named("m", 9)[2:], "tenth", "m0"]
    assert keeper.items["m0"].hits == 1


def test_new_keys_take_nothing_from_the_main_queue_while_that_keeps_to_its_nine_tenths() -> None:
    keeper = with_main(named("m", 9))
    keeper.put_all(named("cold", 1000))
    assert keeper.main() == named("m", 9)


def test_a_main_queue_beyond_its_part_gives_way_and_leaves_no_ghost() -> None:
    keeper = with_main(named("m", 9))
    keeper.put("tenth")
    keeper.read("tenth", 2)
    keeper.put("new")
    assert keeper.evictions == ["m0"]
    assert hash("m0") not in keeper.queues.ghosts


def test_the_main_queue_gives_way_by_the_bound_that_is_exceeded() -> None:
    keeper = Keeper(max_entries=1000, max_bytes=100)
    for key in named("m", 9):
        keeper.put(key, 10)
        keeper.read(key, 2)
    keeper.put("cold", 10)
    keeper.put("colder", 10)
    keeper.remove("colder")
    assert keeper.main() == named("m", 9)
    keeper.put("tenth", 5)
    keeper.read("tenth", 2)
    keeper.put("waits", 5)
    keeper.evictions.clear()
    keeper.put("new", 1)
    assert keeper.evictions == ["m0"]
    assert keeper.small() == ["waits", "new"]


def test_a_removed_key_leaves_its_place_and_no_ghost() -> None:
    keeper = Keeper()
    keeper.put_all(["a", "b", "c"])
    keeper.remove("b")
    assert keeper.small() == ["a", "c"]
    assert not keeper.queues.ghosts


def test_a_replaced_value_keeps_place_and_hits() -> None:
    keeper = Keeper()
    keeper.put_all(["a", "b"])
    keeper.read("a", 2)
    keeper.put("a", size=5)
    assert keeper.small() == ["a", "b"]
    assert keeper.items["a"].hits == 2
    assert keeper.queues.small.bytes == 6


def test_a_replaced_value_that_has_grown_makes_room() -> None:
    keeper = Keeper(max_bytes=100, max_entries=1000)
    for key in named("k", 20):
        keeper.put(key, 5)
    keeper.put("k19", 10)
    assert keeper.evictions == ["k0"]


def test_an_entry_larger_than_a_tenth_is_not_admitted() -> None:
    keeper = Keeper(max_bytes=100)
    assert keeper.put("a", 10)
    assert not keeper.put("b", 11)


def test_a_value_that_outgrew_its_part_takes_the_former_one_with_it() -> None:
    keeper = Keeper(max_bytes=100)
    keeper.put("a", 10)
    keeper.put("a", 11)
    assert keeper.items == {}


def test_bytes_are_bounded_whatever_the_sizes() -> None:
    keeper = Keeper(max_bytes=100, max_entries=1000)
    for n in range(500):
        keeper.put(f"k{n}", 1 + n * 7 % 10)
    assert keeper.queues.small.bytes > 80


def test_no_bound_of_nothing_keeps_anything() -> None:
    assert not Keeper(max_entries=0).put("a")
    assert not Keeper(max_bytes=0).put("a")


def test_a_bound_of_one_keeps_the_newest() -> None:
    keeper = Keeper(max_entries=1)
    keeper.put_all(["a", "b", "c", "a", "b"])
    assert list(keeper.items) == ["b"]
