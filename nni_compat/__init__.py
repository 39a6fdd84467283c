"""NNI's own files, its trial protocol, its service and portal.

- ``files``, ``sections``, ``config``, ``options``: what ``search_space.json`` and ``config.yml`` say, and to which options of a run
- ``algorithms``: NNI's tuners and assessors, and what takes the place of each
- ``search_space``, ``trial_program``: NNI's search space as mutables, and the model that stands beside them
- ``trial_command``: a program as a trial
- ``experiment``, ``service``: a search under NNI's own service with its portal

Importing the package costs nothing; ``search_space``, ``trial_program`` and ``service`` need NNI.
"""
