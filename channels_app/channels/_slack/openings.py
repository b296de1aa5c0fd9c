"""A chat with the app that somebody opened in Slack. Source: docs.slack.dev, assistant_thread_started, app_home_opened."""

from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from channels_app.channels import Ignored, Inbound, Update
from channels_app.channels._parsing import Strict, parsed
from channels_app.channels._slack.events import Id, Ts

MESSAGES_TAB = "messages"
THREAD, HOME = "assistant_thread_started", "app_home_opened"


class _Thread(Strict):
    user_id: Id
    channel_id: Id
    thread_ts: Ts


class _ThreadOpened(Strict):
    type: Literal["assistant_thread_started"]
    assistant_thread: _Thread


class _HomeOpened(Strict):
    type: Literal["app_home_opened"]
    user: Id
    channel: Id
    tab: str = ""


class _Callback(Strict):
    type: Literal["event_callback"]
    team_id: Id
    event_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    event: _ThreadOpened | _HomeOpened


def parse_opening(value: Any) -> Update | None:
    """What was opened; None when the request tells of something else. Raises BadUpdate."""
    event = value.get("event") if isinstance(value, dict) else None
    if not isinstance(event, dict) or event.get("type") not in (THREAD, HOME):
        return None
    callback = parsed(_Callback, value, of="event of Slack's")
    if isinstance(callback.event, _ThreadOpened):
        thread = callback.event.assistant_thread
        target = {"team": callback.team_id, "user": thread.user_id, "channel": thread.channel_id}
        key = f"{thread.channel_id}:{thread.thread_ts}"
        return _opened(callback, target | {"thread": thread.thread_ts}, name=key, thread=key)
    if callback.event.tab != MESSAGES_TAB:
        return Ignored(f"{HOME}_{callback.event.tab}"[:40])
    target = {"team": callback.team_id, "user": callback.event.user, "channel": callback.event.channel, "thread": ""}
    return _opened(callback, target, name=HOME)


def _opened(callback: _Callback, target: dict[str, str], *, name: str, thread: str = "") -> Inbound:
    return Inbound(
        external_id=f"{callback.team_id}:{callback.event_id}",
        sender=f"{callback.team_id}:{target['user']}",
        content=None,
        target=target,
        thread=thread,
        opened=name,
    )
