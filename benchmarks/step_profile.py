"""Where the time of a DARTS search step goes, operation by operation, beside the bytes and the arithmetic that the mathematics needs.

    python benchmarks/step_profile.py                       # 8 channels, 8 cells, batches of 64, float32
    python benchmarks/step_profile.py --precision bfloat16
    python benchmarks/step_profile.py --quick               # 3 cells, less than 50 s; the last line is one JSON object

One step (architecture and weights) of ``supernet_step.py``'s search is run with a clock around every operation of torch and every
compiled kernel. Bytes are those of the tensors that an operation reads and writes, each once; multiply-adds those of convolutions and
products. With one thread (``--threads 1``) the clock is the thread's processor time, which other work on the machine moves less; with more
it is the wall's.

The floor: batch normalisations force passes over memory, since nothing of a normalised tensor can be used before all of it was seen. In a
forward pass each is written once and read once; backward it is read twice (for the sums, then for the gradient) and its gradient is
written and read once. Everything else could, with kernels made for the purpose, happen on the way. The floor is those bytes, at the speed
at which this machine sums two tensors of a fan's size, or the multiply-adds of the plain cells at the speed of its matrix product,
whichever takes longer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.arguments import count
from benchmarks.supernet_step import PRECISIONS, QUICK, SIDE, Search, make_batches
from evaluators.memory import keep_freed_memory
from kernels import calls

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
VIEWS, WRITERS = ("_unsafe_view",), ("copy_", "zero_", "fill_")  # what is not marked as a view; what does not read its target


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
        name = name_of(func)
        if not func.is_view and name not in VIEWS:
            cost = self.costs[kind_of(func, args)]
            cost.calls += 1
            cost.seconds += seconds
            cost.bytes += moved_bytes(func, args, kwargs or {}, result)
            cost.multiply_adds += multiply_adds(func, args, result)
        return result

    def call(self, name: str, dtype: torch.dtype, *arguments: Any) -> None:
        """A compiled kernel, in place of ``calls.call``."""
        start = self._clock()
        self._call(name, dtype, *arguments)
        cost = self.costs[f"compiled: {name}"]
        cost.seconds += self._clock() - start
        cost.calls += 1
        passed = [getattr(argument, "_obj", argument) for argument in arguments]  # what ctypes passes by reference
        cost.bytes += sum(getattr(argument, "read", 0) for argument in passed)
        cost.multiply_adds += kernel_multiply_adds(name, passed)

    def __enter__(self) -> Profile:
        self._call, calls.call = calls.call, self.call
        super().__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        super().__exit__(*reason)
        calls.call = self._call


def kernel_multiply_adds(name: str, passed: Sequence[Any]) -> int:
    """Of a compiled convolution, forward or backward; 0 of other kernels. What is computed a second time counts twice."""
    if not name.startswith("convolve"):
        return 0
    s = passed[0]
    pixels = s.edges * s.images * -(-s.height // s.stride) * -(-s.width // s.stride)
    depthwise, pointwise = s.channels_in * s.size**2, s.channels_in * s.channels_out
    if name == "convolve":
        return int(pixels * (depthwise + pointwise))
    learns = passed[-1] is not None  # the depthwise convolution again, and both kernels' gradients
    return int(pixels * (depthwise * (3 if learns else 1) + pointwise * (2 if learns else 1)))


def name_of(func: Any) -> str:
    """``convolution`` of ``aten::convolution``."""
    return str(func._schema.name.removeprefix("aten::"))


def moved_bytes(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int:
    """Bytes that an operation reads and writes."""
    name, schema = name_of(func), func._schema
    given = {argument.name: value for argument, value in zip(schema.arguments, args, strict=False)} | dict(kwargs)
    if name == GRADIENTS:  # the input is read for the kernel's gradient, the kernel for the input's
        state, weights, _ = args[-1]
        given |= {"input": given["input"] if weights else None, "weight": given["weight"] if state else None}
    total = 0
    for argument in schema.arguments:
        writes = argument.alias_info is not None and argument.alias_info.is_write
        reads = not (writes and name in WRITERS) and not name.endswith("_like") and "empty" not in name
        total += (reads + writes) * sum(tensor.nbytes for tensor in tensors_of(given.get(argument.name)))
    if "empty" in name:
        return total
    results = result if len(schema.returns) > 1 else [result]
    fresh = [value for value, returned in zip(results, schema.returns, strict=False) if returned.alias_info is None]
    return total + sum(tensor.nbytes for tensor in tensors_of(fresh))


def kind_of(func: Any, args: Any) -> str:
    """What to call an operation in the table."""
    name = name_of(func)
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
    name = name_of(func)
    if name == CONVOLUTION:
        return int(result.numel() * prod(args[1].shape[1:]))
    if name == GRADIENTS:
        return int(args[0].numel() * prod(args[2].shape[1:]) * sum(args[-1][:2]))
    if name in ("mm", "addmm"):
        return int(result.numel() * args[-2].shape[1])
    return 0


def normalised_bytes(search: Search, images: Tensor) -> int:
    """Bytes of what the normalisations of an unfused supernet normalise in one forward pass; a pool of one state counts once."""
    pooled: dict[int, tuple[Any, ...]] = {}  # what was made by a pool: of what
    seen: dict[tuple[Any, ...], int] = {}
    kept: list[Tensor] = []  # so that no address is used twice

    def note_pool(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kept.extend((inputs[0], output))
        pooled[output.data_ptr()] = (type(module), module.stride, inputs[0].data_ptr())

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kept.append(inputs[0])
        seen[pooled.get(inputs[0].data_ptr(), (inputs[0].data_ptr(),))] = inputs[0].nbytes

    modules = list(search.supernet.modules())
    hooks = [module.register_forward_pre_hook(note) for module in modules if isinstance(module, nn.BatchNorm2d)]
    hooks += [module.register_forward_hook(note_pool) for module in modules if isinstance(module, nn.MaxPool2d | nn.AvgPool2d)]
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


def machine_speed(clock: Callable[[], float], precision: torch.dtype, shape: Sequence[int]) -> tuple[float, float]:
    """Bytes a second of summing two tensors of ``shape``, and multiply-adds a second of a matrix product."""
    x, y, z = (torch.zeros(shape, dtype=precision) for _ in range(3))
    a, b = torch.ones(1024, 1024, dtype=precision), torch.ones(1024, 1024, dtype=precision)
    return 3 * x.nbytes / fastest(lambda: torch.add(x, y, out=z), clock), 1024**3 / fastest(lambda: torch.mm(a, b), clock)


def profile_step(search: Search, batches: Any, clock: Callable[[], float]) -> Profile:
    """What one step costs."""
    with Profile(clock) as profile:
        search.step(*batches)
    return profile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small size, less than 50 s")
    parser.add_argument("--width", type=count, default=8)
    parser.add_argument("--cells", type=count, default=8)
    parser.add_argument("--batch", type=count, default=64)
    parser.add_argument("--threads", type=count, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.width, arguments.cells, arguments.batch = QUICK["width"], QUICK["cells"], QUICK["batch"]
    torch.set_num_threads(arguments.threads)
    clock = time.thread_time if arguments.threads == 1 else time.perf_counter
    keep_freed_memory()
    size = (arguments.width, arguments.cells, PRECISIONS[arguments.precision], torch.device("cpu"))
    batches = make_batches(arguments.batch, size[-1], torch.channels_last)
    search = Search("ours", *size)
    search.step(*batches)
    start = clock()
    search.step(*batches)
    plain = clock() - start
    profile = profile_step(search, batches, clock)

    costs = sorted(profile.costs.items(), key=lambda item: -item[1].seconds)
    total = sum(cost.seconds for _, cost in costs)
    size_in_words = f"{arguments.width} channels, {arguments.cells} cells, batches of {arguments.batch}"
    print(f"{size_in_words}, {arguments.precision}, {arguments.threads} threads, torch {torch.__version__}")
    print(f"a step takes {plain:.2f} s; operations and kernels in another one, with a clock around each, {total:.2f} s:")
    print(f"  {'operation':52} {'calls':>6} {'seconds':>8} {'share':>6} {'GB':>7} {'GB/s':>6} {'G mult-adds':>12}")
    for kind, cost in [*costs, ("all", Cost(*(sum(getattr(cost, name) for _, cost in costs) for name in Cost.__dataclass_fields__)))]:
        row = f"  {kind:52} {cost.calls:6} {cost.seconds:8.3f} {cost.seconds / total:6.1%} {cost.bytes / 1e9:7.2f}"
        print(f"{row} {cost.bytes / 1e9 / max(cost.seconds, 1e-9):6.1f} {cost.multiply_adds / 1e9:12.2f}")

    fan = (arguments.batch, SIDE, SIDE, 4 * arguments.width)
    bandwidth, arithmetic = machine_speed(clock, PRECISIONS[arguments.precision], fan)
    unfused = Search("unfused", *size)
    passes = 2 * (FORWARD_PASSES + BACKWARD_PASSES)  # of the architecture's step and the weights'
    floor_bytes = passes * normalised_bytes(unfused, batches[0][0])
    needed = sum(cost.multiply_adds for cost in profile_step(unfused, batches, clock).costs.values())
    floor = {"bytes_s": floor_bytes / bandwidth, "multiply_adds_s": needed / arithmetic}
    print(f"the floor: {floor_bytes / 1e9:.1f} GB at {bandwidth / 1e9:.1f} GB/s are {floor['bytes_s']:.2f} s,", end=" ")
    print(f"{needed / 1e9:.1f} G multiply-adds at {arithmetic / 1e9:.0f} G/s are {floor['multiply_adds_s']:.2f} s")
    shares = {kind: round(cost.seconds / total, 3) for kind, cost in costs}
    print(json.dumps({"step_s": round(plain, 3), "floor_s": round(max(floor.values()), 3), **floor, "shares": shares}))


if __name__ == "__main__":
    main()
