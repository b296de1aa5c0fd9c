"""A gateway process for tests that kill one: `python -m provisioning.tests.gateway_process DATA CODE keep|rush USER`.

Each prints "up" when it could begin. `keep` then starts the user's workspace, prints its URL and keeps it until SIGTERM;
`rush`, which has no keeper, waits for a line, asks for the workspace fifty times at once and prints each URL.
"""

import asyncio
import signal
import sys
from pathlib import Path

import django
from django.conf import settings

# As long as a test waits for a process that ends.
HANGS_S = 60.0


async def keep(user_id: str) -> None:
    """A gateway with its keeper."""
    from provisioning import keeper
    from provisioning.tests.gateways import gateway_keeper, licence_of
    from provisioning.workspaces import ensure_workspace

    # Who stays is another process of the same machine, which may have much to do: 2 s are for machines in production.
    keeper.ADOPTION_S = HANGS_S
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with gateway_keeper():
        say("up")
        say((await ensure_workspace(licence_of(user_id))).url)
        await told.wait()


async def rush(user_id: str) -> None:
    """Fifty callers at once."""
    from provisioning.tests.gateways import licence_of
    from provisioning.workspaces import ensure_workspace

    say("up")
    await asyncio.to_thread(sys.stdin.readline)
    endpoints = await asyncio.gather(*(ensure_workspace(licence_of(user_id)) for _ in range(50)))
    say(*(endpoint.url for endpoint in endpoints))


def say(*lines: str) -> None:
    """Print at once."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    data, code, action, user = sys.argv[1:]
    django.setup()
    settings.DATA_DIR = Path(data)

    from provisioning.backends.process import BACKEND

    BACKEND.code_dir = Path(code)
    asyncio.run({"keep": keep, "rush": rush}[action](user))
