"""Objects for the tests of the cluster itself."""

from provisioning.tests.cluster.kinds import Object


def deployment(name: str = "web", *, replicas: int = 1, image: str = "registry.example/web:1") -> Object:
    """A Deployment with a native sidecar and one container."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "workspaces", "labels": dict(labels)},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": dict(labels)},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {
                    "initContainers": [
                        {"name": "sidecar", "image": "registry.example/sidecar:1", "restartPolicy": "Always"}
                    ],
                    "containers": [{"name": "server", "image": image, "ports": [{"containerPort": 8000}]}],
                },
            },
        },
    }


def deployment_without_sidecar(name: str = "web", *, replicas: int = 1) -> Object:
    """The same with the one container: servers before 1.28 know no native sidecars, and refuse to apply them."""
    tree = deployment(name, replicas=replicas)
    del tree["spec"]["template"]["spec"]["initContainers"]
    return tree


def claim(name: str = "data", *, storage: str = "1Gi") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "workspaces"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}},
    }


def with_claim(tree: Object, name: str = "data") -> Object:
    """The Deployment with this claim as a volume."""
    spec = tree["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return tree


def config_map(name: str = "settings", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "workspaces"},
        "data": dict(data),
    }
