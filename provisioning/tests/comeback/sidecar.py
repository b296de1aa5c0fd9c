"""The sidecar's own code; it stands alone in `workspace/`, which only this imports."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import greenlet  # type: ignore[import-untyped]  # has none
from django.conf import settings

if TYPE_CHECKING:
    from provisioning.tests.comeback.world import World

IDLE_S, POLL_S = 60, 5


@contextmanager
def sidecar_code() -> Iterator["Sidecar"]:
    """The code, which can be imported inside the block."""
    folder = str(Path(settings.BASE_DIR) / "workspace")
    sys.path.append(folder)
    yield Sidecar()
    sys.path.remove(folder)


class Sidecar:
    """Makes sidecars."""

    def __init__(self) -> None:
        self.attendance = importlib.import_module("lifecycle_sidecar.attendance")
        self.cluster = importlib.import_module("lifecycle_sidecar.cluster")
        self.options = importlib.import_module("lifecycle_sidecar.options")
        self.policy = importlib.import_module("lifecycle_sidecar.policy")

    def attendant(self, world: "World", pod: str) -> Any:
        """The attendant of a pod, whose calls to the API are steps and whose server is the world's."""
        policy, conflict = self.policy, self.cluster.Conflict

        class Deployment:
            namespace = name = ""

            def version(self) -> str:
                version = world.version()
                greenlet.getcurrent().parent.switch()
                return version

            def stop(self, version: str) -> None:
                world.stopping = True
                greenlet.getcurrent().parent.switch()
                if not world.stop(version):
                    raise conflict

        class Attendant(self.attendance.Attendant):  # type: ignore[name-defined, misc]  # known at run time only
            def _activity(self) -> Any:
                server = world.servers[pod]
                return policy.Activity(in_flight=server.in_flight, last_useful=server.last_useful)

        arguments = ["--activity-url=http://x", f"--idle-seconds={IDLE_S}", "--deployment=x"]
        options = self.options.parse_options([*arguments, f"--poll-seconds={POLL_S}"], {})
        return Attendant(options, Deployment(), clock=lambda: world.now)
