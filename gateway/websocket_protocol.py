"""uvicorn's WebSocket protocol, with an answer to an upgrade request that can't be read."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ChatProtocol(WebSocketsSansIOProtocol):
    """uvicorn 0.54 leaves a client whose header line is over 8 KiB (the bound of `websockets`) without an answer."""

    def data_received(self, data: bytes) -> None:
        """Take what came; refuse a request that could not be parsed."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(TOO_LARGE)
            self.transport.close()
