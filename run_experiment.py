"""Search for better networks for small images, and train what was found.

python run_experiment.py --space darts --strategy darts        # search one-shot, write best.json
python run_experiment.py --space zoo --strategy tpe            # search by trials
python run_experiment.py --config config.yml                   # NNI's files: search the parameters of a user program
python run_experiment.py --retrain runs/NAME/best.json         # retrain what was found, score the test set once
python run_experiment.py --report runs/NAME                    # one HTML file about what happened in a run, or in several
python run_experiment.py --dashboard runs/NAME                 # the trials of a run in Optuna's dashboard, also while it runs
python run_experiment.py --list                                # spaces, strategies, data sets, and which fit together

The program is ``retiarius.cli``; the library that it stands on is ``retiarius``.
"""

from __future__ import annotations

import sys

from retiarius.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
