"""What workspaces could not run with is told at start, not at the first user's first message."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from django.core.exceptions import ImproperlyConfigured

from provisioning.tokens import signing_key

ENDPOINT_PARTS = {"name": "ws-x", "namespace": "x"}


def check_signing_key(**_kwargs: Any) -> list[CheckMessage]:
    """An error when WORKSPACE_SIGNING_KEY is no Ed25519 key in PEM; it may be missing in development, which makes one."""
    if settings.DEBUG and not settings.WORKSPACE_SIGNING_KEY:
        return []
    try:
        signing_key()
    except ImproperlyConfigured as error:
        hint = "Make one with `openssl genpkey -algorithm ed25519`, and name its file in WORKSPACE_SIGNING_KEY_FILE."
        return [Error(str(error), hint=hint, id="provisioning.E001")]
    return []


def check_cluster_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Errors of the settings that PROVISIONER=kubernetes needs."""
    if settings.PROVISIONER != "kubernetes":
        return []
    from provisioning.backends._kubernetes.values import values  # noqa: PLC0415 - for this provisioner only

    found: list[CheckMessage] = []
    missing = [name for name in ("WORKSPACE_IMAGE", "SIDECAR_IMAGE") if not getattr(settings, name)]
    if missing and not settings.DEBUG:
        hint = "Give images that the cluster can pull, best by digest."
        found.append(Error(f"{' and '.join(missing)} must be set.", hint=hint, id="provisioning.E002"))
    if not _is_endpoint(settings.WORKSPACE_ENDPOINT_TEMPLATE):
        hint = "For example http://{name}.{namespace}.svc:8000/mcp; {name} must be in it."
        found.append(Error("WORKSPACE_ENDPOINT_TEMPLATE is no address.", hint=hint, id="provisioning.E003"))
    try:
        values()
    except ImproperlyConfigured as error:
        return [*found, Error(str(error), id="provisioning.E004")]
    return [*found, *_api_server_faults()]


def _api_server_faults() -> list[CheckMessage]:
    from provisioning.backends._kubernetes.values import api_servers  # noqa: PLC0415 - for this provisioner only

    try:
        open_to_all = any(cidr.endswith("/0") for cidr in api_servers())
    except ImproperlyConfigured as error:
        hint = "`kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes` has the addresses."
        return [Error(str(error), hint=hint, id="provisioning.E005")]
    if settings.DEBUG or not open_to_all:
        return []
    hint = (
        "Name your API server's addresses in WORKSPACE_API_SERVER_CIDR, and apply `workspace render --namespace` again."
    )
    told = "Users' workspaces reach ports 443 and 6443 of every address, those of your private networks included."
    return [Caution(told, hint=hint, id="provisioning.W001")]


def _is_endpoint(template: str) -> bool:
    try:
        url = urlsplit(template.format_map(ENDPOINT_PARTS))
    except (KeyError, ValueError, IndexError, AttributeError):
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname) and ENDPOINT_PARTS["name"] in url.geturl()
