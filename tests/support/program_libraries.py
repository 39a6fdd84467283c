"""What the program imports on its way, imported once by the process that is forked for its runs."""

from __future__ import annotations

from common.libraries import quiet_libraries

quiet_libraries()

import nni.nas.nn.pytorch  # noqa: E402, F401
import optuna  # noqa: E402, F401
import pytorch_lightning  # noqa: E402, F401
import rich.console  # noqa: E402, F401
import sklearn.datasets  # noqa: E402, F401
import timm  # noqa: E402, F401
import torchvision  # noqa: E402, F401

import evaluators.training.loop  # noqa: E402
import evaluators.training.supernet  # noqa: E402, F401
import retiarius.one_shot  # noqa: E402
import retiarius.retrain_run  # noqa: E402
import retiarius.search_run  # noqa: E402
import retiarius.trial_search  # noqa: E402, F401
import spaces.darts.space  # noqa: E402
import spaces.zoo.space  # noqa: E402, F401
import strategies.one_shot.darts  # noqa: E402, F401
