"""Engines run trials: in this process, side by side, or by looking them up in a table."""
