"""What every source of bars has to be, whichever file it is in; a source added later is checked by the same tests."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mcp_server.errors import BadInterval, SymbolTaken, UnknownSymbol
from mcp_server.market import sources
from mcp_server.market.bars import Bars
from mcp_server.market.catalogue import Catalogue
from mcp_server.market.csv_format import parse_bars
from mcp_server.market.source import Source, Surroundings
from mcp_server.market.sources import source_modules
from mcp_server.storage.database import Database

MODULES = source_modules()
CSV = "date,open,high,low,close\n2024-01-02,1,2,0.5,1.5\n2024-01-03,1.5,2,1,1.75\n"


@pytest.fixture(params=MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def source(request: pytest.FixtureRequest, database: Database) -> Iterator[Source]:
    module: ModuleType = request.param
    opened: Source = module.open_source(Surroundings(database, lambda _: None))
    yield opened
    opened.close()


@pytest.fixture
def catalogue(database: Database) -> Iterator[Catalogue]:
    opened = Catalogue(database)
    yield opened
    opened.close()


def bars() -> Bars:
    return parse_bars(CSV).bars


def test_every_file_of_the_folder_is_a_source_in_order_of_its_priority() -> None:
    files = {file.stem for file in Path(sources.__file__).parent.glob("*.py")} - {"__init__"}

    assert {module.__name__.rpartition(".")[2] for module in MODULES} == files
    priorities = [module.PRIORITY for module in MODULES]
    assert priorities == sorted(priorities)
    assert len(set(priorities)) == len(priorities)


def test_a_source_gives_the_bars_of_what_it_lists(source: Source) -> None:
    for instrument in source.instruments():
        found, its_bars = source.find(instrument.symbol, None) or pytest.fail(instrument.symbol)
        assert found == instrument
        assert (found.first, found.last, found.bars) == (its_bars.date(0), its_bars.date(-1), len(its_bars))
        assert found.interval == its_bars.interval.name
        assert list(its_bars.times) == sorted(set(its_bars.times))


@pytest.mark.parametrize(
    "wanted", ["", "no such thing", "../../etc/passwd", "'; DROP TABLE imported_bars", "\0", "A" * 64]
)
def test_a_source_leaves_what_it_has_not_to_others(source: Source, wanted: str) -> None:
    assert source.find(wanted, None) is None


def test_sources_can_be_closed_twice(source: Source) -> None:
    source.close()
    source.close()


def test_an_import_is_found_and_told(catalogue: Catalogue) -> None:
    told: list[str] = []
    catalogue.on_new_bars(told.append)

    instrument = catalogue.save("MINE", bars())

    assert catalogue.find(" mine ") == (instrument, bars())
    assert told == ["MINE"]


def test_a_listener_may_ask_for_the_new_bars(catalogue: Catalogue) -> None:
    seen: list[int] = []
    catalogue.on_new_bars(lambda symbol: seen.append(len(catalogue.find(symbol)[1])))

    catalogue.save("MINE", bars())

    assert seen == [2]


def test_a_series_replaced_in_the_file_is_read_anew(catalogue: Catalogue, database: Database) -> None:
    """Source: a restored export writes to the table itself."""
    catalogue.save("MINE", bars())
    catalogue.find("MINE")
    packed = gzip.compress(CSV.replace("1.75", "1.9").encode())
    with database.writing() as connection:
        connection.execute("UPDATE imported_bars SET csv_gz = ?", (packed,))

    assert catalogue.find("MINE")[1].close[-1] == 1.9


def test_a_shipped_name_can_not_be_imported_over(catalogue: Catalogue) -> None:
    with pytest.raises(SymbolTaken):
        catalogue.save("^GSPC", bars())


def test_an_unknown_symbol_is_answered_with_what_there_is(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownSymbol, match=r"Did you mean MSFT\?"):
        catalogue.find("MSFTT")


def test_longer_bars_are_joined_and_shorter_ones_refused(catalogue: Catalogue) -> None:
    assert catalogue.find("SPX", "1w")[1].interval.name == "1w"
    with pytest.raises(BadInterval, match=r"SPX has bars of 1d, 1h is finer. Ask for 1d, 1w, or import finer bars"):
        catalogue.find("SPX", "1h")
