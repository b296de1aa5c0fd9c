"""The log of requests, so that tests count what a caller costs the server."""

from collections import Counter
from dataclasses import dataclass

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass
class Call:
    """One request. `resource` has its subresource: `deployments/scale`. A watch's bytes grow while it is open."""

    verb: str
    resource: str
    namespace: str
    name: str
    user: str
    agent: str
    at: float
    request_bytes: int
    code: int = 0
    answer_bytes: int = 0


class Journal:
    """The calls in their order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def clear(self) -> None:
        self.calls.clear()

    def of(self, *, verb: str = "", resource: str = "", name: str = "") -> list[Call]:
        """The calls of this verb, resource and name; what is left out doesn't matter."""
        return [
            call
            for call in self.calls
            if verb in {"", call.verb} and resource in {"", call.resource} and name in {"", call.name}
        ]

    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.verb in WRITES]

    def counted(self) -> Counter[str]:
        """How often each `verb resource` was asked for."""
        return Counter(f"{call.verb} {call.resource}" for call in self.calls)
