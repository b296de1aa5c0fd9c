"""A gateway without a usable signing key does not start in production. Source: DESIGN, section 10."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from provisioning.checks import check_signing_key
from provisioning.tests.test_tokens import pem_of


def test_development_needs_no_key_and_the_check_makes_none(data_dir: Path) -> None:
    assert check_signing_key() == []
    assert list(data_dir.iterdir()) == []


@pytest.mark.parametrize("key", ["", "no pem", "-----BEGIN PRIVATE KEY-----\n€"])
def test_production_needs_a_readable_key(key: str, settings: Settings) -> None:
    settings.DEBUG, settings.WORKSPACE_SIGNING_KEY = False, key

    assert [error.id for error in check_signing_key()] == ["provisioning.E001"]


def test_an_unreadable_key_is_told_in_development_too(settings: Settings) -> None:
    settings.WORKSPACE_SIGNING_KEY = "no pem"

    assert [error.id for error in check_signing_key()] == ["provisioning.E001"]


def test_a_good_key_is_good_everywhere(settings: Settings) -> None:
    settings.DEBUG, settings.WORKSPACE_SIGNING_KEY = False, pem_of(Ed25519PrivateKey.generate())

    assert check_signing_key() == []


def test_the_check_is_one_of_djangos(settings: Settings) -> None:
    settings.WORKSPACE_SIGNING_KEY = "no pem"

    with pytest.raises(CommandError, match=r"provisioning\.E001"):
        call_command("check", tags=["security"])
