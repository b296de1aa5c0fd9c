"""What the trading analysis says."""
