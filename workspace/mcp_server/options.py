"""The command line of the server; each option is also an environment variable, which the command line overrides."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIERS = ("free", "pro", "enterprise")
LARGEST_PORT = 65535

# An empty data file takes a third of this.
SMALLEST_QUOTA = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve one user. Port 0 chooses a free one."""

    data: Path
    host: str
    port: int
    activity_port: int
    user: str
    public_key: Path
    tier: str
    quota_bytes: int | None
    embeddings: str | None
    ready_file: Path | None
    unconfined: bool
    conformance_fixtures: bool = False


def parse_options(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Options:
    """Options from the command line, else from WORKSPACE_<OPTION>. Exits with 2 when one is missing or wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m mcp_server",
        description="Serve one user's workspace over MCP.",
        epilog="Each option can also be given as WORKSPACE_<OPTION>, e.g. WORKSPACE_ACTIVITY_PORT.",
    )
    _add_required(parser, environ)
    _add_optional(parser, environ)
    parser.add_argument(
        "--unconfined",
        action="store_true",
        default=_truth(environ.get("WORKSPACE_UNCONFINED", "")),
        help="run strategy code even where the kernel can't confine it (no seccomp or Landlock): for development only",
    )
    # No environment variable: a manifest can't switch it on by mistake.
    parser.add_argument("--conformance-fixtures", action="store_true", help="for the MCP conformance suite's test only")
    return Options(**vars(parser.parse_args(arguments)))


def _add_required(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add(parser, environ, "--data", type=Path, help="folder with the user's data, made when missing")
    _add(parser, environ, "--port", type=_port, help="port of /mcp and /healthz, 0 = a free one")
    _add(parser, environ, "--activity-port", type=_port, help="loopback port of /activity, 0 = a free one")
    _add(parser, environ, "--user", type=_text, help="id of the user, the `sub` of the gateway's tokens")
    _add(parser, environ, "--public-key", type=Path, help="file with the gateway's Ed25519 public keys, PEM")
    _add(parser, environ, "--tier", type=_tier, help=f"licence tier of the user: {', '.join(TIERS)}")


def _add_optional(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    _add(
        parser,
        environ,
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1; a pod needs 0.0.0.0)",
    )
    _add(
        parser,
        environ,
        "--quota-bytes",
        type=_quota,
        default=None,
        help="size of the user's volume in bytes (default: the tier's)",
    )
    _add(
        parser,
        environ,
        "--embeddings",
        default=None,
        help="module of the embedding model, 'none' to search by words only (default: the extra if it is installed)",
    )
    _add(
        parser,
        environ,
        "--ready-file",
        type=Path,
        default=None,
        help="write pid and ports there as JSON once listening",
    )


def _add(parser: argparse.ArgumentParser, environ: Mapping[str, str], flag: str, **settings: object) -> None:
    value = environ.get("WORKSPACE_" + flag.removeprefix("--").replace("-", "_").upper())
    if value:
        settings["default"] = value
    parser.add_argument(flag, required="default" not in settings, **settings)  # type: ignore[arg-type]  # passed on as they are


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, which is 0 to {LARGEST_PORT}")
    return int(text)


def _tier(text: str) -> str:
    # argparse holds `choices` against what stands on the command line only, not against a default.
    if text not in TIERS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(TIERS)}")
    return text


def _truth(text: str) -> bool:
    return text.strip().lower() in {"1", "true", "yes"}


def _quota(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < SMALLEST_QUOTA:
        raise argparse.ArgumentTypeError(f"{text!r} is no quota, which is {SMALLEST_QUOTA} bytes or more")
    return int(text)


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text
