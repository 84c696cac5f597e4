"""A worker that begins to load a key, says so, and never ends.

python -m tests.chaos.leader REDIS_URL KEY
"""

import asyncio
import sys

from tests.chaos.leading import LED, PATIENT
from tests.support.worker_cache import worker_cache


class Endless:
    async def load(self, _key: str) -> int:
        sys.stdout.write("loading\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
        raise AssertionError


async def main(redis_url: str, key: str) -> None:
    async with worker_cache([LED], Endless(), redis_url=redis_url, connect_timeout=5, budgets=PATIENT) as cache:
        await cache.start()
        await cache.get(LED, key)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
