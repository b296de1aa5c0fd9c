"""What the turn engine measures."""

from prometheus_client import Counter, Gauge, Histogram

from agents.events import Usage

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

turns = Counter("dexorder_turns", "Turns that ended, by channel and last state", ["channel", "state"])
turns_in_flight = Gauge("dexorder_turns_in_flight", "Turns that this process runs")
queue_wait = Histogram("dexorder_queue_wait_seconds", "From accepted to claimed", buckets=_SECONDS)
first_token = Histogram("dexorder_first_token_seconds", "From accepted to the first piece of text", buckets=_SECONDS)

schedules = Counter(
    "dexorder_schedules", "Tasks that were due and looks at alerts, by what came of them", ["kind", "outcome"]
)
prompt_tokens = Counter(
    "dexorder_prompt_tokens", "Tokens of prompts, by provider, and whether its cache held them", ["provider", "cached"]
)
summaries = Counter("dexorder_summaries", "Conversations summed up, by outcome", ["outcome"])


def prompt_read(provider: str, usage: Usage) -> None:
    """Count a prompt's tokens, of which the provider's cache held some."""
    prompt_tokens.labels(provider=provider, cached="yes").inc(usage.cached_tokens)
    prompt_tokens.labels(provider=provider, cached="no").inc(max(0, usage.input_tokens - usage.cached_tokens))


def turn_ended(channel: str, state: str) -> None:
    """Count a turn that reached its last state."""
    turns.labels(channel=channel, state=state).inc()
