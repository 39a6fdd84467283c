"""Where the time of a DARTS search step goes, operation by operation, beside the bytes and the arithmetic that the mathematics needs.

    python benchmarks/step_profile.py                       # 8 channels, 8 cells, batches of 64, float32
    python benchmarks/step_profile.py --precision bfloat16
    python benchmarks/step_profile.py --quick               # 3 cells, less than 50 s; the last line is one JSON object

One step (architecture and weights) of ``supernet_step.py``'s search is run with a clock around every operation of torch. Bytes are those of
the tensors that an operation reads and writes; multiply-adds those of convolutions and products. With one thread (``--threads 1``) the
clock is the thread's processor time, which other work on the machine does not move; with more it is the wall's.

The floor: batch normalisations force passes over memory, since nothing of a normalised tensor can be used before all of it was seen. In a
forward pass each is written once and read once; backward it is read twice (for the sums, then for the gradient) and its gradient is
written and read once. Everything else could, with kernels made for the purpose, happen on the way. The floor is those bytes, at the speed
at which this machine sums two tensors of that size, or the multiply-adds at the speed of its matrix product, whichever takes longer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.supernet_step import PRECISIONS, QUICK, Search, make_batches
from evaluators.memory import keep_freed_memory

CONVOLUTION, GRADIENTS = "convolution", "convolution_backward"
KINDS = {
    "normalisation": ("batch_norm", "rsqrt"),
    "pools": ("pool",),
    "products": ("mm", "bmm", "addmm"),
    "ReLU": ("relu", "threshold"),
    "copies": ("cat", "copy", "clone", "pad", "stack", "index", "repeat", "contiguous", "fill", "zero", "ones"),
    "sums and scales": ("add", "mul", "sub", "div", "sum", "lerp", "neg"),
}
FORWARD_PASSES, BACKWARD_PASSES = 2, 4  # over each normalised tensor


@dataclass
class Cost:
    """Sums over the calls of one kind of operation."""

    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0
    multiply_adds: int = 0


def tensors_of(values: Any) -> list[Tensor]:
    """The distinct tensors in nested arguments or results."""
    return list({id(leaf): leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)}.values())


class Profile(TorchDispatchMode):
    """Sums up by kind what every operation costs that runs inside."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.costs: dict[str, Cost] = defaultdict(Cost)
        self._clock = clock

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        start = self._clock()
        result = func(*args, **(kwargs or {}))
        seconds = self._clock() - start
        if not func.is_view:
            cost = self.costs[kind_of(func, args)]
            cost.calls += 1
            cost.seconds += seconds
            cost.bytes += sum(tensor.nbytes for part in ((args, kwargs), result) for tensor in tensors_of(part))
            cost.multiply_adds += multiply_adds(func, args, result)
        return result


def kind_of(func: Any, args: Any) -> str:
    """What to call an operation in the table."""
    name = func._schema.name.removeprefix("aten::")
    if name in (CONVOLUTION, GRADIENTS):
        kernel = args[2 if name == GRADIENTS else 1]
        size = kernel.shape[2]
        what = f"depthwise {size}x{size}" if kernel.shape[1] == 1 and size > 1 else "pointwise" if size == 1 else f"dense {size}x{size}"
        if name == CONVOLUTION:
            return f"{what}, forward or input's gradient"
        state, weights, _ = args[-1]
        return f"{what}, " + " and ".join(word for word, wanted in (("input's", state), ("kernel's", weights)) if wanted) + " gradient"
    for kind, parts in KINDS.items():
        if any(part in name for part in parts):
            return kind
    return "the rest"


def multiply_adds(func: Any, args: Any, result: Any) -> int:
    """Of a convolution, its gradients or a matrix product; 0 of others."""
    name = func._schema.name.removeprefix("aten::")
    if name == CONVOLUTION:
        return int(result.numel() * prod(args[1].shape[1:]))
    if name == GRADIENTS:
        return int(args[0].numel() * prod(args[2].shape[1:]) * sum(args[-1][:2]))
    if name in ("mm", "addmm"):
        return int(result.numel() * args[-2].shape[1])
    return 0


def normalised_bytes(search: Search, images: Tensor) -> int:
    """Bytes of the inputs of all normalisations of an unfused supernet in one forward pass, the same input counted once."""
    seen: dict[tuple[int, int], int] = {}
    kept: list[Tensor] = []  # so that no address is used twice

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kept.append(inputs[0])
        seen[inputs[0].data_ptr(), inputs[0].numel()] = inputs[0].nbytes

    hooks = [module.register_forward_pre_hook(note) for module in search.supernet.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad(), torch.autocast("cpu", search.precision, enabled=search.precision != torch.float32):
        search.supernet(images)
    for hook in hooks:
        hook.remove()
    return sum(seen.values())


def fastest(action: Callable[[], Any], clock: Callable[[], float], times: int = 10) -> float:
    """Seconds of the fastest of several calls."""
    seconds = []
    for _ in range(times):
        start = clock()
        action()
        seconds.append(clock() - start)
    return min(seconds)


def machine_speed(clock: Callable[[], float], precision: torch.dtype) -> tuple[float, float]:
    """Bytes a second of summing two tensors of a fan's size, and multiply-adds a second of a matrix product."""
    shape = (64, 32, 32, 40)
    x, y, z = (torch.zeros(shape, dtype=precision) for _ in range(3))
    a, b = torch.ones(1024, 1024, dtype=precision), torch.ones(1024, 1024, dtype=precision)
    return 3 * x.nbytes / fastest(lambda: torch.add(x, y, out=z), clock), 1024**3 / fastest(lambda: torch.mm(a, b), clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small size, less than 50 s")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.width, arguments.cells, arguments.batch = QUICK["width"], QUICK["cells"], QUICK["batch"]
    torch.set_num_threads(arguments.threads)
    clock = time.thread_time if arguments.threads == 1 else time.perf_counter
    keep_freed_memory()
    size = (arguments.width, arguments.cells, PRECISIONS[arguments.precision], torch.device("cpu"))
    batches = make_batches(arguments.batch, size[-1])
    search = Search("ours", *size)
    search.step(*batches)
    start = clock()
    search.step(*batches)
    plain = clock() - start
    with Profile(clock) as profile:
        search.step(*batches)

    costs = sorted(profile.costs.items(), key=lambda item: -item[1].seconds)
    total = sum(cost.seconds for _, cost in costs)
    size_in_words = f"{arguments.width} channels, {arguments.cells} cells, batches of {arguments.batch}"
    print(f"{size_in_words}, {arguments.precision}, {arguments.threads} threads, torch {torch.__version__}")
    print(f"a step takes {plain:.2f} s; {total:.2f} s of it, with a clock around each, in operations of torch:")
    print(f"  {'operation':52} {'calls':>6} {'seconds':>8} {'share':>6} {'GB':>7} {'GB/s':>6} {'G mult-adds':>12}")
    for kind, cost in [*costs, ("all", Cost(*(sum(getattr(cost, name) for _, cost in costs) for name in Cost.__dataclass_fields__)))]:
        row = f"  {kind:52} {cost.calls:6} {cost.seconds:8.3f} {cost.seconds / total:6.1%} {cost.bytes / 1e9:7.2f}"
        print(f"{row} {cost.bytes / 1e9 / max(cost.seconds, 1e-9):6.1f} {cost.multiply_adds / 1e9:12.2f}")

    bandwidth, arithmetic = machine_speed(clock, PRECISIONS[arguments.precision])
    passes = 2 * (FORWARD_PASSES + BACKWARD_PASSES)  # of the architecture's step and the weights'
    floor_bytes = passes * normalised_bytes(Search("unfused", *size), batches[0][0])
    needed = sum(cost.multiply_adds for _, cost in costs)
    floor = {"bytes_s": floor_bytes / bandwidth, "multiply_adds_s": needed / arithmetic}
    print(f"the floor: {floor_bytes / 1e9:.1f} GB at {bandwidth / 1e9:.1f} GB/s are {floor['bytes_s']:.2f} s,", end=" ")
    print(f"{needed / 1e9:.1f} G multiply-adds at {arithmetic / 1e9:.0f} G/s are {floor['multiply_adds_s']:.2f} s")
    shares = {kind: round(cost.seconds / total, 3) for kind, cost in costs}
    print(json.dumps({"step_s": round(plain, 3), "floor_s": round(max(floor.values()), 3), **floor, "shares": shares}))


if __name__ == "__main__":
    main()
