"""The cells of a found network: the chosen operations alone."""
