"""What is said on the socket between server and zygote beside the requests themselves.

Each request is acknowledged there, in turn, whoever still waits for its job: by that the server tells a zygote that is
slow or idle from one that hangs.
"""

from __future__ import annotations

# One byte for each request, when its job has been forked or refused.
DEALT_WITH = b"1"

# No request, which is a JSON object: end the jobs and leave; the server stays and clears up itself.
LEAVE = b"leave"
