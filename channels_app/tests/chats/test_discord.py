"""The Discord channel. Source: discord.com/developers; PLATFORMS, Discord: what its errors and limits mean."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from channels_app.channels import Button, Ignored, Inbound, Press
from channels_app.channels._discord import api
from channels_app.channels._discord.commands import COMMANDS, register
from channels_app.channels.discord import CHANNEL, SILENT
from channels_app.deliveries.attempts import attempt
from channels_app.deliveries.resting import may_show
from channels_app.deliveries.rows import begin_sending, let_go
from channels_app.deliveries.settling import settle
from channels_app.errors import ChatClosed, DeliveryError, NotEditable
from channels_app.presses import UNKNOWN, receive
from channels_app.tests.chats.sending import let_all_be_due, new_sender, tell_on
from channels_app.tests.chats.tables import rows
from channels_app.tests.chats.test_slack import meaning
from channels_app.tests.doubles.discord import TOKEN, DiscordApi, DiscordDriver, interaction, refused, snowflake
from channels_app.tests.doubles.peer import CUT, CUT_WHEN_DONE, Reply
from channels_app.tests.live import serving
from channels_app.text import utf16_units
from channels_app.webhooks import WebhookGuard
from channels_app.webhooks.view import WebhookApplication

DM = {"user": "7", "channel": "97", "message": "70"}


@pytest.fixture
async def discord(settings: Any) -> AsyncIterator[DiscordApi]:
    driver = DiscordDriver()
    async with driver.on(settings):
        yield driver.peer


def inbound(*args: Any, **fields: Any) -> Inbound:
    found = CHANNEL.parse(interaction(*args, **fields))
    assert isinstance(found, Inbound)
    return found


def asked(*, age_s: float = 20.0, **fields: Any) -> dict[str, Any]:
    """The target of a command that was given so long ago."""
    return inbound(id=snowflake(age_s=age_s), **fields).target


GUILD: dict[str, Any] = {"guild_id": "5", "user": None, "member": {"user": {"id": "7", "username": "ada"}}}


def test_a_command_is_known_by_the_application_and_the_interaction() -> None:
    found = inbound(id="4711")

    assert (found.external_id, found.sender, found.content, found.name) == ("123456:4711", "7", "Hi", "Ada (@ada)")
    assert found.target == {
        "user": "7", "channel": "97", "interaction": "4711", "token": "token.7.4711", "guild": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "content"),
    [
        ("ask", "RSI of SPX?", "RSI of SPX?"), ("ask", None, "/help"), ("new", None, "/new"), ("stop", None, "/stop"),
        ("model", "gpt", "/model gpt"), ("link", "AB12 CD34", "/link AB12 CD34"),
        ("analyse", "sma of SPX", "/analyse sma of SPX"),
    ],
)  # fmt: skip
def test_a_command_is_typed_as_elsewhere(name: str, value: str | None, content: str) -> None:
    assert inbound(name, value).content == content


@pytest.mark.parametrize("fields", [{"user": None}, {"data": None}, {"user": {"id": "7", "bot": True}}])
def test_an_interaction_of_no_person_is_ignored(fields: dict[str, Any]) -> None:
    assert CHANNEL.parse(interaction(**fields)) == Ignored("interaction")


def test_every_interaction_is_answered_at_once_and_unseen_by_others_in_a_server() -> None:
    direct, guild = inbound(), inbound(**GUILD)
    press = CHANNEL.parse(interaction(type=3, data={"custom_id": "token"}))

    assert isinstance(press, Press)
    assert (press.sender, press.token) == ("7", "token")
    assert CHANNEL.reply(press, "decided") == {"type": 6}
    assert CHANNEL.reply(direct, "accepted") == {"type": 5, "data": {"flags": 0}}
    assert CHANNEL.reply(guild, "accepted") == {"type": 5, "data": {"flags": 64}}
    for outcome, words in SILENT.items():
        reply = CHANNEL.reply(guild, outcome)
        assert reply is not None
        assert (reply["type"], reply["data"]["content"], reply["data"]["flags"] & 64) == (4, words, 64)


def message(**fields: Any) -> dict[str, Any]:
    return {
        "id": "70",
        "type": 0,
        "channel_id": "97",
        "author": {"id": "7", "username": "ada"},
        "content": "Hi",
    } | fields


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("**bold** and *it* and ~~no~~", "**bold** and *it* and ~~no~~"),
        ("2 \\* 3 \\* 4 and snake_case_name", "2 \\* 3 \\* 4 and snake\\_case\\_name"),
        ("<@7> <#8> @everyone", "\\<@7> \\<#8> @everyone"),
        ("[page](https://x.example/a_b)", "[page](<https://x.example/a_b>)"),
        ("see https://x.example/a_b_c", "see https://x.example/a_b_c"),
        ("```py\nx = '*'\n```", "```py\nx = '*'\n```"),
        ("a `b_c` d", "a `b_c` d"),
        ("\\# no title", "\\# no title"),
        ("# Title", "**Title**"),
    ],
)
def test_markdown_is_discords(markdown: str, text: str) -> None:
    assert [part["content"] for part in CHANNEL.compose(markdown)] == [text]


@given(text=st.text(alphabet="ab *_~`<>|[]()\n#-1.\\😀", max_size=6000))
def test_no_message_is_too_long(text: str) -> None:
    assert all(0 < utf16_units(part["content"]) <= 2000 for part in CHANNEL.compose(text))


ERRORS: list[tuple[Reply, type[DeliveryError], str]] = [
    (Reply(429, {"message": "slow", "retry_after": 0.5, "global": True}), DeliveryError, "later"),
    (Reply(429, b"<html>", {"Retry-After": "30"}), DeliveryError, "later"),
    (Reply(429, {"retry_after": "NaN"}), DeliveryError, "later"),
    (refused(403, 50007), ChatClosed, "permanent"),
    (refused(403, 50001), ChatClosed, "permanent"),
    (refused(404, 10003), ChatClosed, "permanent"),
    (refused(401, 0), DeliveryError, "again"),
    (refused(400, 50035), DeliveryError, "permanent"),
    (refused(400, 50006, "Cannot send an empty message"), DeliveryError, "permanent"),
    (Reply(500, {"message": "500: Internal Server Error", "code": 0}), DeliveryError, "ambiguous"),
    (Reply(502, b"<html>"), DeliveryError, "again"),
    (Reply(503, b"<html>"), DeliveryError, "again"),
    (Reply(504, b"<html>"), DeliveryError, "ambiguous"),
    (Reply(200, []), DeliveryError, "ambiguous"),
    (Reply(200, b"<html>"), DeliveryError, "ambiguous"),
    (CUT, DeliveryError, "ambiguous"),
]


@pytest.mark.parametrize(("reply", "kind", "means"), ERRORS)
async def test_what_an_error_means_for_a_message(
    discord: DiscordApi, reply: Reply, kind: type[DeliveryError], means: str
) -> None:
    discord.script.append(reply)

    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send({"content": "Hi"}, DM)

    assert type(raised.value) is kind
    assert meaning(raised.value) == means
    assert TOKEN not in raised.value.cause


async def test_five_messages_in_five_seconds_are_what_a_channel_takes(discord: DiscordApi) -> None:
    """Source: PLATFORMS: the double enforces it, and the channel rests that long."""
    discord.buckets = True
    for number in range(5):
        await CHANNEL.send({"content": str(number)}, DM)
    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send({"content": "5"}, DM)

    assert raised.value.retry_after_s == 0.25
    assert CHANNEL.pace_s(DM) * 5 >= 5


@pytest.mark.parametrize(
    ("body", "everywhere"),
    [
        ({"message": "You are being rate limited.", "retry_after": 7.5, "global": True}, True),
        ({"message": "You are being rate limited.", "retry_after": 7.5, "global": False}, False),
        (b"<html>error code: 1015</html>", True),
    ],
)
async def test_a_wait_of_the_whole_bot_holds_for_all_of_its_chats(
    discord: DiscordApi, users: dict[str, str], pool: None, body: Any, everywhere: bool
) -> None:
    """Source: "Rate Limits": `global`; what is in front of Discord bans an address."""
    sender = await new_sender()
    for user in ("7", "8"):
        await tell_on(CHANNEL, "text", target=CHANNEL.target_of(user))
    first = await sender.claim()
    second = await sender.claim()
    assert first is not None
    assert second is not None
    discord.script.append(Reply(429, body, {"Retry-After": "7"}))
    assert await begin_sending(first, holder=sender.id)
    await settle(first, await attempt(first))

    assert await begin_sending(second, holder=sender.id) is not everywhere
    await let_go(second)
    assert await sender.claim() is None
    assert await may_show(CHANNEL, CHANNEL.target_of("9")) is not everywhere
    assert len(discord.calls) == 1
    await let_all_be_due()
    assert await sender.claim() is not None


async def test_a_press_whose_answer_has_to_wait_is_answered_after_that(
    discord: DiscordApi, users: dict[str, str], pool: None
) -> None:
    for wait_s in (0.05, 0.02):
        discord.script.append(Reply(429, {"message": "Slow down.", "retry_after": wait_s, "global": False}))

    await receive(CHANNEL, Press(sender="7", token="unknown", query="token.7.1"))

    await discord.until(lambda: len(discord.notices) == 1)
    assert discord.notices == [("7", UNKNOWN)]
    assert len(discord.calls) == 3
    assert await rows("SELECT key FROM chat_lanes") == [("discord:7",)]


async def test_an_answer_fills_the_deferred_one_and_goes_on_below(discord: DiscordApi) -> None:
    target, parts = asked(), CHANNEL.compose("word " * 700)

    receipts = [await CHANNEL.send(part, target) for part in parts]
    await CHANNEL.edit({"content": "Other words"}, target, message=receipts[0])

    assert len(parts) == 2
    assert discord.texts("97") == ["Other words", parts[1]["content"]]
    assert [call.method for call in discord.calls] == ["PATCH", "POST", "PATCH"]


async def test_an_answer_that_is_ready_before_discord_knows_of_the_deferral_waits(discord: DiscordApi) -> None:
    target = asked(age_s=0)
    discord.unanswered.add(target["token"])

    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send({"content": "Hi", "first": True}, target)

    assert meaning(raised.value) == "again"
    discord.unanswered.clear()
    await CHANNEL.send({"content": "Hi", "first": True}, target)
    assert discord.texts("97") == ["Hi"]


@pytest.mark.parametrize(
    "how", ["after 15 minutes", "the token is refused", "it is not known any more", "the server is gone"]
)
async def test_an_answer_to_an_interaction_that_is_over_comes_in_direct_messages(discord: DiscordApi, how: str) -> None:
    """Source: PLATFORMS: the token lives 15 minutes; 10062, 10015, 50027."""
    target = asked(age_s=15 * 60 if how == "after 15 minutes" else 60, **GUILD)
    if how == "the token is refused":
        discord.expired.add(target["token"])
    elif how == "it is not known any more":
        discord.script.append(refused(404, 10062, "Unknown interaction"))
    elif how == "the server is gone":
        discord.script.append(refused(404, 10003, "Unknown Channel"))

    receipt = await CHANNEL.send({"content": "late", "first": True}, target)

    assert discord.texts("97") == ["late"]
    assert receipt.startswith("97/")
    await CHANNEL.edit({"content": "later"}, target, message=receipt)
    assert discord.texts("97") == ["later"]


async def test_what_others_do_not_see_can_not_be_edited_once_its_interaction_is_over(discord: DiscordApi) -> None:
    with pytest.raises(NotEditable):
        await CHANNEL.edit({"content": "x"}, asked(age_s=15 * 60), message="@/5")
    target = asked()
    discord.expired.add(target["token"])
    with pytest.raises(NotEditable):
        await CHANNEL.edit({"content": "x"}, target, message="@/5")
    with pytest.raises(NotEditable):
        await CHANNEL.edit({"content": "x"}, DM, message="97/5")


async def test_filling_in_an_answer_that_may_have_arrived_is_tried_again(discord: DiscordApi) -> None:
    target = asked()
    discord.script.append(CUT_WHEN_DONE)
    with pytest.raises(DeliveryError) as raised:
        await CHANNEL.send({"content": "once", "first": True}, target)
    assert meaning(raised.value) == "again"

    await CHANNEL.send({"content": "once", "first": True}, target)

    assert discord.texts("97") == ["once"]


async def test_a_message_with_the_same_key_is_shown_once_and_by_no_interaction(discord: DiscordApi) -> None:
    """Source: "Create Message", enforce_nonce; webhooks of interactions know no such thing."""
    picture = CHANNEL.picture("chart:1", "A chart")
    assert picture is not None
    for key in ("1", "1", "2"):
        await CHANNEL.send({"content": "Hi", "key": key}, DM)
        await CHANNEL.send_picture(picture | {"key": f"p{key}"}, DM, content=b"png")

    assert discord.texts("97") == ["Hi", "A chart", "Hi", "A chart"]
    assert (CHANNEL.repeats_s(DM), CHANNEL.repeats_s(asked()), CHANNEL.repeats_s(asked(age_s=15 * 60))) == (60, 0, 0)


async def test_buttons_are_components_that_an_edit_takes_away(discord: DiscordApi) -> None:
    part = CHANNEL.ask("Deploy?", [Button(f"{number} " + "x" * 90, f"t{number}") for number in range(7)])[-1]
    receipt = await CHANNEL.send(part, asked())

    [shown] = discord.shown.values()
    rows = discord.calls[-1].body["components"]
    assert [len(row["components"]) for row in rows] == [5, 2]
    assert [token for _, token in shown.buttons] == [f"t{number}" for number in range(7)]
    assert all(len(label) <= 80 for label, _ in shown.buttons)
    await CHANNEL.edit({"content": "Approved"}, asked(), message=receipt)
    assert (shown.text, shown.buttons) == ("Approved", [])


async def test_in_a_server_only_its_author_sees_what_follows_an_answer(discord: DiscordApi) -> None:
    await CHANNEL.send({"content": "part two", "first": False}, asked(**GUILD))

    assert [shown.hidden for shown in discord.shown.values()] == [True]


async def test_the_commands_are_registered_by_a_command(
    discord: DiscordApi, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.to_thread(call_command, "discord_commands", "register", "--json")

    assert json.loads(capsys.readouterr().out)["commands"] == list(COMMANDS)
    discord.script.append(refused(401, 0, "401: Unauthorized"))
    with pytest.raises(CommandError, match="token_refused"):
        await asyncio.to_thread(call_command, "discord_commands", "register")
    for name in (api.APPLICATION_ID, api.BOT_TOKEN, "DISCORD_PUBLIC_KEY"):
        setattr(settings, name, "")
    for command in (["discord_commands", "register"], ["run_discord"]):
        with pytest.raises(CommandError, match="Set DISCORD_APPLICATION_ID"):
            await asyncio.to_thread(call_command, *command)


async def test_the_answer_to_a_ping_is_a_pong_and_an_interaction_is_deferred_in_its_answer(discord: DiscordApi) -> None:
    """Source: PLATFORMS, Discord: first answer within 3 s; 401 for the bad signatures that it probes with."""
    driver = DiscordDriver()
    ping = driver.signed(json.dumps({"id": "1", "application_id": "2", "type": 1, "version": 1}).encode())
    async with (
        serving(WebhookGuard(WebhookApplication())) as host,
        httpx.AsyncClient(base_url=f"http://{host}") as http,
    ):
        pong = await http.post("/webhook/discord", content=ping.body, headers=ping.headers)
        forged = driver.forged(ping)
        refusal = await http.post("/webhook/discord", content=forged.body, headers=forged.headers)

    assert (pong.status_code, pong.json(), refusal.status_code) == (200, {"type": 1}, 401)
    assert pong.headers["Content-Type"] == "application/json"


async def test_discord_takes_the_list_of_commands(discord: DiscordApi) -> None:
    """Source: "Application Commands": names of 1-32 lower-case letters, descriptions of 1-100 characters, required first."""
    assert await register() == list(COMMANDS)
    assert {"ask", "new", "stop", "model", "link", "unlink", "approve", "reject"} <= set(COMMANDS)
    for command in discord.commands:
        assert command["name"].islower()
        assert 0 < len(command["description"]) <= 100
        assert all(0 < len(option["description"]) <= 100 for option in command["options"])
    assert json.loads(json.dumps(discord.commands)) == discord.commands
    assert discord.calls[0].path == "/applications/123456/commands"
