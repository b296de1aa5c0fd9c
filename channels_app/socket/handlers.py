"""What each frame of a client does."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from accounts.licences import active_licence
from accounts.tokens import TokenInvalid, verify_token
from agents.approvals import Decision, decide
from agents.conversations import get_conversation
from agents.errors import Refused
from agents.questions import Reply, reply
from agents.turns import accept_message, cancel_turn, find_turn
from channels_app.incoming import CHANNEL, message_of
from channels_app.past import read_past
from channels_app.problems import EXPECTED
from channels_app.protocol import client
from channels_app.protocol.server import Accepted, HistoryPage, Pong
from channels_app.socket.session import Session

HISTORY_ITEMS = 50


async def handle(session: Session, frame: client.AnyClientFrame) -> None:
    """Do what a frame asks for, or answer with an `error` that carries its `id`."""
    try:
        await HANDLERS[type(frame)](session, frame)
    except EXPECTED as error:
        await session.refuse(error, frame_id=frame.id)


async def _message(session: Session, frame: client.Message) -> None:
    with session.tails.held():
        accepted = await accept_message(message_of(frame, user_id=session.user_id))
        await session.outlet.put(
            Accepted(id=frame.id, turn=accepted.turn, conversation=accepted.conversation, position=accepted.position)
        )
        session.follow(accepted.turn, after=0, asked=frame.id)


async def _cancel(session: Session, frame: client.Cancel) -> None:
    await cancel_turn(frame.turn, user_id=session.user_id)


async def _resume(session: Session, frame: client.Resume) -> None:
    view = await find_turn(frame.turn, user_id=session.user_id)
    if view.told_by(frame.after):
        session.tails.end(view.turn, last=view.last_seq)
    else:
        session.follow(view.turn, after=frame.after, asked=frame.id)


async def _history(session: Session, frame: client.History) -> None:
    conversation = await get_conversation(session.user_id, frame.conversation)

    async def read() -> None:
        try:
            licence = await active_licence(session.user_id)
            page = await read_past(licence, conversation.id, before=frame.before, limit=HISTORY_ITEMS)
        except EXPECTED as error:
            await session.refuse(error, frame_id=frame.id)
            return
        await session.outlet.put(
            HistoryPage(conversation=conversation.id, items=page.items, before=page.before, turns=page.turns)
        )

    if not session.lane.offer(read):
        raise Refused("busy", "Wait for the answers to your last requests.", retry_after_s=1)


async def _authenticate(session: Session, frame: client.Authenticate) -> None:
    try:
        identity = await verify_token(frame.token)
    except TokenInvalid as error:
        raise Refused("unauthorized", "The token is not valid.") from error
    if identity.user_id != session.user_id:
        raise Refused("forbidden", "The token is another user's.")
    session.renew(identity)


async def _typing(session: Session, _frame: client.Typing) -> None:
    await session.warm_up(clock=time.monotonic)


async def _ping(session: Session, _frame: client.Ping) -> None:
    await session.outlet.put(Pong())


async def _decision(session: Session, frame: client.Decision) -> None:
    decision = Decision(
        approval=frame.approval,
        choice=frame.decision,
        user_id=session.user_id,
        channel=CHANNEL,
        comment=frame.comment or "",
        digest=frame.digest or "",
    )
    await decide(decision)


async def _answer(session: Session, frame: client.AnswerQuestion) -> None:
    await reply(Reply(question=frame.question, user_id=session.user_id, channel=CHANNEL, values=frame.values))


HANDLERS: dict[type[client.ClientFrame], Callable[[Session, Any], Awaitable[None]]] = {
    client.Message: _message,
    client.Cancel: _cancel,
    client.Resume: _resume,
    client.Decision: _decision,
    client.AnswerQuestion: _answer,
    client.History: _history,
    client.Authenticate: _authenticate,
    client.Typing: _typing,
    client.Ping: _ping,
}
