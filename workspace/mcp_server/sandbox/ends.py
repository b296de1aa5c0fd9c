"""The pipes of one job and the socket on which the zygote tells of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


class NotBegun(Exception):
    """The zygote went before it began the job."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The server's ends: where to write the request, read the answer, and hear of the job."""

    request: int
    answer: int
    status: socket.socket


class Theirs:
    """The ends that go to the zygote, which has copies once they are sent."""

    def __init__(self, request: int, answer: int, status: socket.socket) -> None:
        self.descriptors = [request, answer, status.fileno()]
        self._closing = ExitStack()
        self._closing.callback(os.close, request)
        self._closing.callback(os.close, answer)
        self._closing.callback(status.close)

    def close(self) -> None:
        """Close them here, so that the end of the other side's is noticed."""
        self._closing.close()


@contextmanager
def open_ends() -> Iterator[tuple[Ends, Theirs]]:
    """Both sides, closed at the end. The server never blocks on its own."""
    with ExitStack() as closing:
        request_out, request_in = os.pipe()
        answer_out, answer_in = os.pipe()
        status, status_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs = Theirs(request_out, answer_in, status_theirs)
        closing.callback(theirs.close)
        for descriptor in (request_in, answer_out):
            os.set_blocking(descriptor, False)
            closing.callback(os.close, descriptor)
        closing.callback(status.close)
        yield Ends(request_in, answer_out, status), theirs
