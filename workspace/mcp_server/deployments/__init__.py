"""Paper deployments: a strategy stepped over new bars with paper money."""
