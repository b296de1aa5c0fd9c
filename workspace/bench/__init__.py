"""Figures that belong to the machine: `python -m bench` from this folder prints them. Nothing is asserted."""
