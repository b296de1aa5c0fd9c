"""The folders of jobs: one each, fresh, removed at its end."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcp_server.errors import JobDied
from mcp_server.sandbox.confine import UNPRIVILEGED, may_change_user

# A job that makes more files than it could have a use for is ended before looking at them takes long.
MOST_FILES = 1000


PREFIX = "dexorder-sandbox-"


class Scratch:
    """A folder for the folders of jobs, made when it is first needed.

    It lies in the system's temporary folder or, where that can't be written to (a container with a read-only root), in
    `spare`.
    """

    def __init__(self, *, spare: Path | None) -> None:
        self._spare = spare
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._closed = False

    @property
    def folder(self) -> Path:
        """Where they all lie; others may pass through it but see nothing. Raises OSError."""
        with self._lock:
            if self._closed:
                raise OSError(errno.ESHUTDOWN, "the workspace is stopping")
            if self._folder is None or not self._folder.is_dir():
                self._folder = self._make()
                self._folder.chmod(0o711)
            return self._folder

    def _make(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX))
        except OSError:
            if self._spare is None:
                raise
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._spare))

    @contextmanager
    def one(self) -> Iterator[str]:
        """A job's own folder. Raises JobDied where none can be made."""
        try:
            path = tempfile.mkdtemp(prefix="job-", dir=self.folder)
        except OSError as error:
            raise JobDied(f"There is no room for the computation's folder: {error.strerror}.") from error
        try:
            if may_change_user():
                os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def remove(self) -> None:
        """Remove all of them and make no more."""
        with self._lock:
            self._closed = True
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)


def used_bytes(path: str) -> tuple[int, int]:
    """Bytes on disk and number of files in a job's folder, which has no folders in it. Stops counting past MOST_FILES.

    Raises JobDied when the folder can't be read.
    """
    total = count = 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                count += 1
                if count > MOST_FILES:
                    break
                total += entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError as error:
        raise JobDied(f"The computation's folder can't be read any more: {error.strerror}. Try again.") from error
    return total, count
