"""The images of a workspace's pod, as processes of this project's own code; see workspace/*/Dockerfile."""

import sys
from pathlib import Path

from provisioning.tests.cluster.node.images import Image

CODE = Path(__file__).resolve().parents[4] / "workspace"

# Where a container without an option finds its credentials; as an option it can be translated.
CREDENTIALS = "/var/run/secrets/kubernetes.io/serviceaccount"


def images(workspace: str, sidecar: str, **environment: str) -> dict[str, Image]:
    """The two images under these names; `environment` is added to that of both."""
    python = (sys.executable, "-m")
    common = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    serves = {"HOME": "/data", "WORKSPACE_DATA": "/data", "WORKSPACE_HOST": "0.0.0.0"}  # noqa: S104 - of a pod
    ports = {"WORKSPACE_PORT": "8000", "WORKSPACE_ACTIVITY_PORT": "8001"}
    return {
        workspace: Image((*python, "mcp_server"), CODE, {**common, **serves, **ports}, (8000, 8001)),
        sidecar: Image((*python, "lifecycle_sidecar"), CODE, {**common, "WORKSPACE_CREDENTIALS": CREDENTIALS}),
    }
