"""How the gateway comes to the API server: KUBECONFIG, else the pod's own service account, else the user's kubectl settings."""

import os
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from kubernetes.aio.client.api_client import ApiClient

# For watches (one each kind) beside the calls of a hundred starts.
CONNECTIONS = 64


async def connected() -> "ApiClient":
    """A client for the running event loop; its first call connects. Raises ImproperlyConfigured."""
    # The package takes a second and 57 MB: only for who uses this provisioner.
    from kubernetes.aio import config  # noqa: PLC0415
    from kubernetes.aio.client.api_client import ApiClient  # noqa: PLC0415
    from kubernetes.aio.client.configuration import Configuration  # noqa: PLC0415

    configuration = Configuration(connection_pool_maxsize=CONNECTIONS)
    try:
        if not settings.KUBECONFIG and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            given = {"config_file": settings.KUBECONFIG or None, "client_configuration": configuration}
            await config.load_kube_config(**given, persist_config=False)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, ValueError) as error:
        raise ImproperlyConfigured(f"The cluster's settings can't be read: {error}") from error
    return ApiClient(configuration)
