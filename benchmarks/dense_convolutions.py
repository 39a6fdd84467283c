"""Dense 3x3 convolutions in float32 on a CPU, layer by layer: torch's own and ours (``kernels.winograd``), forward and backward.

    python benchmarks/dense_convolutions.py           # the layers of resnet18 with a small stem, and of convnet32, batches of 128
    python benchmarks/dense_convolutions.py --quick   # the same in fewer rounds, less than 50 s; the last line is one JSON object

Both compute on the same images in channels_last, with the same kernels, and take turns, so that whatever else the machine does hits both
alike; the first round is not counted. Times are medians of milliseconds, of the layer forward and of both its gradients. Errors are the
largest by the largest value, against torch's in float64, of 32 of the images.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor, nn

from benchmarks.arguments import count, refuse
from benchmarks.machine import machine
from common.errors import SpaceError
from evaluators.memory import keep_freed_memory
from kernels.build import why_not
from kernels.winograd import use_winograd

# (channels read, channels written, side of the map)
RESNET18 = ((64, 64, 32), (128, 128, 16), (256, 256, 8), (512, 512, 4))
CONVNET32 = ((24, 64, 31), (64, 64, 15), (64, 256, 15), (256, 256, 7), (256, 256, 3))
IMAGES_FOR_ERRORS = 32


def layers(channels: int, out_channels: int) -> dict[str, nn.Conv2d]:
    """The same convolution, by each contender."""
    torch.manual_seed(0)
    plain = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours = copy.deepcopy(plain)
    use_winograd(ours)
    return {"torch": plain, "ours": ours}


def step(layer: nn.Conv2d, images: Tensor, gradient: Tensor) -> tuple[float, float, list[Tensor]]:
    """Milliseconds forward and backward, and what came out: the result, the gradients of images and kernels."""
    images, layer.weight.grad = images.detach().requires_grad_(), None
    begin = time.perf_counter()
    result = layer(images)
    middle = time.perf_counter()
    result.backward(gradient)
    end = time.perf_counter()
    assert images.grad is not None and layer.weight.grad is not None
    return 1000 * (middle - begin), 1000 * (end - middle), [result.detach(), images.grad, layer.weight.grad]


def compare(channels: int, out_channels: int, side: int, batch: int, rounds: int) -> dict[str, Any]:
    """Times of one layer by contender, how many times as fast ours is, and how far each is from float64."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(batch, number, side, side) for number in (channels, out_channels)]
    images, gradient = (torch.randn(size, generator=generator).to(memory_format=torch.channels_last) for size in sizes)
    contenders = layers(channels, out_channels)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, layer in contenders.items():
            forward, backward, _ = step(layer, images, gradient)
            if number > 0:
                times[name].append((forward, backward))
    medians = {name: [statistics.median(values) for values in zip(*of_one, strict=True)] for name, of_one in times.items()}
    few = (images[:IMAGES_FOR_ERRORS], gradient[:IMAGES_FOR_ERRORS])
    results = {name: step(layer, *few)[2] for name, layer in contenders.items()}
    exact = step(contenders["torch"].double(), few[0].double(), few[1].double())[2]
    errors = {
        name: max(float((value - true).abs().max() / true.abs().max()) for value, true in zip(values, exact, strict=True))
        for name, values in results.items()
    }
    ratio = sum(medians["torch"]) / sum(medians["ours"])
    return {"milliseconds": medians, "ratio": round(ratio, 2), "errors": errors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds, less than 50 s")
    parser.add_argument("--batch", type=count, default=128)
    parser.add_argument("--rounds", type=count, default=9, help="counted rounds of each layer (default: 9)")
    arguments = parser.parse_args()
    with refuse(SpaceError):
        reason = why_not(torch.float32)
    if reason is not None:
        print(f"no kernels of ours, so both are torch's: {reason}", file=sys.stderr)
    keep_freed_memory()
    print(f"{machine('cpu')}, {torch.get_num_threads()} threads, float32, torch {torch.__version__}, batches of {arguments.batch}")
    print(f"  {'layer':16} {'torch, ms forward + backward':>30} {'ours':>18} {'ratio':>6}   largest errors: torch, ours")
    summary: dict[str, Any] = {}
    for channels, out_channels, side in (*RESNET18, *CONVNET32):
        name = f"{channels}->{out_channels}@{side}"
        result = compare(channels, out_channels, side, arguments.batch, 2 if arguments.quick else arguments.rounds)
        columns = {contender: " + ".join(f"{value:6.1f}" for value in values) for contender, values in result["milliseconds"].items()}
        errors = ", ".join(f"{result['errors'][contender]:.1e}" for contender in columns)
        print(f"  {name:16} {columns['torch']:>30} {columns['ours']:>18} {result['ratio']:6.2f}   {errors}", flush=True)
        milliseconds = {contender: [round(value, 1) for value in values] for contender, values in result["milliseconds"].items()}
        summary[name] = {**milliseconds, "ratio": result["ratio"]}
    print(json.dumps({"layers": summary, "processor": machine("cpu"), "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
