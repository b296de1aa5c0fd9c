"""The tests' Kubernetes API server in a process of its own, so that its work is not the gateway's.

    python -m bench.cluster_server DIR

Prints where it is as a line of JSON, then answers a line of JSON for each line it reads: `counts` = the calls since it was
asked last, `fill N` = make N workspaces with a ready pod each, `plan NAME TROUBLE` = what befalls a Deployment's pods,
`objects NAME` = how many a workspace has of each kind.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# A little: it still has its part of a busy machine.
BEHIND = 5


class Everything(BaseHTTPRequestHandler):
    """A workspace's server that lets everybody in: whether a pod runs is not what is measured."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """200."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Servers(ThreadingHTTPServer):
    """Takes a thousand connections at once."""

    request_queue_size = 1024
    daemon_threads = True


def main() -> None:
    """Serve until standard input ends."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "gateway.settings", "SECRET_KEY": "bench", "DEBUG": "true"}
    os.environ.setdefault("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
    # In production it is another machine's: it shall not take the gateway's core.
    os.nice(BEHIND)
    import django  # noqa: PLC0415

    django.setup()
    from django.conf import settings  # noqa: PLC0415

    from provisioning.tests.cluster import Cluster, served  # noqa: PLC0415

    cluster = Cluster(namespace=settings.KUBERNETES_NAMESPACE, virtual=False)
    answering = Servers(("127.0.0.1", 0), Everything)
    threading.Thread(target=answering.serve_forever, daemon=True).start()
    with served(cluster, Path(sys.argv[1])) as api:
        say({"kubeconfig": str(api.kubeconfig()), "port": answering.server_address[1], "pid": os.getpid()})
        for line in sys.stdin:
            say(carried_out(cluster, *line.split()))
        answering.shutdown()


def carried_out(cluster: Any, command: str, *arguments: str) -> dict[str, int]:
    """What is answered to a command."""
    from provisioning.tests.cluster import Plan, Trouble  # noqa: PLC0415

    if command == "objects":
        return objects_of(cluster, *arguments)
    if command == "fill":
        fill(cluster, int(arguments[0]))
    elif command == "plan":
        cluster.plan(arguments[0], Plan(Trouble[arguments[1]]))
    counted = dict(cluster.journal.counted())
    cluster.journal.clear()
    return counted


def objects_of(cluster: Any, workspace: str) -> dict[str, int]:
    """How many objects of each kind bear the workspace's label; its pods and their sets are the controllers'."""
    from provisioning.backends._kubernetes.manifests import WORKSPACE  # noqa: PLC0415

    kinds = ("deployments", "persistentvolumeclaims", "serviceaccounts", "services")
    labels = {kind: [tree["metadata"].get("labels") or {} for tree in cluster.objects(kind)] for kind in kinds}
    return {kind: sum(each.get(WORKSPACE) == workspace for each in found) for kind, found in labels.items()}


def fill(cluster: Any, count: int) -> None:
    """Workspaces with all their objects, made as the gateway makes them."""
    from provisioning.backends import Spec  # noqa: PLC0415
    from provisioning.backends._kubernetes.manifests import manifests  # noqa: PLC0415
    from provisioning.names import workspace_name  # noqa: PLC0415

    for number in range(count):
        user = f"filled-{number}"
        cluster.create_all(manifests(Spec(name=workspace_name(user), user_id=user, tier="free", idle_s=900)).all())


def say(answer: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
