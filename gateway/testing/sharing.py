"""How a test run is shared between the processes of pytest-xdist (pytest loads this with `-p`).

A file's tests stay together, since they share the servers that its fixtures start, and so do those of the folders below,
whose files share some. The longest come first, so that no process works on alone at the end.
"""

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

LONGEST = (
    "gateway/tests/e2e",
    "channels_app/tests/browser",
    "gateway/tests/test_bootstrap.py",
    "channels_app/tests/test_api_contract.py",
    "agents/tests/test_engine_machine.py",
    "workspace/mcp_server/tests/test_sandbox_users.py",
    "agents/tests/test_trading_analysis.py",
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """One file, or one folder of LONGEST, is one piece of work."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Share by file."""
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; the others keep their order."""
    items.sort(key=lambda item: _rank(share_of(item.nodeid)))


def share_of(nodeid: str) -> str:
    """The piece of work that a test belongs to."""
    file = nodeid.partition("::")[0]
    return next((longest for longest in LONGEST if file == longest or file.startswith(f"{longest}/")), file)


def _rank(share: str) -> int:
    return LONGEST.index(share) if share in LONGEST else len(LONGEST)
