"""How the gateway comes to the API server, read anew as often as asked: address, certificates, token.

KUBECONFIG, else the pod's own service account, else the user's kubectl settings. Importing this takes seconds: see
connecting.py.
"""

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import aiohttp
import yaml
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import kube_config

from provisioning.backends._kubernetes.exec_plugins import PluginFailed, credential_of

# For watches (one each kind) beside the calls of a hundred starts.
CONNECTIONS = 64
# A plugin asks a cloud for a token, through its own slow start.
READ_S = 15.0
# A token in a file is replaced long before it ends; client-go looks as often:
# https://github.com/kubernetes/client-go/blob/v0.34.0/transport/token_source.go
FILE_S = 60.0
# Before a token's end: more than a plugin takes, and than two clocks differ.
EARLY_S = 60.0

# What the loaders raise for files that are not as they expect.
_UNREADABLE = (
    config.ConfigException,
    PluginFailed,
    yaml.YAMLError,
    aiohttp.ClientError,
    ImportError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
)


@dataclass(frozen=True)
class Credentials:
    """`due` is when to read them again, by the monotonic clock. `frame` tells all but the token from others."""

    configuration: Configuration
    due: float
    frame: str

    @property
    def token(self) -> str:
        """What is sent with each request; "" for who has a certificate."""
        return str(self.configuration.api_key.get("BearerToken", ""))


async def read_credentials() -> Credentials:
    """Those that hold now. Raises ImproperlyConfigured."""
    configuration = Configuration(connection_pool_maxsize=CONNECTIONS)
    try:
        async with asyncio.timeout(READ_S):
            lasts_s = await _load(configuration)
        configuration.api_key = {name: _word(key) for name, key in configuration.api_key.items()}
        return Credentials(configuration, time.monotonic() + lasts_s, _frame(configuration))
    except TimeoutError as error:
        raise ImproperlyConfigured(f"The cluster's credentials were not there within {READ_S:g} s") from error
    except _UNREADABLE as error:
        raise ImproperlyConfigured(f"The cluster's settings can't be read: {_named(error)}") from error


def client_of(credentials: Credentials) -> ApiClient:
    """A client for the running event loop; its first call connects. Raises ImproperlyConfigured."""
    try:
        return ApiClient(credentials.configuration)
    except _UNREADABLE as error:
        raise ImproperlyConfigured(f"The cluster's certificates can't be used: {_named(error)}") from error


async def _load(configuration: Configuration) -> float:
    """Fill the configuration; for how many seconds it is good as far as anybody can tell."""
    if not settings.KUBECONFIG and "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]
        return FILE_S
    paths = settings.KUBECONFIG or kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    loader = _Loader(kube_config.KubeConfigMerger(paths).config, config_base_path=None)  # type: ignore[no-untyped-call]
    await loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    return loader.lasts_s


class _Loader(kube_config.KubeConfigLoader):
    """The package's, whose own way with plugins has no deadline and hides what went wrong."""

    _expires: datetime | None = None

    @property
    def lasts_s(self) -> float:
        """For how many seconds what was loaded is good as far as it tells."""
        if self._expires is not None:
            return (self._expires - datetime.now(UTC)).total_seconds() - EARLY_S
        return FILE_S if self.provider or (self._user and "tokenFile" in self._user) else float("inf")

    async def load_from_exec_plugin(self) -> bool:
        """Called by the package for a user who has a plugin. Raises PluginFailed."""
        user, cluster = cast(Any, self._user), cast(Any, self._cluster)
        folder = Path(self._get_base_path(cluster.path))  # type: ignore[no-untyped-call]
        found = await credential_of(user["exec"].value, cluster=cluster.value, folder=folder)
        self._expires = found.expires
        if found.token:
            self.token = f"Bearer {found.token}"
        if found.certificate and found.key:
            self.cert_file, self.key_file = _as_file(found.certificate), _as_file(found.key)
        return True


def _word(key: str) -> str:
    """What goes into a header; an editor ends a token's file with a line break, and none may be inside. Raises ValueError."""
    word = key.strip()
    if not word.isascii() or not word.isprintable():
        raise ValueError("the token is none: it has line breaks or other characters that no header takes")
    return word


def _as_file(text: str) -> str:
    """A file of the text, of which the package sees to that it goes with the process."""
    given = kube_config.FileOrData({"text": text}, None, data_key_name="text", base64_file_content=False)  # type: ignore[no-untyped-call]
    return str(given.as_file())  # type: ignore[no-untyped-call]


def _frame(configuration: Configuration) -> str:
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    contents = [Path(file).read_bytes() if file else b"" for file in files]
    words = (configuration.host, configuration.verify_ssl, configuration.tls_server_name, configuration.proxy)
    return hashlib.sha256(repr((words, contents)).encode()).hexdigest()


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
