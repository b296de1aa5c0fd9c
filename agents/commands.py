"""Chat commands (`/…`): answered at once, without a model, in whatever channel they are typed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from accounts.usage_report import usage_words
from agents import decision_commands
from agents.conversations import begin_new_main
from agents.model_command import run_model
from agents.queue import AfterCommit
from gateway.db import Connection
from provisioning.workspaces import workspace_status

HELP = """\
Ask me in plain words, for example: *RSI of SPX over the last 252 bars?*

/new – begin a new conversation
/stop – stop the answers being written here
/model – which models there are, and which one answers here
/approve, /reject – decide what waits for your yes or no
/answer – answer a question of the agent
/status – your workspace and what is running
/usage – what you have used, and what is left
/link, /unlink – which chat apps speak for you
/help – this list"""

WELCOME = "Hello! I am your trading agent: I compute on market data in a workspace of your own.\n\n" + HELP


@dataclass(slots=True)
class Context:
    """Where a command was typed, and where it is answered: it may move `conversation`.

    Its effects go through `conn`; what needs the commit goes into `after_commit`. `words` are what follows its name.
    """

    conn: Connection
    user_id: str
    conversation: str
    stop: Callable[[Connection, str, str], Awaitable[AfterCommit | None]]
    facts: str = ""
    channel: str = ""
    words: str = ""
    after_commit: list[AfterCommit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Command:
    """`gather` reads what the answer needs before the transaction; `run` has the effects, within it."""

    run: Callable[[Context], Awaitable[str]]
    gather: Callable[[str], Awaitable[str]] | None = None

    async def facts(self, user_id: str) -> str:
        """What `run` finds in `context.facts`."""
        return await self.gather(user_id) if self.gather else ""


def parse(content: str) -> Command | None:
    """The command that a message is, or None. `/new@SomeBot` is `/new`; an unknown one answers the list."""
    text = content.strip()
    if not text.startswith("/") or text.startswith("//"):
        return None
    name = text[1:].split(maxsplit=1)[0].partition("@")[0].lower() if len(text) > 1 else ""
    return COMMANDS.get(name, _UNKNOWN)


def words_of(content: str) -> str:
    """What follows a command's name."""
    return content.strip().partition(" ")[2].strip()


async def _help(_context: Context) -> str:
    return HELP


async def _start(_context: Context) -> str:
    return WELCOME


async def _unknown(_context: Context) -> str:
    return "I don't know that command.\n\n" + HELP


async def _new(context: Context) -> str:
    context.conversation = await begin_new_main(context.conn, context.user_id)
    return "A new conversation begins. The old one is kept."


async def _stop(context: Context) -> str:
    cursor = await context.conn.execute(
        "SELECT id::text FROM turns WHERE conversation_id = %s AND state NOT IN ('done', 'failed', 'cancelled')",
        (context.conversation,),
    )
    turns = [row[0] for row in await cursor.fetchall()]
    for turn in turns:
        after = await context.stop(context.conn, turn, context.user_id)
        if after is not None:
            context.after_commit.append(after)
    return "Stopped." if turns else "Nothing is running."


async def _usage(context: Context) -> str:
    return context.facts


async def _linking(_context: Context) -> str:
    # In a chat app these two never come here: channels_app answers them there, without a turn.
    return "Chat apps are linked and unlinked on your account page: open the menu with your name and choose *Account*."


async def _gather_status(user_id: str) -> str:
    status = await workspace_status(user_id)
    return f"Workspace: {status.state}" + (f" – {status.detail}" if status.detail else "")


async def _status(context: Context) -> str:
    cursor = await context.conn.execute(
        "SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'queued'),"
        " count(*) FILTER (WHERE state NOT IN ('running', 'queued')) FROM turns"
        " WHERE user_id = %s AND state NOT IN ('done', 'failed', 'cancelled')",
        (context.user_id,),
    )
    running, queued, asking = await cursor.fetchone() or (0, 0, 0)
    counts = f"{context.facts}\nAnswers being written: {running}, waiting: {queued}"
    return f"{counts}, waiting for you: {asking}" if asking else counts


COMMANDS = {
    "start": Command(_start),
    "help": Command(_help),
    "new": Command(_new),
    "stop": Command(_stop),
    "model": Command(run_model),
    "link": Command(_linking),
    "unlink": Command(_linking),
    "approve": Command(decision_commands.approve),
    "reject": Command(decision_commands.reject),
    "answer": Command(decision_commands.answer),
    "status": Command(_status, gather=_gather_status),
    "usage": Command(_usage, gather=usage_words),
}
_UNKNOWN = Command(_unknown)
