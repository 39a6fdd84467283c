"""What happened: the run folder, its settings, trials, epochs and log, ``best.json``, and the report.

This room knows no space, strategy or evaluator: it stores and shows plain values (names, numbers, dicts). It never prints: what keeps a
record tells a ``common.reporter.Reporter``. Importing it costs next to nothing. Its modules, by what they are for:

- the folder of a run: ``run_folder``, ``run_lock``, ``run_config``, ``log``, ``provenance``, ``study_note``
- what is kept in it as it happens: ``trials`` and ``trial_keeper``, ``epoch_keeper`` (of a supernet), ``training_keeper``, ``scalars``
- what came out: ``best``, ``pareto``, ``parameter_record``, ``metric``
- what a person sees afterwards: ``report``, ``dashboard``, ``next_command``, ``formats``
- files of one JSON document a line: ``lines``
"""

from __future__ import annotations
