"""How a network is computed fast: folded, packed, passed."""
