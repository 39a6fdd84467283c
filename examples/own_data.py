"""One's own images: a folder with train/<class>/ and test/<class>/ goes in as --dataset.

python examples/own_data.py                # draws a small folder of circles and squares, and searches a network for it
python examples/own_data.py my_images      # the same search on a folder of yours
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

import run_experiment

SIDE = 32


def draw_shape(name: str, draw: random.Random) -> Image.Image:
    """A circle or a square of a random place, size and colour on a random ground."""
    image = Image.new("RGB", (SIDE, SIDE), tuple(draw.randrange(256) for _ in range(3)))
    size = draw.randint(10, 20)
    x, y = (draw.randint(1, SIDE - size - 1) for _ in range(2))
    pen, box, colour = ImageDraw.Draw(image), (x, y, x + size, y + size), tuple(draw.randrange(256) for _ in range(3))
    pen.ellipse(box, fill=colour) if name == "circle" else pen.rectangle(box, fill=colour)
    return image


def draw_folder(folder: Path, *, train: int = 150, test: int = 30, seed: int = 0) -> None:
    """Images in the layout that --dataset takes: all of one size, the class is the name of the folder."""
    draw = random.Random(seed)
    for part, count in (("train", train), ("test", test)):
        for name in ("circle", "square"):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                draw_shape(name, draw).save(folder / part / name / f"{number:03d}.png")


def main(arguments: list[str]) -> int:
    """Search the hyperparameters of a small network on the folder, two trials, then say what to type to train the winner."""
    folder = Path(arguments[0]) if arguments else Path(tempfile.mkdtemp(prefix="shapes-")) / "shapes"
    if not arguments:
        draw_folder(folder)
        print(f"drawn into {folder}")
    # What is searched is narrowed as much as anyone likes: a label that is set is not searched.
    fixed = ["--model", "convnet32", "--set", "width=16", "--set", "depth=2", "--batch_size", "64"]
    search = ["--space", "zoo", "--strategy", "tpe", "--trials", "2", "--epochs", "2", *fixed]
    sys.argv = ["run_experiment.py", *search, "--dataset", str(folder), *arguments[1:]]  # the run notes by which command it goes on
    return run_experiment.main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
