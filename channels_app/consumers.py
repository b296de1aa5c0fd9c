"""The chat socket, `/ws/chat`: who comes in, and what it begins with. Its protocol: docs/protocol.md."""

import time
from contextlib import AsyncExitStack

import psycopg
import structlog
from redis.exceptions import RedisError

from accounts.licences import NotLicensed, active_licence
from agents.open_turns import open_turns
from channels_app.problems import UNAVAILABLE
from channels_app.protocol.server import Error
from channels_app.socket.asgi import Receive, Scope, Send, accept_event, close_event, text_event
from channels_app.socket.backstop import looked_after
from channels_app.socket.closing import BAD_TICKET, TRY_LATER, not_licensed
from channels_app.socket.greeting import Heed, greeting
from channels_app.socket.handshake import SUBPROTOCOL, Admitted, Denied, TicketInvalid, admit, deny
from channels_app.socket.hints import subscribed
from channels_app.socket.intake import take_frames
from channels_app.socket.metrics import OPEN_SOCKETS
from channels_app.socket.session import Session
from channels_app.socket.together import run_together
from channels_app.standing import Standing, watched

log = structlog.get_logger(__name__)


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket of another path."""
    await receive()
    await deny(scope, send, Denied(404, "not_found", "There is no socket here."))


async def chat(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket from its upgrade to its end."""
    await receive()
    try:
        admitted = await admit(scope)
    except Denied as denied:
        await deny(scope, send, denied)
    except psycopg.OperationalError as error:
        log.warning("socket_not_served", error=type(error).__name__)
        await deny(scope, send, Denied(503, UNAVAILABLE.code, UNAVAILABLE.message))
    except TicketInvalid:
        await send(accept_event(SUBPROTOCOL))
        await send(close_event(BAD_TICKET))
    else:
        await send(accept_event(admitted.subprotocol))
        await _serve(admitted, receive, send)


async def _serve(admitted: Admitted, receive: Receive, send: Send) -> None:
    standing = Standing(admitted.identity)
    user_id = admitted.identity.user_id
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(watched(standing))
            licence = await active_licence(user_id)
            hints = await stack.enter_async_context(subscribed(user_id))
            running = await open_turns(user_id)
            ready = await greeting(licence, running=running)
        except NotLicensed as error:
            await send(text_event(Error(code=error.code, message=str(error)).text()))
            await send(close_event(not_licensed(str(error))))
            return
        except (psycopg.OperationalError, RedisError, OSError) as error:
            log.warning("socket_not_served", error=type(error).__name__)
            await send(close_event(TRY_LATER))
            return
        session = Session(standing, send, running=running)
        stack.push_async_callback(session.end)
        await stack.enter_async_context(looked_after(session))
        session.outlet.push(ready)
        session.begin()
        hints.hand_over(session.take_hint)
        standing.news.hand_over(Heed(session, greeted=ready).take)
        await session.warm_up(clock=time.monotonic, licence=licence)
        with OPEN_SOCKETS.track_inprogress():
            await run_together(take_frames(receive, session), session.outlet.run())
