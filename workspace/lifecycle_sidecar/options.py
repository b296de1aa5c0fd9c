"""The command line of the sidecar; each option is also an environment variable, which the command line overrides."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Options:
    """What to run and when to stop it; all times in seconds. One of `activity_url` and `activity_file` is given."""

    command: tuple[str, ...]
    activity_url: str | None
    activity_file: Path | None
    idle_seconds: float
    owner_file: Path | None
    owner_timeout_seconds: float
    poll_seconds: float
    grace_seconds: float


def parse_options(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Options:
    """Options from the command line, else from WORKSPACE_<OPTION>. Exits with 2 when one is missing or wrong."""
    parser = _parser(environ)
    given = vars(parser.parse_args(arguments))
    if not given.pop("spawn") or not given["command"]:
        parser.error("give --spawn -- COMMAND: the sidecar is the parent of the server that it watches")
    if (given["activity_url"] is None) == (given["activity_file"] is None):
        parser.error("give one of --activity-url and --activity-file")
    return Options(**{**given, "command": tuple(given["command"])})


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lifecycle_sidecar",
        description="Run a workspace's server and stop it when it is idle or its owner is gone.",
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
    add("--owner-file", type=Path, default=None, help="file that the owner touches every 5 s; left out = no owner")
    add("--owner-timeout-seconds", type=_seconds, default=30.0, help="the owner is gone after this (default 30)")
    add("--poll-seconds", type=_seconds, default=5.0, help="time between two looks (default 5)")
    add("--grace-seconds", type=_seconds, default=10.0, help="from SIGTERM to SIGKILL (default 10)")
    parser.add_argument("--spawn", action="store_true", help="run COMMAND as a child and watch it")
    parser.add_argument("command", nargs="*", metavar="-- COMMAND", help="the server with its arguments")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


def _url(text: str) -> str:
    if urlsplit(text).scheme != "http" or not urlsplit(text).hostname:
        raise ValueError
    return text
