"""`python -m provisioning.tests.cluster`: serve a cluster until Ctrl-C and print two kubeconfigs for it, e.g. for kubectl.

The first has a token, the second a client certificate.
"""

import signal
import sys
import tempfile
from pathlib import Path

from provisioning.tests.cluster import Cluster, served


def main() -> None:
    """Serve on the machine's own time, with TLS."""
    with tempfile.TemporaryDirectory() as folder, served(Cluster(virtual=False), Path(folder), tls=True) as api:
        sys.stdout.write(f"{api.kubeconfig()}\n{api.kubeconfig_by_certificate()}\n")
        sys.stdout.flush()
        signal.sigwait([signal.SIGINT, signal.SIGTERM])


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    main()
