"""Debian's Chromium for the tests; where there is none a test is skipped, where CI is set it fails."""

import shutil

from gateway.testing.node import absent

# The shell is the same engine without windows, of a package of its own: a page takes it a quarter of the processor time.
PROGRAMS = ("chromium-headless-shell", "chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=AutofillServerCommunication,OptimizationHints,MediaRouter,Translate",
    "--disable-sync",
    "--no-first-run",
]


def program() -> str:
    """The path of the lightest one that is installed."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return found or absent("Chromium is not installed")
