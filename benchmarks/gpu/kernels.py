# ruff: noqa: E402, E731
"""How many kernels a step of a stack launches on an H100, found without one.

python kernels.py STACK [whole] [triton], in the project's root. STACK: lvae:5,5,5 (depths of the
lanes), grid:0 to grid:2, ladder:10 (lanes). whole: sums over a batch are not split in two.
triton: also compiles every kernel for sm_90, which finds what Triton refuses and takes minutes.
The code of each part is kept in the folder for temporary files.
"""

import copy
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # a worker process would look for a real device
sys.path.insert(0, str(Path.cwd()))
import torch
from functorch.compile import make_boxed_func, min_cut_rematerialization_partition
from torch._functorch.aot_autograd import aot_function
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.fx_passes.joint_graph import joint_graph_passes

from repro.bench.arms import Arm, stacks_of
from repro.bench.operations import minibatch
from repro.train.flat import flatten
from repro.train.state import State, fresh
from repro.train.step import objective_of, rate_and_eps, update_of

(kind, number), options = sys.argv[1].split(":"), sys.argv[2:]
arms = {
    "lvae": lambda: Arm("", "eager", tuple(map(int, number.split(",")))),
    "grid": lambda: Arm("", "eager", (1, 2, 3, 4, 5), "mnist"),
    "ladder": lambda: Arm("", "eager", (6,) * int(number), "ladder"),
}
stacks, cpu = stacks_of(arms[kind]()), torch.device("cpu")
stack = stacks[int(number) if kind == "grid" else 0]
state = fresh(stack, 784, cpu, torch.float32)
flatten(state)
batch = minibatch(stack, cpu)
leaves = {n: p.detach().requires_grad_() for n, p in state.params.items()}
objective, update, graphs = objective_of(stack), update_of(stack), {}


def kept(name):
    def compiler(graph, inputs):
        graphs[name] = copy.deepcopy(graph), list(inputs)
        return make_boxed_func(graph.forward)

    return compiler


def partition(joint, inputs, **kw):
    joint_graph_passes(joint)
    return min_cut_rematerialization_partition(joint, inputs, compiler="inductor", **kw)


def forward(params, tensors):
    left = iter(tensors)
    parts = [[next(left) for _ in x] if isinstance(x, list) else next(left) for x in batch]
    return objective(dict(zip(leaves, params, strict=True)), type(batch)(*parts))


def updated(p, m, v, alive, g, rate, eps):
    update(State({"all": p}, {"all": m}, {"all": v}, state.t, state.sums, alive), [g], rate, eps)
    return p


# The graphs are traced on the CPU, before there seems to be a device.
table, flat, K = select_decomp_table(), state.flat, len(stack.runs)
tensors = [t for x in batch for t in (x if isinstance(x, list) else [x])]
both = aot_function(forward, kept("forward"), kept("backward"), partition, decompositions=table)
gain = both(list(leaves.values()), tensors)
torch.autograd.grad(-gain.sum(), list(leaves.values()), materialize_grads=True)
with torch.no_grad():
    moments = flat.params["all"], flat.m["all"], flat.v["all"]
    aot_function(updated, kept("update"), decompositions=table)(
        *moments, state.alive, torch.zeros_like(moments[0]), torch.zeros(K),
        torch.zeros(()))  # fmt: skip
    rates = lambda lr, t: rate_and_eps(stack.runs[0].optim, lr, t)
    aot_function(rates, kept("rates"), decompositions=table)(torch.zeros(K), state.t)

import fakecuda  # noqa: F401
import torch._inductor.config as config
import torch._inductor.runtime.triton_heuristics as heuristics
from torch._guards import TracingContext, tracing
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.graph import GraphLowering
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

torch.set_float32_matmul_precision("high")
config.fx_graph_cache = False
codes, failed = [], []


def precompiled(self, *args, **kw):
    if "triton" in options:
        try:
            self._precompile_worker()
        except Exception as e:
            failed.append(f"{type(e).__name__}: {str(e)[:200]}")


heuristics.CachingAutotuner.precompile = precompiled
GraphLowering.save_output_code = staticmethod(codes.append)
for name, (graph, inputs) in graphs.items():
    begun, fake = time.time(), FakeTensorMode(allow_non_fake_inputs=True)
    config.split_reductions = "whole" not in options or name == "update"
    for node in graph.graph.nodes:
        if node.kwargs.get("device") is not None:
            node.kwargs = {**node.kwargs, "device": torch.device("cuda", 0)}
    graph.recompile()
    with fake:
        there = [
            torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="cuda:0") for t in inputs
        ]
    FakeTensorProp(graph, mode=fake).propagate_dont_convert_inputs(*there)
    with tracing(TracingContext(fake)):
        inference = name in ("update", "rates")
        compile_fx_inner(graph, there, is_backward=name == "backward", is_inference=inference)
    call = codes[-1][codes[-1].index("def call(") :]
    own = len(re.findall(r"\.run\(", call))
    libraries = Counter(re.findall(r"extern_kernels\.(\w+)\(", call))
    others = Counter(re.findall(r"((?:torch\.ops|aten)\.[\w.]+)\(", call))
    seconds = time.time() - begun
    print(f"{name}: {own} Triton, {dict(libraries | others)}, {seconds:.0f} s", flush=True)
    (Path(tempfile.gettempdir()) / f"kernels-{kind}-{name}.py").write_text(codes[-1])
if "triton" in options:
    print(f"{len(failed)} kernels that Triton refuses", *failed, sep="\n")
