"""The compiled kernels: when they are made and when not, and what they do at the edges: odd channels, ties, NaN, threads."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from program import run_code
from torch import Tensor
from torch.nn import functional

from common.errors import SpaceError
from kernels import build as compiled
from kernels.build import COMPILERS, SOURCES, STORED, VARIABLE, kernels_for, kernels_note, only_precision, why_not
from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.pools import pool, pool_back
from kernels.sums import mix, products

ROOT = Path(__file__).parents[2]
HERE = pytest.mark.skipif(kernels_for(torch.float32) is None, reason=f"no compiled kernels here: {why_not()}")


def compiles(name: str) -> bool:
    command = [*name.split(), "-fopenmp", "-shared", "-fPIC", "-x", "c", os.devnull, "-o", os.devnull]
    return bool(name.split() and shutil.which(command[0])) and subprocess.run(command, capture_output=True, check=False).returncode == 0


# What a new process says of its kernels. To optimise them takes a compiler most of its time, and to import torch beside them the trial of
# what it has made: neither is needed where it is only asked when they are made and where they are kept.
AS_FAST_AS_CAN_BE = """\
build.FLAGS = ("-O0", *build.FLAGS[1:])
build.TRIAL = build.TRIAL.replace(", torch; torch.ones(1 << 20).sum()", "")
"""
ASK = "import os, torch\nfrom kernels import build\n"
ANSWER = "print(build.kernels_for(torch.float32) is not None, build.why_not())"


def ask(preparation: str = AS_FAST_AS_CAN_BE, **variables: str) -> str:
    """What a new process, with these variables in its environment, says of its kernels."""
    return run_code(ASK + preparation + ANSWER, environment={VARIABLE: "", **variables}).strip()


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def counting_compiler(path: Path, count: Path) -> str:
    """One that adds a line to ``count`` whenever it makes a library."""
    here = next(filter(compiles, [os.environ.get("CC", ""), *COMPILERS]))
    return program(path, f'case "$*" in *-shared*-o*) echo x >> {count};; esac\nexec {here} "$@"')


# --- when there are kernels ------------------------------------------------------------------------------------------------------------


@HERE
@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o022, 0o002])  # the second is usual where every user has a group
def test_they_are_compiled_once_and_kept(umask: int, tmp_path: Path) -> None:
    count = tmp_path / "count"
    compiler = counting_compiler(tmp_path / "compiler", count)
    variables = {"PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "CC": compiler}
    if umask == 0o022:  # once as the program does, optimised and tried beside torch
        command = [sys.executable, "-c", ASK + ANSWER]
        said = subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: "", **variables}, umask=umask, capture_output=True, text=True)
        assert said.stdout == "True None\n", said.stderr
        preparation = ""
    else:
        preparation = AS_FAST_AS_CAN_BE + f"os.umask({umask})\n"
        assert ask(preparation, **variables) == "True None"
    assert ask(preparation, **variables) == "True None"
    assert count.read_text() == "x\n"
    (kept,) = (tmp_path / "cache").rglob("*.so")
    assert kept.parent == in_cache(tmp_path / "cache") and kept.parent.stat().st_mode & 0o022 == 0, "nobody else may write what is run"


AT_ONCE = """
import sys, time
from pathlib import Path
from kernels.convolutions import Convolution, convolve
Path(sys.argv[1], sys.argv[3]).touch()
while len(list(Path(sys.argv[1]).iterdir())) < int(sys.argv[2]):
    time.sleep(0.001)
assert build.kernels_for(torch.float32) is not None, build.why_not()
y, _ = convolve(torch.ones(1, 5, 5, 2, 8), Convolution(torch.ones(2, 8, 3, 3), torch.ones(2, 8, 8), 1, 1))
print(y[0, 0, 0].unique().tolist(), y[0, 2, 2].unique().tolist())
"""


@HERE
@pytest.mark.slow
def test_processes_that_begin_at_once_compile_them_once(tmp_path: Path) -> None:
    count, ready, processes = tmp_path / "count", tmp_path / "ready", 4
    ready.mkdir()
    compiler = counting_compiler(tmp_path / "compiler", count)
    variables = {"PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "CC": compiler, "OMP_NUM_THREADS": "1", VARIABLE: ""}
    command = [sys.executable, "-c", ASK + AS_FAST_AS_CAN_BE + AT_ONCE, str(ready), str(processes)]
    surroundings: dict[str, Any] = {"cwd": ROOT, "env": {**os.environ, **variables}, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen([*command, str(number)], text=True, **surroundings) for number in range(processes)]
    # A corner has four taps in the image, the middle nine, each over eight channels.
    assert [process.communicate(timeout=120) for process in started] == [("[32.0] [72.0]\n", "")] * processes
    assert count.read_text() == "x\n"
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 1


def in_cache(prefix: Path) -> Path:
    """Where Python keeps what it compiles of the folder of the kernels."""
    return prefix / SOURCES.relative_to(SOURCES.anchor)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "complaint"),
    [
        ("exit 1", "failed: exit status 1, without a message"),
        ("echo 'fatal: no OpenMP' >&2; exit 4", "failed: fatal: no OpenMP"),
        ('while [ "$1" != -o ] && [ $# -gt 0 ]; do shift; done; [ -z "$2" ] || echo no library > "$2"', "/compiler made failed: OSError: "),
    ],
)
def test_a_compiler_that_fails_is_named_and_nothing_else_is_lost(compiler: str, complaint: str, tmp_path: Path) -> None:
    path = program(tmp_path / "compiler", compiler)
    said = ask(CC=path, PYTHONPYCACHEPREFIX=str(tmp_path))
    assert said.startswith("False ") and complaint in said


def test_without_a_compiler_they_are_missed_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_library", compiled._library.__wrapped__)  # asked anew
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    for compiler, missed in (("", "cc, gcc, clang"), ("no-such-cc", "no-such-cc")):
        monkeypatch.setenv("CC", compiler)
        assert kernels_for(torch.float32) is None and why_not() == f"no C compiler: {missed} not found"


@HERE
def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    assert kernels_for(torch.float32) is None and why_not() == "switched off by RETIARIUS_KERNELS=torch"
    monkeypatch.setenv(VARIABLE, "Torch")
    with pytest.raises(SpaceError, match="unknown RETIARIUS_KERNELS='Torch'; known: compiled, torch"):
        kernels_for(torch.float32)
    monkeypatch.setenv(VARIABLE, "compiled")
    assert kernels_for(torch.float32) is not None
    assert kernels_for(torch.float16) is None and why_not(torch.float16) == "not available for float16"


@HERE
@pytest.mark.slow
def test_a_library_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    for content in (b"junk", None):
        assert ask(PYTHONPYCACHEPREFIX=str(tmp_path)) == "True None"
        (kept,) = tmp_path.rglob("*.so")
        kept.write_bytes(kept.read_bytes()[:40_000] if content is None else content)
    assert ask(PYTHONPYCACHEPREFIX=str(tmp_path)) == "True None"
    assert kept.stat().st_size > 40_000


@HERE
@pytest.mark.slow
def test_a_cache_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    folder = in_cache(tmp_path / "open")
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert ask(PYTHONPYCACHEPREFIX=str(tmp_path / "open"), XDG_CACHE_HOME=str(tmp_path / "home")) == "True None"
    assert list(folder.glob("*.so")) == [], "what lies there might be anybody's"
    assert len(list((tmp_path / "home" / "retiarius" / "kernels").glob("*.so"))) == 1


@HERE
@pytest.mark.slow
def test_the_first_compiler_that_works_is_taken(tmp_path: Path) -> None:
    program(tmp_path / "cc", "echo 'no -fopenmp here' >&2; exit 1")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "CC": ""}
    assert ask(**environment) == "True None", "gcc or clang"


@HERE
@pytest.mark.slow
def test_where_nothing_may_be_kept_it_is_cleaned_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "temporary").mkdir()
    without_home = "import pathlib\ndef home(): raise RuntimeError('no home')\npathlib.Path.home = home\n"
    for cache in (str(tmp_path / "file"), "relative/is/ignored"):
        variables = {"PYTHONPYCACHEPREFIX": str(tmp_path / "file"), "XDG_CACHE_HOME": cache, "TMPDIR": str(tmp_path / "temporary")}
        assert ask(AS_FAST_AS_CAN_BE + without_home, **variables) == "True None"
        assert list((tmp_path / "temporary").iterdir()) == []


# --- what they compute at the edges ------------------------------------------------------------------------------------------------------


def images(*sizes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def as_torch_has_them(x: Tensor) -> Tensor:
    """[N, H, W, 1, C] -> [N, C, H, W]."""
    return x.squeeze(3).permute(0, 3, 1, 2)


@HERE
@pytest.mark.parametrize("channels", [1, 3, 8, 11, 16])
@pytest.mark.parametrize(("size", "dilation", "stride"), [(3, 1, 1), (5, 1, 2), (3, 2, 2), (5, 2, 1)])
def test_convolutions_of_any_number_of_channels(channels: int, size: int, dilation: int, stride: int) -> None:
    x = images(3, 7, 6, 1, channels)
    taps, matrix = images(2, channels, size, size), images(2, channels + 2, channels)
    y, sums = convolve(x.expand(-1, -1, -1, 2, -1), Convolution(taps, matrix, dilation, stride))
    for edge in range(2):
        active = as_torch_has_them(x).relu()
        inner = functional.conv2d(active, taps[edge, :, None], None, stride, dilation * (size // 2), dilation, groups=channels)
        expected = functional.conv2d(inner, matrix[edge, :, :, None, None])
        assert torch.allclose(as_torch_has_them(y[:, :, :, edge : edge + 1]), expected, rtol=1e-12, atol=1e-12)
        assert torch.allclose(sums[edge], torch.stack([expected.sum((0, 2, 3)), expected.square().sum((0, 2, 3))]), rtol=1e-12, atol=1e-11)


@HERE
@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("stride", [1, 2])
def test_pools_are_torchs_with_ties_and_nan(dtype: torch.dtype, stride: int) -> None:
    x = images(2, 7, 5, 1, 9).mul(2).round().to(dtype)  # ties abound
    x[0, 3, 3, 0, 1] = float("nan")
    pools = pool(x, stride)
    assert pools.largest is not None and pools.mean is not None
    plain = as_torch_has_them(x).double().requires_grad_()
    largest = functional.max_pool2d(plain, 3, stride, 1)
    mean = functional.avg_pool2d(plain, 3, stride, 1, count_include_pad=False)
    assert torch.equal(as_torch_has_them(pools.largest).double().nan_to_num(99), largest.nan_to_num(99))
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-6
    assert torch.allclose(as_torch_has_them(pools.mean).double(), mean, rtol=tolerance, atol=1e-6, equal_nan=True)

    gradient = images(*pools.mean.shape).float() if dtype != torch.float64 else images(*pools.mean.shape)
    of_state, rates = torch.zeros_like(x, dtype=gradient.dtype), torch.ones(3, 1, 9, dtype=gradient.dtype)
    pool_back(pools, stride, gradient, rates, torch.zeros(2, 2, 9, dtype=gradient.dtype), of_state, dtype)
    of_pools = torch.autograd.grad((largest, mean), plain, 2 * [as_torch_has_them(gradient).double()])[0]
    clean = [0, *range(2, 9)]  # the channel with a NaN has one in its pools, and 0 times that in ``of_pools``
    assert torch.allclose(as_torch_has_them(of_state)[:, clean].double(), of_pools[:, clean], atol=1e-5)


@HERE
def test_bfloat16_is_rounded_as_torch_rounds() -> None:
    x = torch.cat([images(4000, dtype=torch.float32), torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, 3e38, float("inf"), float("nan"), -0.0])])
    x = torch.cat([x, x.new_zeros(-len(x) % 8)]).view(1, 1, -1, 1, 8)
    y = torch.empty_like(x, dtype=torch.bfloat16)
    # 1 * high + 1 * low, each a number of bfloat16, is x to 16 bits of its mantissa; put out it is rounded once.
    high = x.bfloat16()
    low = (x - high.float()).nan_to_num(0, 0, 0).bfloat16()
    ones = torch.ones(2, 1, 8)
    mix([high, low], ones, torch.zeros_like(ones), None, y, adds=False)
    assert torch.equal(y.nan_to_num(7), (high.float() + low.float()).bfloat16().nan_to_num(7)) and y.isnan().sum() == 1


@HERE
def test_the_same_again_and_nearly_the_same_on_other_numbers_of_threads() -> None:
    x, convolution = (
        images(5, 16, 16, 2, 16, dtype=torch.float32),
        Convolution(images(2, 16, 5, 5).float(), images(2, 16, 16).float()),
    )
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2, 7):
            torch.set_num_threads(threads)
            y, sums = convolve(x, convolution)
            rates = torch.tensor([0.5, 0.1, 0.2]).view(1, 3, 1).repeat(2, 1, 16)
            _, _, taps, matrix = convolve_back(x, convolution, torch.ones_like(y), y, rates, want_x=True)
            assert taps is not None and matrix is not None
            results.append((y, sums, taps, matrix))
    finally:
        torch.set_num_threads(before)
    for one, two, again, seven in zip(*results, strict=True):
        assert torch.equal(two, again)
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-4 * one.abs().max().item())
        assert torch.allclose(one, seven, rtol=1e-4, atol=1e-4 * one.abs().max().item())


@HERE
@pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux tells it")
@pytest.mark.slow
def test_memory_does_not_grow_where_the_number_of_threads_changes() -> None:
    """OpenMP ends threads that a smaller kernel does not need, and starts others for the next larger one."""
    x, few = images(8, 16, 16, 2, 16, dtype=torch.float32), images(8, 16, 16, 1, 64, dtype=torch.float32)
    convolution = Convolution(images(2, 16, 5, 5).float(), images(2, 16, 16).float())
    before, resident = torch.get_num_threads(), []
    try:
        torch.set_num_threads(4)
        for _ in range(2):
            for _ in range(100):
                convolve(x, convolution)
                pool(few, 1)
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    finally:
        torch.set_num_threads(before)
    assert resident[1] - resident[0] < 2**20, "5 MB, had each thread kept its own"


TOO_LITTLE = """
import resource, torch
from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.pools import pool, pool_back

x, y = torch.ones(1, 512, 512, 1, 8), torch.ones(1, 512, 512, 1, 8)
convolution = Convolution(torch.ones(1, 8, 5, 5), torch.ones(1, 8, 8))
pools = pool(x, 1)
calls = {
    "convolve": lambda: convolve(x, convolution, y=y),
    "pool_back": lambda: pool_back(pools, 1, y, torch.ones(3, 1, 8), torch.ones(2, 2, 8), x, torch.float32),
    "convolve_back": lambda: convolve_back(x, convolution, y, y, torch.ones(1, 3, 8), state_gradient=x, want_kernels=False),
}
torch.set_num_threads(1)
convolve(x[:, :8, :8].contiguous(), convolution)  # what a first call takes
pages = int(open("/proc/self/statm").read().split()[0])
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**20, hard))
for name, call in calls.items():
    try:
        call()
        print(name, "had room")
    except MemoryError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
result, _ = convolve(x, convolution, y=y)
print(result[0, 9, 9, 0, 0].item())
"""


@HERE
def test_beside_another_torch_they_are_made_and_tried_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_is_whole", lambda path: True)
    compiler = next([name] for name in COMPILERS if compiles(name))
    paths = [compiled._compiled(compiler, "STORE_FLOAT32")]
    for name, value in (("__version__", "0.0"), ("__file__", "/elsewhere/torch/__init__.py"), ("__file__", "/els\udcffwhere/__init__.py")):
        monkeypatch.setattr(torch, name, value)
        paths.append(compiled._compiled(compiler, "STORE_FLOAT32"))
    assert len(set(paths)) == 4


@HERE
@pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux tells it")
@pytest.mark.slow
def test_too_little_memory_is_an_error_and_no_crash() -> None:
    done = subprocess.run([sys.executable, "-c", TOO_LITTLE], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    names, words = ("convolve", "pool_back", "convolve_back"), "no memory for what its threads work on"
    assert done.stdout.splitlines() == [*(f"{name}: {words}" for name in names), "200.0"]


@HERE
def test_images_of_other_edges_than_the_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 7, 6, 1, 8\) where 2 edges of 8 channels are read"):
        convolve(images(3, 7, 6, 1, 8), Convolution(images(2, 8, 3, 3), images(2, 8, 8)))


def test_the_note_says_which_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    assert kernels_note(torch.float32, is_supernet=False) == "cells run on torch's operations: switched off by RETIARIUS_KERNELS=torch"
    monkeypatch.delenv(VARIABLE)
    if kernels_for(torch.float32) is not None:
        assert kernels_note(torch.bfloat16, is_supernet=True) == "cells run on kernels compiled for this processor"
        assert kernels_note(torch.bfloat16, is_supernet=False) == "cells run on kernels compiled for this processor, in float32"


def test_found_networks_are_trained_in_the_precision_of_their_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    assert only_precision(torch.device("cpu")) is None
    monkeypatch.delenv(VARIABLE)
    assert only_precision(torch.device("cuda")) is None
    if kernels_for(torch.float32) is not None:
        assert only_precision(torch.device("cpu")) == torch.float32


def test_images_at_no_one_distance_are_refused() -> None:
    with pytest.raises(ValueError, match="no one distance between pixels"):
        products([images(2, 4, 4, 1, 8)[:, :, :3]], images(2, 4, 3, 1, 8))
