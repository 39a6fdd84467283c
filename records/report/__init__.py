"""The report of one or several runs, as one HTML file that needs neither a network nor a server.

- :mod:`records.report.collect`: what a run's folder says, ``run_files``: its files of lines; ``commands``: what to type next
- :mod:`records.report.page`: the page; ``findings``: its beginning; ``text``, ``times``: how strings and times get into it
- :mod:`records.report.figure`, ``trial_plots``, ``training_plots``, ``seeds``, ``importance``, ``labels``: charts
- :mod:`records.report.paper`: the same charts as figures of matplotlib; ``palette``: the colours of both
- :mod:`records.report.cells`: cells as the papers draw them
- :mod:`records.report.trials_table`, ``lab_table``, ``selection_table``, ``after_search``: tables
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import RecordError
from common.files import DISK_FULL, write_text_atomically
from common.libraries import keep_home_clean
from common.text import printable


def write_report(folders: Sequence[Path], out: Path | None = None, *, lab_table: bool | None = None) -> tuple[Path, list[str]]:
    """Write the report of the runs in ``folders`` to ``out``, by default ``report.html`` in the first; the runs are only read.

    Parameters
    ----------
    lab_table
        Whether the lab's table is in it, in English and Chinese; by default where the runs are those of its rows, and in English.

    Returns
    -------
    tuple
        The file that was written, and what could not be read of the runs, one line each.

    Raises
    ------
    RecordError
        A folder that holds no run, or an ``out`` that cannot be a file or not be written.
    OSError
        The disk is full; it names the file.
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
    page = make_page(runs, lab_table)
    try:
        write_text_atomically(target, page)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise RecordError(f"{target}: cannot be written: {error.strerror}; name another file with --out") from None
    return target, [printable(note) for run in runs for note in run.notes]
