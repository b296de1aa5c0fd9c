"""The user's strategies: their contract, their versions, the shipped examples."""
