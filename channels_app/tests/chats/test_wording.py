"""What of an answer's words reaches a chat, on any channel. Source: Unicode TR36, 2.3: text that reads otherwise than it is."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from agents.markup import ANSI, HIDDEN, clean, plain
from agents.outbox import OutboxRow
from agents.outbox import put as put_outbox
from agents.tests.engine import TestWorker
from channels_app.deliveries.intake import EMPTY, take_outbox
from channels_app.tests.chats.contract import Chat, Previewing
from channels_app.tests.chats.tables import rows
from channels_app.wording import MOST_PARTS, REST
from gateway.db import connection
from gateway.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = "".join(map(chr, range(0x110000)))
BAD = "Red\x1b[31m\u202e ale\u200b\u2066\x1b[0m\u2069\U000e0041"
READ = "Red ale"
# An emoji that is joined, Hebrew, Arabic and Persian, with the marks that they need.
GOOD = "👩\u200d🔬 שלום\u200f! السلام می\u200cخواهم"


def page_pattern(name: str) -> str:
    """A pattern of static/js/text.js as Python writes it."""
    source = (settings.BASE_DIR / "static/js/text.js").read_text(encoding="utf-8")
    if name == "ANSI":
        found = re.search(r"const ANSI = /(.*)/g;", source)
        assert found is not None
        return found[1]
    found = re.search(r"const UNSEEN = new RegExp\((.*?)\"gu\"", source, re.DOTALL)
    assert found is not None
    text = "".join(re.findall(r'"([^"]*)"', found[1])).replace("\\\\", "\\")
    return re.sub(r"\\u\{([0-9a-f]+)\}", lambda point: rf"\U{point[1]:0>8}", text)


async def told(chat: Chat, payload: dict[str, Any], *, kind: str = "done") -> None:
    """What the agent commits when something is to be said in the account's chat."""
    driver = chat.driver
    row = OutboxRow(new_id(), None, "demo-pro", driver.channel.name, driver.target(), kind, payload)
    async with connection() as conn, conn.transaction():
        await put_outbox(conn, row)


def texts(value: Any) -> Iterator[str]:
    """All texts of a message's body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def test_chats_and_the_web_page_leave_out_the_same() -> None:
    assert set(HIDDEN.findall(EVERYTHING)) == set(re.findall(page_pattern("UNSEEN"), EVERYTHING))
    assert page_pattern("ANSI") == ANSI.pattern


def test_what_is_left_out_takes_no_escape_with_it() -> None:
    """ESC and a backslash are a terminal's code together."""
    assert plain("\x1b*bold*") == r"\*bold\*"
    assert clean(f"{BAD}\r\n{GOOD}\r") == f"{READ}\n{GOOD}\n"


def test_half_a_surrogate_pair_is_left_out() -> None:
    """It has no UTF-8: no column, no socket and no model takes it."""
    assert clean("a\ud83db\udc69c👩") == "abc👩"


async def test_what_nobody_can_see_is_left_out_of_all_that_is_told(chat: Chat) -> None:
    await told(chat, {"content": f"{GOOD} {BAD}", "notices": [BAD], "images": [{"url": "/api/v1/p", "alt": BAD}]})
    schema = {"type": "object", "properties": {"colour": {"enum": ["x", BAD]}}, "required": ["colour"]}
    asked = {"question": new_id(), "text": BAD, "schema": schema, "expires_at": "2026-11-27T12:00:00+00:00"}
    await told(chat, asked, kind="question")
    await take_outbox()

    shown = [text for (body,) in await rows("SELECT body FROM deliveries ORDER BY id") for text in texts(body)]
    assert [text for text in shown if HIDDEN.search(text) or "31m" in text] == []
    assert "".join(shown).count(READ) >= 5
    assert any(GOOD in text for text in shown)


async def test_what_nobody_can_see_is_left_out_of_what_is_still_being_written(chat: Chat, worker: TestWorker) -> None:
    driver = chat.driver
    if not driver.streams:
        assert driver.channel.preview_every_s(driver.target()) is None
        return
    await chat.write("Tell me")
    turn = await worker.claim()
    assert turn is not None
    previewing = Previewing(worker)
    await previewing.say(turn, BAD)
    await previewing.look()
    await chat.deliver()

    assert driver.shown() == [READ]


async def test_a_text_of_nothing_that_can_be_seen_is_no_answer(chat: Chat) -> None:
    await told(chat, {"content": "\u200b\x1b[31m\u2060"})
    await chat.deliver()

    assert chat.driver.shown() == [EMPTY]


async def test_of_an_endless_answer_the_beginning_comes_and_where_the_rest_is(chat: Chat) -> None:
    words = [f"word{number}" for number in range(20_000)]
    await told(chat, {"content": " ".join(words), "notices": ["It was long"]})
    await chat.deliver()

    shown = chat.driver.shown()
    if chat.driver.limit is None:
        assert words[-1] in shown[0]
        return
    assert (len(shown), shown[0][:11]) == (MOST_PARTS + 1, "word0 word1")
    assert shown[-1].startswith(REST)
    assert "It was long" in shown[-1]
