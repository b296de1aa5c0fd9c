"""A user's folder `DATA_DIR/workspaces/<name>/`: the server has `data` in it; beside that are the owner's heartbeat, the idle
time, the server's announcement of its ports and what server and sidecar have printed.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.conf import settings

from provisioning.errors import Cause, WorkspaceFailed

LOG_CAP_BYTES = 1024 * 1024
TAIL_BYTES, TAIL_LINES = 4096, 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Folder:
    """The folder of one workspace."""

    path: Path

    @property
    def data(self) -> Path:
        """What the server writes to."""
        return self.path / "data"

    @property
    def ready_file(self) -> Path:
        """Where the server writes its ports once it listens."""
        return self.path / "ready.json"

    @property
    def owner_file(self) -> Path:
        """What the owner touches."""
        return self.path / "owner"

    @property
    def idle_file(self) -> Path:
        """Where the sidecar reads after how many seconds without use it is to stop the server."""
        return self.path / "idle-seconds"

    @property
    def log_file(self) -> Path:
        """What server and sidecar print."""
        return self.path / "log"

    def prepare(self) -> int:
        """Make the folder ready for a start; gives the descriptor of the emptied log, for the caller to close. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ready_file.unlink(missing_ok=True)
        self.owner_file.touch(mode=0o600)
        return os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def write_idle_time(self, idle_s: int) -> None:
        """Have the workspace stop after so long without use. Raises OSError."""
        draft = self.idle_file.with_suffix(".draft")
        draft.write_text(str(idle_s), encoding="ascii")
        draft.replace(self.idle_file)

    def announced_port(self) -> int:
        """The port that the server wrote down when it began to listen; 0 = not yet. The file appears whole."""
        try:
            return int(json.loads(self.ready_file.read_text(encoding="utf-8"))["port"])
        except FileNotFoundError:
            return 0
        except (ValueError, TypeError, KeyError) as error:
            raise WorkspaceFailed(Cause.NEVER_READY, detail="unreadable announcement", output=self.tail()) from error

    def tail(self) -> str:
        """The last lines that sidecar and server have printed; "" when they can't be read."""
        try:
            with self.log_file.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError as error:
            log.warning("workspace_log_unreadable", workspace=self.path.name, error=str(error))
            return ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])

    def tend(self) -> None:
        """Touch the owner's file and cut a log that has grown too long; one older log is kept."""
        try:
            self.owner_file.touch()
            _cut(self.log_file)
        except FileNotFoundError:
            log.debug("workspace_folder_gone", workspace=self.path.name)
        except OSError as error:
            log.warning("workspace_not_tended", workspace=self.path.name, error=str(error))

    def remove(self) -> bool:
        """Remove the folder and the user's data; False when there is none. Raises OSError."""
        try:
            shutil.rmtree(self.path)
        except FileNotFoundError:
            return False
        return True


def folder_of(name: str) -> Folder:
    """The folder of the workspace of this name."""
    return Folder(Path(settings.DATA_DIR) / "workspaces" / name)


def _cut(file: Path) -> None:
    if file.stat().st_size > LOG_CAP_BYTES:
        shutil.copyfile(file, file.with_name("log.1"))
        # Its writers append, so they go on at the new end.
        os.truncate(file, 0)
