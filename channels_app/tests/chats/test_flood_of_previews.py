"""Many chats that see their answers grow, and a worker that is killed in the middle, against a Telegram that keeps its limits.

Source: PLATFORMS, Telegram: edits count as messages; DESIGN.md section 5: every message once, each chat in order.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from agents.turns import IncomingMessage, accept_message
from channels_app.channels import telegram
from channels_app.deliveries.dispatcher import MAX_SENDS
from channels_app.deliveries.unsure import UNSURE
from channels_app.tests.chats.answering_worker import PACES, PIECES, answer_to, serve
from channels_app.tests.chats.bot_api import TOKEN, BotApi, Limits
from channels_app.tests.chats.tables import SECRET, rows
from gateway.leases import Lease
from gateway.services import Services
from gateway.wakeups import Wakeups

PATIENCE_S = 240
# As Telegram's own.
LATENCY_S = 0.1

pytestmark = pytest.mark.usefixtures("users", "pool")


@dataclass
class Flood:
    """So many chats ask so many questions each, in a time that passes `scale` times as fast."""

    api: BotApi
    chats: int
    questions: int
    scale: float

    async def ask(self, chats: range) -> None:
        """Each chat asks all of its questions at once."""
        for number in range(self.questions):
            for chat in chats:
                await accept_message(
                    IncomingMessage(
                        user_id=f"user-{chat}",
                        channel="telegram",
                        external_id=f"{chat}:{number}",
                        content=self.question(chat, number),
                        reply_to={"chat": chat, "message": number},
                    )
                )

    def question(self, chat: int, number: int) -> str:
        return f"c{chat}q{number}"

    def visible(self, chat: int) -> list[str]:
        """What the chat shows at last, besides that something may be missing."""
        shown = enumerate(self.api.shown, start=1001)
        return [
            self.api.edited.get(number, text) for number, (where, text) in shown if where == chat and text != UNSURE
        ]

    async def ended(self) -> None:
        """Every turn has ended and everything is said."""
        query = (
            "SELECT (SELECT count(*) FROM turns WHERE state = 'done'), (SELECT count(*) FROM outbox),"
            " (SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending'))"
        )
        async with asyncio.timeout(PATIENCE_S):
            while await rows(query) != [(self.chats * self.questions, 0, 0)]:  # noqa: ASYNC110 - other processes do it
                await asyncio.sleep(0.05)


async def users_of_chats(count: int) -> None:
    await rows(
        "INSERT INTO user_licenses (user_id, email, license_type, features, resource_limits, mcp_server_url)"
        f" SELECT 'user-' || n, n || '@example.com', 'pro', '{{}}', '{{}}', '' FROM generate_series(1, {count}) n"
    )
    await rows(
        "INSERT INTO user_channel_links (id, user_id, channel_type, channel_user_id)"
        f" SELECT gen_random_uuid(), 'user-' || n, 'telegram', n::text FROM generate_series(1, {count}) n"
    )


@asynccontextmanager
async def mortal(settings: Any, *, scale: float, pieces: int) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A worker process that serves already."""
    database = settings.DATABASES["default"]
    where = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [sys.executable, "-m", "channels_app.tests.chats.answering_worker", str(scale), str(pieces)],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            "DATABASE_URL": f"postgresql://{where}",
            "DATA_DIR": str(settings.DATA_DIR),
            "SECRET_KEY": settings.SECRET_KEY,
            "DEBUG": "true",
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TELEGRAM_WEBHOOK_SECRET": SECRET,
            "TELEGRAM_API_BASE_URL": settings.TELEGRAM_API_BASE_URL,
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            while not await rows("SELECT 1 FROM worker_leases WHERE name = 'to be killed'"):
                assert process.poll() is None
                await asyncio.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def another(*, scale: float) -> AsyncIterator[None]:
    """A worker of this process."""
    services = Services(Lease("another"), Wakeups())
    await asyncio.to_thread(services.lease.acquire)
    serving = asyncio.create_task(serve(services, scale=scale))
    try:
        yield
    finally:
        services.stopping.set()
        services.wakeups.wake_all()
        await serving
        await asyncio.to_thread(services.lease.release)


async def check(flood: Flood, limits: Limits) -> int:
    """Nothing is lost, doubled, turned round or sent into a penalty; how many messages may have been lost with the worker.

    What it was sending when it was killed may have arrived or not, and is not sent again: it is marked.
    """
    marked = await rows("SELECT lane_id, kind FROM deliveries WHERE state = 'ambiguous'")
    unsure = {int(lane.partition(":")[2]) for lane, _ in marked}
    assert len(marked) <= MAX_SENDS
    assert await rows("SELECT count(*) FROM deliveries WHERE state NOT IN ('sent', 'ambiguous')") == [(0,)]
    for chat in range(1, flood.chats + 1):
        wanted = [answer_to(flood.question(chat, number)) for number in range(flood.questions)]
        if chat not in unsure:
            assert flood.visible(chat) == wanted
            continue
        whole = [text for text in flood.visible(chat) if text in wanted]
        halves = [text for text in flood.visible(chat) if text not in wanted]
        assert whole == [text for text in wanted if text in whole]
        assert len(halves) + len(wanted) - len(whole) <= 1
        assert all(any(text.startswith(half) for text in wanted) for half in halves)
    assert limits.ignored == 0, "a chat was written to while it was closed"
    return len(marked)


async def flooded(flood: Flood, settings: Any, *, at_calls: int, pieces: int) -> None:
    """All ask; the worker that answers the first half, and shares the second, is killed after so many calls."""
    half = flood.chats // 2
    await users_of_chats(flood.chats)
    async with mortal(settings, scale=flood.scale, pieces=pieces) as process:
        await flood.ask(range(1, half + 1))
        async with another(scale=flood.scale):
            await flood.ask(range(half + 1, flood.chats + 1))
            await flood.api.until(lambda api: sum("text" in call.parameters for call in api.calls) >= at_calls)
            process.send_signal(signal.SIGKILL)
            if flood.scale > 1:
                # Its lease runs out.
                await rows("UPDATE worker_leases SET expires_at = '2000-01-01' WHERE name = 'to be killed'")
            await flood.ended()
    assert await rows("SELECT count(*) > 0 FROM turns WHERE attempts > 1") == [(True,)]


async def test_answers_that_grow_in_many_chats_come_once_though_a_worker_is_killed(
    bot_api: BotApi, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a time that passes five times as fast, at Telegram and here."""
    for name in PACES:
        monkeypatch.setattr(telegram, name, getattr(telegram, name) / 5)
    bot_api.latency_s, bot_api.limits = LATENCY_S, (limits := Limits(scale=5))
    flood = Flood(bot_api, chats=12, questions=1, scale=5)

    await flooded(flood, settings, at_calls=8, pieces=PIECES // 2)

    await check(flood, limits)


@pytest.mark.soak
async def test_answers_that_grow_in_two_hundred_chats_come_once_though_a_worker_is_killed(
    bot_api: BotApi, settings: Any
) -> None:
    """`make soak` prints how fast it goes."""
    bot_api.latency_s, bot_api.limits = LATENCY_S, (limits := Limits())
    flood = Flood(bot_api, chats=200, questions=2, scale=1)
    began = time.monotonic()

    await flooded(flood, settings, at_calls=50, pieces=PIECES)

    marked = await check(flood, limits)
    took_s, edits = time.monotonic() - began, sum(call.method == "editMessageText" for call in bot_api.calls)
    line = (
        f"400 answers in {took_s:.1f} s, {edits} edits; told to wait {limits.refused} times, ignored 0; {marked} marked"
    )
    print(f"\n{line}")  # noqa: T201 - the figure
