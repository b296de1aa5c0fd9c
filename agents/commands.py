"""Chat commands (`/…`): answered at once, without a model, in whatever channel they are typed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from accounts.licences import Licence
from accounts.usage_report import usage_words
from agents import busy, decision_commands, status_command
from agents.conversations import begin_new_main, create_conversation_on, is_main
from agents.model_command import run_model
from agents.outbox import WEB
from agents.queue import AfterCommit
from agents.schedules import commands as schedule_commands
from agents.schedules.rows import Where
from agents.workflow_runs import WorkflowRun
from agents.workflows import workflows
from gateway.db import Connection

HELP = """\
Ask me in plain words, for example: *RSI of SPX over the last 252 bars?*

/new – begin a new conversation
/stop – stop the answers being written here
/busy – what becomes of a message that comes during an answer
/model – which models there are, and which one answers here
/analyse – test a strategy, and deploy it on paper if you approve
/alert – be told when a price crosses a level
/schedule – have me do something at set times
/approve, /reject – decide what waits for your yes or no
/answer – answer a question of the agent; in a chat app a reply to it does as well
/status – your workspace and what is running
/usage – what you have used, and what is left
/link, /unlink – which chat apps speak for you
/help – this list"""

WELCOME = "Hello! I am your trading agent: I compute on market data in a workspace of your own.\n\n" + HELP


class Stop(Protocol):
    """cancelling.cancel_on, which stands above this module."""

    async def __call__(self, conn: Connection, turn: str, user_id: str, *, said_in: Where) -> AfterCommit | None:
        """Stop a turn; what is left to do after the commit."""


@dataclass(slots=True)
class Context:
    """Where a command was typed, and where it is answered: it may move `conversation`.

    Its effects go through `conn`; what needs the commit goes into `after_commit`. `words` are what follows its name.
    `reply_to` is the channel's own target.
    """

    conn: Connection
    user_id: str
    conversation: str
    stop: Stop
    facts: Any = ""
    channel: str = ""
    words: str = ""
    after_commit: list[AfterCommit] = field(default_factory=list)
    licence: Licence | None = None
    reply_to: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """`gather` reads, for a user and the words, what the answer needs before the transaction; `run` has the effects, in it.

    What an `urgent` one answers does not wait behind the parts of a long answer.
    """

    run: Callable[[Context], Awaitable[str]]
    gather: Callable[[str, str], Awaitable[Any]] | None = None
    urgent: bool = False

    async def facts(self, user_id: str, words: str) -> Any:
        """What `run` finds in `context.facts`."""
        return await self.gather(user_id, words) if self.gather else ""


def parse(content: str) -> Command | None:
    """The command that a message is, or None. `/new@SomeBot` is `/new`; an unknown one answers the list."""
    text = content.strip()
    if not text.startswith("/") or text.startswith("//"):
        return None
    if started_workflow(text) is not None:
        return None
    return COMMANDS.get(_name_of(text), _UNKNOWN)


def words_of(content: str) -> str:
    """What follows a command's name."""
    parts = content.strip().split(maxsplit=1)
    return parts[1] if len(parts) > 1 else ""


def started_workflow(content: str) -> WorkflowRun | None:
    """The workflow that a message starts: it is answered by that, as a turn like any other. `/analyse` alone starts none."""
    name = STARTING.get(_name_of(content)) if content.strip().startswith("/") else None
    words = words_of(content)
    return WorkflowRun(name, workflows()[name].from_words(words)) if name and words else None


def _name_of(content: str) -> str:
    """The command's name; "" for a lone slash."""
    words = content.strip()[1:].split(maxsplit=1)
    return words[0].partition("@")[0].lower() if words else ""


async def _help(_context: Context) -> str:
    return HELP


async def _start(_context: Context) -> str:
    return WELCOME


async def _unknown(_context: Context) -> str:
    return "I don't know that command.\n\n" + HELP


async def _new(context: Context) -> str:
    if context.channel == WEB or await is_main(context.conn, context.conversation):
        context.conversation = await begin_new_main(context.conn, context.user_id)
    else:
        # A thread of a chat app has a conversation of its own, and gets another.
        context.conversation = (await create_conversation_on(context.conn, context.user_id)).id
    return "A new conversation begins. The old one is kept."


async def _stop(context: Context) -> str:
    cursor = await context.conn.execute(
        "SELECT id::text FROM turns WHERE conversation_id = %s AND state NOT IN ('done', 'failed', 'cancelled')",
        (context.conversation,),
    )
    turns = [row[0] for row in await cursor.fetchall()]
    here = Where(context.channel, context.reply_to)
    for turn in turns:
        after = await context.stop(context.conn, turn, context.user_id, said_in=here)
        if after is not None:
            context.after_commit.append(after)
    return "Stopped." if turns else "Nothing is running."


async def _busy(context: Context) -> str:
    wanted = context.words.lower()
    if wanted:
        if wanted not in busy.WORDS:
            return f"I know {', '.join(f'/busy {each}' for each in busy.WORDS)}."
        await busy.set_policy(context.conn, context.user_id, wanted)
    now = wanted or await busy.own_policy(context.conn, context.user_id)
    choices = "\n".join(f"/busy {each} – {words}" for each, words in busy.WORDS.items())
    return f"A message that comes during an answer: {busy.WORDS[now]} ({now}).\n\n{choices}"


async def _usage(context: Context) -> str:
    return str(context.facts)


async def _linking(_context: Context) -> str:
    # In a chat app these two never come here: channels_app answers them there, without a turn.
    return "Chat apps are linked and unlinked on your account page: open the menu with your name and choose *Account*."


async def _how_to_analyse(_context: Context) -> str:
    return (
        "Say what I should analyse, for example: `/analyse sma_crossover on SPX since 2010`. I test it, assess its risk,"
        " and deploy it on paper if you approve."
    )


async def _gather_usage(user_id: str, _words: str) -> str:
    return await usage_words(user_id)


COMMANDS = {
    "start": Command(_start),
    "help": Command(_help),
    "new": Command(_new),
    "stop": Command(_stop, urgent=True),
    "busy": Command(_busy),
    "model": Command(run_model),
    "link": Command(_linking),
    "unlink": Command(_linking),
    "approve": Command(decision_commands.approve),
    "reject": Command(decision_commands.reject),
    "answer": Command(decision_commands.answer),
    "status": Command(status_command.run, gather=status_command.gather, urgent=True),
    "usage": Command(_usage, gather=_gather_usage),
    "analyse": Command(_how_to_analyse),
    "analyze": Command(_how_to_analyse),
    "alert": Command(schedule_commands.alert, gather=schedule_commands.gather_alert),
    "schedule": Command(schedule_commands.schedule, gather=schedule_commands.gather_schedule),
}
# Those that start a workflow when words follow.
STARTING = {"analyse": "trading_analysis", "analyze": "trading_analysis"}
_UNKNOWN = Command(_unknown)
