"""Tools over strategies: list, read, save, delete to a bin and restore, validate."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from mcp_server.strategies.contract import DESCRIPTION_CHARACTERS, SOURCE_CHARACTERS, Plain
from mcp_server.strategies.store import MOST_VERSIONS, Strategies, unified_diff
from mcp_server.strategies.validation import Validation, Validator
from mcp_server.strategies.versions import StrategyVersion
from mcp_server.tools.offer import ADDS, READS, READS_OUTSIDE, REPLACES, Offer

# With the source, half of what a client commonly passes on to a model.
MOST_LISTED_VERSIONS = 50

StrategyName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="Name of the strategy, 1 to 64 of a-z 0-9 _ -, any case, e.g. 'sma_crossover'.",
    ),
]


def _without_mark(source: str) -> str:
    """Some editors begin a file with a byte order mark, which Python refuses in a text."""
    return source.removeprefix("\ufeff")


Source = Annotated[
    str,
    AfterValidator(_without_mark),
    Field(
        min_length=1,
        max_length=SOURCE_CHARACTERS,
        description='Python source that defines `def signals(bars, fast=10, slow=30)`, e.g. "def signals(bars, n=50):\\n'
        "    return (bars['close'] > bars['close'].rolling(n).mean()).astype(float)\".",
    ),
]


class StrategyReply(BaseModel):
    """A version of a strategy. `params` have their defaults; `symbols` is empty when it runs on any one symbol."""

    name: str
    version: int
    shipped: bool
    description: str
    params: dict[str, Plain]
    symbols: list[str]
    digest: str
    created_at: str


class StrategiesReply(BaseModel):
    """Own strategies, the last changed first, then the shipped ones; `deleted` can be restored."""

    strategies: list[StrategyReply]
    deleted: list[str]


class VersionReply(BaseModel):
    """One line of a strategy's history."""

    version: int
    digest: str
    description: str
    created_at: str


class SourceReply(StrategyReply):
    """A version with its source, the newest versions that there are, and the diff that was asked for."""

    source: str
    versions: list[VersionReply]
    diff: str | None


class SavedReply(StrategyReply):
    """`stored` is false when the newest version has this source already; `restored`: it was in the bin."""

    stored: bool
    restored: bool


class StrategyDeletedReply(BaseModel):
    """Whether there was such a strategy of the user's own."""

    name: str
    deleted: bool
    note: str


class ProblemReply(BaseModel):
    """What is wrong, where, and how to mend it; `line` and `column` count from 1."""

    name: str
    message: str
    line: int | None
    column: int | None


class DryRunReply(BaseModel):
    """What it did over the last bars of a symbol.

    `exposure` is the mean absolute weight, `changes` how often the weight changed, `undefined` the share that was NaN.
    """

    symbol: str
    first: str
    last: str
    bars: int
    exposure: float
    changes: int
    undefined: float


class ValidationReply(BaseModel):
    """`valid` when there is no problem; then it was run, and `dry_runs` says what came of it."""

    valid: bool
    problems: list[ProblemReply]
    notes: list[str]
    params: dict[str, Plain]
    symbols: list[str]
    description: str
    dry_runs: list[DryRunReply]


class StrategyTools:
    """Strategies for a model."""

    def __init__(self, strategies: Strategies, validator: Validator) -> None:
        self._strategies = strategies
        self._validator = validator

    def offers(self) -> list[Offer]:
        return [
            Offer(self.list_strategies, "List strategies", READS),
            Offer(self.get_strategy, "Read a strategy", READS),
            Offer(self.save_strategy, "Save a strategy", ADDS),
            Offer(self.delete_strategy, "Delete a strategy", REPLACES),
            Offer(self.restore_strategy, "Restore a strategy", ADDS),
            Offer(self.validate_strategy, "Validate a strategy", READS_OUTSIDE, heavy=True),
        ]

    def list_strategies(self) -> StrategiesReply:
        """List the user's strategies and the shipped examples: newest version, description, parameters with defaults.

        Shipped ones can be run as they are; to change one, read it with get_strategy and save it. `deleted` names what
        restore_strategy brings back.
        """
        found = [*self._strategies.newest(), *self._strategies.examples()]
        return StrategiesReply(strategies=[describe(each) for each in found], deleted=self._strategies.bin())

    def get_strategy(
        self,
        name: StrategyName,
        version: Annotated[
            int | None,
            Field(
                ge=0, le=MOST_VERSIONS, description="Version to read; left out = the newest, 0 = the shipped example."
            ),
        ] = None,
        diff_from: Annotated[
            int | None,
            Field(
                ge=0,
                le=MOST_VERSIONS,
                description="Give `diff` too: what changed since this version, as `diff -u` shows it.",
            ),
        ] = None,
    ) -> SourceReply:
        """Read a strategy's source, its parameters and its versions, the newest 50 of them."""
        found = self._strategies.find(name, version)
        older = None if diff_from is None else self._strategies.find(name, diff_from)
        return read(self._strategies, found, diff=None if older is None else unified_diff(older, found))

    def save_strategy(
        self,
        name: StrategyName,
        source: Source,
        description: Annotated[
            str | None,
            Field(
                max_length=DESCRIPTION_CHARACTERS,
                description="What it does, in a sentence; left out = the source's docstring or DESCRIPTION.",
            ),
        ] = None,
    ) -> SavedReply:
        """Save a strategy as a new version; all earlier versions are kept, and a source that is unchanged makes none.

        The source defines `signals(bars, **params)`: `bars` is a pandas DataFrame (index = time; open, high, low, close,
        volume), the other arguments are parameters with plain defaults, and it returns the target weight of every bar in
        [-1, 1]: 1 = all money long, -1 = short, 0 or NaN = nothing. A weight decided at a bar's close is held from the
        next bar on. numpy, pandas and talib can be imported. With SYMBOLS = ['SPX', 'IXIC'], `bars` is a dict of frames
        and so is the answer. A source that breaks this is refused with line numbers; call validate_strategy to run it.
        """
        saved = self._strategies.save(name, source, description=description)
        return SavedReply(**describe(saved.version).model_dump(), stored=saved.stored, restored=saved.restored)

    def delete_strategy(self, name: StrategyName) -> StrategyDeletedReply:
        """Put an own strategy with all its versions into the bin, which keeps the last 50. Ask the user first.

        restore_strategy or saving under the name brings it back. Its paper deployments run on: stop_deployment ends them.
        """
        deleted = self._strategies.delete(name)
        note = "restore_strategy brings it back." if deleted else "There is no own strategy of this name."
        return StrategyDeletedReply(name=name.lower(), deleted=deleted, note=note)

    def restore_strategy(self, name: StrategyName) -> StrategyReply:
        """Bring a deleted strategy back from the bin with all its versions; one that is not deleted stays as it is."""
        return describe(self._strategies.restore(name))

    def validate_strategy(self, source: Source) -> ValidationReply:
        """Check a strategy without saving it: syntax, what it declares, and a dry run in the sandbox over 500 bars.

        Each problem has a name, a line and what to do: among them SyntaxError, NoSignals, BadParameter, WrongLength,
        OutOfRange, LookAhead (a weight depends on later bars), the exceptions of the code and the sandbox's limits.
        """
        return _validation_reply(self._validator.validate(source))


def describe(version: StrategyVersion) -> StrategyReply:
    """The version as clients see it in a list."""
    return StrategyReply(
        name=version.name,
        version=version.version,
        shipped=version.shipped,
        description=version.description,
        params=dict(version.params),
        symbols=list(version.symbols),
        digest=version.digest,
        created_at=version.created_at,
    )


def read(strategies: Strategies, version: StrategyVersion, *, diff: str | None = None) -> SourceReply:
    """The version with its source and history."""
    lines = [] if version.shipped else strategies.versions(version.name)[:MOST_LISTED_VERSIONS]
    return SourceReply(
        **describe(version).model_dump(),
        source=version.source,
        versions=[VersionReply.model_validate(line, from_attributes=True) for line in lines],
        diff=diff,
    )


def _validation_reply(found: Validation) -> ValidationReply:
    return ValidationReply(
        valid=not found.problems,
        problems=[ProblemReply.model_validate(each, from_attributes=True) for each in found.problems],
        notes=list(found.notes),
        params=dict(found.contract.params),
        symbols=list(found.contract.symbols),
        description=found.contract.description,
        dry_runs=[DryRunReply.model_validate(each, from_attributes=True) for each in found.dry_runs],
    )
