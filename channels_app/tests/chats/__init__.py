"""Tests of the chat platforms: what comes in, what goes out."""
