"""The whole gateway as it runs: real processes, a real database, peers that follow a script."""
