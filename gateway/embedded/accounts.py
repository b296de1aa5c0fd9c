"""The account that PostgreSQL runs under when the gateway runs as root.

PostgreSQL refuses to run as root, and initdb needs an account with a passwd entry. The project's folder may lie where
that account cannot go (`mktemp -d` makes folders that only their owner enters). Then the server gets one Linux
capability, which opens such paths, and nothing else of root: CAP_DAC_READ_SEARCH where there is one, otherwise
CAP_DAC_OVERRIDE (Docker's default set has only the latter). See capabilities(7): an *ambient* capability survives the
exec of a program that is not setuid, and access(2), with which PostgreSQL looks for its own files, heeds the
capabilities of an ordinary user only under the securebit NO_SETUID_FIXUP.
"""

import os
import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.errors import EmbeddedServerError
from gateway.embedded.programs import run

UNPRIVILEGED_NAMES = ("nobody", "daemon")
PATH_CAPABILITIES = ("dac_read_search", "dac_override")
REACHES_ALL = '"$0" --bindir && for path; do test -x "$path" || exit 1; done'


@dataclass(frozen=True)
class Account:
    """Ids of a user that is not root."""

    uid: int
    gid: int


def server_account(data: Path) -> Account | None:
    """Return who must run the server of the folder `data`, None for whoever we are.

    Files that exist keep their owner. Raises EmbeddedServerError when root finds nobody to be.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in UNPRIVILEGED_NAMES:
        if name in known:
            return Account(known[name].pw_uid, known[name].pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root and this system has no account `nobody`: "
        "set DATABASE_URL, or run as an ordinary user."
    )


def command_prefix(account: Account | None, *, program: Path, enter: Sequence[Path]) -> list[str]:
    """Return the words that make a command run as `account`, with the powers that it takes to reach its files.

    They are the least with which `program --bindir` succeeds and each path of `enter` can be entered. Raises
    EmbeddedServerError when this process may not do that.
    """
    if account is None:
        return []
    if shutil.which("setpriv") is None:
        raise EmbeddedServerError(
            "As root, the embedded PostgreSQL needs `setpriv` of the package util-linux: "
            "install it, set DATABASE_URL, or run as an ordinary user."
        )
    plain = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--no-new-privs"]
    complaints = []
    for powers in ([], *map(_powers, PATH_CAPABILITIES)):
        check = run([*plain, *powers, "sh", "-c", REACHES_ALL, str(program), *map(str, enter)])
        if check.returncode == 0:
            return [*plain, *powers]
        complaints.append(check.stdout.decode(errors="replace").strip())
    raise EmbeddedServerError(
        f"PostgreSQL does not run as root, and uid {account.uid} cannot reach {enter[-1]} ({complaints[-1]}): move the "
        "project to a folder that others may enter, set DATABASE_URL, or run as an ordinary user."
    )


def _powers(capability: str) -> list[str]:
    return ["--securebits=+no_setuid_fixup", f"--inh-caps=-all,+{capability}", f"--ambient-caps=-all,+{capability}"]


def give_to_owner_of_folder(path: Path) -> None:
    """Let a file that root makes in an ordinary user's folder belong to that user, who will need it later."""
    folder = path.parent.stat()
    if os.geteuid() == 0 and folder.st_uid != 0:
        os.chown(path, folder.st_uid, folder.st_gid)
