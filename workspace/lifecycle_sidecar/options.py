"""The command line of the sidecar; each option is also an environment variable, which the command line overrides."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

# Where a pod finds its service account's token, its namespace and the cluster's CA.
PROJECTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# Names of Kubernetes' objects, as RFC 1123 has them.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Options:
    """What to watch and when to stop it; all times in seconds.

    With a `command` the sidecar is its parent, and one of `activity_url` and `activity_file` is given. Without, it watches
    the `deployment` that it is in, and `activity_url` is given; a `namespace` that is left out stands in `credentials`.
    """

    command: tuple[str, ...]
    deployment: str | None
    namespace: str | None
    credentials: Path
    activity_url: str | None
    activity_file: Path | None
    idle_seconds: float
    idle_file: Path | None
    owner_file: Path | None
    owner_timeout_seconds: float
    poll_seconds: float
    grace_seconds: float


def parse_options(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Options:
    """Options from the command line, else from WORKSPACE_<OPTION>. Exits with 2 when one is missing or wrong."""
    parser = _parser(environ)
    given = vars(parser.parse_args(arguments))
    spawn = given.pop("spawn")
    options = Options(**{**given, "command": tuple(given["command"])})
    problem = _problem_of_a_parent(options) if spawn else _problem_of_an_attendant(options)
    if problem:
        parser.error(problem)
    return options


def _problem_of_a_parent(options: Options) -> str | None:
    if not options.command:
        return "give --spawn -- COMMAND: the server that the sidecar is to run"
    if options.deployment is not None:
        return "give one of --spawn and --deployment"
    if (options.activity_url is None) == (options.activity_file is None):
        return "give one of --activity-url and --activity-file"
    return None


def _problem_of_an_attendant(options: Options) -> str | None:
    if options.command:
        return "give --spawn before -- COMMAND"
    if options.deployment is None:
        return "give --spawn -- COMMAND to run the server, or --deployment to watch the pod's own"
    if options.activity_url is None or options.activity_file is not None:
        return "give --activity-url with --deployment: the server of a pod has a fixed port"
    if options.owner_file is not None:
        return "--owner-file is for --spawn: a pod belongs to its Deployment"
    return None


class IdleTime:
    """After how long without use the workspace is to stop by now."""

    def __init__(self, options: Options) -> None:
        self._file = options.idle_file
        self._seconds = options.idle_seconds

    def read(self) -> float:
        """What the idle file says, in seconds, and while it can't be read what it said last; 0 = never."""
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                self._seconds = _seconds(self._file.read_text(encoding="ascii"))
        return self._seconds


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lifecycle_sidecar",
        description="Stop a workspace when it is idle or its owner is gone: as the server's parent (--spawn), or in its pod "
        "(--deployment).",
        epilog="Each option can also be given as WORKSPACE_<OPTION>, e.g. WORKSPACE_IDLE_SECONDS.",
    )

    def add(flag: str, **settings: object) -> None:
        value = environ.get("WORKSPACE_" + flag.removeprefix("--").replace("-", "_").upper())
        if value:
            settings["default"] = value
        parser.add_argument(flag, required="default" not in settings, **settings)  # type: ignore[arg-type]  # passed on

    add("--activity-url", type=_url, default=None, help="where the server's /activity is")
    add("--activity-file", type=Path, default=None, help="the server's --ready-file, which names its activity port")
    add("--idle-seconds", type=_seconds, help="stop after so long without a useful request, 0 = never")
    add("--idle-file", type=Path, default=None, help="file whose number replaces --idle-seconds, read at each look")
    add("--owner-file", type=Path, default=None, help="file that the owner touches every 5 s; left out = no owner")
    add("--owner-timeout-seconds", type=_seconds, default=30.0, help="the owner is gone after this (default 30)")
    add("--poll-seconds", type=_pause, default=5.0, help="time between two looks (default 5)")
    add("--grace-seconds", type=_seconds, default=10.0, help="from SIGTERM to SIGKILL (default 10)")
    add("--deployment", type=_name, default=None, help="name of the pod's own Deployment, scaled to 0 when idle")
    add("--namespace", type=_name, default=None, help="namespace of the Deployment (default: the pod's)")
    add("--credentials", type=Path, default=PROJECTED, help="folder with the pod's token, namespace and ca.crt")
    parser.add_argument("--spawn", action="store_true", help="run COMMAND as a child and watch it")
    parser.add_argument("command", nargs="*", metavar="-- COMMAND", help="the server with its arguments")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


def _pause(text: str) -> float:
    seconds = _seconds(text)
    # Without a pause between its looks the sidecar would use a whole core, and the API server's patience.
    if seconds == 0:
        raise ValueError
    return seconds


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError
    return text


def _url(text: str) -> str:
    if urlsplit(text).scheme != "http" or not urlsplit(text).hostname:
        raise ValueError
    return text
