"""uvicorn's WebSocket protocol, with an answer to an upgrade request that can't be read, and less to keep for an idle socket."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.mailbox import Mailbox

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ChatProtocol(WebSocketsSansIOProtocol):
    """uvicorn 0.54 leaves a client whose header line is over 8 KiB (the bound of `websockets`) without an answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queue: Mailbox[Any] = Mailbox()  # type: ignore[assignment]  # all that uvicorn asks of it

    def data_received(self, data: bytes) -> None:
        """Take what came; refuse a request that could not be parsed."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(TOO_LARGE)
            self.transport.close()
