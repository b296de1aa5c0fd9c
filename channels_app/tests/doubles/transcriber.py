"""A server that speaks OpenAI's format of transcriptions. Source: OpenAI's API reference, "Create transcription"."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels_app.tests.doubles.peer import Call, Peer, Reply, serving_peer


class Transcriber(Peer):
    """Hears `words` in everything, and says that it took `usage`."""

    words = "What is the RSI of SPX?"
    usage: Any = None

    def answer(self, call: Call) -> Reply:
        assert (call.method, call.path) == ("POST", "/v1/audio/transcriptions")
        assert call.headers["authorization"] == "Bearer only-for-tests"
        return Reply(200, {"text": self.words} | ({} if self.usage is None else {"usage": self.usage}))


@asynccontextmanager
async def transcribing() -> AsyncIterator[Transcriber]:
    """The server for the time of the block."""
    peer = Transcriber()
    async with serving_peer(peer):
        yield peer
