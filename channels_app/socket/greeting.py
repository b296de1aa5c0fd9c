"""What a socket begins with, and what it is told when its licence changes or ends."""

from functools import partial

import psycopg
import structlog

from accounts.licences import Licence
from accounts.sessions import SignedOut
from agents.conversations import MAIN, get_conversation
from agents.offers import model_now
from agents.open_turns import open_turns
from channels_app.protocol.server import Error, Ready
from channels_app.socket.closing import SIGNED_OUT, not_licensed
from channels_app.socket.session import Session
from channels_app.standing import News

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


class Heed:
    """Greets a socket again when its user's tier or model is another one, and closes it once its right has ended."""

    def __init__(self, session: Session, *, greeted: Ready) -> None:
        self._session, self._greeted = session, greeted

    def take(self, news: News) -> None:
        """Act on what has become of the connection's standing."""
        outlet = self._session.outlet
        if isinstance(news, Licence):
            self._session.lane.push(partial(self._greet_again, news))
        elif isinstance(news, SignedOut):
            outlet.close(SIGNED_OUT)
        else:
            # A client that takes nothing would hold up its own close.
            outlet.offer(Error(code=news.code, message=str(news)))
            outlet.close(not_licensed(str(news)))

    async def _greet_again(self, licence: Licence) -> None:
        try:
            ready = await greeting(licence, running=await open_turns(licence.user_id))
        except psycopg.OperationalError as error:
            log.warning("licence_change_not_told", error=type(error).__name__)
            return
        if (ready.licence, ready.model) != (self._greeted.licence, self._greeted.model):
            self._greeted = ready
            await self._session.outlet.put(ready)
