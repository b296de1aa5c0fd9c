"""What `signals` returned, checked and brought into one form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

Weights = dict[str, np.ndarray]

# Sums of fractions such as 0.1 + 0.2 end a little beyond 1.
ROUNDING = 1e-9
REAL_KINDS = "biuf"


class Fault(Exception):
    """Something is wrong with the strategy: `name` says what, the message how to mend it, `line` where."""

    def __init__(self, name: str, message: str, *, line: int | None = None) -> None:
        self.name = name
        self.message = message
        self.line = line
        super().__init__(f"{name}: {message}")

    def as_values(self) -> dict[str, Any]:
        """The fault as plain JSON."""
        return {"name": self.name, "message": self.message, "line": self.line}


def weights_of(answer: Any, times: pd.Index) -> np.ndarray:
    """The answer as weights in [-1, 1] or NaN, one per bar. Raises Fault."""
    if isinstance(answer, pd.DataFrame) and answer.shape[1] == 1:
        answer = answer.iloc[:, 0]
    if isinstance(answer, pd.Series):
        _check_index(answer, times)
    values = _numbers(answer)
    if values.shape != (len(times),):
        raise Fault(
            "WrongLength",
            f"signals got {len(times)} bars and returned {_size(values)}. Return one weight per bar: keep the index of "
            "`bars` (no dropna, no slice) and put 0 where there is no signal.",
        )
    beyond = np.flatnonzero(np.abs(values) > 1 + ROUNDING)
    if beyond.size:
        first = int(beyond[0])
        raise Fault(
            "OutOfRange",
            f"{beyond.size} weights are outside [-1, 1], the first is {values[first]:.6g} at {shown(times[first])}. "
            "1 = all of the money long, -1 = all of it short. Scale the weights or end with `.clip(-1, 1)`.",
        )
    clipped: np.ndarray = np.clip(values, -1.0, 1.0)
    return clipped


def shown(time: pd.Timestamp) -> str:
    """When a bar begins, as people read it: a day's without the time."""
    return f"{time:%Y-%m-%d}" if time == time.normalize() else f"{time:%Y-%m-%dT%H:%M:%SZ}"


def without_gaps(weights: Weights) -> Weights:
    """The weights with 0, which holds nothing, where they are NaN."""
    return {symbol: np.nan_to_num(values) for symbol, values in weights.items()}


def _check_index(answer: pd.Series, times: pd.Index) -> None:
    """A series over other times than the bars' was shifted or sorted: its values belong to other bars."""
    if len(answer) != len(times) or isinstance(answer.index, pd.RangeIndex) or answer.index.equals(times):
        return
    raise Fault(
        "WrongIndex", "The series that signals returned has another index than `bars`. Keep the index of `bars`."
    )


def _numbers(answer: Any) -> np.ndarray:
    try:
        values = np.asarray("nothing" if answer is None else answer)
        if values.dtype == object:
            values = values.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.asarray("not numbers")
    if values.dtype.kind not in REAL_KINDS:
        raise Fault(
            "NotNumbers",
            f"signals returned {type(answer).__name__}, not numbers. Return a Series, array or list with one weight per bar.",
        )
    return values.astype(np.float64)


def _size(values: np.ndarray) -> str:
    if values.ndim == 0:
        return "one number"
    return f"{len(values)} values" if values.ndim == 1 else f"a table of {' x '.join(map(str, values.shape))}"
