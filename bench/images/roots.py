"""Clean roots of Debian, and commands in them. Linux, as root."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SUITE = "bookworm"
# What python:3.11-slim has over Debian's smallest root.
PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# How a container's root is seen by its process: its own /proc, the devices, a /tmp in memory; read-only where that is asked for.
ENTER = """set -e
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
if [ "$READ_ONLY" = yes ]; then
  mount --bind "$ROOT" "$ROOT"
  for folder in $WRITABLE; do mount --bind "$ROOT$folder" "$ROOT$folder"; done
  mount -o remount,ro,bind "$ROOT"
  mount -t tmpfs tmpfs "$ROOT/tmp"
fi
exec chroot --userspec="$IDENTITY" "$ROOT" /usr/bin/env -i "$@"
"""


@dataclass
class Root:
    """A folder that a process takes for `/`, with what a Dockerfile has said of its environment so far."""

    folder: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {
            "PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
            "HOME": "/root",
        }
    )
    workdir: str = "/"
    user: str = "0"

    def command(self, arguments: Sequence[str], **environment: str) -> list[str]:
        """How to run it here, as the image's user and in its folder, seen from outside."""
        values = [f"{name}={value}" for name, value in (self.environment | environment).items()]
        inside = ["/bin/sh", "-c", f'cd {shlex.quote(self.workdir)} && exec "$@"', "sh", *arguments]
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "enter", *values, *inside]

    def settings(self, *, read_only: bool = False, writable: Sequence[str] = ()) -> dict[str, str]:
        """What the command above reads."""
        identity = self.user if ":" in self.user else f"{self.user}:{self.user}"
        return {
            "PATH": os.environ["PATH"],
            "ROOT": str(self.folder),
            "IDENTITY": identity,
            "READ_ONLY": "yes" if read_only else "no",
            "WRITABLE": " ".join(writable),
        }

    def run(self, arguments: Sequence[str], **environment: str) -> None:
        """Run it to its end. Raises CalledProcessError."""
        subprocess.run(self.command(arguments, **environment), check=True, env=self.settings())

    def start(
        self, arguments: Sequence[str], *, writable: Sequence[str] = (), **environment: str
    ) -> "subprocess.Popen[bytes]":
        """Start it on a root that it can't write."""
        settings = self.settings(read_only=True, writable=writable)
        return subprocess.Popen(self.command(arguments, **environment), env=settings)


def clean_root(kept: Path, folder: Path) -> Root:
    """A copy of a root that `kept` holds; it is made the first time, which takes minutes."""
    if not kept.exists():
        making = kept.with_suffix(".part")
        shutil.rmtree(making, ignore_errors=True)
        making.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([*_maker(), SUITE, str(making)], check=True)
        # As python:3.11-slim has them, in /usr/local: Debian's own pip installs nothing beside its packages.
        subprocess.run(["chroot", str(making), "/usr/bin/python3.11", "-m", "venv", "/usr/local"], check=True)  # noqa: S607
        making.rename(kept)
    subprocess.run(["cp", "-a", str(kept), str(folder)], check=True)  # noqa: S607 - our folders
    for shared in (Path("/etc/resolv.conf"), CERTIFICATES):
        if shared.exists():
            shutil.copyfile(shared, folder / shared.relative_to("/"))
    return Root(folder)


def _maker() -> list[str]:
    for name in ("mmdebstrap", "debootstrap"):
        if found := shutil.which(name):
            return [found, "--variant=minbase", f"--include={PACKAGES}"]
    raise SystemExit("Neither mmdebstrap nor debootstrap is installed: apt-get install mmdebstrap")
