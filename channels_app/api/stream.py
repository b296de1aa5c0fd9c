"""A turn's events over HTTP (server-sent events), for clients without a WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.exceptions import APIException, MethodNotAllowed, ValidationError
from rest_framework.request import Request

from accounts.licences import NotLicensed
from accounts.tokens import Identity
from agents.journal import journal
from agents.journal.slices import Slice
from agents.turns import find_turn
from channels_app.api.base import ApiView, identity_of
from channels_app.api.openapi import described
from channels_app.api.problems import error_response
from channels_app.problems import EXPECTED, explain
from channels_app.protocol.events import is_final
from channels_app.protocol.server import Error
from channels_app.replay import read_ending
from channels_app.socket.hints import Hint, subscribed
from channels_app.standing import Standing, watched
from gateway.mailbox import Mailbox

# The backstop for a lost hint, as for sockets.
POLL_S = 2.0
# A comment keeps proxies from closing a stream that has nothing to tell (30 s is a common limit).
QUIET_POLLS = 7
MAX_DIGITS = 15

STREAM = {
    "type": "string",
    "contentMediaType": "text/event-stream",
    "x-item-schema": {"$ref": "#/components/schemas/TurnEvent"},
}


class AfterQuery(serializers.Serializer[Any]):
    """Where to go on; this is the description only, as EventSource says it in a header."""

    after = serializers.IntegerField(
        min_value=0, max_value=10**MAX_DIGITS - 1, default=0, help_text="The last `seq` that was seen."
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Who reads which turn."""

    turn: str
    standing: Standing

    @property
    def user_id(self) -> str:
        """The turn's owner."""
        return self.standing.identity.user_id

    def may_go_on(self) -> bool:
        """Whether the token, the licence and the sign-in still hold."""
        return self.standing.lost is None and datetime.now(UTC) < self.standing.identity.expires_at

    async def read(self, after: int) -> Slice:
        """What there is past `after`. Raises one of EXPECTED."""
        found = await journal().read(self.turn, after=after)
        if found is None:
            found = await read_ending(self.turn, user_id=self.user_id, after=after)
        return found or Slice([], after + 1, after + 1)

    async def is_told_by(self, after: int) -> bool:
        """Whether the turn has ended and nothing comes past `after`. Raises Refused or psycopg.Error."""
        return (await find_turn(self.turn, user_id=self.user_id)).told_by(after)


@csrf_exempt
async def turn_events(request: HttpRequest, turn: str) -> HttpResponseBase:
    """The events of a turn past `?after=` (or Last-Event-ID), then the live tail; ends with the turn.

    204 when the last one has been seen, upon which a browser's EventSource does not come back.
    """
    try:
        identity = await sync_to_async(_authenticate)(request)
        after = _after(request)
        reader = _Reader(turn, Standing(identity))
        if await reader.is_told_by(after):
            return HttpResponse(status=204)
        await reader.read(after)
    except (*EXPECTED, APIException) as error:
        refusal = error_response(error, request)
        if refusal.status_code == 405:
            refusal["Allow"] = "GET"
        return refusal
    stream = StreamingHttpResponse(_events(reader, after), content_type="text/event-stream")
    stream["Cache-Control"] = "no-cache"
    # nginx would hold the events back.
    stream["X-Accel-Buffering"] = "no"
    return stream


class EventsShape(ApiView):
    """What `turn_events` is to the API's description, which knows the framework's views only."""

    @described(
        "stream_events",
        {(200, "text/event-stream"): STREAM, 204: None},
        query=AfterQuery,
        refusals=(400, 410),
    )
    def get(self, request: Request, turn: str) -> None:
        """Stream the events of a turn past `after` (or Last-Event-ID), then those to come; ends with the turn.

        Each `data:` is one TurnEvent, its `seq` is the `id:`. `event: error` brings an `error` frame and ends the stream.
        204 when the last event has been seen.
        """


async def _events(reader: _Reader, after: int) -> AsyncIterator[str]:
    quiet = 0
    try:
        async with watched(reader.standing), subscribed(reader.user_id) as hints:
            while reader.may_go_on():
                found = await reader.read(after)
                for after, frame in enumerate(found.frames, start=found.first):  # noqa: PLR1704 - the last number sent
                    yield f"id: {after}\ndata: {frame}\n\n"
                if is_final(found.frames[-1]) if found.frames else await reader.is_told_by(after):
                    return
                quiet = 0 if found.frames else quiet + 1
                if quiet % QUIET_POLLS == QUIET_POLLS - 1:
                    yield ": still here\n\n"
                await _hinted(hints, reader.turn)
        if isinstance(reader.standing.lost, NotLicensed):
            raise reader.standing.lost
    except EXPECTED as error:
        problem = explain(error)
        yield f"event: error\ndata: {Error(code=problem.code, message=problem.message).text()}\n\n"


async def _hinted(hints: Mailbox[Hint], turn: str) -> None:
    """Wait for a hint about the turn, at most until it is time to look anyway."""
    try:
        async with asyncio.timeout(POLL_S):
            while (await hints.get()).get("turn") != turn:
                pass
    except TimeoutError:
        return


def _authenticate(request: HttpRequest) -> Identity:
    """Who asks, by the means of the whole API. Raises rest_framework's NotAuthenticated or AuthenticationFailed."""
    if request.method != "GET":
        raise MethodNotAllowed(request.method or "")
    return identity_of(Request(request, authenticators=ApiView().get_authenticators()))


def _after(request: HttpRequest) -> int:
    given = request.GET.get("after") or request.headers.get("Last-Event-ID") or "0"
    if not (given.isascii() and given.isdigit() and len(given) <= MAX_DIGITS):
        raise ValidationError("after is a number from 0 on.")
    return int(given)
