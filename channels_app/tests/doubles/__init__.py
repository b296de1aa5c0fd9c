"""Servers on loopback in place of the platforms, and what each platform's requests look like."""
