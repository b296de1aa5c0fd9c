"""Peers of the agent that do what a test tells them, on real sockets and in the real wire formats."""
