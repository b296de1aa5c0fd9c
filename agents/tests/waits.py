"""A turn that waits for its user, as tests want it."""

from agents.approvals import Decision
from agents.tests.engine import TestWorker, row


async def wait_for_yes(worker: TestWorker, *texts: str, order: str = "ask yes", ttl_s: str = "") -> str:
    """Have the next turn say something and wait; the id of what it waits for."""
    turn = await worker.claim()
    assert turn is not None
    for text in texts:
        await worker.order(turn, "say", text)
    await worker.order(turn, order, ttl_s)
    await worker.done(turn)
    return str((await row(turn, "wait_id"))[0])


def approve(approval: str, *, comment: str = "") -> Decision:
    return Decision(approval=approval, choice="approve", user_id="demo-pro", channel="web", comment=comment)
