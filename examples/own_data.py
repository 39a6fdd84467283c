"""One's own images: a folder with train/<class>/ and test/<class>/ goes in as data, and as --dataset of the program.

python examples/own_data.py                # draws a small folder of circles and squares, and searches a network for it
python examples/own_data.py my_images      # the same search on a folder of yours
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

import retiarius as rt

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


def main(folder: Path) -> None:
    """Search the hyperparameters of a small network on the folder, two trials, then train the winner and score the test images."""
    # What is searched is narrowed as much as anyone likes: what is fixed is not searched.
    small = {"backbone": "convnet32", "width": 16, "depth": 2, "batch_size": 64}
    found = rt.search("zoo", "tpe", data=folder, trials=2, epochs=2, fixed=small)
    print(f"best of {len(found.trials)} trials: {found.best.score:.1%} on the validation images; all of them are in {found.path}")
    final = rt.retrain(found.best)  # on the images of the search
    print(f"retrained: {final.test_accuracy:.1%} on the test images; the weights are in {final.path}")


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(main(Path(sys.argv[1])))
    drawn = Path(tempfile.mkdtemp(prefix="shapes-")) / "shapes"
    draw_folder(drawn)
    print(f"drawn into {drawn}")
    sys.exit(main(drawn))
