"""The bound in bytes against the resident memory of a process that does nothing else."""

import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("words", [2, 40, 2000])
async def test_resident_memory_stays_within_the_bound_whatever_the_values(words: int) -> None:
    asked = ["--gets", "100000", "--keys", "30000", "--bytes", str(24 * 1024 * 1024), "--words", str(words)]
    process = await create_subprocess_exec(
        sys.executable, "-m", "benchmarks.micro.l1_memory", *asked, cwd=ROOT, stdout=PIPE, stderr=STDOUT
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
