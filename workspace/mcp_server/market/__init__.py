"""Price bars: what they are, where they come from, how uploaded files become bars."""
