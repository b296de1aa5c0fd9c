"""A Kubernetes API server for tests, with toy controllers and a node, in the real one's wire form.

It has what a caller of the API can see of namespaces, pods, services, claims, service accounts, quotas, limit ranges, events,
Deployments, ReplicaSets, RBAC and the kinds that are only kept (network policies, budgets, leases, …): versions, uids,
server-side apply with managed fields, the four patches, selectors, preconditions, pages, watches with bookmarks and 410,
garbage collection, Pod Security, quota. Where it is simpler than a real server its modules say so.

    cluster = Cluster()                                   # virtual time
    with served(cluster, tmp_path) as api:
        api.kubeconfig(cluster.token("gateway"))          # a file for KUBECONFIG
    cluster.plan("ws-…", Plan(Trouble.IMAGE_PULL))        # what befalls this Deployment's pods
    cluster.faults.add(Fault(verb="patch", refusal=too_many_requests(1)))
    cluster.journal.counted()                             # Counter({"patch deployments": 1, …})
"""

from provisioning.tests.cluster.cluster import Cluster
from provisioning.tests.cluster.deletions import Options
from provisioning.tests.cluster.faults import Fault, Gate
from provisioning.tests.cluster.plans import Plan, Trouble
from provisioning.tests.cluster.serving import Served, served
from provisioning.tests.cluster.statuses import Refused

__all__ = ["Cluster", "Fault", "Gate", "Options", "Plan", "Refused", "Served", "Trouble", "served"]
