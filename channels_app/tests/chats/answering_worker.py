"""A worker process whose answers grow as they are written, to be killed.

`python -m channels_app.tests.chats.answering_worker 5 4` serves the database that DATABASE_URL names, in a time that passes five
times as fast, and writes no more than four pieces of an answer.
"""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from agents.brain import Brain
    from gateway.services import Services

PIECES = 10
# Previews look twice a second, whatever the scale.
PIECE_EVERY_S = 0.6
LEAST_S = 0.12
PACES = ("PRIVATE_PACE_S", "GROUP_PACE_S", "BULK_EVERY_S")


def answer_to(question: str) -> str:
    """What is answered, piece by piece."""
    return " ".join(f"{question}.{number}" for number in range(PIECES))


async def serve(services: "Services", *, scale: float, pieces: int = PIECES) -> None:
    """Answer turns, each as far as to that piece, and deliver until `services.stopping` is set."""
    from agents.worker import Worker
    from channels_app import deliveries

    worker = Worker(services, brain=_brain(scale, pieces))
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        group.create_task(deliveries.run(services))
        # They ask for their signals before anything is listened for.
        await asyncio.sleep(0)
        listening = group.create_task(services.wakeups.run())
        await services.stopping.wait()
        listening.cancel()


def _brain(scale: float, pieces: int) -> "Brain":
    from agents.brain import Brain
    from agents.events import Started, Token, Usage
    from agents.harness_types import Answer, Emit, TurnRequest

    async def run(request: TurnRequest, emit: Emit) -> Answer:
        await emit(Started(model="demo/demo", reason="test", attempt=request.attempt))
        answer = answer_to(request.content)
        for number, piece in enumerate(answer.split(" ")):
            if number == pieces:
                await asyncio.Event().wait()
            await emit(Token(content=f" {piece}" if number else piece))
            await asyncio.sleep(max(PIECE_EVERY_S / scale, LEAST_S))
        messages = [{"role": "user", "content": request.content}, {"role": "assistant", "content": answer}]
        return Answer(content=answer, model="demo/demo", usage=Usage(1, 0, 1), messages=messages)

    async def remember(*_kept: Any) -> None:
        return

    return Brain(run=run, remember=remember)


def main() -> None:
    """Serve until killed."""
    django.setup()
    asyncio.run(_serve_alone(float(sys.argv[1]), int(sys.argv[2])))


async def _serve_alone(scale: float, pieces: int) -> None:
    from channels_app.channels import telegram
    from gateway.db import open_pool
    from gateway.leases import Lease
    from gateway.services import Services
    from gateway.wakeups import Wakeups

    for name in PACES:
        setattr(telegram, name, getattr(telegram, name) / scale)
    await open_pool()
    services = Services(Lease("to be killed"), Wakeups())
    await asyncio.to_thread(services.lease.acquire)
    await serve(services, scale=scale, pieces=pieces)


if __name__ == "__main__":
    main()
