"""Data sets in memory, split into train, validation and test."""
