from pathlib import Path

import pytest
from benchmarks.result import Bar, Figure, Row, merged, read_rows, row, write_rows
from benchmarks.table import BEGIN, END, NoMarkers, table, with_table


def figure(ours: float = 30.0, ratio: float | None = 0.8, bar: Bar | None = None) -> Figure:
    return Figure(name="a page", unit="µs", ours=ours, peers={"bare ASGI": 24.0}, ratio=ratio, bar=bar)


def measured(found: Figure, command: str = "python -m benchmarks --only catalog") -> Row:
    return row(found, command=command, machine="2 cores", commit="abc")


def test_a_share_is_met_from_its_bound_on() -> None:
    bar = Bar.share(0.6, "bare ASGI")
    assert [measured(figure(ratio=ratio, bar=bar)).met for ratio in (0.59, 0.6, 0.61)] == [False, True, True]


def test_a_bound_on_our_own_figure_is_met_up_to_it() -> None:
    bar = Bar.at_most(3, "s")
    assert [measured(figure(ours=ours, bar=bar)).met for ours in (2.9, 3.0, 3.1)] == [True, True, False]


def test_without_a_bar_nothing_is_met_or_missed() -> None:
    assert measured(figure()).met is None


def test_a_bar_is_held_against_the_figure_before_rounding() -> None:
    missed = measured(figure(ours=3.0004, bar=Bar.at_most(3, "s")))
    assert (missed.ours, missed.met) == (3.0, False)


def test_a_run_of_one_benchmark_keeps_the_rows_of_the_others() -> None:
    old = [measured(figure(), command="sync"), measured(figure(ours=1.0), command="catalog")]
    new = [measured(figure(ours=2.0), command="catalog")]
    assert [(each.command, each.ours) for each in merged(old, new)] == [("sync", 30.0), ("catalog", 2.0)]


def test_rows_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    rows = [measured(figure(bar=Bar.share(0.6, "bare ASGI"))), measured(figure(ratio=None))]
    write_rows(tmp_path / "results" / "latest.json", rows)
    assert read_rows(tmp_path / "results" / "latest.json") == rows


def test_a_missed_bar_stands_out_in_the_table() -> None:
    made = table([measured(figure(ratio=0.5, bar=Bar.share(0.6, "bare ASGI")))])
    assert "| a page | 30 µs | bare ASGI 24 | 0.50 | ≥ 60% of bare ASGI | **no** |" in made
    assert made.endswith("Measured on 2 cores, at commit abc.")


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_table(document, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(NoMarkers, match="benchmarks:begin"):
        with_table("no place here", "new")
