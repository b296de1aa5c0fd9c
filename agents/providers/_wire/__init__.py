"""Between the vendors' packages and the network: what they read of a stream comes in few large events, at a calm pace.

A vendor sends one event for each token, and its package spends most of a millisecond on each. Here, below the package, the
events of one network read become one, and tokens that trickle are read at most every 40 ms.
"""
