"""Daily price bars: what they are, where they come from, how CSV text becomes bars."""
