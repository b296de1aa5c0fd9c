"""What the monitoring sees of workspaces."""

from prometheus_client import Counter, Gauge, Histogram

STAGE_SECONDS = Histogram(
    "dexorder_workspace_start_stage_seconds",
    "Time that a workspace's start spent in a stage.",
    ["stage"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300),
)
STARTS = Counter("dexorder_workspace_starts", "Starts of workspaces by their outcome: ready or a cause.", ["outcome"])
WORKSPACES = Gauge("dexorder_workspaces", "Workspaces by state, as the table has them.", ["state"])
API_CALLS = Counter(
    "dexorder_kubernetes_calls", "Requests to the Kubernetes API, tries again included.", ["verb", "resource"]
)
WATCH_SILENCE = Gauge(
    "dexorder_kubernetes_watch_silence_seconds",
    "How long nothing was heard of a watch of the Kubernetes API; of a healthy one something is within two minutes.",
    ["resource"],
)
FINDINGS = Gauge(
    "dexorder_workspace_findings",
    "What the last reconcile found and left to people, or to the workspace's next start, by what it is.",
    ["found"],
)
DRIFT = Counter("dexorder_workspace_drift", "Drift that reconciling came upon, by what it did about it.", ["action"])
WATCH_FAILURES = Counter(
    "dexorder_kubernetes_watch_failures",
    "How often a watch of the Kubernetes API broke off, by whether its error was one that was foreseen.",
    ["resource", "foreseen"],
)
