"""What runs workspaces: every module of this folder defines BACKEND, and PROVISIONER names the one in use.

A backend holds no truth: what it needs to find a workspace again is in the `facts` that it hands out, which the caller
stores. It may be asked for the same workspace from several processes, never by two at the same time.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, runtime_checkable

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from accounts.tiers import LIMITS, Tier
from gateway.plugins import load_folder

Facts = Mapping[str, str | int]


@dataclass(frozen=True)
class Spec:
    """The workspace that is wanted; `idle_s` 0 = it is never stopped for being idle.

    The sizes are the licence's, as `accounts.tiers` has them (`512Mi`, `500m`); left out they are the smallest tier's.
    """

    name: str
    user_id: str
    tier: Tier
    idle_s: int
    memory: str = LIMITS["free"].memory
    cpu: str = LIMITS["free"].cpu
    storage: str = LIMITS["free"].storage


@dataclass(frozen=True)
class Instance:
    """A running workspace: the URL of its MCP endpoint and what its backend needs to find it again."""

    url: str = ""
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Something that was not as it should be: what was found, and what was done about it (on a dry run: would be)."""

    name: str
    user_id: str
    found: str
    done: str


Record = Callable[[Instance], Awaitable[None]]


class Report(Protocol):
    """Told of each stage entered (queued, scheduling, pulling, starting), and of news within one."""

    async def __call__(self, stage: str, *, detail: str = "") -> None:
        """`detail` is a sentence for the user in place of the stage's own."""


@runtime_checkable
class Backend(Protocol):
    """Starts and stops workspaces somewhere. `close` ends what the running event loop holds for it."""

    @property
    def name(self) -> str:
        """What PROVISIONER calls it."""

    @property
    def owned(self) -> bool:
        """Whether a gateway process owns each workspace, keeps it alive by its heartbeat, and takes it along at its end."""

    async def start(self, spec: Spec, *, former: Instance, report: Report, record: Record) -> Instance:
        """Start the workspace and return once it serves.

        `former` is the instance that the caller knows and has found not to serve, empty if there is none: it is replaced, unless
        it serves after all, and another that runs may be joined. `record` is awaited with an empty instance before anything is
        started, with the instance as soon as something of it exists, and again when it is complete. What `report` and `record`
        raise ends the start: the workspace may be another process's by then, whose own instance must not be touched. Raises
        WorkspaceFailed. A start that failed or was cancelled leaves nothing running of what it has started.
        """

    async def stop(self, name: str) -> None:
        """End the workspace, with grace, and return when nothing of it runs; none running is no error. Data stay."""

    def alive(self, instance: Instance) -> bool:
        """Whether the instance still runs, as far as can be told in microseconds: no waiting, no network."""

    async def want(self, spec: Spec, instance: Instance) -> bool:
        """Say, before a request is routed to it, that the instance is wanted; False when it is ending or has ended.

        `spec` is what it shall be like by now: what can be changed without a restart is. Raises WorkspaceFailed when neither the
        instance nor what could start it anew can be reached.
        """

    def news(self, spec: Spec) -> str:
        """What its user should know of a workspace that runs, as sentences in place of "it is ready"; "" = nothing."""

    def releases(self) -> frozenset[str]:
        """What `facts["release"]` of a workspace that is started now may be; empty where releases do not differ."""

    async def serves(self, user_id: str, instance: Instance) -> bool:
        """Whether the instance answers, and answers to this user, asked over the network within a few seconds."""

    async def heartbeat(self, names: Iterable[str]) -> None:
        """Tell these workspaces that their owner lives."""

    async def heed(self, idle: Mapping[str, int]) -> None:
        """Have these workspaces, which the caller owns, stop after so many seconds without use from now on; 0 = never."""

    async def remove(self, name: str, *, with_data: bool) -> bool:
        """Remove what is left of a stopped workspace, the user's data only `with_data`; whether there was anything."""

    async def follow(self) -> None:
        """Until cancelled, note in the table what happens to workspaces that no process owns; return if there are none such."""

    async def reconcile(self, *, dry_run: bool) -> list[Finding]:
        """Bring table and reality in line, once; on a dry run only say how. Raises WorkspaceFailed, psycopg.Error."""

    async def close(self) -> None:
        """Let go of connections that belong to the running event loop."""


@cache
def backends() -> dict[str, Backend]:
    """Every backend by its name."""
    return load_folder(__name__, constant="BACKEND", kind=Backend)  # type: ignore[type-abstract] # checked with isinstance


def backend() -> Backend:
    """The backend that PROVISIONER names; raises ImproperlyConfigured when there is none of that name."""
    found = backends().get(settings.PROVISIONER)
    if found is None:
        raise ImproperlyConfigured(f"PROVISIONER must be one of: {', '.join(backends())}.")
    return found
