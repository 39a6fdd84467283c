"""The few words that all rooms share: errors, trials, atomic files, whom a run tells what it does."""
