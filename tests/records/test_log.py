"""log.txt: the project's own lines, while it is open."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest

from common.errors import RecordError
from records.log import log_to


def test_the_log_takes_the_projects_lines_only_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    logger = logging.getLogger("retiarius.strategies")
    parent = logging.getLogger("retiarius")
    before = (parent.level, parent.propagate, list(parent.handlers))
    with log_to(path):
        logger.info("ü %s \udc80", 1)
        logger.debug("not this")
        logging.getLogger("other").error("nor this")
    logger.info("nor this, after the run")
    assert (parent.level, parent.propagate, list(parent.handlers)) == before
    text = path.read_text(encoding="utf-8")
    assert re.fullmatch(r"\S+ \S+ INFO retiarius\.strategies: ü 1 \\udc80\n", text)
    with log_to(path):
        logger.warning("again")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    with pytest.raises(RecordError, match="cannot be written"), log_to(tmp_path):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_log_on_a_full_disk_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with log_to(Path("/dev/full")):
        logging.getLogger("retiarius.records").info("lost")
    assert capfd.readouterr() == ("", "")
