"""What happened: the run folder, its settings, trials and log, ``best.json``, and the screen.

This package knows no space, strategy or evaluator: it stores and shows plain values (names, numbers, dicts). Importing it costs next to
nothing. Its modules, by what they are for:

- what is asked: ``command_line``, ``settings``, ``presets``, ``view_options``; NNI's files: ``nni_files``, ``nni_options``, ``nni_config``,
  ``nni_experiment``
- the folder of a run: ``run_folder``, ``hold``, ``log``, ``provenance``, ``starts``, ``study_note``
- what is kept in it as it happens: ``trials`` and ``trial_keeper``, ``epoch_keeper`` (of a supernet), ``training_keeper``, ``scalars``
- what was found: ``best``, ``found``, ``pareto``, ``parameter_record``, ``metric``
- what a person sees: ``screen``, ``progress``, ``closing``, ``listing``, ``formats``, ``exit_status``, ``libraries``; afterwards
  ``report``, ``dashboard``
- files and secrets: ``files`` (JSON, replaced atomically and read with care), ``lines`` (JSON, line by line), ``passwords``
"""

from __future__ import annotations
