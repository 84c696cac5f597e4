import random

import pytest

from tests.chaos.report import table
from tests.chaos.run import chaos, short_plan

pytestmark = pytest.mark.alone

SEED = 20261121


@pytest.mark.slow
@pytest.mark.chaos
async def test_four_workers_keep_the_promises_through_each_fault() -> None:
    verdict = await chaos(short_plan(random.Random(SEED)), SEED)
    assert not verdict.violations, f"python -m tests.chaos --short --seed {SEED}\n{table(verdict, SEED, 0)}"
    assert verdict.counts["reads"] > 1000
    assert verdict.counts["cold keys loaded once for each leader"] > 0


@pytest.mark.slow
@pytest.mark.chaos
async def test_workers_that_acknowledge_what_they_told_nobody_are_found_out() -> None:
    verdict = await chaos([], SEED, lies=True)
    assert any(each.startswith("stale") and "(lie)" in each for each in verdict.violations)
