"""Who changes facts: keys, shares, repeated requests, and what was done by whom."""
