"""A gateway without a usable signing key does not start in production. Source: DESIGN, section 10."""

from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from provisioning.checks import check_cluster_settings, check_signing_key
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


@pytest.fixture
def cluster_settings(settings: Settings) -> Settings:
    settings.PROVISIONER, settings.DEBUG = "kubernetes", False
    settings.WORKSPACE_IMAGE = settings.SIDECAR_IMAGE = "images.example.com/x@sha256:1"
    return settings


@pytest.mark.parametrize(
    ("cidrs", "ids"),
    [
        ([], ["provisioning.W001"]),
        (["10.0.0.5/32", "fd00::5/128"], []),
        (["10.0.0.5/32", "0.0.0.0/0"], ["provisioning.W001"]),
        (["the addresses of your API server"], ["provisioning.E005"]),
        (["10.0.0.5/24"], ["provisioning.E005"]),
    ],
)
def test_production_is_told_that_workspaces_may_reach_every_address(
    cidrs: list[str], ids: list[str], cluster_settings: Settings
) -> None:
    """Source: what runs in a workspace is a user's code; with an open way to the API server it reaches private networks."""
    cluster_settings.WORKSPACE_API_SERVER_CIDR = cidrs

    assert [found.id for found in check_cluster_settings()] == ids


def test_the_overlay_for_high_availability_does_not_start_before_the_api_server_is_named(
    cluster_settings: Settings,
) -> None:
    overlay = Path(cluster_settings.BASE_DIR) / "deploy" / "overlays" / "high-availability" / "settings.yaml"
    told = yaml.safe_load(overlay.read_text())["data"]["WORKSPACE_API_SERVER_CIDR"]
    cluster_settings.WORKSPACE_API_SERVER_CIDR = told.split(",")

    assert [found.id for found in check_cluster_settings()] == ["provisioning.E005"]
