"""Workspaces as processes of this machine: a sidecar per user that has the server as its child, on loopback."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import structlog
from django.conf import settings

from provisioning import tokens
from provisioning.answering import answers
from provisioning.backends import Finding, Instance, Record, Report, Spec
from provisioning.backends._process import processes
from provisioning.backends._process.folder import Folder, folder_of
from provisioning.errors import Cause, WorkspaceFailed
from provisioning.settling import settle_all

# A server that may end cleanly takes up to 5 s for what is in flight; the sidecar kills it after that.
SERVER_GRACE_S = 6
GRACE_S = 8.0
# The keeper touches the owner file each 5 s: six missed touches are no hiccup, and leave a restarted gateway time to adopt.
OWNER_TIMEOUT_S = 30
ANSWER_TIMEOUT_S = 3.0
POLL_S = 0.02
# What a program needs to run; the gateway's own environment holds its secrets.
INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")

log = structlog.get_logger(__name__)


class ProcessBackend:
    """Starts `python -m lifecycle_sidecar … -- python -m mcp_server …` in `code_dir`, with this process's Python."""

    name = "process"
    owned = True

    def __init__(self, code_dir: Path) -> None:
        self.code_dir = code_dir
        # What this process has told of each workspace's idle time.
        self._idle: dict[str, int] = {}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def start(self, spec: Spec, *, former: Instance, report: Report, record: Record) -> Instance:  # noqa: ARG002
        """See Backend. The boot, not the wait in the queue, may take WORKSPACE_START_TIMEOUT_S.

        Whatever runs on the folder is ended, `former` or not: two servers can't have it.
        """
        await report("queued")
        async with self._slot():
            # Looked for first: what another process starts under a later claim is not among it.
            running = await _running(spec.name)
            await report("starting")
            await self._end(running)
            await record(Instance())
            async with AsyncExitStack() as unless_ready:
                child, known_as = self._spawn(spec)
                unless_ready.push_async_callback(processes.end, {child.pid: known_as}, grace_s=GRACE_S)
                facts: dict[str, str | int] = {"pid": child.pid, "started": known_as}
                await record(Instance(facts=facts))
                instance = await self._ready(spec, child, facts)
                await record(instance)
                unless_ready.pop_all()
            return instance

    async def stop(self, name: str) -> None:
        """See Backend. Ends whatever runs on the folder, also what a crash left unrecorded."""
        await self._end(await _running(name))

    def alive(self, instance: Instance) -> bool:
        """See Backend. The sidecar, whose process this is, ends with its server."""
        pid, known_as = instance.facts.get("pid"), instance.facts.get("started")
        return isinstance(pid, int) and known_as is not None and processes.identity(pid) == known_as

    async def want(self, spec: Spec, instance: Instance) -> bool:
        """See Backend. The sidecar, the server's parent, sees by itself what is asked of it."""
        if not self.alive(instance):
            return False
        await self.heed({spec.name: spec.idle_s})
        return True

    def news(self, spec: Spec) -> str:  # noqa: ARG002 - of the protocol
        """See Backend. A process has no limits that could be others by now."""
        return ""

    def releases(self) -> frozenset[str]:
        """See Backend. A process is of the gateway's own release: it is ended or adopted with it."""
        return frozenset()

    async def serves(self, user_id: str, instance: Instance) -> bool:
        """See Backend."""
        return await answers(instance.url, user_id=user_id, timeout_s=ANSWER_TIMEOUT_S)

    async def heartbeat(self, names: Iterable[str]) -> None:
        """See Backend. Also keeps the logs short and takes note of children that have ended."""
        self._reap()
        await asyncio.to_thread(_tend, [folder_of(name) for name in names])

    async def heed(self, idle: Mapping[str, int]) -> None:
        """See Backend. Their sidecars read it at each look."""
        for name, idle_s in idle.items():
            if self._idle.get(name) != idle_s and await asyncio.to_thread(_write_idle_time, name, idle_s):
                self._idle[name] = idle_s

    async def remove(self, name: str, *, with_data: bool) -> bool:
        """See Backend. Without its data nothing is left of a workspace that has stopped."""
        return with_data and await asyncio.to_thread(folder_of(name).remove)

    async def follow(self) -> None:
        """See Backend. Each has an owner, whose keeper looks after it."""

    async def reconcile(self, *, dry_run: bool) -> list[Finding]:
        """See Backend."""
        return await settle_all(backend=self.name, dry_run=dry_run)

    async def close(self) -> None:
        """See Backend. Each question has a connection of its own."""

    def _spawn(self, spec: Spec) -> tuple[subprocess.Popen[bytes], str]:
        folder = folder_of(spec.name)
        with _os_errors_as_failures():
            printed = folder.prepare()
            folder.write_idle_time(spec.idle_s)
            self._idle[spec.name] = spec.idle_s
            try:
                child = subprocess.Popen(  # noqa: S603 - a list of our own making, no shell
                    _command(spec, folder),
                    cwd=self.code_dir,
                    env=_environment(folder),
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    start_new_session=True,
                )
            finally:
                os.close(printed)
        self._children[child.pid] = child
        known_as = processes.identity(child.pid)
        if known_as is None:
            raise _exited(child, folder)
        return child, known_as

    async def _ready(self, spec: Spec, child: subprocess.Popen[bytes], facts: dict[str, str | int]) -> Instance:
        """Wait until the server has announced its port and answers there."""
        folder = folder_of(spec.name)
        try:
            async with asyncio.timeout(settings.WORKSPACE_START_TIMEOUT_S):
                while True:
                    if child.poll() is not None:
                        raise _exited(child, folder)
                    folder.owner_file.touch()
                    port = folder.announced_port()
                    instance = Instance(url=f"http://127.0.0.1:{port}/mcp", facts={**facts, "port": port})
                    if port and await self.serves(spec.user_id, instance):
                        return instance
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            waited = f"not ready within {settings.WORKSPACE_START_TIMEOUT_S} s"
            raise WorkspaceFailed(Cause.NEVER_READY, detail=waited, output=folder.tail()) from error
        except OSError as error:
            raise WorkspaceFailed(Cause.INTERNAL, detail=str(error), output=folder.tail()) from error

    def _slot(self) -> asyncio.Semaphore:
        """One of as many starts at once as the machine has processors, and two at least: a start is a second of CPU."""
        loop = asyncio.get_running_loop()
        return self._slots.setdefault(loop, asyncio.Semaphore(max(2, os.cpu_count() or 2)))

    async def _end(self, running: dict[int, str]) -> None:
        await processes.end(running, grace_s=GRACE_S)
        self._reap()

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[pid]


BACKEND = ProcessBackend(Path(settings.BASE_DIR) / "workspace")


async def _running(name: str) -> dict[int, str]:
    return await asyncio.to_thread(processes.started_with, _data_argument(folder_of(name)))


def _data_argument(folder: Folder) -> str:
    return f"--data={folder.data}"


def _command(spec: Spec, folder: Folder) -> list[str]:
    # `--option=value` throughout: a user id may begin with a dash.
    server = [
        *(sys.executable, "-m", "mcp_server", _data_argument(folder), "--port=0", "--activity-port=0"),
        *(f"--user={spec.user_id}", f"--public-key={tokens.public_key_file()}", f"--tier={spec.tier}"),
        f"--ready-file={folder.ready_file}",
    ]
    sidecar = [
        *(sys.executable, "-m", "lifecycle_sidecar", f"--activity-file={folder.ready_file}"),
        *(f"--idle-seconds={spec.idle_s}", f"--grace-seconds={SERVER_GRACE_S}", f"--idle-file={folder.idle_file}"),
        *(f"--owner-file={folder.owner_file}", f"--owner-timeout-seconds={OWNER_TIMEOUT_S}"),
    ]
    return [*sidecar, "--spawn", "--", *server]


def _environment(folder: Folder) -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | {"HOME": str(folder.path)}


def _exited(child: subprocess.Popen[bytes], folder: Folder) -> WorkspaceFailed:
    output = folder.tail()
    cause = Cause.NOT_INSTALLED if "No module named" in output else Cause.EXITED
    return WorkspaceFailed(cause, detail=f"exit code {child.wait()}", output=output)


def _write_idle_time(name: str, idle_s: int) -> bool:
    """Whether it could be written; if not, the next who asks tries again."""
    try:
        folder_of(name).write_idle_time(idle_s)
    except OSError as error:
        log.warning("workspace_idle_time_not_written", workspace=name, error=str(error))
        return False
    return True


def _tend(folders: list[Folder]) -> None:
    for folder in folders:
        folder.tend()


@contextmanager
def _os_errors_as_failures() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise WorkspaceFailed(Cause.NOT_INSTALLED, detail=f"missing: {error.filename}") from error
    except OSError as error:
        raise WorkspaceFailed(Cause.INTERNAL, detail=str(error)) from error
