"""Direct messages by Discord's Gateway. Source: discord.com/developers, "Gateway": heartbeats, resuming, close codes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels_app import warmup
from channels_app.channels._discord import gateway as protocol
from channels_app.channels._discord.gateway import Gateway, GatewayRefused
from channels_app.direct_messages import hear, listen
from channels_app.tests.chats.contract import link_account
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_discord import message
from channels_app.tests.doubles.discord import TOKEN, DiscordDriver
from channels_app.tests.doubles.discord_gateway import GatewayServer, gateway_server
from channels_app.tests.doubles.peer import Call, Reply
from gateway.ending import end


class Listener:
    """A gateway's client, and what it has heard."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[Any, str]] = asyncio.Queue()
        self.task = asyncio.create_task(Gateway(self._hear, waits=0.001).run())

    async def _hear(self, data: Any, bot_id: str) -> None:
        await self.heard.put((data, bot_id))

    async def next(self) -> tuple[Any, str]:
        async with asyncio.timeout(60):
            return await self.heard.get()


@pytest.fixture
async def server(settings: Any) -> AsyncIterator[GatewayServer]:
    driver = DiscordDriver()
    ordinary = driver.peer.answer

    def answer(call: Call) -> Reply:
        return Reply(200, {"url": sockets.url}) if call.path == "/gateway/bot" else ordinary(call)

    async with driver.on(settings), gateway_server() as sockets:
        driver.peer.answer = answer  # type: ignore[method-assign]  # one more address
        yield sockets


@pytest.fixture
async def listener(server: GatewayServer) -> AsyncIterator[Listener]:
    made = Listener()
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


async def test_a_bot_hears_direct_messages_and_beats(server: GatewayServer, listener: Listener) -> None:
    identify = await server.next(protocol.IDENTIFY)
    await server.ready()
    await server.dispatch("TYPING_START", {}, 2)
    await server.dispatch("MESSAGE_CREATE", message(), 3)

    assert identify["d"]["token"] == TOKEN
    assert identify["d"]["intents"] == 1 << 12
    assert await listener.next() == (message(), "1")
    await server.say(protocol.HEARTBEAT)
    assert (await server.next(protocol.HEARTBEAT))["d"] == 3


@pytest.mark.parametrize("how", ["reconnect", "closed", "resumable"])
async def test_a_broken_connection_is_resumed_after_the_last_message(
    server: GatewayServer, listener: Listener, how: str
) -> None:
    await server.next(protocol.IDENTIFY)
    await server.ready()
    await server.dispatch("MESSAGE_CREATE", message(), 7)
    await listener.next()

    if how == "reconnect":
        await server.say(protocol.RECONNECT)
    elif how == "resumable":
        await server.say(protocol.INVALID_SESSION, True)
    else:
        await server.connections[-1].close(4000)

    assert (await server.next(protocol.RESUME))["d"] == {"token": TOKEN, "session_id": "session", "seq": 7}
    await server.dispatch("MESSAGE_CREATE", message(id="71"), 8)
    assert (await listener.next())[0]["id"] == "71"


@pytest.mark.parametrize("code", [None, 4007, 4009])
async def test_a_session_that_is_over_is_begun_anew(
    server: GatewayServer, listener: Listener, code: int | None
) -> None:
    await server.next(protocol.IDENTIFY)
    await server.ready()

    if code is None:
        await server.say(protocol.INVALID_SESSION, False)
    else:
        await server.connections[-1].close(code)

    assert (await server.next(protocol.IDENTIFY, protocol.RESUME))["op"] == protocol.IDENTIFY


@pytest.mark.parametrize("code", sorted(protocol.FATAL))
async def test_what_no_reconnecting_helps_ends_it(server: GatewayServer, listener: Listener, code: int) -> None:
    await server.next(protocol.IDENTIFY)
    await server.connections[-1].close(code)

    with pytest.raises(GatewayRefused, match=protocol.FATAL[code]):
        await listener.task


async def test_a_server_that_acknowledges_no_beat_is_left(server: GatewayServer, listener: Listener) -> None:
    server.acknowledging, server.interval_ms = False, 5
    await server.next(protocol.IDENTIFY)
    await server.ready()
    await server.connections[-1].close(4000)

    for _ in range(2):
        assert (await server.next(protocol.RESUME))["d"]["session_id"] == "session"


async def test_frames_that_are_none_break_the_connection_and_not_the_bot(
    server: GatewayServer, listener: Listener
) -> None:
    await server.next(protocol.IDENTIFY)
    await server.connections[-1].send("[]")
    await server.next(protocol.IDENTIFY)
    await server.connections[-1].send("{")
    await server.next(protocol.IDENTIFY)


@pytest.mark.django_db(transaction=True)
async def test_a_direct_message_is_a_turn_once(server: GatewayServer, licensed: dict[str, str], pool: None) -> None:
    await link_account("demo-pro", "discord", "7")
    for value in (message(), message(), {"id": 5}, message(guild_id="5")):
        await hear(value, "1")
    # What goes on in the background leaves no connection to the database behind.
    await warmup.finished()

    assert await rows("SELECT user_id, content, external_id, reply_to FROM turns") == [
        ("demo-pro", "Hi", "1:70", {"user": "7", "channel": "97", "message": "70"})
    ]


@pytest.mark.django_db(transaction=True)
async def test_what_is_written_during_a_restart_is_heard_after_it(server: GatewayServer, pool: None) -> None:
    """Source: "Resuming"; a close code other than 1000 and 1001 leaves the session."""
    first = asyncio.create_task(listen())
    await server.next(protocol.IDENTIFY)
    await server.ready()
    await server.dispatch("MESSAGE_CREATE", {"not": "a message"}, 7)
    async with asyncio.timeout(60):
        while await rows("SELECT session->>'seq' FROM discord_sessions") != [("7",)]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    second = asyncio.create_task(listen())
    await server.next(protocol.IDENTIFY)
    assert len(await rows("SELECT 1 FROM discord_sessions")) == 1, "a second bot takes nothing"
    await end([second])

    await end([first])
    assert server.connections[0].close_code == protocol.UNHEALTHY
    again = asyncio.create_task(listen())
    try:
        assert (await server.next(protocol.RESUME))["d"] == {"token": TOKEN, "session_id": "session", "seq": 7}
    finally:
        await end([again])


@pytest.mark.django_db(transaction=True)
async def test_an_old_session_is_not_resumed(server: GatewayServer, pool: None) -> None:
    old = {"id": "old", "url": server.url, "seq": 3, "bot_id": "1"}
    await rows(f"INSERT INTO discord_sessions VALUES (1, '{json.dumps(old)}', clock_timestamp() - interval '2 hours')")
    listening = asyncio.create_task(listen())
    try:
        assert (await server.next(protocol.IDENTIFY, protocol.RESUME))["op"] == protocol.IDENTIFY
    finally:
        await end([listening])
