"""Fixtures of the agent's tests."""

from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@cache
def _signing_key() -> str:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode("ascii")


@pytest.fixture
def signing_key(settings: Any, data_dir: object) -> str:
    """The gateway's key for workspace tokens, set for the test."""
    settings.WORKSPACE_SIGNING_KEY = _signing_key()
    return _signing_key()
