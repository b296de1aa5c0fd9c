"""Messages over HTTP: sent, looked at, cancelled."""

from dataclasses import asdict
from typing import Any

from asgiref.sync import async_to_sync
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from agents import turns
from agents.positions import open_line
from channels_app.api import shapes
from channels_app.api.base import ApiView, user_of
from channels_app.api.openapi import Counted, body_of, described
from channels_app.api.rate_headers import rate_headers
from channels_app.api.serializers import turn_json
from channels_app.frames import BadFrame, parse_object
from channels_app.incoming import message_of
from channels_app.protocol.client import Message
from channels_app.protocol.server import Accepted
from channels_app.replay import with_words

MESSAGE = body_of(Message, optional="type", example={"content": "Hello, AI!"})


class TurnsView(ApiView):
    """Messages: new ones, and those that are not answered yet."""

    @described("list_open_turns", {200: shapes.OpenTurns})
    def get(self, request: Request) -> Response:
        """200 {turns}: what runs, and what waits; each can be cancelled."""
        found = async_to_sync(open_line)(user_of(request))
        return Response({"turns": [asdict(turn) for turn in found]})

    @described("send_message", {202: Counted(Accepted)}, body=MESSAGE, refusals=(404, 409, 429))
    def post(self, request: Request) -> Response:
        """202 with the `accepted` frame of a `message` frame, whose `type` may be left out."""
        frame = _message_frame(request.data)
        accepted = async_to_sync(turns.accept_message)(message_of(frame, user_id=user_of(request)))
        answer = Accepted(
            id=frame.id, turn=accepted.turn, conversation=accepted.conversation, position=accepted.position
        )
        return Response(answer.model_dump(), status=202, headers=rate_headers(accepted.windows))


class TurnView(ApiView):
    """One message and its answer."""

    @described("get_turn", {200: shapes.Turn})
    def get(self, request: Request, turn: str) -> Response:
        """200 with the turn, its words read from the workspace where only that holds them."""
        return Response(turn_json(async_to_sync(_turn_with_words)(turn, user_of(request))))


class CancelView(ApiView):
    """Stop a turn."""

    @described("cancel_turn", {202: shapes.Turn})
    def post(self, request: Request, turn: str) -> Response:
        """202 with the turn, which ends soon; one that has ended stays as it is."""
        async_to_sync(turns.cancel_turn)(turn, user_id=user_of(request))
        return Response(turn_json(async_to_sync(turns.find_turn)(turn, user_id=user_of(request))), status=202)


async def _turn_with_words(turn: str, user_id: str) -> turns.TurnView:
    return await with_words(await turns.find_turn(turn, user_id=user_id), user_id=user_id)


def _message_frame(data: Any) -> Message:
    try:
        frame = parse_object({"type": "message", **data} if isinstance(data, dict) else data)
    except BadFrame as error:
        raise ValidationError(error.message) from error
    if not isinstance(frame, Message):
        raise ValidationError("Only a message can be sent here.")
    return frame
