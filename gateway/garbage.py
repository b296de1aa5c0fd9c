"""When Python looks for objects that refer to each other in a ring: not through what a server keeps for its whole life.

The libraries of the agent make half a million objects that never go. With Python's own settings they are looked through
again and again while turns run: a fifth of a turn's processor time.
"""

import gc

# New objects (net) before the youngest are looked through, then how many such looks before the next older ones are. A turn
# makes some 10,000 objects, nearly all of which go by themselves when it ends; Python's own first figure is 700.
THRESHOLDS = (20_000, 10, 10)


def rest() -> None:
    """Look for nothing until `set_apart`: what a start imports would be looked through many times."""
    gc.disable()


def set_apart() -> None:
    """Leave alone from now on what there is now, and look at what comes."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()
