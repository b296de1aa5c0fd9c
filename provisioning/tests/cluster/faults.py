"""What goes wrong on the way to the server and back, chosen by the test for chosen requests."""

import threading
from dataclasses import dataclass, field

from provisioning.tests.cluster.requests import Request
from provisioning.tests.cluster.statuses import Refused


@dataclass
class Gate:
    """Where a request is held: `reached` is set when one has come, `open` lets it and later ones through."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        self.opened.set()


@dataclass
class Fault:
    """One trouble, for requests that match; an empty field matches all. `times` None = until it is removed.

    `refusal` is answered instead of the server's answer; `latency_s` is real time; `gate` holds the request before it is
    carried out, `gate_after` when it has been; `drop` cuts the connection before, `drop_after` when the write is done and
    the answer is on its way; `silent` opens a watch that says nothing.
    """

    verb: str = ""
    resource: str = ""
    name: str = ""
    subresource: str | None = None
    times: int | None = 1
    refusal: Refused | None = None
    latency_s: float = 0.0
    gate: Gate | None = None
    gate_after: Gate | None = None
    drop: bool = False
    drop_after: bool = False
    silent: bool = False

    def concerns(self, request: Request) -> bool:
        target = request.target
        asked = (self.verb, request.verb), (self.resource, target.kind.plural), (self.name, target.name)
        if any(wanted and wanted != given for wanted, given in asked):
            return False
        return self.subresource is None or self.subresource == target.subresource


class Faults:
    """The troubles that are set; the first that matches a request meets it."""

    def __init__(self) -> None:
        self._set: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self._set.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        if fault in self._set:
            self._set.remove(fault)

    def clear(self) -> None:
        self._set.clear()

    def meeting(self, request: Request) -> Fault | None:
        """The trouble that this request meets; one of its times is used up."""
        fault = next((fault for fault in self._set if fault.concerns(request)), None)
        if fault and fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._set.remove(fault)
        return fault
