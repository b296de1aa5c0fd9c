"""Bars of live exchanges, fetched by ccxt in a process of its own (MIT licence, an optional extra of 74 MB)."""
