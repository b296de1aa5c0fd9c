"""The way to the API server, without holding up the event loop for what it takes to load."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioning.backends._kubernetes.access import Access

_LOADED_LATE = "provisioning.backends._kubernetes.access"


async def connected() -> "Access":
    """A way in for the running event loop; its first call connects. Raises ImproperlyConfigured."""
    # The client's package takes seconds and 57 MB: only for who uses this provisioner, and beside what is served.
    await asyncio.to_thread(import_module, _LOADED_LATE)
    from provisioning.backends._kubernetes.access import Access  # noqa: PLC0415 - loaded just now

    return await Access.open()
