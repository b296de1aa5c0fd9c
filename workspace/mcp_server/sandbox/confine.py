"""What a job's process gives up before it runs anybody's code. The order matters; every step is for good."""

from __future__ import annotations

import os
import platform
import resource
import signal
from dataclasses import dataclass

from mcp_server.sandbox import kernel, landlock, seccomp
from mcp_server.sandbox.system_calls import ARCHITECTURES

# "nobody" in every distribution and in the containers of most.
UNPRIVILEGED = 65534

# CAP_SETGID and CAP_SETUID; CAP_CHOWN and CAP_KILL, to give the job its folder and to end it (linux/capability.h).
CHANGE_USER = 1 << 6 | 1 << 7 | 1 << 0 | 1 << 5

# A job needs its two pipes and a few of its files at a time.
MOST_DESCRIPTORS = 64

# Behind the server, when both want the processor; before it, when memory runs out.
NICENESS = 5
FIRST_TO_BE_KILLED = "1000"


@dataclass(frozen=True, slots=True)
class Confinement:
    """How one job is held."""

    readable: tuple[str, ...]
    scratch: str
    keep: tuple[int, ...]
    cpu_s: float
    memory_bytes: int
    disk_bytes: int
    unconfined: bool


def why_not() -> str | None:
    """What this kernel lacks, None when it can confine."""
    if platform.machine() not in ARCHITECTURES:
        return f"no seccomp filter is known for {platform.machine()}"
    try:
        kernel.landlock_version()
        kernel.prctl(kernel.PR_GET_SECCOMP)
    except OSError as error:
        return f"no Landlock or seccomp: {error}"
    return None


def confine(terms: Confinement, *, parent: int) -> None:
    """Confine this process, a child of `parent`. Raises OSError when it can't, unless `terms.unconfined`."""
    os.setsid()
    _close_all_but(terms.keep)
    os.chdir(terms.scratch)
    os.umask(0o077)
    os.environ.clear()
    _be_killed_first()
    _limit(terms)
    change_user = may_change_user()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    _hide_files(terms)
    kernel.drop_bounding_set()
    if change_user:
        _change_user()
    kernel.drop_capabilities()
    # After the change of user, which clears it (prctl(2)).
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    _refuse_calls(terms)


def _close_all_but(keep: tuple[int, ...]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    start = 3
    for descriptor in sorted(keep):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _be_killed_first() -> None:
    os.nice(NICENESS)
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(FIRST_TO_BE_KILLED)


def _limit(terms: Confinement) -> None:
    # Python's way to end when SIGXCPU comes is to die of it; a job that ignores it is killed a second later.
    cpu_s = max(1, round(terms.cpu_s))
    _set(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_NPROC, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        _set(kind, 0, 0)
    _set(resource.RLIMIT_FSIZE, terms.disk_bytes, terms.disk_bytes)
    _set(resource.RLIMIT_NOFILE, MOST_DESCRIPTORS, MOST_DESCRIPTORS)
    mapped, written = _memory_now()
    _set(resource.RLIMIT_AS, mapped + terms.memory_bytes, mapped + terms.memory_bytes)
    _set(resource.RLIMIT_DATA, written + terms.memory_bytes, written + terms.memory_bytes)


def _set(kind: int, soft: int, hard: int) -> None:
    _, allowed = resource.getrlimit(kind)
    if allowed != resource.RLIM_INFINITY:
        soft, hard = min(soft, allowed), min(hard, allowed)
    resource.setrlimit(kind, (soft, hard))


def _memory_now() -> tuple[int, int]:
    """Bytes of address space, and of what of it counts as data (proc_pid_statm(5))."""
    with open("/proc/self/statm", encoding="ascii") as file:
        fields = file.read().split()
    page = resource.getpagesize()
    return int(fields[0]) * page, int(fields[5]) * page


def _hide_files(terms: Confinement) -> None:
    try:
        landlock.restrict(readable=terms.readable, scratch=terms.scratch)
    except OSError:
        if not terms.unconfined:
            raise


def may_change_user() -> bool:
    """Root without capabilities, as a container that drops them all has it, is an ordinary user and stays one."""
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    return os.geteuid() == 0 and effective & CHANGE_USER == CHANGE_USER


def _change_user() -> None:
    os.setgroups([])
    os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
    os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)


def _refuse_calls(terms: Confinement) -> None:
    try:
        kernel.install_filter(seccomp.program_for(platform.machine(), own_pid=os.getpid()))
    except (OSError, KeyError):
        if not terms.unconfined:
            raise
