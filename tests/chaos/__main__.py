"""The long run.

python -m tests.chaos --minutes 5 --seed 1     # --short: the run that is part of `make test`
"""

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path

from tests.chaos.report import table
from tests.chaos.run import chaos, long_plan, short_plan


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--short", action="store_true", help="each fault once, and briefly")
    parser.add_argument("--seed", type=int, default=None, help="of a run seen before; else a new one")
    parser.add_argument("--keep", type=Path, help="a new directory for what the processes wrote down")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    rng = random.Random(seed)
    began = time.monotonic()
    plans = short_plan(rng) if arguments.short else long_plan(rng, 60 * arguments.minutes)
    verdict = asyncio.run(chaos(plans, seed, keep=arguments.keep))
    sys.stdout.write(table(verdict, seed, time.monotonic() - began) + "\n")
    sys.exit(bool(verdict.violations))


if __name__ == "__main__":
    main()
