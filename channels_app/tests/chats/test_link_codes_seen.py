"""Codes that others have read with their owner. Source: the account page gives one to one person, for a private chat."""

from typing import Any

import pytest

from accounts.link_codes import issue_code
from accounts.link_requests import requests_of
from accounts.link_tries import TRIES_EACH
from channels_app.channels import Inbound
from channels_app.channels.discord import CHANNEL as DISCORD
from channels_app.channels.slack import CHANNEL as SLACK
from channels_app.channels.telegram import CHANNEL as TELEGRAM
from channels_app.chat_linking import CODE_SEEN
from channels_app.inbound import receive
from channels_app.tests.chats.bot_api import TOKEN
from channels_app.tests.chats.contract import link_account
from channels_app.tests.chats.tables import SECRET, rows
from channels_app.tests.chats.test_telegram_groups import GROUP, in_group, mention
from channels_app.tests.doubles.discord import interaction
from channels_app.tests.doubles.slack import BOT, SlackDriver, event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("licensed", "pool")]


async def said() -> list[tuple[str, str]]:
    return await rows("SELECT target->>'channel', body->>'text' FROM deliveries ORDER BY id")


@pytest.mark.parametrize("words", ["!link {.code}", "!start {.code}", "{.code}", "!start {.token}"])
async def test_a_code_that_a_whole_slack_channel_has_read_is_no_good_any_more(settings: Any, words: str) -> None:
    """Whoever reads it there could send it first."""
    async with SlackDriver().on(settings):
        offered = await issue_code("demo-pro", channel="slack")
        shown = SLACK.parse(event(f"<@{BOT}> {words.format(offered)}", type="app_mention", channel="C1"))
        assert isinstance(shown, Inbound)
        assert await receive(SLACK, shown) == "link_code_seen"
        assert await said() == [("C1", CODE_SEEN)]

        quick = SLACK.parse(event(f"!link {offered.code}", event_id="Ev2", user="U9", channel="D9"))
        assert isinstance(quick, Inbound)
        assert await receive(SLACK, quick) == "link_invalid"

    assert await requests_of("demo-pro") == []
    assert await rows(
        "SELECT action, actor, object FROM audit WHERE user_id = 'demo-pro' ORDER BY id DESC LIMIT 1"
    ) == [("link_code.voided", "chat:slack:T1:U7", "slack")]


async def test_a_code_that_a_stranger_shows_in_a_telegram_group_is_no_good_any_more(settings: Any) -> None:
    offered = await issue_code("demo-pro", channel="telegram")
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = TOKEN, SECRET
    settings.TELEGRAM_BOT_USERNAME = "DexBot"
    text = f"/link@DexBot {offered.code}"
    shown = TELEGRAM.parse(in_group(text, entities=mention(text, "/link@DexBot", "bot_command")))
    assert isinstance(shown, Inbound)

    assert await receive(TELEGRAM, shown) == "link_code_seen"

    assert await requests_of("demo-pro") == []
    assert await rows("SELECT target->>'chat', body->>'text' FROM deliveries") == [(str(GROUP), CODE_SEEN)]


@pytest.mark.parametrize("words", ["{.code}", "`{.code}`", "!link {.code}"])
async def test_a_code_that_somebody_who_is_linked_shows_is_no_good_any_more(settings: Any, words: str) -> None:
    """It may be for another of their accounts; others read along all the same."""
    await link_account("demo-pro", "slack", "T1:U7")
    async with SlackDriver().on(settings):
        offered = await issue_code("demo-pro", channel="telegram")
        shown = SLACK.parse(event(f"<@{BOT}> {words.format(offered)}", type="app_mention", channel="C1"))
        assert isinstance(shown, Inbound)

        assert await receive(SLACK, shown) == "link_code_seen"

    assert await said() == [("C1", CODE_SEEN)]
    assert await rows("SELECT count(*) FROM link_codes WHERE state = 'open'") == [(0,)]
    assert await rows("SELECT count(*) FROM turns") == [(0,)]


async def test_a_word_of_somebody_who_is_linked_that_only_looks_like_a_code_is_answered(settings: Any) -> None:
    await link_account("demo-pro", "slack", "T1:U7")
    found = SLACK.parse(event(f"<@{BOT}> research", type="app_mention", channel="C1"))
    assert isinstance(found, Inbound)
    async with SlackDriver().on(settings):
        assert await receive(SLACK, found) == "accepted"

    assert await rows("SELECT content FROM turns") == [("research",)]


async def test_a_strangers_word_that_only_looks_like_a_code_is_answered_like_any_other(settings: Any) -> None:
    """Of eight letters that codes have, too."""
    found = SLACK.parse(event(f"<@{BOT}> research", type="app_mention", channel="C1"))
    assert isinstance(found, Inbound)
    async with SlackDriver().on(settings):
        assert await receive(SLACK, found) == "hinted"


async def test_a_stranger_who_shows_codes_without_end_is_told_only_so_often(settings: Any) -> None:
    async with SlackDriver().on(settings):
        for number in range(TRIES_EACH + 2):
            shown = SLACK.parse(event(f"<@{BOT}> !link x", event_id=f"Ev{number}", type="app_mention", channel="C1"))
            assert isinstance(shown, Inbound)
            assert await receive(SLACK, shown) == "link_code_seen"

    assert await said() == [("C1", CODE_SEEN)] * TRIES_EACH


async def test_a_command_in_a_slack_channel_is_answered_in_private_and_the_channel_told_so(settings: Any) -> None:
    found = SLACK.parse(event(f"<@{BOT}> !usage", type="app_mention", channel="C1"))
    assert isinstance(found, Inbound)
    async with SlackDriver().on(settings):
        await rows(
            "INSERT INTO user_channel_links (id, user_id, channel_type, channel_user_id)"
            " VALUES (gen_random_uuid(), 'demo-pro', 'slack', 'T1:U7')"
        )
        assert await receive(SLACK, found) == "accepted"

    assert await rows("SELECT target->>'channel', body->>'text' FROM deliveries") == [
        ("C1", "I answer that in our private chat.")
    ]
    assert await rows("SELECT reply_to->>'channel' FROM outbox") == [("U7",)]


async def test_a_code_in_a_discord_server_is_seen_by_nobody_else_and_counts(settings: Any) -> None:
    """Source: discord.com/developers, "Interactions": neither the options nor a hidden answer are shown to others."""
    offered = await issue_code("demo-pro", channel="discord")
    found = DISCORD.parse(interaction("link", offered.code, guild_id="3"))
    assert isinstance(found, Inbound)

    outcome = await receive(DISCORD, found)

    assert outcome == "link_pending"
    assert DISCORD.reply(found, outcome) == {"type": 5, "data": {"flags": 64}}
