"""What webhooks and deliveries measure."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)

updates = Counter(
    "dexorder_webhook_updates", "Webhook requests, by channel and what became of them", ["channel", "outcome"]
)
inbox = Counter(
    "dexorder_inbox",
    "Messages that waited for files or behind one, by channel and what became of them",
    ["channel", "outcome"],
)
deliveries = Counter(
    "dexorder_deliveries", "Attempts to send a message, by channel and outcome", ["channel", "outcome"]
)
delivery_time = Histogram(
    "dexorder_delivery_seconds", "From the intent to send to the platform's receipt", ["channel"], buckets=_SECONDS
)
sends_in_flight = Gauge("dexorder_sends_in_flight", "Messages that this process is sending")
preview_faults = Counter(
    "dexorder_preview_faults", "Faults of ours while an answer was shown as it is written, by channel", ["channel"]
)
