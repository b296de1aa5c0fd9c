"""Run programs that come with a Python package, cut off from our terminal, environment and folder."""

import importlib.util
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from gateway.embedded.errors import EmbeddedServerError

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""Nothing of ours goes in: PGPORT, PGDATA and the like would change what PostgreSQL's programs do."""


def run(
    command: Sequence[str], *, stdin: bytes = b"", output: IO[bytes] | int = subprocess.PIPE, keep: Sequence[int] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end in a session of its own, where no Ctrl-C reaches it; both streams go to `output`.

    `keep` are the file descriptors that it inherits.
    """
    return subprocess.run(  # noqa: S603 - the callers build the words, no user does
        command,
        input=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=keep,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
        check=False,
    )


def package_folder(name: str, *, instead: str) -> Path:
    """Return the folder of an installed package without importing it.

    Raises EmbeddedServerError that tells what to do `instead`.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(f"The package `{name}` is not installed: {instead}.")
    return Path(spec.origin).parent
