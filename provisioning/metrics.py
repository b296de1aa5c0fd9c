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
