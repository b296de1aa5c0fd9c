"""What a background service of the worker process is given."""

import asyncio
from dataclasses import dataclass, field

from gateway.leases import Lease
from gateway.wakeups import Wakeups


@dataclass
class Services:
    """Shared by the services of one worker process; each returns soon after `stopping` is set."""

    lease: Lease
    wakeups: Wakeups
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
