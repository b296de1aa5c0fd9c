"""A pod's volumes as folders: claims, emptyDir, config maps, and projected tokens.

Contents are written when the pod begins. What the downward API tells is renewed when the pod changes; a real kubelet does that
within a minute or two, and renews config maps and tokens too.
"""

import base64
from dataclasses import dataclass
from pathlib import Path

from provisioning.tests.cluster.cluster import Cluster
from provisioning.tests.cluster.kinds import CONFIG_MAPS, Object
from provisioning.tests.cluster.store import meta

ROOT_CA = "kube-root-ca.crt"


@dataclass(frozen=True)
class Volumes:
    """Makes volumes under `folder`. `ca_file` is the API server's certificate authority."""

    cluster: Cluster
    folder: Path
    ca_file: Path

    def made_for(self, pod: Object) -> dict[str, Path]:
        """The folder of each volume of the pod, by name; that of a claim outlives it."""
        return {volume["name"]: self._made(pod, volume) for volume in pod["spec"].get("volumes") or []}

    def renew(self, pod: Object) -> None:
        """The pod has changed: write down anew what the downward API tells of it."""
        for volume in pod["spec"].get("volumes") or []:
            if "downwardAPI" in volume:
                self._made(pod, volume)

    def claim(self, namespace: str, name: str) -> Path:
        """Where the data of a claim are."""
        return self.folder / "claims" / namespace / name

    def _made(self, pod: Object, volume: Object) -> Path:
        if "persistentVolumeClaim" in volume:
            place = self.claim(meta(pod)["namespace"], volume["persistentVolumeClaim"]["claimName"])
            place.mkdir(parents=True, exist_ok=True)
            return place
        place = self.folder / "pods" / str(meta(pod)["uid"]) / str(volume["name"])
        place.mkdir(parents=True, exist_ok=True)
        for source in (volume.get("projected") or {}).get("sources") or [volume]:
            for path, content in self._files(pod, source).items():
                (place / path).write_bytes(content)
        return place

    def _files(self, pod: Object, source: Object) -> dict[str, bytes]:
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            account = pod["spec"]["serviceAccountName"]
            token = self.cluster.identities.issue(
                meta(pod)["namespace"], account, lasting_s=wanted["expirationSeconds"]
            )
            return {wanted["path"]: token.encode()}
        if "configMap" in source:
            return self._config_map(meta(pod)["namespace"], source["configMap"])
        if "downwardAPI" in source:
            return {item["path"]: field_of(pod, item["fieldRef"]).encode() for item in source["downwardAPI"]["items"]}
        return {}

    def _config_map(self, namespace: str, wanted: Object) -> dict[str, bytes]:
        name = wanted["name"]
        if name == ROOT_CA:
            # A real cluster has this one in each namespace.
            held = {"ca.crt": self.ca_file.read_bytes()}
        else:
            tree = self.cluster.store.get(CONFIG_MAPS, namespace, name)
            held = {key: text.encode() for key, text in (tree.get("data") or {}).items()}
            held |= {key: base64.b64decode(text) for key, text in (tree.get("binaryData") or {}).items()}
        items = wanted.get("items") or [{"key": key, "path": key} for key in held]
        return {item["path"]: held[item["key"]] for item in items}


def field_of(pod: Object, reference: Object) -> str:
    """What a fieldRef means: a field of the pod by its path, or `metadata.annotations['key']` and labels likewise."""
    tree: object = pod
    for part in _parts_of(reference["fieldPath"]):
        tree = tree.get(part, "") if isinstance(tree, dict) else ""
    return str(tree)


def _parts_of(path: str) -> list[str]:
    """https://kubernetes.io/docs/concepts/workloads/pods/downward-api/#available-fields"""
    head, bracket, key = path.partition("['")
    return [*head.split("."), *([key.removesuffix("']")] if bracket else [])]
