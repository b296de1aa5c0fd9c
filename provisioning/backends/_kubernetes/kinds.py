"""The kinds of objects that a workspace is made of or judged by, and where the API has them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind by its plural name; `group` as it stands in the path."""

    plural: str
    group: str = "api/v1"

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """The path of all objects of a namespace, of one, or of a part of one."""
        parts = [self.group, "namespaces", namespace, self.plural, name, subresource]
        return "/" + "/".join(part for part in parts if part)


DEPLOYMENTS = Kind("deployments", "apis/apps/v1")
PODS = Kind("pods")
SERVICES = Kind("services")
VOLUMES = Kind("persistentvolumeclaims")
ACCOUNTS = Kind("serviceaccounts")
CONFIGMAPS = Kind("configmaps")
EVENTS = Kind("events")

BY_NAME = {
    "Deployment": DEPLOYMENTS,
    "Service": SERVICES,
    "PersistentVolumeClaim": VOLUMES,
    "ServiceAccount": ACCOUNTS,
    "ConfigMap": CONFIGMAPS,
}
