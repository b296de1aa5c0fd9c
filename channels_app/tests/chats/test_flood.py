"""Many chats answered at once, against a Telegram that keeps its limits.

Source: PLATFORMS, Telegram: 30 messages a second in bulk, one a second in a chat, 20 a minute in a group; one penalty per chat
for all senders.
"""

import asyncio
import time

import pytest

from agents.outbox import OutboxRow
from agents.outbox import put as put_outbox
from channels_app.channels import telegram
from channels_app.tests.chats.bot_api import BotApi, Limits
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_dispatcher import running
from gateway.db import connection
from gateway.ids import new_id

PATIENCE_S = 300
CHATS, GROUPS = range(1, 201), range(-5, 0)

pytestmark = pytest.mark.usefixtures("users", "pool")


async def answers(text: str, chats: list[int]) -> None:
    """The agent commits an answer for each chat, in one moment."""
    async with connection() as conn, conn.transaction():
        for chat in chats:
            target = {"chat": chat, "message": 1} | ({"user": 1} if chat < 0 else {})
            await put_outbox(conn, OutboxRow(new_id(), None, "demo-pro", "telegram", target, "done", {"content": text}))


async def flood(api: BotApi, texts: dict[str, list[int]]) -> float:
    """All of it is said by two workers; how long that took, in seconds."""
    await rows(
        "INSERT INTO user_channel_links (id, user_id, channel_type, channel_user_id)"
        " SELECT gen_random_uuid(), 'demo-pro', 'telegram', n::text FROM generate_series(1, 200) n"
    )
    began = time.monotonic()
    async with running(), running():
        for text, chats in texts.items():
            await answers(text, chats)
        wanted = sum(map(len, texts.values()))
        async with asyncio.timeout(PATIENCE_S):
            while await rows("SELECT count(*) FROM deliveries WHERE settled_at IS NOT NULL") != [(wanted,)]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    return time.monotonic() - began


def check(api: BotApi, limits: Limits, texts: dict[str, list[int]]) -> None:
    for chat in {chat for chats in texts.values() for chat in chats}:
        assert api.texts(chat) == [text for text, chats in texts.items() if chat in chats]
    assert limits.ignored == 0, "a chat was written to while it was closed"


async def test_many_chats_are_answered_at_once_within_the_limits(
    bot_api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a time that passes five times as fast, at Telegram and here."""
    for name in ("PRIVATE_PACE_S", "GROUP_PACE_S", "BULK_EVERY_S"):
        monkeypatch.setattr(telegram, name, getattr(telegram, name) / 5)
    bot_api.limits = limits = Limits(scale=5)
    texts = {"first": [*list(CHATS)[:60], *GROUPS], "second": list(CHATS)[:60:10]}

    await flood(bot_api, texts)

    check(bot_api, limits, texts)
    assert await rows("SELECT DISTINCT state FROM deliveries") == [("sent",)]


@pytest.mark.soak
async def test_two_hundred_chats_are_answered_at_once_in_telegrams_own_time(bot_api: BotApi) -> None:
    """`make soak` prints how fast it goes."""
    bot_api.limits = limits = Limits()
    texts = {"first": [*CHATS, *GROUPS], "second": list(CHATS), "third": [*list(CHATS)[::10], *GROUPS]}

    took_s = await flood(bot_api, texts)

    check(bot_api, limits, texts)
    assert await rows("SELECT DISTINCT state FROM deliveries") == [("sent",)]
    said, waits = len(bot_api.shown), limits.refused
    line = f"{said} messages in {took_s:.1f} s, {said / took_s:.1f} a second; told to wait {waits} times, ignored 0"
    print(f"\n{line}")  # noqa: T201 - the figure
