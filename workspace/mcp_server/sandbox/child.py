"""One job, in its own process: give up every right, read the request, run the entry, answer."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from mcp_server.jobs.contract import STRATEGY_FILE, Refused, Result, Task, limit_met, without_paths
from mcp_server.sandbox import wire
from mcp_server.sandbox.confine import Confinement, confine

Entry = Callable[[Task], Result]

# An eye sees no more.
REPORT_EVERY_S = 0.05


class Channel:
    """The job's end of its two pipes."""

    def __init__(self, *, request: int, answer: int) -> None:
        self._request = request
        self._answer = answer
        self._reported = 0.0

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._request, self._answer

    def receive(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments and arrays of the request. Raises EOFError when the server has gone."""
        with open(self._request, "rb") as pipe:
            head = pipe.read(wire.HEAD.size)
            if len(head) < wire.HEAD.size:
                raise EOFError
            kind, head_bytes, body_bytes = wire.HEAD.unpack(head)
            text, body = pipe.read(head_bytes), pipe.read(body_bytes)
        return wire.read_request(wire.Frame(kind, text, memoryview(body)))

    def send(self, buffers: Iterable[memoryview]) -> None:
        """Write all of it. Raises OSError when the server has gone."""
        for buffer in buffers:
            view = memoryview(buffer)
            while view:
                view = view[os.write(self._answer, view) :]

    def report(self, done: float, total: float | None, text: str) -> None:
        """Say how far the job is, if it was not just said."""
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY_S and done != total:
            return
        self._reported = now
        head = {"done": float(done), "total": None if total is None else float(total), "text": text[:200]}
        self.send(wire.encode(wire.PROGRESS, head))


def run_job(entry: Entry, *, channel: Channel, terms: Confinement, parent: int, output_bytes: int) -> NoReturn:
    """Run the entry in this process, freshly forked, and exit."""
    try:
        try:
            confine(terms, parent=parent)
        except OSError as error:
            channel.send(_failure("unavailable", str(error)))
            os._exit(1)
        tempfile.tempdir = terms.scratch
        # Made now: when memory has run out there is none to say so.
        no_memory = _failure("memory", "")
        try:
            channel.send(_outcome(entry, channel, output_bytes))
        except MemoryError:
            channel.send(no_memory)
    finally:
        os._exit(0)


def _outcome(entry: Entry, channel: Channel, output_bytes: int) -> list[memoryview]:
    """The frame that ends the job."""
    try:
        arguments, arrays = channel.receive()
        answer = wire.encode_result(entry(Task(arguments, arrays, channel.report)))
    except Refused as refusal:
        return _failure("refused", refusal.message, refusal.line)
    except MemoryError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is ends the job, and the server is told
        if limit := limit_met(error):
            return _failure(limit, without_paths(str(error)), _line(error))
        return _failure("fault", _describe(error))
    if wire.size(answer) > output_bytes + wire.HEAD.size or len(answer[0]) > wire.VALUES_BYTES + wire.HEAD.size:
        return _failure("output", "")
    return answer


def _failure(kind: str, message: str, line: int | None = None) -> list[memoryview]:
    # Half a surrogate pair is no text.
    text = message[: wire.LONGEST_TEXT // 2].encode(errors="replace").decode()
    return wire.encode(wire.FAILURE, {"kind": kind, "message": text, "line": line})


def _line(error: BaseException) -> int | None:
    """Where in the strategy's source it was raised."""
    places = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in places if frame.f_code.co_filename == STRATEGY_FILE]
    return lines[-1] if lines else None


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {without_paths(str(error))}{place}"
