"""The dashboards' files say what their declarations say."""

import json
from pathlib import Path

import pytest
from deploy.grafana.dashboards import DASHBOARDS, HERE, written


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_file_is_what_its_declaration_makes(name: str) -> None:
    assert (HERE / f"{name}.json").read_text(encoding="utf-8") == written(DASHBOARDS[name]), "run `make docs`"


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in Path(HERE).glob("*.json")} == DASHBOARDS.keys()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_beside_each_other_and_within_the_width(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(written(DASHBOARDS[name]))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
