"""The tiny model under another name, as a newer version of it would have."""

from mcp_server.tests.tiny_model import FLOOR, SPREAD, passages, query

__all__ = ["FLOOR", "NAME", "SPREAD", "passages", "query"]

NAME = "tiny 2"
