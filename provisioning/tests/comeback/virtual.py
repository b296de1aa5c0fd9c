"""An event loop whose time passes only when nothing else can be done."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Skipping(selectors.SelectSelector):
    """Waits for nothing: what would have been waited is time that has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nobody outside of the loop acts here, so that without a timer there would be nothing to wait for."""
        if timeout is None:
            raise RuntimeError("Everybody waits, and for nothing.")
        self.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """The virtual time."""
        return self._skipping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run it to its end on virtual time."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
