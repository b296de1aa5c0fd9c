"""The Kubernetes API as the sidecar needs it: the scale of one Deployment, read and set to 0.

Its service account needs no more than `get` and `patch` on `deployments/scale`, for this one name. Where it finds the
API server and its own credentials is what every pod is given (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifecycle_sidecar.options import Options

# A healthy API server answers within milliseconds. Of one that hangs the sidecar wants to be free again before a kubelet
# that ends the pod has lost its patience (30 s).
ANSWER_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 256 * 1024

CONFLICT = 409


class ClusterFailed(Exception):
    """The API server can't be reached, refuses, or answers something else. The text is for the log."""


class Conflict(Exception):
    """The Deployment was written since its version was read."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The Deployment of this pod, and where the API server that knows it is. `credentials` is the projected folder."""

    host: str
    port: int
    credentials: Path
    namespace: str
    name: str
    timeout_s: float = ANSWER_TIMEOUT_S

    def version(self) -> str:
        """The resourceVersion as it is now. Raises ClusterFailed."""
        scale = self._ask("GET", None)
        try:
            version = scale["metadata"]["resourceVersion"]
        except (KeyError, TypeError) as error:
            raise ClusterFailed("the scale has no resourceVersion") from error
        # It would be no precondition: the API server takes an empty one for none.
        if not isinstance(version, str) or not version:
            raise ClusterFailed("the scale has no resourceVersion")
        return version

    def stop(self, version: str) -> None:
        """Scale to 0 if it still has this version. Raises Conflict, or ClusterFailed when it may have failed."""
        self._ask("PATCH", {"metadata": {"resourceVersion": version}, "spec": {"replicas": 0}})

    def _ask(self, method: str, patch: dict[str, Any] | None) -> Any:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}/scale"
        try:
            connection = http.client.HTTPSConnection(
                self.host, self.port, timeout=self.timeout_s, context=self._trust()
            )
            try:
                connection.request(method, path, json.dumps(patch) if patch else None, self._headers(patch))
                return _read(connection.getresponse())
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise ClusterFailed(f"{type(error).__name__}: {error}") from error

    def _trust(self) -> ssl.SSLContext:
        # Both files are read each time: a cluster renews its CA, and the kubelet the token every hour.
        return ssl.create_default_context(cafile=str(self.credentials / "ca.crt"))

    def _headers(self, patch: dict[str, Any] | None) -> dict[str, str]:
        token = (self.credentials / "token").read_text(encoding="ascii").strip()
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        return headers | ({"Content-Type": "application/merge-patch+json"} if patch else {})


def _read(answer: http.client.HTTPResponse) -> Any:
    body = answer.read(MAX_ANSWER_BYTES)
    if answer.status == CONFLICT:
        raise Conflict
    if answer.status != http.client.OK:
        raise ClusterFailed(f"it answered {answer.status} {answer.reason}")
    return json.loads(body)


def own_deployment(options: Options, environ: Mapping[str, str] = os.environ) -> Deployment:
    """The Deployment that the options name, by the API server that each pod is told. Raises ClusterFailed outside of a pod."""
    try:
        return Deployment(
            host=environ["KUBERNETES_SERVICE_HOST"],
            port=int(environ["KUBERNETES_SERVICE_PORT"]),
            credentials=options.credentials,
            namespace=options.namespace or (options.credentials / "namespace").read_text(encoding="ascii").strip(),
            name=options.deployment or "",
        )
    except (KeyError, ValueError, OSError) as error:
        raise ClusterFailed(f"this is no pod, or one without a service account's token ({error})") from error
