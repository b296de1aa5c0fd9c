"""Tasks that are to end do so, also those that lose a cancellation. Source: python/cpython#86296."""

import asyncio

from gateway.ending import end


async def test_a_task_that_swallows_a_cancellation_ends_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)

    await end([task])

    assert task.cancelled()
    assert swallowed == 2


async def test_what_a_task_raises_at_its_end_does_not_matter_any_more() -> None:
    async def broken() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError

    task, over = asyncio.create_task(broken()), asyncio.create_task(asyncio.sleep(0))
    await asyncio.sleep(0)

    await end([task, over])

    assert isinstance(task.exception(), ValueError)
    assert over.done()
