"""What libraries say that people can do nothing about."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from pathlib import Path


def keep_home_clean() -> None:
    """Let matplotlib have its cache elsewhere: it would begin one in the home folder as it is imported."""
    os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / f"matplotlib-{os.getuid()}"))


def quiet_libraries() -> None:
    """Import NNI without what people can do nothing about: it was made for an older torch, and Lightning asks for loader processes."""
    warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module", category=RuntimeWarning)
    warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning")
    for name in ("utilities.rank_zero", "trainer.connectors.signal_connector"):
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.ERROR)
    keep_home_clean()  # Lightning's metrics import matplotlib
    import nni.runtime.log

    nni.runtime.log.silence_stdout()
    logging.getLogger("nni").addHandler(logging.NullHandler())  # else Python's last resort prints what that handler would have
    logging.getLogger("nni").propagate = False
