"""What each payload of a platform becomes. Source: tests/payloads/, and the documentation that it names."""

from typing import Any

import pytest

from channels_app.channels import File, Halt, Ignored, Inbound, Moved, Press, Update, channels
from channels_app.channels._discord.commands import COMMANDS
from channels_app.channels._discord.interactions import parse_message
from channels_app.tests.chats.bot_api import TOKEN
from channels_app.tests.payloads import PLATFORMS, as_parsed, load, names

BOT = "123456"
GROUP = -1001234567890
ADA_IN_SLACK = {"team": "T1", "user": "U7", "channel": "D7", "thread": ""}
TO_ADA = ADA_IN_SLACK | {"channel": "U7"}
DISCORD_FILES = "https://cdn.discordapp.com/ephemeral-attachments/1"
SLACK_FILES = "https://files.slack.com/files-pri/T1-F1"


def tg(number: int, content: str | None = None, **more: Any) -> Inbound:
    """A message of Ada's, in private unless `target` or `group` says else."""
    here: dict[str, Any] = {"chat": 7, "message": 100 + number}
    if "group" in more:
        topic = more.pop("group")
        here |= {"chat": GROUP, "user": 7} | ({"topic": topic} if topic else {})
        more["thread"] = f"{GROUP}:{topic}"
    if "aside" in more:
        here, more["aside"] = more["aside"], here
    values = {"target": here, "sender": "7", "name": "Ada Byron (@ada)", "language": "en"} | more
    return Inbound(external_id=f"{BOT}:{10000 + number}", content=content, **values)


def tg_file(number: int, name: str, place: str, *, spoken: bool = False) -> tuple[File, ...]:
    return (File(name, f"AgACAgIAAxkBAAI{place}", spoken=spoken, order=100 + number),)


TELEGRAM: dict[str, Update] = {
    "message": tg(1, "How did SPX close?"),
    "message_with_a_quote": tg(2, "And this one?", quotes=("90",)),
    "forwarded": tg(3, "Oil fell."),
    "command": tg(4, "/start"),
    "edited_message": Ignored("edited_message"),
    "channel_post": Ignored("channel_post"),
    "edited_channel_post": Ignored("edited_channel_post"),
    "group_message": Ignored("group"),
    "group_mention": tg(9, "RSI of SPX?", group=0),
    "group_mention_without_username": tg(10, "RSI?", group=0),
    "group_reply": tg(11, "And over a year?", group=0),
    "group_command": tg(12, "/new@DexBot", group=0),
    "group_private_command": tg(13, "/status@DexBot", group=12, aside={"chat": 7}),
    "group_command_of_another_bot": Ignored("group"),
    "group_topic": tg(15, "hi", group=12),
    "group_anonymous_admin": Ignored("channel"),
    "group_linked_channel": Ignored("channel"),
    "photo": tg(18, "What is this?", files=tg_file(18, "photo-118.jpg", "chartx"), kind="such pictures"),
    "album_captioned": tg(
        19,
        "compare",
        group=0,
        files=tg_file(19, "photo-119.jpg", "onex"),
        kind="such pictures",
        album=f"{GROUP}:13372018",
    ),
    "album_other": tg(
        20,
        group=0,
        files=tg_file(20, "photo-120.jpg", "twox"),
        kind="such pictures",
        album=f"{GROUP}:13372018",
        loose=True,
    ),
    "document": tg(21, files=tg_file(21, "notes.md", "notes"), kind="such files"),
    "voice": tg(22, files=tg_file(22, "voice-122.ogg", "voice", spoken=True), kind="voice messages"),
    "audio": tg(23, files=tg_file(23, "memo.mp3", "song", spoken=True), kind="music"),
    "video_note": tg(24, kind="video messages"),
    "sticker": tg(25, kind="stickers"),
    "location": tg(26, kind="locations"),
    "contact": tg(27, kind="contacts"),
    "callback_query": Press(sender="7", token="b0ffc0de", query="30064771079"),
    "callback_query_of_an_old_message": Press(sender="7", token="b0ffc0de", query="30064771080"),
    "callback_query_in_a_group": Ignored("callback_query"),
    "callback_query_of_an_inline_message": Ignored("callback_query"),
    "my_chat_member": Ignored("my_chat_member"),
    "new_chat_members": Ignored("service_message"),
    "pinned_message": Ignored("service_message"),
    "migrate_to_chat_id": Moved(old="-4242:", new=f"{GROUP}:"),
    "migrate_from_chat_id": Ignored("service_message"),
    "own_message": Ignored("bot"),
    "stopped_message_generation": Halt(sender="7", draft=4711),
    "business_connection": Ignored("business_connection"),
    "business_message": Ignored("business_message"),
    "message_reaction": Ignored("message_reaction"),
    "inline_query": Ignored("inline_query"),
    "kind_of_tomorrow": Ignored("holographic_message"),
}


def sl(event: str, content: str | None, target: dict[str, Any], **more: Any) -> Inbound:
    """A message of Ada's; a thread is a conversation."""
    thread = f"{target['channel']}:{target['thread']}" if target["thread"] else ""
    values = {"thread": thread} | more
    return Inbound(external_id=f"T1:{event}", sender="T1:U7", content=content, target=target, **values)


def sl_thread(channel: str, ts: str = "1767225000.000100") -> dict[str, Any]:
    return ADA_IN_SLACK | {"channel": channel, "thread": ts}


SLACK: dict[str, Update] = {
    "url_verification": Ignored(
        "url_verification", {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}
    ),
    "message_im": sl("Ev01", "How did SPX close?", ADA_IN_SLACK),
    "message_im_thread": sl("Ev02", "How did SPX close?", sl_thread("D7"), quotes=("D7/1767225000.000100",)),
    "app_mention": sl("Ev03", "RSI of SPX?", sl_thread("C1", "1767225603.000100")),
    "app_mention_command": sl(
        "Ev04", "/status", TO_ADA, thread="C1:1767225604.000100", aside=sl_thread("C1", "1767225604.000100")
    ),
    "app_mention_in_thread": sl("Ev05", "and now?", sl_thread("C1")),
    "message_in_channel": Ignored("message_elsewhere"),
    "message_in_group_chat": Ignored("message_elsewhere"),
    "own_message": Ignored("bot"),
    "message_of_another_bot": Ignored("bot_message"),
    "message_changed": Ignored("message_changed"),
    "message_deleted": Ignored("message_deleted"),
    "channel_join": Ignored("channel_join"),
    "file_share": sl(
        "Ev13",
        "What is this?",
        ADA_IN_SLACK,
        files=(File("chart.png", f"{SLACK_FILES}/chart.png"), File("memo.m4a", f"{SLACK_FILES}/memo.m4a", spoken=True)),
    ),
    "file_share_unnamed": sl("Ev14", None, ADA_IN_SLACK, files=(File("file", f"{SLACK_FILES}/x"),)),
    "file_share_deleted": sl("Ev15", "Look", ADA_IN_SLACK, files=(File("file", ""),)),
    "thread_broadcast": sl("Ev16", "How did SPX close?", sl_thread("D7"), quotes=("D7/1767225000.000100",)),
    "assistant_thread_started": sl(
        "Ev17", None, sl_thread("D7"), opened="D7:1767225000.000100", thread="D7:1767225000.000100"
    ),
    "assistant_thread_context_changed": Ignored("assistant_thread_context_changed"),
    "app_home_opened": sl("Ev19", None, ADA_IN_SLACK, opened="app_home_opened"),
    "tokens_revoked": Ignored("tokens_revoked"),
    "app_rate_limited": Ignored("app_rate_limited"),
    "event_of_tomorrow": Ignored("hologram_shared"),
    "form_block_actions": Press(sender="T1:U7", token="b0ffc0de", query="D7:"),
    "form_block_actions_ephemeral": Press(sender="T1:U7", token="b0ffc0de", query="C1:"),
    "form_block_actions_select": Ignored("action"),
    "form_view_submission": Ignored("view_submission"),
    "form_shortcut": Ignored("shortcut"),
    "form_message_action": Ignored("message_action"),
    "form_slash_command": sl("1.2.abc", "/usage", TO_ADA | {"asked_in": "C1"}, name="ada"),
    "form_slash_question": sl("1.2.abc", "RSI of SPX?", ADA_IN_SLACK, name="ada"),
}


def dc(number: int, content: str | None, *, channel: str = "97", guild: bool = False, **more: Any) -> Inbound:
    """A command of Ada's."""
    identity = str(1200000000000000000 + number)
    token = f"aW50ZXJhY3Rpb24.{number}"
    target = {"user": "7", "channel": channel, "interaction": identity, "token": token, "guild": guild}
    values = {"name": "Ada (@ada)", "target": target, "language": "en"} | more
    return Inbound(external_id=f"{BOT}:{identity}", sender="7", content=content, **values)


def dm(number: int, content: str | None, **more: Any) -> Inbound:
    """A direct message of Ada's."""
    identity = str(1300000000000000000 + number)
    target = {"user": "7", "channel": "97", "message": identity}
    return Inbound(
        external_id=f"{BOT}:{identity}", sender="7", content=content, target=target, name="Ada (@ada)", **more
    )


TYPED = (
    "/new", "/stop", "/model gpt-5.4", "/status", "/usage", "/approve K7", "/reject K7", "/answer K7 yes",
    "/analyse sma_crossover on SPX", "/alert BTC below 50000", "/schedule daily 08:00 portfolio review", "/busy steer",
    "/link AB12-CD34", "/unlink", "/help",
)  # fmt: skip
DISCORD: dict[str, Update] = {
    "ping": Ignored("ping", {"type": 1}),
    "command_ask": dc(1, "How did SPX close?"),
    "command_ask_in_guild": dc(2, "How did SPX close?", channel="501", guild=True),
    "command_ask_with_file": dc(
        3, "What is this?", files=(File("chart.png", f"{DISCORD_FILES}/1/chart.png?ex=1&is=2&hm=3"),)
    ),
    **{f"command_{words[1:].split()[0]}": dc(number, words) for number, words in enumerate(TYPED, start=10)},
    "user_command": dc(30, "/Explain"),
    "button": Press(sender="7", token="b0ffc0de", query="aW50ZXJhY3Rpb24.31"),
    "button_in_guild": Press(sender="7", token="b0ffc0de", query="aW50ZXJhY3Rpb24.32"),
    "select_menu": Press(sender="7", token="pick", query="aW50ZXJhY3Rpb24.33"),
    "autocomplete": Ignored("interaction"),
    "modal_submit": Ignored("interaction"),
    "interaction_of_tomorrow": Ignored("interaction"),
    "gateway_message": dm(1, "How did SPX close?"),
    "gateway_message_with_files": dm(
        2,
        None,
        files=(
            File("notes.md", f"{DISCORD_FILES}/2/notes.md?ex=1&is=2&hm=3"),
            File("voice-message.ogg", f"{DISCORD_FILES}/3/voice-message.ogg?ex=1&is=2&hm=3", spoken=True),
        ),
    ),
    "gateway_reply": dm(3, "And over a year?", quotes=("97/700", "@/700")),
    "gateway_forward": dm(4, "Oil fell."),
    "gateway_sticker": dm(5, None, kind="stickers"),
    "gateway_own_message": Ignored("bot"),
    "gateway_message_of_another_bot": Ignored("bot"),
    "gateway_guild_message": Ignored("group"),
    "gateway_call": Ignored("service_message"),
}
BECOMES = {"discord": DISCORD, "slack": SLACK, "telegram": TELEGRAM}
CASES = [(platform, name) for platform in PLATFORMS for name in names(platform)]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_payload_is_in_the_table(platform: str) -> None:
    assert set(names(platform)) == set(BECOMES[platform])


def test_every_command_of_discord_has_a_payload() -> None:
    assert {name.removeprefix("command_") for name in DISCORD if name.startswith("command_")} >= set(COMMANDS)


@pytest.mark.parametrize(("platform", "name"), CASES)
def test_a_payload_becomes_what_the_table_says(platform: str, name: str, settings: Any) -> None:
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_BOT_USERNAME = TOKEN, "DexBot"
    value = as_parsed(name, load(platform, name))
    if name.startswith("gateway_"):
        found: Update = parse_message(value, bot_id=BOT)
    else:
        found = channels()[platform].parse(value)

    assert found == BECOMES[platform][name]
