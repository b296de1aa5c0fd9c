"""The user's source as something that can be run, with its failures told in the user's own lines."""

from __future__ import annotations

import random
import sys
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from mcp_server.errors import BadStrategyParams
from mcp_server.jobs.contract import STRATEGY_FILE, limit_met, without_paths
from mcp_server.jobs.weights import Fault, Weights, weights_of
from mcp_server.strategies.contract import FUNCTION, read_contract, resolve_params

COLUMNS = ("open", "high", "low", "close", "volume")
Frames = dict[str, pd.DataFrame]

# The newest frames of the user's own code say where it went wrong; a recursion has a thousand.
MOST_FRAMES = 3
MESSAGE_CHARACTERS = 500


class Strategy:
    """A strategy's source. Each run begins with a fresh module, so nothing is carried over from an earlier one."""

    def __init__(self, source: str) -> None:
        """Raises Fault for a source that breaks the contract."""
        self._lines = source.splitlines()
        self._contract = read_contract(source)
        if self._contract.problems:
            first = self._contract.problems[0]
            raise Fault(first.name, first.message, line=first.line)
        self._code = compile(source, STRATEGY_FILE, "exec", dont_inherit=True)

    def weights(self, frames: Frames, params: Mapping[str, Any]) -> Weights:
        """Weights by symbol for these bars. Raises Fault."""
        try:
            chosen = resolve_params(self._contract, params)
        except BadStrategyParams as error:
            raise Fault("BadParameter", str(error)) from error
        with self._told():
            signals = self._load()
            if self._contract.symbols:
                return self._run_on_all(signals, frames, chosen)
            return {symbol: _run(signals, frame, chosen) for symbol, frame in frames.items()}

    def _run_on_all(self, signals: Any, frames: Frames, params: dict[str, Any]) -> Weights:
        common = common_times(frames)
        names = self._names(frames)
        answer = signals({names[symbol]: frame.loc[common] for symbol, frame in frames.items()}, **params)
        if isinstance(answer, pd.DataFrame):
            answer = {name: answer[name] for name in answer.columns}
        if not isinstance(answer, Mapping) or set(answer) != set(names.values()):
            shown = ", ".join(map(str, answer)) if isinstance(answer, Mapping) else type(answer).__name__
            raise Fault(
                "WrongSymbols",
                "A strategy with SYMBOLS returns a dict or DataFrame with one column of weights for each of "
                f"{', '.join(names.values())}; it returned {shown:.200}.",
            )
        found = {symbol: weights_of(answer[names[symbol]], common) for symbol in frames}
        return {symbol: _spread(found[symbol], common, over=frames[symbol].index) for symbol in frames}

    def _names(self, frames: Frames) -> dict[str, str]:
        """How the source writes each symbol: SYMBOLS may hold `spx` or `S&P 500` for what is SPX."""
        declared = self._contract.symbols
        return dict(zip(frames, declared if len(declared) == len(frames) else frames, strict=True))

    def _load(self) -> Any:
        module = types.ModuleType("strategy")
        module.__file__ = STRATEGY_FILE
        # dataclasses look their annotations up there.
        sys.modules[module.__name__] = module
        random.seed(0)
        np.random.seed(0)
        exec(self._code, module.__dict__)  # noqa: S102 - what the sandbox is for
        return getattr(module, FUNCTION)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what the user's code raises into a Fault with the user's line."""
        try:
            yield
        except Fault as fault:
            fault.line = fault.line or self._contract.answer_line
            raise
        except BaseException as error:
            # The user's code raises anything, SystemExit too.
            if limit_met(error):
                # The sandbox names it.
                raise
            raise _fault(error, self._lines) from None


def _run(signals: Any, frame: pd.DataFrame, params: dict[str, Any]) -> np.ndarray:
    return weights_of(signals(frame.copy(deep=False), **params), frame.index)


def frames_of(arrays: Mapping[str, Any], symbols: Sequence[str]) -> Frames:
    """A frame per symbol from the job's arrays."""
    return {
        symbol: pd.DataFrame(
            {column: np.asarray(arrays[f"{symbol}/{column}"], dtype=np.float64) for column in COLUMNS},
            index=pd.DatetimeIndex(np.asarray(arrays[f"{symbol}/time"]).astype("datetime64[ns]"), name="time"),
        )
        for symbol in symbols
    }


def common_times(frames: Frames) -> pd.DatetimeIndex:
    """The times that every frame has a bar for."""
    first, *others = (frame.index for frame in frames.values())
    for index in others:
        first = first.intersection(index)
    return pd.DatetimeIndex(first)


def _spread(weights: np.ndarray, times: pd.DatetimeIndex, *, over: pd.Index) -> np.ndarray:
    """The weights at the times of `over`: between two of `times` the earlier one holds, before the first it is 0."""
    place = times.searchsorted(over, side="right")
    spread: np.ndarray = np.concatenate([[0.0], weights])[place]
    return spread


def _fault(error: BaseException, lines: list[str]) -> Fault:
    """The failure with the newest of the user's own frames; those of libraries are nothing to mend."""
    places = [
        (line, frame.f_code.co_name)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == STRATEGY_FILE and line <= len(lines)
    ]
    shown = [f"\n  line {line}, in {name}: {lines[line - 1].strip():.200}" for line, name in places[-MOST_FRAMES:]]
    return Fault(type(error).__name__[:60], _text(error) + "".join(shown), line=places[-1][0] if places else None)


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - the text comes from the user's own class
        text = ""
    return without_paths(text)[:MESSAGE_CHARACTERS] or "without a message"
