"""The cells of a one-shot search: every operation of every edge, weighted."""
