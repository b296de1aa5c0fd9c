"""Parts of the Kubernetes backend."""
