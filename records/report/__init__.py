"""The report of one or several runs, as one HTML file that needs neither a network nor a server.

- :mod:`records.report.collect`: what the files of a run say
- :mod:`records.report.page`: the page; :mod:`records.report.text`: how a string gets into it
- :mod:`records.report.figure`, ``trial_plots``, ``training_plots``, ``importance``, ``labels``: charts
- :mod:`records.report.cells`: cells as the papers draw them
- :mod:`records.report.trials_table`, :mod:`records.report.lab_table`: tables
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import RecordError
from common.files import write_text_atomically
from common.libraries import keep_home_clean


def write_report(folders: Sequence[Path], out: Path | None = None) -> tuple[Path, list[str]]:
    """Write the report of the runs in ``folders`` to ``out``, by default ``report.html`` in the first; the runs are only read.

    Returns
    -------
        The file that was written, and what could not be read of the runs, one line each.

    Raises
    ------
        RecordError: a folder that holds no run, or an ``out`` that cannot be a file.
    """
    keep_home_clean()
    from records.report.collect import read_run
    from records.report.page import make_page

    runs = [read_run(folder) for folder in folders]
    target = folders[0] / "report.html" if out is None else out
    if target.is_dir():
        raise RecordError(f"{target}: this is a folder; with --report, --out takes a file, such as {target / 'report.html'}")
    if not target.parent.is_dir():
        raise RecordError(f"{target.parent}: no such folder to write the report into; make it, or name another file with --out")
    write_text_atomically(target, make_page(runs))
    return target, [note for run in runs for note in run.notes]
