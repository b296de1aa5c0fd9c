"""What a socket begins with, and what it is told when its licence changes or ends."""

import psycopg
import structlog

from accounts.licences import Licence
from accounts.sessions import SignedOut
from agents.conversations import MAIN, get_conversation
from agents.offers import model_now
from agents.turns import open_turns
from channels_app.protocol.server import Error, Ready
from channels_app.socket.closing import SIGNED_OUT, not_licensed
from channels_app.socket.session import Session
from channels_app.standing import Standing

log = structlog.get_logger(__name__)


async def greeting(licence: Licence, *, running: list[str]) -> Ready:
    """The frame `ready`. Raises psycopg.OperationalError when the database fails."""
    conversation = await get_conversation(licence.user_id, MAIN)
    return Ready(
        user_id=licence.user_id,
        licence=licence.tier,
        model=model_now(licence, used=conversation.model),
        conversation=conversation.id,
        running=running,
    )


async def heed(session: Session, standing: Standing, *, greeted: Ready) -> None:
    """Greet again when the tier or the model is another one, and close once the connection's right has ended."""
    while True:
        news = await standing.next()
        if isinstance(news, Licence):
            greeted = await _greet_again(session, news, greeted)
        elif isinstance(news, SignedOut):
            await session.outlet.close(SIGNED_OUT)
        else:
            # A client that takes nothing would hold up its own close.
            session.outlet.offer(Error(code=news.code, message=str(news)))
            await session.outlet.close(not_licensed(str(news)))


async def _greet_again(session: Session, licence: Licence, greeted: Ready) -> Ready:
    try:
        ready = await greeting(licence, running=await open_turns(licence.user_id))
    except psycopg.OperationalError as error:
        log.warning("licence_change_not_told", error=type(error).__name__)
        return greeted
    if (ready.licence, ready.model) == (greeted.licence, greeted.model):
        return greeted
    await session.outlet.put(ready)
    return ready
