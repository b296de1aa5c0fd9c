"""How a test run is shared between the processes of pytest-xdist (pytest loads this with `-p`).

A file's tests stay together, since they share the servers that its fixtures start, and so do those of some files below,
which share some. The longest come first, so that no process works on alone at the end.
"""

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

# Each is one piece of work: the files whose names begin so, of several entries those of the first. Of the end-to-end tests,
# which wait more than they compute, two halves run side by side; a third would have to start its own shared deployment for
# little. So it is with the workspace's, whose server and sandbox load their libraries once a half, and with those that make
# Anthropic's and Google's models: importing their packages takes 3 s.
LONGEST = (
    (
        "gateway/tests/e2e/test_first_question.py",
        "gateway/tests/e2e/test_first_run.py",
        "gateway/tests/e2e/test_kubernetes.py",
        "gateway/tests/e2e/test_restarts.py",
        "gateway/tests/e2e/test_secrets.py",
        "gateway/tests/e2e/test_workflow_kills.py",
    ),
    ("gateway/tests/e2e/",),
    ("channels_app/tests/browser/",),
    ("workspace/mcp_server/tests/test_sandbox_users.py",),
    tuple(f"workspace/mcp_server/tests/test_{letter}" for letter in "abcdefghi"),
    ("workspace/mcp_server/tests/",),
    ("provisioning/tests/test_backend_contract.py",),
    (
        "agents/tests/test_context.py",
        "agents/tests/test_harness_failures.py",
        "agents/tests/test_provider",
        "agents/tests/test_wire.py",
    ),
    ("channels_app/tests/test_api_contract.py",),
    ("provisioning/tests/test_crashes.py",),
    ("gateway/tests/test_embedded_postgres.py",),
    ("channels_app/tests/test_access.py",),
    ("agents/tests/test_harness.py",),
    ("agents/tests/test_engine_machine.py",),
    ("gateway/tests/test_bootstrap.py",),
    ("agents/tests/test_trading_analysis.py",),
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """One file, or one entry of LONGEST, is one piece of work."""

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
    """The piece of work that a test belongs to, named for its first file."""
    return next((longest[0] for longest in LONGEST if nodeid.startswith(longest)), nodeid.partition("::")[0])


def _rank(share: str) -> int:
    return next((rank for rank, longest in enumerate(LONGEST) if share == longest[0]), len(LONGEST))
