"""Scores of networks that were not trained: fractions of a second each, to sort many before the first is trained."""

SCORES = ("parameters", "flops", "naswot", "swap", "meco", "zico", "synflow")
