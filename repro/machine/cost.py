"""How long Runs will take here: their multiplications over this machine's measured rate.

Imports no torch, so that listing stays quick. The shares of the matrix-product rate that the
engines reach are measurements on two CPU cores; they are rough, and only used to plan.
"""

import functools
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from repro.data import DATA_SETS
from repro.data.mnist import MNIST
from repro.machine import toolchain
from repro.plan.layers import ladder_rows, layers, of_step
from repro.plan.run import LabelledData, RealData, Run

EAGER_SHARE = 0.3  # of the matrix-product rate, minibatches and checkpoints included
COMPILED_SHARE = 0.6
SCORING_SHARE = 0.4
BFLOAT16_TIME = 0.65  # of a compiled float32 step, where units multiply in it (AVX-512)
COMPILE_SECONDS = 60.0  # of one stack, cold
GRAPH_SECONDS = 36.0  # the same on an H100, for compiled steps that are captured
CAPTURED_STEP = 3.0e-3, 0.35e-3  # seconds of a step there: of one lane, and of each further one
GRAPH_STEP = 0.83e-3, 0.03e-3
CPU_MEMORY = 4 * 2**30  # what one job may take, whatever the machine has
SCORING_MEMORY = 1.5 * 2**30  # the statistics pass over MNIST, one lane at a time
MOST_LANES = 12  # beyond it a CPU gains nothing, and a checkpoint grows with every lane
MOST_LANES_CUDA = 32
CUDA_SHARE = 0.8  # of a device's free memory that lanes may take
COPIES = 4 + 1  # weights, gradients, two moments; and one more while a checkpoint is written
UNITS_DECODED = 4  # a combinator keeps about this many times what a unit of the encoder does
ACTIVATIONS = 6  # floats kept for each output of a dense layer: values, gradients, statistics


@functools.cache
def flops_per_second() -> float:
    """Single-precision rate of a matrix product of this project's size, measured once."""
    a = np.ones((1024, 784), np.float32)
    b = np.ones((784, 512), np.float32)
    best = 0.0
    for _ in range(12):
        start = time.perf_counter()
        a @ b
        best = max(best, 2 * 1024 * 784 * 512 / (time.perf_counter() - start))
    return best


def images_of(run: Run) -> tuple[int, int]:
    """Training and test images: every copy counts."""
    train, test = DATA_SETS[run.data.name].counts
    if isinstance(run.data, RealData):
        return train * run.data.copies, test * run.data.test_copies
    return train, test


def pixels_of(run: Run) -> int:
    return math.prod(DATA_SETS[run.data.name].shape)


def multiplications(run: Run) -> tuple[int, int]:
    """Multiply-adds of one image: through inference, and through the generative network.

    Of a Ladder network: through the encoder and through the decoder, once each.
    """
    declared = layers(run.model, pixels_of(run))
    down = sum(d.weights for d in declared if d.role == "generative")
    return sum(d.weights for d in declared) - down, down


def weights(run: Run) -> int:
    """How many weights a Run has: every one of them is multiplied once an image."""
    return sum(multiplications(run))


def step_multiplications(run: Run) -> float:
    """Multiply-adds of one minibatch, forward."""
    return float(sum(p.multiplications for p in of_step([run], pixels_of(run))))


def lane_bytes(run: Run) -> float:
    """Memory that one lane takes while training.

    A hidden layer of a hierarchy is kept before and after its nonlinearity.
    """
    if run.labels:
        noisy, _, decoded = ladder_rows(run)
        values = sum(run.ladder.sizes) * (noisy + UNITS_DECODED * decoded)
        return 4.0 * (COPIES * weights(run) + ACTIVATIONS * values)
    dense = layers(run.model, pixels_of(run))
    outputs = sum(d.fan_out * (2 if d.heads == 1 and d.norm else 1) for d in dense)
    rows = run.optim.batch * run.optim.mc_samples * run.optim.importance_samples
    return 4.0 * (COPIES * sum(d.weights for d in dense) + ACTIVATIONS * outputs * rows)


def most_lanes(runs: list[Run], device_memory: float | None = None) -> int:
    """How many lanes of the largest of these Runs fit into a CPU job's memory, or a device's."""
    most = MOST_LANES if device_memory is None else MOST_LANES_CUDA
    return max(1, min(most, int(_room(runs, device_memory) / max(map(lane_bytes, runs)))))


def fit_together(runs: list[Run], device_memory: float | None = None) -> bool:
    """Whether all these Runs, in whatever stacks, fit there at once, scored one at a time."""
    return sum(map(lane_bytes, runs)) <= _room(runs, device_memory)


def _room(runs: list[Run], device_memory: float | None) -> float:
    """Bytes for lanes: what a CPU job may take, or a device's share, less what scoring takes."""
    if device_memory is None:
        room = min(CPU_MEMORY, available_memory())
    else:
        room = CUDA_SHARE * device_memory
    return room - max(map(scoring_bytes, runs))


def scoring_bytes(run: Run) -> float:
    """Memory of the statistics pass, which its widest layer dominates: the output of p(x|z_1)."""
    if run.model.family == "ladder":
        return SCORING_MEMORY
    usual = MNIST.counts[0] * math.prod(MNIST.shape)
    widest = max(d.fan_out for d in layers(run.model, pixels_of(run)))
    return SCORING_MEMORY * max(1.0, images_of(run)[0] * widest / usual)


def available_memory() -> float:
    """Bytes that can be had without swapping; half of what is installed where unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = next(x.split()[1] for x in lines if x.startswith("MemAvailable"))
        return float(kilobytes) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def steps_of(run: Run) -> int:
    """Of all epochs."""
    rows, data = images_of(run)[0], run.data
    if isinstance(data, LabelledData):
        rows = (data.first_images or rows) - (data.labels if data.pool == "rest" else 0)
    return (run.schedule.steps_per_epoch or rows // run.optim.batch) * run.schedule.epochs


def training_flops(run: Run) -> float:
    """Forward and backward: three products where the forward pass has one."""
    return 6.0 * step_multiplications(run) * steps_of(run)


def scoring_flops(run: Run, left: float = 1.0) -> float:
    """That share of the evaluation epochs, and the final L_K; of a Ladder network the
    classification.
    """
    e = run.evaluation
    rows, tests = images_of(run)
    up, down = multiplications(run)
    if run.labels:
        costs = (e.train_images or rows) * step_multiplications(run) / run.optim.batch
        images = run.labels + (e.test_images or tests)
        return 2.0 * (up * images + costs) * left * len(e.epochs)
    images = (e.train_images or rows) + (e.test_images or tests)
    final = e.importance_samples * (e.lk_images or tests)
    return 2.0 * (up + down) * (images * left * len(e.epochs) + final)


def compiling_pays(runs: list[Run]) -> bool:
    """Whether a stack of these Runs trains sooner compiled, compilation included."""
    work = sum(training_flops(run) for run in runs) / flops_per_second()
    return work / EAGER_SHARE > work / COMPILED_SHARE + COMPILE_SECONDS


def graph_pays(runs: list[Run]) -> bool:
    """Whether a stack of these Runs trains sooner on CUDA compiled and captured than captured.

    Both are bound by how many kernels they launch, which hardly depends on sizes: on an H100
    compiling is repaid after 16,600 steps of one lane, and 12,800 of three.
    """
    first, further = (a - b for a, b in zip(CAPTURED_STEP, GRAPH_STEP, strict=True))
    return steps_of(runs[0]) * (first + further * (len(runs) - 1)) > GRAPH_SECONDS


def seconds(
    runs: list[Run], begun: Mapping[str, float] | None = None, precision: str | None = None
) -> float:
    """Predicted wall time of training and scoring these Runs on this machine's CPU.

    begun: the share of a Run's epochs that is behind it, by its id. precision: of training's
    products; scoring's are in float32.
    """
    left = {run.id: 1 - (begun or {}).get(run.id, 0.0) for run in runs}
    rate = flops_per_second()
    compiled = compiling_pays(runs) and not toolchain.compiler_fault()
    share = COMPILED_SHARE if compiled else EAGER_SHARE
    train = sum(training_flops(run) * left[run.id] for run in runs) / (rate * share)
    train *= BFLOAT16_TIME if precision == "bfloat16" else 1
    return train + sum(scoring_flops(run, left[run.id]) for run in runs) / (rate * SCORING_SHARE)
