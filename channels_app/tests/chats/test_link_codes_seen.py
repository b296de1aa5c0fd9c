"""Codes that others have read with their owner. Source: the account page gives one to one person, for a private chat."""

from typing import Any

import pytest

from accounts.link_codes import issue_code
from accounts.link_requests import requests_of
from channels_app.channels import Inbound
from channels_app.channels.discord import CHANNEL as DISCORD
from channels_app.channels.slack import CHANNEL as SLACK
from channels_app.inbound import CODE_SEEN, receive
from channels_app.tests.chats.tables import rows
from channels_app.tests.doubles.discord import interaction
from channels_app.tests.doubles.slack import BOT, SlackDriver, event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("licensed", "pool")]


@pytest.mark.parametrize("words", ["!link {}", "!start {}", "{}"])
async def test_a_code_that_a_whole_slack_channel_has_read_links_nothing(settings: Any, words: str) -> None:
    async with SlackDriver().on(settings):
        offered = await issue_code("demo-pro", channel="slack")
        text = f"<@{BOT}> {words.format(offered.code)}"
        found = SLACK.parse(event(text, type="app_mention", channel="C1"))
        assert isinstance(found, Inbound)

        assert await receive(SLACK, found) == "link_code_seen"

    assert [(each.state, each.account) for each in await requests_of("demo-pro")] == [("open", "")]
    [(target, body)] = await rows("SELECT target, body FROM deliveries")
    assert (target["channel"], body["text"]) == ("C1", CODE_SEEN)


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
