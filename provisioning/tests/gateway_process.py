"""A gateway process for tests that kill one: `python -m provisioning.tests.gateway_process DATA CODE ACTION USER`.

Each prints "up" when it could begin. `keep` then starts the user's workspace, prints its URL and keeps it until SIGTERM; the
others have no keeper and wait for a line: `rush` asks for the workspace fifty times at once and prints each URL, `fresh` asks
for one that answers, `stop` ends it, `delete` ends it and removes it with its data.
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

    await told_to()
    endpoints = await asyncio.gather(*(ensure_workspace(licence_of(user_id)) for _ in range(50)))
    say(*(endpoint.url for endpoint in endpoints))


async def fresh(user_id: str) -> None:
    """Somebody who could not reach the workspace."""
    from provisioning.tests.gateways import licence_of
    from provisioning.workspaces import ensure_workspace

    await told_to()
    await ensure_workspace(licence_of(user_id), fresh=True)


async def stop(user_id: str) -> None:
    """An operator."""
    from provisioning.workspaces import stop_workspace

    await told_to()
    await stop_workspace(user_id)


async def delete(user_id: str) -> None:
    """An operator whose account may delete volumes."""
    from provisioning.workspaces import delete_workspace

    await told_to()
    await delete_workspace(user_id, with_data=True)


async def told_to() -> None:
    """Return when a line has come."""
    say("up")
    await asyncio.to_thread(sys.stdin.readline)


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
    asyncio.run({"keep": keep, "rush": rush, "fresh": fresh, "stop": stop, "delete": delete}[action](user))
