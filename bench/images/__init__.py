"""Dockerfiles, run step by step in a clean Debian root where no Docker is."""
