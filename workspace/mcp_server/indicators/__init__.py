"""Technical indicators, computed by TA-Lib (BSD licence; its wheels carry the C library).

TA-Lib and numpy cost 20 MB and a quarter of a second, so they are imported by the first computation, not at start.
"""
