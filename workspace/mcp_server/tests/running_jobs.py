"""Jobs of the sandbox that a test makes, watches while they run, and looks at in /proc."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from mcp_server.sandbox import Answer, Job, Limits, Sandbox
from mcp_server.tests.sandbox_entries import NAME as ENTRIES

# How long a machine with much else to do may take.
PATIENCE_S = 60


def job(entry: str = "source", *, source: str = "", limits: Limits | None = None, **more: Any) -> Job:
    """A job of this folder's entries."""
    arguments = more.pop("arguments", {"source": source})
    return Job(f"{ENTRIES}:{entry}", arguments, limits=limits or Limits(), **more)


def values(sandbox: Sandbox, source: str, **more: Any) -> dict[str, Any]:
    """What the source leaves in `values`."""
    return sandbox.run(job(source=source, **more)).values


class Running:
    """A job on a thread of its own, which has said its process's id."""

    def __init__(self, sandbox: Sandbox, source: str, limits: Limits | None = None) -> None:
        self.said: list[tuple[float, float | None, str]] = []
        self.cancelled = threading.Event()
        self.outcome: Answer | Exception | None = None
        self._begun = threading.Event()
        asked = job(source=f"import os\ntask.report(0, None, str(os.getpid()))\n{source}", limits=limits)
        self._thread = threading.Thread(target=self._run, args=(sandbox, asked))
        self._thread.start()
        assert self._begun.wait(PATIENCE_S)

    @property
    def pid(self) -> int:
        return int(self.said[0][2])

    def ended(self) -> Answer | Exception | None:
        """What came of it."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.outcome

    def _run(self, sandbox: Sandbox, asked: Job) -> None:
        try:
            self.outcome = sandbox.run(asked, progress=self._note, cancelled=self.cancelled.is_set)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.outcome = error
        finally:
            self._begun.set()

    def _note(self, done: float, total: float | None, text: str) -> None:
        self.said.append((done, total, text))
        self._begun.set()


def status_of(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def zygote_of(pid: int) -> int:
    return int(status_of(pid)["PPid"])


def has_ended(pid: int) -> bool:
    """Wait for the end of a process that is another's child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    import select

    try:
        return bool(select.select([descriptor], [], [], PATIENCE_S)[0])
    finally:
        os.close(descriptor)
