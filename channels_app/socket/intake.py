"""What a client sends: limits first, then one typed frame after another."""

from channels_app.frames import MAX_FRAME_BYTES, BadFrame, parse_frame
from channels_app.protocol.server import Error
from channels_app.socket.asgi import Receive
from channels_app.socket.closing import BINARY, FLOODING, TOO_LARGE, TOO_MANY_BAD_FRAMES, Close
from channels_app.socket.handlers import handle
from channels_app.socket.limits import FrameLimits
from channels_app.socket.session import Session


async def take_frames(receive: Receive, session: Session) -> None:
    """Take the client's frames until it is gone; after a close of ours its frames are no longer looked at."""
    limits = FrameLimits()
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        if not session.outlet.closing:
            await _take(session, event.get("text"), limits)


async def _take(session: Session, text: str | None, limits: FrameLimits) -> None:
    broken = _broken_limit(text, limits)
    if broken is not None or text is None:
        session.outlet.close(broken or BINARY)
        return
    try:
        frame = parse_frame(text)
    except BadFrame as bad:
        await session.outlet.put(Error(code="invalid", message=bad.message, id=bad.id))
        if limits.one_bad_too_many():
            session.outlet.close(TOO_MANY_BAD_FRAMES)
        return
    await handle(session, frame)


def _broken_limit(text: str | None, limits: FrameLimits) -> Close | None:
    if limits.flooding():
        return FLOODING
    if text is None:
        return BINARY
    # A character has at most 4 bytes, so most texts need no encoding to be known as small.
    if len(text) * 4 > MAX_FRAME_BYTES and len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES:
        return TOO_LARGE
    return None
