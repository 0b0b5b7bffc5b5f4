"""Records of what was measured, and the tables that show them."""
