"""A real workspace server in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "workspace"


@contextmanager
def running_workspace(folder: Path, *, user: str, public_key: Path, tier: str = "pro") -> Iterator[str]:
    """Start `python -m mcp_server` for `user` over `folder` on free ports; gives the server's address."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    options = {"--data": folder / "data", "--port": 0, "--activity-port": 0, "--user": user, "--tier": tier}
    options |= {"--public-key": public_key, "--ready-file": ready}
    command = [sys.executable, "-m", "mcp_server", *(str(part) for option in options.items() for part in option)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WORKSPACE_")}
    process = subprocess.Popen(command, cwd=FOLDER, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = [process.stderr.readline()]
        while said[-1] and "Listening" not in said[-1]:
            said.append(process.stderr.readline())
        assert said[-1], "".join(said)
        yield f"http://127.0.0.1:{json.loads(ready.read_text())['port']}"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
