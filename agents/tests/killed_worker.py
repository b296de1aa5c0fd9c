"""A worker in a process of its own that kills itself at a named point: `python -m agents.tests.killed_worker deploy.call`.

It runs the next turn of the database that DATABASE_URL names, with the real agent; it exits with 0 where it ends alive.
"""

import asyncio
import os
import signal
import sys

import django


def main() -> None:
    """Run one turn."""
    django.setup()
    asyncio.run(_run(sys.argv[1]))


async def _run(point: str) -> None:
    from agents.tests.engine import TestWorker
    from agents.tests.workflows import RealBrain, run_one
    from gateway.db import open_pool

    class Mortal(RealBrain):
        async def _at(self, reached: str) -> None:
            if reached == point:
                os.kill(os.getpid(), signal.SIGKILL)

    await open_pool()
    await run_one(await TestWorker(Mortal()).begin())


if __name__ == "__main__":
    main()
