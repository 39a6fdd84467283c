"""What the golden runs are given: tables, images and trial programs, made up by arithmetic that is the same on every machine.

The runs in ``data/old_runs`` were given the same files, so a change here is a change of the record.
"""

from __future__ import annotations

import itertools
import json
import shutil
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
WORTH = {"none": 0, "skip_connect": 5, "nor_conv_1x1": 6, "nor_conv_3x3": 9, "avg_pool_3x3": 3}
SIZE = {"none": 0, "skip_connect": 0, "nor_conv_1x1": 2, "nor_conv_3x3": 18, "avg_pool_3x3": 0}

# By `import nni` a trial gets no more than this, and waits seconds for it.
PROTOCOL = """\
import json, os, sys, time

folder = os.environ["NNI_SYS_DIR"]
with open(os.path.join(folder, "parameter.cfg")) as file:
    content = json.load(file)
number, parameters = content["parameter_id"], content["parameters"]


def send(*reports):
    data = b""
    for kind, value in reports:
        job = os.environ["NNI_TRIAL_JOB_ID"]
        metric = {"parameter_id": number, "trial_job_id": job, "type": kind, "sequence": 0, "value": json.dumps(value)}
        line = (json.dumps(metric) + "\\n").encode()
        data += b"ME%06d%b" % (len(line), line)
    with open(os.path.join(folder, ".nni", "metrics"), "ab") as file:
        file.write(data)


"""
# All good trials report the same, so none of them is pruned. A poor one waits to be pruned, for as long as a slow machine may take;
# the first four are never pruned.
PROGRAM = """\
good = parameters["optimizer"] != "sgd"
final = (0.9 if good else 0.1) + parameters["initial_lr"] / 2
first, second = (0.5, 0.8) if good else (0.2, 0.1)
if "loss" in sys.argv:
    final, first, second = -final, -first, -second
send(("PERIODICAL", first))
if not good and number >= 4:
    time.sleep(30)
send(("PERIODICAL", second), ("FINAL", {"default": final}))
"""
SEARCH_SPACE: dict[str, Any] = {
    "initial_lr": {"_type": "loguniform", "_value": [1e-4, 0.1]},
    "momentum": {"_type": "uniform", "_value": [0.8, 0.99]},
    "batch_size": {"_type": "choice", "_value": [64, 128, 256]},
    "optimizer": {"_type": "choice", "_value": ["adam", "rmsprop", "sgd"]},
}
CONFIG = """\
experimentName: golden
searchSpaceFile: search_space.json
trialCommand: python main.py loss
trialCodeDirectory: .
trialConcurrency: 1
maxTrialNumber: 7
tuner: {name: TPE, classArgs: {optimize_mode: minimize}}
assessor: {name: Medianstop, classArgs: {optimize_mode: minimize, start_step: 1}}
trainingService: {platform: local}
"""
# The file of the lab's program, for trainings of ours.
ZOO_SPACE: dict[str, Any] = {
    "model": {"_type": "choice", "_value": ["tinynet_e"]},
    "initial_lr": {"_type": "loguniform", "_value": [1e-3, 0.1]},
    "batch_size": {"_type": "choice", "_value": [128, 256]},
    "epochs": {"_type": "choice", "_value": [1]},
}


@lru_cache(maxsize=1)
def cell_table() -> str:
    """Every cell of NAS-Bench-201, in the columns of its table; no two networks are alike in all figures."""
    lines = ["arch_str,c10_val12,c10_val200,c10_test200,c10_time200_s,c10_params_M,c10_flops_M"]
    for a, b, c, d, e, f in itertools.product(OPERATIONS, repeat=6):
        name = f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
        noise = zlib.crc32(name.encode())
        worth = sum(weight * WORTH[operation] for weight, operation in zip((9, 7, 10, 8, 6, 10), (a, b, c, d, e, f), strict=True))
        size = sum(SIZE[operation] for operation in (a, b, c, d, e, f))
        short, full = 2000 + 10 * worth + noise % 499, 3000 + 12 * worth + noise % 997
        seconds, flops = 60_000 + 700 * size + noise % 8_999, 300 + 13 * size + noise % 17
        lines.append(f"{name},{short / 100},{full / 100},{(full + 50) / 100},{seconds / 100},{(20 + size) / 100},{flops / 100}")
    return "\n".join(lines) + "\n"


def zoo_table() -> str:
    """Hyperparameters of the zoo's default backbone, after 3 and after 9 epochs."""
    lines = ["backbone,stem,width,depth,optimizer,batch_size,cutout,score_3,seconds_3,score_9,seconds_9,test_accuracy,parameters"]
    for optimizer, size, cutout in itertools.product(("sgd", "adam", "rmsprop", "muon"), (64, 128, 256), (0, 8, 16)):
        row = f"resnet18,own,64,2,{optimizer},{size},{cutout}"
        noise = zlib.crc32(row.encode()) % 5_000
        lines.append(f"{row},{(3_000 + noise) / 10_000},{size / 16},{(4_000 + noise) / 10_000},{size / 4},0.5,11000000")
    return "\n".join(lines) + "\n"


def write_images(folder: Path, train: int = 96, test: int = 12, side: int = 8) -> None:
    """Two classes of small images, bright on the left and bright on the right."""
    import numpy as np
    from PIL import Image

    places = np.arange(side)
    for split, count in (("train", train), ("test", test)):
        for name in ("left", "right"):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                noise = [[zlib.crc32(f"{split} {name} {index} {x} {y}".encode()) % 100 for x in range(side)] for y in range(side)]
                light = 20 * (side - places if name == "left" else places)
                pixels = (np.array(noise) + light).clip(0, 255).astype(np.uint8)
                Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(folder / split / name / f"{index:03d}.png")


def write_inputs(names: tuple[str, ...], folder: Path) -> None:
    """Write the named inputs into ``folder``; a name that is not made up here is one of ``data``."""
    for name in names:
        if name == "cells.csv":
            (folder / name).write_text(cell_table())
        elif name == "zoo.csv":
            (folder / name).write_text(zoo_table())
        elif name == "few":
            write_images(folder / name)
        elif name == "program":
            (folder / "main.py").write_text(PROTOCOL + PROGRAM)
            (folder / "search_space.json").write_text(json.dumps(SEARCH_SPACE))
            (folder / "config.yml").write_text(CONFIG)
        elif name == "zoo_space.json":
            (folder / name).write_text(json.dumps(ZOO_SPACE))
        elif (DATA / name).is_dir():
            shutil.copytree(DATA / name, folder / "run")
        else:
            shutil.copy(DATA / name, folder)
