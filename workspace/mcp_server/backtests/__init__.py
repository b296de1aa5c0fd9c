"""Backtests of the user's strategies: ordered, run in the sandbox, kept."""
