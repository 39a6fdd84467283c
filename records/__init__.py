"""What happened: the run folder, its settings, trials and log, ``best.json``, and the screen.

This package knows no space, strategy or evaluator: it stores and shows plain values (names, numbers, dicts). Importing
it costs next to nothing; its modules are

- :mod:`records.files`: JSON files, replaced atomically and read with care
- :mod:`records.best`: ``best.json``, the found architecture
- :mod:`records.run_folder`: the folder of one run, ``config.json`` and the lock
- :mod:`records.provenance`: versions, command, commit
- :mod:`records.trials`: ``trials.jsonl``, one line a trial; :mod:`records.trial_keeper`: the trials of a search, kept as they end
- :mod:`records.log`: ``log.txt``
- :mod:`records.screen`, :mod:`records.progress`, :mod:`records.formats`: what a person sees (rich)
"""

from __future__ import annotations

__all__ = ["RecordError"]


class RecordError(ValueError):
    """A file, folder or value that cannot be used. The message is one line: what is wrong, and what would be right."""
