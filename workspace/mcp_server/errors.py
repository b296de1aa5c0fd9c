"""What can go wrong in a workspace. Each text is for the model or person that reads it and says what to do next."""


class WorkspaceError(Exception):
    """The workspace could not do this."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class BarsRejected(WorkspaceError):
    """The file can't be read as bars."""

    unit = "row"

    def __init__(self, reason: str, *, at: int | None = None) -> None:
        super().__init__(reason if at is None else f"{self.unit} {at}: {reason}")


class CsvRejected(BarsRejected):
    """The CSV text can't be read as bars."""

    unit = "line"


class ParquetRejected(BarsRejected):
    """The Parquet file can't be read as bars."""


class FutureBars(WorkspaceError):
    """Some bars are dated after tomorrow, which no market has traded yet."""


class HistoryChanged(WorkspaceError):
    """The bars are no longer those that the paper deployment was stepped on."""


class UnknownSymbol(WorkspaceError):
    """No instrument has this symbol or name. Call list_instruments to see what there is."""


class SymbolTaken(WorkspaceError):
    """This symbol is shipped with the workspace. Import your bars under another symbol."""


class NoBars(WorkspaceError):
    """The range holds no bars."""


class BadInterval(WorkspaceError):
    """Bars of this interval can't be had."""


class ExchangeFailed(WorkspaceError):
    """The exchange gave no bars."""


class ExchangeUnreachable(ExchangeFailed):
    """The exchange can't be reached from this workspace. Use what list_instruments shows, or import bars."""


class ExchangeMissing(ExchangeFailed):
    """Exchanges need the package ccxt, which this workspace has not installed. Import bars with import_bars instead."""


class UnknownIndicator(WorkspaceError):
    """No indicator has this name. Call list_indicators to see what there is."""


class BadParameter(WorkspaceError):
    """A parameter of the indicator is unknown or out of its range."""


class NoVolume(WorkspaceError):
    """The indicator needs volume, and the bars report none."""


class TooFewBars(WorkspaceError):
    """The range holds fewer bars than the indicator needs."""


class ChartFailed(WorkspaceError):
    """The chart could not be drawn. Ask again without it; the figures are the same."""


class UnknownStrategy(WorkspaceError):
    """No strategy has this name. Call list_strategies to see what there is."""


class StrategyRejected(WorkspaceError):
    """The source is no strategy."""


class BadStrategyParams(WorkspaceError):
    """A parameter of the strategy is unknown or of another type."""


class TooManyStrategies(WorkspaceError):
    """There is no room for more strategies. Delete some that are no longer needed."""


class UnknownBacktest(WorkspaceError):
    """No backtest has this id. Ids come from run_backtest and sweep_strategy."""


class BadSplit(WorkspaceError):
    """Give out_of_sample_percent or folds, not both."""


class BadGrid(WorkspaceError):
    """The grid can't be run."""


class BadSymbols(WorkspaceError):
    """The strategy is made for other symbols."""


class UnknownDeployment(WorkspaceError):
    """No deployment has this id. Call list_deployments to see what there is."""


class DeploymentConflict(WorkspaceError):
    """The idempotency key has deployed something else. Take a new key for a new deployment."""


class TooManyDeployments(WorkspaceError):
    """There is no room for more running deployments. Stop one first."""


class BadQuery(WorkspaceError):
    """The query holds no word to search for. Give one or more words."""


class BadMessage(WorkspaceError):
    """A message can't be stored."""


class UnknownConversation(WorkspaceError):
    """There is no such conversation. Call list_conversations to see what there is."""


class BadSummary(WorkspaceError):
    """The summary can't be kept."""


class BadDocument(WorkspaceError):
    """The document can't be read."""


class BadArchive(WorkspaceError):
    """The archive can't be restored, nothing was changed."""


class UnknownExport(WorkspaceError):
    """There is no such export or part, or its time is over. Call export_data for a new one."""


class NotConfirmed(WorkspaceError):
    """Nothing was deleted: `confirm` must be the id of the workspace's user. Ask the user first."""


class StorageFull(WorkspaceError):
    """The workspace's storage is full, nothing was stored. Delete what is no longer needed: deleting always works."""


class WorkspaceBusy(WorkspaceError):
    """The workspace is being read or written just now, nothing was changed. Call again in a few seconds."""


class DataReplaced(WorkspaceError):
    """The workspace was deleted or restored while this ran, so its result was not stored. Call again if still wanted."""


class ForeignFolder(WorkspaceError):
    """The data folder belongs to another user."""


class NewerFile(WorkspaceError):
    """The data file was written by a newer version of this server. Start that version or a later one."""


class UnusableKeys(WorkspaceError):
    """The public key file holds no usable Ed25519 public key."""


class SandboxFailed(WorkspaceError):
    """A computation did not end well."""


class OutOfTime(SandboxFailed):
    """The computation took longer than it may. Use fewer bars or runs, or a faster algorithm."""


class OutOfMemory(SandboxFailed):
    """The computation needed more memory than it may have. Use fewer bars or runs, or keep less at a time."""


class OutputTooLarge(SandboxFailed):
    """The computation's result or its files are larger than they may be. Return or write less."""


class Forbidden(SandboxFailed):
    """Strategy code may not open files outside its own folder, use the network, or start processes or threads."""


class JobDied(SandboxFailed):
    """The process of the computation ended before it answered."""


class StrategyFailed(SandboxFailed):
    """The strategy's code can't be run. `line` counts from 1 and is None when no line is to blame."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(message if line is None else f"line {line}: {message}")


class SandboxUnavailable(SandboxFailed):
    """This machine's kernel can't confine strategy code: none is run unless the server is started with --unconfined."""
