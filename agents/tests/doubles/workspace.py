"""A real workspace server in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gateway.testing.forking import Forked, Zygote

FOLDER = Path(__file__).parents[3] / "workspace"
MODULE = "mcp_server"
# All that a start imports.
IMPORTED = "mcp_server.serving"
END_S = 10.0


@contextmanager
def running_workspace(
    folder: Path, *, user: str, public_key: Path, tier: str = "pro", zygote: Zygote | None = None
) -> Iterator[str]:
    """Start `python -m mcp_server` for `user` over `folder` on free ports; gives the server's address.

    With a zygote, which has IMPORTED in FOLDER, it is forked.
    """
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    options = {"--data": folder / "data", "--port": 0, "--activity-port": 0, "--user": user, "--tier": tier}
    options |= {"--public-key": public_key, "--ready-file": ready}
    arguments = [str(part) for option in options.items() for part in option]
    reading, writing = os.pipe()
    with open(reading) as said:
        with open(writing, "wb") as output:
            process = _start(arguments, output=output, zygote=zygote)
        try:
            lines = [said.readline()]
            while lines[-1] and "Listening" not in lines[-1]:
                lines.append(said.readline())
            assert lines[-1], "".join(lines)
            yield f"http://127.0.0.1:{json.loads(ready.read_text())['port']}"
        finally:
            process.kill()
            process.wait(END_S)


def _start(arguments: list[str], *, output: BinaryIO, zygote: Zygote | None) -> "subprocess.Popen[bytes] | Forked":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WORKSPACE_")}
    if zygote is not None:
        return zygote.start("-m", MODULE, *arguments, folder=FOLDER, environment=environment, output=output)
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, *arguments], cwd=FOLDER, env=environment, stdout=output, stderr=output
    )
