"""One look at the server and at its owner."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lifecycle_sidecar.policy import Activity

# The server answers on loopback within milliseconds; longer is no answer.
ANSWER_TIMEOUT_S = 2.0
MAX_ANSWER_BYTES = 4096


def read_activity(url: str) -> Activity | None:
    """What the server says about its use; None when it can't be reached or says something else."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", place.path or "/")
        answer = connection.getresponse()
        said = json.loads(answer.read(MAX_ANSWER_BYTES))
        return _activity(said) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    finally:
        connection.close()


def _activity(said: dict[str, Any]) -> Activity:
    """What was said. A server that is older than running backtests and kept deployments has none."""
    return Activity(
        in_flight=int(said["in_flight"]),
        last_useful=float(said["last_useful"]),
        backtests=int(said.get("running", {}).get("backtests", 0)),
        kept=int(said.get("kept", 0)),
    )


def activity_url(ready_file: Path, *, pid: int) -> str | None:
    """The address that a server wrote down when it began to listen; None until the server `pid` has done so."""
    try:
        ready = json.loads(ready_file.read_text(encoding="utf-8"))
        return f"http://127.0.0.1:{int(ready['activity_port'])}/activity" if ready["pid"] == pid else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def heartbeat(owner_file: Path) -> int | None:
    """A mark that changes whenever the owner touches its file; None when there is no such file."""
    try:
        return owner_file.stat().st_mtime_ns
    except OSError:
        return None
