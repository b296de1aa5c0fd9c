"""The mark on a Deployment that a workspace is wanted. Its sidecar stops an idle one only if nobody has written since.

A sidecar reads the Deployment's version when its server falls quiet, and again after the whole idle time: only if it is still
the same, and nothing was asked of the server, does it stop. So a mark is good for as long as the idle time, and one that is
less than half of that old needs no other, whichever process has written it: a talk costs no calls, and the first word after a
pause costs one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from gateway.ids import new_uuid
from provisioning.backends._kubernetes.cluster import Cluster
from provisioning.backends._kubernetes.errors import ApiFailed, Away, Missing
from provisioning.backends._kubernetes.kinds import DEPLOYMENTS
from provisioning.backends._kubernetes.manifests import DEMAND
from provisioning.backends._kubernetes.marks import PROCESS
from provisioning.backends._kubernetes.transport import OVERLOADED
from provisioning.backends._kubernetes.views import DeploymentView

# What runs must not depend on the control plane: a mark that takes longer is written while the request is on its way.
WAIT_S = 5.0
# After one that could not be written in time, nobody waits for another for so long.
AGAIN_S = 10.0

log = structlog.get_logger(__name__)


def new_mark() -> str:
    """A mark that no other call makes: when, by which process, and which of its calls."""
    return f"{datetime.now(UTC).isoformat(timespec='seconds')} {PROCESS} {new_uuid()}"


async def despite_outage(
    name: str, tell: Callable[[], Awaitable[bool]], *, serves: Callable[[], Awaitable[bool]]
) -> bool:
    """What telling that a workspace is wanted gives; where the API server does not do it, whether the workspace itself `serves`.

    What runs must not depend on the control plane, nor can a sidecar stop it without. Raises ApiFailed when neither can be
    reached: no start could do better, so that the row stays as it is.
    """
    try:
        return await tell()
    except ApiFailed as error:
        log.warning("workspace_wanted_without_the_cluster", workspace=name, error=str(error))
        if await serves():
            return True
        if error.status:
            return False
        raise


@dataclass(frozen=True)
class _Failure:
    """A mark that could not be written, and when that was known."""

    at: float
    error: Away


class Demand:
    """The marks that this process has written, and when."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: dict[str, float] = {}
        self._failed: dict[str, _Failure] = {}
        self._writing: dict[str, asyncio.Task[bool | Away]] = {}

    def now(self) -> float:
        """The clock's time."""
        return self._clock()

    def wrote(self, name: str, *, at: float) -> None:
        """A mark was written by a call that began at the time `at` of the clock."""
        self._written[name] = at

    @property
    def remembered(self) -> set[str]:
        """The workspaces of which something is remembered."""
        return self._written.keys() | self._failed.keys()

    def forget(self, name: str) -> None:
        """The workspace has ended."""
        self._written.pop(name, None)
        self._failed.pop(name, None)

    async def tell(self, cluster: Cluster, name: str) -> bool:
        """See that a mark stands that is good enough; False when the workspace was stopped before it could be written.

        An API server that is away or slow holds nobody up for as long as the last mark is good. One that answers, and takes no
        mark, may take the sidecar's word: then whoever comes has to start the workspace, and is told why that fails. Raises Away
        when nothing was heard of it and the last mark is too old: then only the workspace itself can tell whether it runs.
        """
        found = cluster.deployments.one(name)
        if found is None or found.deleting or found.replicas == 0:
            return False
        if found.idle_s == 0 or min(self._since_written(name), cluster.marks.age(name)) < found.idle_s / 2:
            return True
        failed = self._failed.get(name)
        if failed is not None and self._clock() - failed.at < AGAIN_S:
            return self._stands_despite(failed.error, found)
        if name not in self._writing:
            task = self._writing[name] = asyncio.create_task(self._write(cluster, found))
            task.add_done_callback(lambda _: self._writing.pop(name, None))
        await asyncio.wait([task := self._writing[name]], timeout=WAIT_S)
        late = Away(f"no answer within {WAIT_S:g} s", about=f"patch {DEPLOYMENTS.plural} {name}")
        written = task.result() if task.done() else self._fails(name, late)
        if isinstance(written, Away):
            return self._stands_despite(written, found)
        # One that was sent again, since its answer was lost, stands since the first time.
        return written and self._stands(found)

    def _stands_despite(self, error: Away, found: DeploymentView) -> bool:
        """Whether the last mark will do though no other could be written. Raises that error when nothing was reached."""
        if self._stands(found):
            return True
        if not error.status:
            raise error
        return False

    def _stands(self, found: DeploymentView) -> bool:
        """Whether the last mark of ours keeps the sidecar from a stop, also until what is asked now has reached the server."""
        return self._since_written(found.name) < found.idle_s * 3 / 4

    def _since_written(self, name: str) -> float:
        return self._clock() - self._written.get(name, float("-inf"))

    def _fails(self, name: str, error: Away) -> Away:
        self._failed[name] = _Failure(self._clock(), error)
        return error

    async def _write(self, cluster: Cluster, found: DeploymentView) -> bool | Away:
        """Whether it was written; the error when it could not be, and it is not known whether the workspace was stopped."""
        began, name = self._clock(), found.name
        try:
            answer = await cluster.api.patch(DEPLOYMENTS, name, {"metadata": {"annotations": {DEMAND: new_mark()}}})
        except Missing:
            return False
        except ApiFailed as error:
            log.warning("workspace_demand_not_written", workspace=name, error=str(error))
            if not isinstance(error, Away) or error.status == OVERLOADED:
                return False
            return self._fails(name, error)
        cluster.note(answer)
        if answer["spec"].get("replicas", 1) == 0:
            return False
        self.wrote(name, at=began)
        return True
