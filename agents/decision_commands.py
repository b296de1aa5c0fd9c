"""`/approve`, `/reject` and `/answer`: what a user decides by typing, where there are no buttons or they don't work.

A decision is named by its id, or by the end of it that its message shows: never by what happens to wait. Words in a chat
without a command answer questions alone, see plain_answers.py.
"""

import re
from functools import partial
from typing import TYPE_CHECKING, LiteralString

from agents.approvals import MAX_COMMENT_CHARS, Choice, Decision, decide_on
from agents.errors import Refused
from agents.questions import Reply, reply_on
from agents.waits import code_of

if TYPE_CHECKING:
    from agents.commands import Context

# The end of an id that is enough: a user has few things waiting.
_NAME = re.compile(r"[0-9a-f-]{6,36}")
_FIND: dict[str, LiteralString] = {
    "approval": "SELECT id::text FROM approvals WHERE user_id = %s AND id::text LIKE %s ORDER BY id DESC LIMIT 2",
    "question": "SELECT id::text FROM questions WHERE user_id = %s AND id::text LIKE %s ORDER BY id DESC LIMIT 2",
}
_DONE = {"approve": "Approved. It goes on.", "reject": "Rejected. Nothing is done."}


async def _decide(context: "Context", *, choice: Choice) -> str:
    name, _, comment = context.words.partition(" ")
    if not name:
        return await _waiting(context, choice)
    try:
        approval = await _find(context, "approval", name)
        decision = Decision(
            approval=approval,
            choice=choice,
            user_id=context.user_id,
            channel=context.channel,
            comment=comment.strip()[:MAX_COMMENT_CHARS],
        )
        context.after_commit.append(await decide_on(context.conn, decision))
    except Refused as refused:
        return refused.message
    return _DONE[choice]


async def answer(context: "Context") -> str:
    """`/answer ID words`; without words it declines to answer."""
    name, _, words = context.words.partition(" ")
    if not name:
        return "Type /answer, the question's code and your answer, as in its message."
    try:
        question = await _find(context, "question", name)
        given = Reply(question=question, user_id=context.user_id, channel=context.channel, typed=words.strip() or None)
        context.after_commit.append(await reply_on(context.conn, given))
    except Refused as refused:
        return refused.message
    return "Thank you. It goes on." if words.strip() else "You did not answer. It goes on without."


approve, reject = partial(_decide, choice="approve"), partial(_decide, choice="reject")


async def _find(context: "Context", kind: str, name: str) -> str:
    """The id that was named whole or by its end. Raises Refused `not_found`."""
    name = name.lower()
    found = []
    if _NAME.fullmatch(name):
        cursor = await context.conn.execute(_FIND[kind], (context.user_id, f"%{name}"))
        found = [row[0] for row in await cursor.fetchall()]
    if not found:
        raise Refused("not_found", f"You have no {kind} {name[:40]!r}.")
    if len(found) > 1:
        raise Refused("not_found", f"More than one {kind} ends so. Type its whole id.")
    return str(found[0])


async def _waiting(context: "Context", choice: Choice) -> str:
    cursor = await context.conn.execute(
        "SELECT id::text, title FROM approvals WHERE user_id = %s AND state = 'pending' AND expires_at > clock_timestamp()"
        " ORDER BY id LIMIT 10",
        (context.user_id,),
    )
    lines = [f"- {title}: `/{choice} {code_of(approval)}`" for approval, title in await cursor.fetchall()]
    return "Waiting for your decision:\n\n" + "\n".join(lines) if lines else "Nothing waits for your decision."
