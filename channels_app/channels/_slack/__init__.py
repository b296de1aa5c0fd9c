"""Parts of the Slack channel."""
