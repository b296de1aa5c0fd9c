"""Pictures of answers in Slack. Source: docs.slack.dev, files.getUploadURLExternal, files.completeUploadExternal."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agents.outbox import OutboxRow, put
from channels_app.channels import Part, Target
from channels_app.channels.slack import CHANNEL
from channels_app.deliveries.attempts import NO_PICTURE, NOT_SHOWN
from channels_app.deliveries.intake import take_outbox
from channels_app.errors import ChatClosed, DeliveryError
from channels_app.models import DeliveryState
from channels_app.tests.chats.contract import link_account
from channels_app.tests.chats.sending import Sender, new_sender, states
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_files_in import PNG
from channels_app.tests.chats.test_pictures_out import images, kept_picture
from channels_app.tests.doubles.peer import CUT, CUT_WHEN_DONE, Reply
from channels_app.tests.doubles.slack import SlackApi, SlackDriver, refused
from gateway.db import connection
from gateway.ids import new_id

DIRECT = {"team": "T1", "user": "U7", "channel": "D7", "thread": ""}
THREAD = DIRECT | {"channel": "C1", "thread": "1700000000.000100"}
UPLOAD = ["/files.getUploadURLExternal", "/upload/v1/1", "/files.completeUploadExternal"]


@pytest.fixture
async def slack(settings: Any) -> AsyncIterator[SlackApi]:
    driver = SlackDriver()
    async with driver.on(settings):
        yield driver.peer


def part(alt: str = "Equity of golden-cross") -> Part:
    made = CHANNEL.picture("/api/v1/pictures/x", alt)
    assert made is not None
    return made


def paths(slack: SlackApi) -> list[str]:
    return [call.path for call in slack.calls]


@pytest.mark.parametrize(("target", "chat"), [(DIRECT, "D7"), (THREAD, "C1")])
async def test_a_picture_is_a_file_that_is_uploaded_and_completed_in_the_chat(
    slack: SlackApi, target: Target, chat: str
) -> None:
    receipt = await CHANNEL.send_picture(part(), target, content=PNG)

    assert (slack.pictures, slack.texts(chat), slack.descriptions) == ([PNG], [part()["title"]], [part()["alt"]])
    assert paths(slack) == UPLOAD
    assert receipt == f"{chat}/F1"
    assert ("thread_ts=1700000000.000100" in slack.calls[-1].raw.decode()) == bool(target["thread"])


async def test_direct_messages_that_are_known_by_their_user_are_opened_for_a_picture(slack: SlackApi) -> None:
    """Source: slackapi/bolt-js, issue 2115: no user's id is taken where a message's channel may be one."""
    await CHANNEL.send_picture(part(), CHANNEL.target_of("T1:U7"), content=PNG)

    assert paths(slack) == ["/conversations.open", *UPLOAD]
    assert slack.texts("D7") == ["Equity of golden-cross"]


@pytest.mark.parametrize("alt", ["", " ", "x" * 5000, "<!channel> & <@U1>"])
async def test_any_words_fit_and_none_notify(slack: SlackApi, alt: str) -> None:
    await CHANNEL.send_picture(part(alt), DIRECT, content=PNG)

    assert slack.pictures == [PNG]
    assert slack.descriptions[0]
    assert "initial_comment" not in slack.calls[-1].raw.decode()


@pytest.mark.parametrize(
    ("before", "reply", "means"),
    [
        (0, refused("internal_error"), "again"),
        (0, CUT, "again"),
        (0, Reply(429, {}, {"Retry-After": "30"}), "later"),
        (0, refused("missing_scope"), "permanent"),
        (0, refused("file_uploads_disabled"), "permanent"),
        (0, refused("invalid_auth"), "again"),
        (0, Reply(200, {"ok": True, "upload_url": "https://evil.example/upload", "file_id": "F1"}), "permanent"),
        (1, Reply(503, b"away"), "again"),
        (1, Reply(429, b"", {"Retry-After": "30"}), "later"),
        (1, Reply(413, b"too large"), "permanent"),
        (1, CUT_WHEN_DONE, "again"),
        (2, CUT_WHEN_DONE, "ambiguous"),
        (2, refused("internal_error"), "ambiguous"),
        (2, refused("service_unavailable"), "again"),
        (2, refused("posting_to_channel_denied"), "permanent"),
    ],
)
async def test_what_an_error_means_for_a_picture(slack: SlackApi, before: int, reply: Reply, means: str) -> None:
    """Only the last step shows it; what comes before may be done again."""
    slack.after(before, reply)

    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send_picture(part(), DIRECT, content=PNG)

    error = raised.value
    found = [name for name, yes in (("permanent", error.permanent), ("ambiguous", error.ambiguous)) if yes]
    assert (found or ["later" if error.retry_after_s else "again"]) == [means]
    assert not isinstance(error, ChatClosed)
    assert len(slack.calls) == before + 1


@pytest.fixture
async def picture(licensed: dict[str, str], pool: None) -> str:
    await link_account("demo-pro", "slack", "T1:U7")
    return await kept_picture()


async def answer(picture: str) -> Sender:
    """Words and a picture, whose words are sent."""
    row = OutboxRow(new_id(), None, "demo-pro", "slack", DIRECT, "done", {})
    async with connection() as conn, conn.transaction():
        await put(conn, replace(row, payload={"content": "See:", "images": images(picture)}))
    sender = await new_sender()
    await take_outbox()
    await sender.send_next()
    await rows("UPDATE chat_lanes SET not_before = clock_timestamp()")
    return sender


async def test_a_picture_that_slack_does_not_take_is_said_to_be_on_the_page(slack: SlackApi, picture: str) -> None:
    """An app that was installed without files:write holds up none of its users' chats."""
    sender = await answer(picture)
    slack.after(0, refused("missing_scope"))

    await sender.send_next()

    assert slack.texts("D7") == ["See:", NOT_SHOWN]
    assert set(await states()) == {DeliveryState.SENT}


async def test_a_picture_follows_its_answer(slack: SlackApi, picture: str) -> None:
    sender = await answer(picture)

    await sender.send_next()

    assert slack.texts("D7") == ["See:", "A chart"]
    assert slack.pictures == [PNG]


async def test_a_picture_that_may_have_been_shown_is_not_uploaded_again(slack: SlackApi, picture: str) -> None:
    sender = await answer(picture)
    slack.after(2, CUT_WHEN_DONE)

    await sender.send_next()
    await sender.send_next()

    assert slack.texts("D7") == ["See:", "A chart"]
    assert await states() == [DeliveryState.SENT, DeliveryState.AMBIGUOUS]


async def test_a_picture_that_is_gone_is_said_to_be(slack: SlackApi, picture: str) -> None:
    sender = await answer("/api/v1/pictures/00000000-0000-7000-8000-000000000000")

    await sender.send_next()

    assert slack.texts("D7") == ["See:", NO_PICTURE]
