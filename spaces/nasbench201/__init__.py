"""The cell of NAS-Bench-201."""
