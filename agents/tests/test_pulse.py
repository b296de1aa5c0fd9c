import asyncio

import pytest

from agents.pulse import BEATS, LATE_S, Pulse


class Loop:
    """An event loop's time, in which each beat comes as late as told."""

    def __init__(self, *late_s: float) -> None:
        self.now, self._late_s = 0.0, list(late_s)

    async def sleep(self, seconds: float) -> None:
        if not self._late_s:
            raise asyncio.CancelledError
        self.now += seconds + self._late_s.pop(0)


async def beaten(*late_s: float) -> Pulse:
    loop = Loop(*late_s)
    pulse = Pulse(clock=lambda: loop.now, sleep=loop.sleep)
    with pytest.raises(asyncio.CancelledError):
        await pulse.run()
    return pulse


@pytest.mark.parametrize(
    ("late_s", "late"),
    [
        ((), False),
        ((0.0,) * BEATS, False),
        ((LATE_S / 2,) * BEATS, False),
        ((1.0, 0.0, 0.0, 0.0), False),
        ((LATE_S * 2,) * BEATS, True),
        ((LATE_S * 2,) * BEATS + (0.0,) * BEATS, False),
    ],
)
async def test_a_loop_is_late_when_most_of_its_last_beats_were(late_s: tuple[float, ...], late: bool) -> None:
    assert (await beaten(*late_s)).late is late
