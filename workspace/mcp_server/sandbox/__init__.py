"""Confined child processes: where all of a user's strategy code and all heavy computing runs."""

from mcp_server.sandbox.client import Sandbox
from mcp_server.sandbox.jobs import Answer, Job, Limits

__all__ = ["Answer", "Job", "Limits", "Sandbox"]
