"""The HTTP face of the cluster, as an ASGI application."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

from provisioning.tests.cluster import statuses
from provisioning.tests.cluster.certificates import subject_of
from provisioning.tests.cluster.cluster import Cluster
from provisioning.tests.cluster.discovery import described
from provisioning.tests.cluster.faults import Fault, Gate
from provisioning.tests.cluster.handling import Answer, handled
from provisioning.tests.cluster.journal import Call
from provisioning.tests.cluster.requests import Request, parse_query, target_of, verb_of
from provisioning.tests.cluster.statuses import Refused
from provisioning.tests.cluster.watching import lines_of, next_lines, opened

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# The real server's limit: https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/server/config.go
MOST_BODY_BYTES = 3 * 1024 * 1024

# A gate that nobody opens would hang the test for good.
GATE_TIMEOUT_S = 60.0


class ConnectionCut(Exception):
    """The answer is to be no answer."""


class Api:
    """Serves one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await body_of(receive)
        try:
            await self._serve(scope, body, (receive, send))
        except ConnectionCut:
            cut(send)

    async def _serve(self, scope: Scope, body: bytes, channel: tuple[Receive, Send]) -> None:
        _, send = channel
        call = self._call(scope, body)
        try:
            if scope["path"] in {"/healthz", "/livez", "/readyz"}:
                await _send(send, call, Answer(200, {"status": "ok"}))
                return
            user = self._user(scope, send)
            tree = described(scope["path"].rstrip("/")) if scope["method"] == "GET" else None
            if tree is not None:
                await _send(send, call, Answer(200, tree))
                return
            await self._serve_request(_request(scope, body, user), call, channel)
        except Refused as refused:
            await _send(send, call, Answer(refused.code, refused.status()), retry_after_s=refused.retry_after_s)

    async def _serve_request(self, request: Request, call: Call, channel: tuple[Receive, Send]) -> None:
        _name_call(call, request)
        with self.cluster.lock:
            self.cluster.journal.calls.append(call)
            fault = self.cluster.faults.meeting(request)
        await _before(fault)
        with self.cluster.lock:
            self.cluster.authorizer.check(request)
        if request.verb == "watch":
            await self._watch(request, call, channel, silent=bool(fault and fault.silent))
            return
        if len(request.body) > MOST_BODY_BYTES:
            raise Refused(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY_BYTES}")
        answer = handled(self.cluster, request)
        await _after(fault)
        await _send(channel[1], call, answer)

    async def _watch(self, request: Request, call: Call, channel: tuple[Receive, Send], *, silent: bool) -> None:
        receive, send = channel
        with self.cluster.lock:
            watch = opened(self.cluster.store, request)
            if self.cluster.refuses_old_watches:
                self.cluster.store.since(watch.version)
            watch.silent = silent
            self.cluster.watches.append(watch)
            if timeout_s := request.number("timeoutSeconds"):
                self.cluster.clock.call_later(timeout_s, watch.end)

        def next_() -> list[bytes]:
            with self.cluster.lock:
                return next_lines(self.cluster.store, watch)

        async def hang_up() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            watch.end()

        call.code = 200
        hanging = asyncio.create_task(hang_up())
        try:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            async for line in lines_of(watch, next_):
                call.answer_bytes += len(line)
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            with self.cluster.lock:
                self.cluster.watches.remove(watch)
            hanging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hanging

    def _user(self, scope: Scope, send: Send) -> str:
        with self.cluster.lock:
            return self.cluster.identities.user_of(_header(scope, b"authorization"), subject_of(certificate_of(send)))

    def _call(self, scope: Scope, body: bytes) -> Call:
        agent = _header(scope, b"user-agent")
        return Call("", scope["path"], "", "", "", agent, self.cluster.clock.now(), len(body))


def _request(scope: Scope, body: bytes, user: str) -> Request:
    """Raises Refused 404 and 405."""
    path = scope["raw_path"].decode("ascii") if scope.get("raw_path") else scope["path"]
    target = target_of(path.split("?")[0])
    if target is None:
        raise statuses.no_such_path()
    query = parse_query(scope["query_string"].decode("ascii"))
    return Request(
        verb=verb_of(scope["method"], target, query),
        target=target,
        query=query,
        content_type=_header(scope, b"content-type").split(";")[0].strip().lower(),
        body=body,
        agent=_header(scope, b"user-agent"),
        user=user,
    )


def _name_call(call: Call, request: Request) -> None:
    target = request.target
    call.verb, call.namespace, call.name, call.user = request.verb, target.namespace, target.name, request.user
    call.resource = f"{target.kind.plural}/{target.subresource}" if target.subresource else target.kind.plural


async def _before(fault: Fault | None) -> None:
    if fault is None:
        return
    if fault.latency_s:
        await asyncio.sleep(fault.latency_s)
    await _pass(fault.gate)
    if fault.drop:
        raise ConnectionCut
    if fault.refusal:
        raise fault.refusal


async def _after(fault: Fault | None) -> None:
    if fault is None:
        return
    await _pass(fault.gate_after)
    if fault.drop_after:
        raise ConnectionCut


async def _pass(gate: Gate | None) -> None:
    if gate:
        gate.reached.set()
        await asyncio.to_thread(gate.opened.wait, GATE_TIMEOUT_S)


async def body_of(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(send: Send, call: Call, answer: Answer, *, retry_after_s: int | None = None) -> None:
    body = orjson.dumps(answer.tree)
    call.code, call.answer_bytes = answer.code, len(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def certificate_of(send: Send) -> Mapping[str, Any]:
    """The client's certificate that the connection was made with, {} without one. ASGI has no word for it either."""
    shown: Mapping[str, Any] | None = send.__self__.transport.get_extra_info("peercert")  # type: ignore[attr-defined]  # see cut
    return shown or {}


def cut(send: Send) -> None:
    """Close the connection without an answer. ASGI has no word for it; uvicorn's `send` belongs to the cycle of a request."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]  # see above
