"""What UNet and decoder cost at full size, counted without a GPU, beside the official code and the bars set for us.

`python -m benchmarks.engine_counts [--no-time]`. Full-size networks are walked on the meta device in bfloat16: every kernel that
is not a view counts once, with the bytes of its inputs and outputs. Attention counts as one kernel that keeps its scores to
itself, which is what it is on a GPU. Times are those of `engine_times` and `engine_start`.
Official values and bars: `performance.md` section 5, rows C1 to C10.
"""

import argparse
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks import engine_start, engine_times
from engine.denoising import guide
from engine.models import blocks, norms
from engine.models.conditions import Branch, Prepared
from engine.models.movq import MoVQ
from engine.models.super_resolution import SuperResolutionUNet
from engine.models.unet import Kandinsky3UNet
from engine.schedulers import BaseSampler, FlashSampler, Sampler

HALF = torch.bfloat16
TOKENS = 128
LATENT = 128  # side of the latents of a picture of 1024 pixels
GB, GIB, TERA = 1e9, 2**30, 1e12
NO_KERNEL = ("empty", "new_empty", "_unsafe_view", "lift_fresh", "sym_size", "detach")


@dataclass
class Counts:
    """What one call did."""

    kernels: int = 0
    bytes: int = 0
    flops: int = 0
    peak: int = 0  # largest sum of the bytes of living results
    parameter_bytes: int = 0  # of parameters that were read, each once
    host_round_trips: int = 0
    by_kernel: dict[str, int] = field(default_factory=dict)


class Counter(TorchDispatchMode):
    """Counts what reaches the device while it is active."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts = Counts()
        self.paused = False
        self._parameters = {_store(parameter): parameter.untyped_storage().nbytes() for parameter in parameters}
        self._read: set[int] = set()
        self._living: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs, outputs = _tensors((args, kwargs or {})), _tensors(result)
        if not self.paused and outputs and not _is_view(func):
            self.add(func._schema.name.split("::")[1], inputs, outputs)
            flops = flop_registry.get(func.overloadpacket)
            if flops is not None:
                self.counts.flops += flops(*args, **(kwargs or {}), out_val=result)
        devices = {tensor.device for tensor in inputs if tensor.dim()} | {tensor.device for tensor in outputs}
        if func.overloadpacket is torch.ops.aten._local_scalar_dense or len(devices) > 1:
            self.counts.host_round_trips += 1
        self._keep(outputs)
        return result

    def add(self, name: str, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """One more kernel."""
        self.counts.kernels += 1
        self.counts.by_kernel[name] = self.counts.by_kernel.get(name, 0) + 1
        self.counts.bytes += sum(min(each.numel() * each.element_size(), each.untyped_storage().nbytes()) for each in inputs)
        self.counts.bytes += sum(each.numel() * each.element_size() for each in outputs)
        for store in {_store(each) for each in inputs} & self._parameters.keys() - self._read:
            self._read.add(store)
            self.counts.parameter_bytes += self._parameters[store]

    def _keep(self, outputs: list[Tensor]) -> None:
        for each in outputs:
            store = _store(each)
            if store not in self._parameters:
                self._living[store] = StorageWeakRef(each.untyped_storage()), each.untyped_storage().nbytes()
        self._living = {store: kept for store, kept in self._living.items() if not kept[0].expired()}
        self.counts.peak = max(self.counts.peak, sum(size for _, size in self._living.values()))

    @contextmanager
    def as_one(self, name: str, inputs: list[Tensor], outputs: list[Tensor]) -> Iterator[None]:
        """What runs inside counts as one kernel, with these inputs and the outputs that are put into the list."""
        paused, self.paused = self.paused, True
        yield
        self.paused = paused
        if not paused:
            self.add(name, inputs, outputs)


def _store(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_view(func: Any) -> bool:
    if func._schema.name.split("::")[1].startswith(NO_KERNEL):
        return True
    return any(each.alias_info is not None and not each.alias_info.is_write for each in func._schema.returns)


@contextmanager
def counting(network: nn.Module, fuse_norms: bool = False) -> Iterator[Counts]:
    """Count inside. fuse_norms: as if norm, scale, shift and SiLU were one kernel, which they could be on a GPU."""
    counter = Counter([*network.parameters(), *network.buffers()])
    modulated = norms.modulated

    def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        batch, heads, length, _ = query.shape
        out = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)  # as the fused kernels lay it
        with counter.as_one("attention", [query, key, value], [out]):
            counter.counts.flops += 2 * query.numel() * key.shape[2] + 2 * out.numel() * key.shape[2]
        return out

    def fused(x: Tensor, groups: int, scale: Tensor, shift: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        with counter.as_one("norm", [x, scale, shift], outputs):
            outputs.append(modulated(x, groups, scale, shift))
        return outputs[0]

    with patch.object(F, "scaled_dot_product_attention", attention), torch.no_grad(), counter:
        if fuse_norms:
            with patch.object(norms, "modulated", fused), patch.object(blocks, "silu_", lambda x: x):
                yield counter.counts
        else:
            yield counter.counts


def full_unet() -> Kandinsky3UNet:
    """The real UNet without its numbers."""
    with torch.device("meta"):
        unet: Kandinsky3UNet = Kandinsky3UNet(encoder_hid_dim=None).to(HALF)
    unet.settle()
    return unet


def prepared(unet: Kandinsky3UNet, steps: int, guided: bool) -> Prepared:
    """A prompt that fills the text encoder, and no negative prompt."""
    text = torch.zeros(1, TOKENS, 4096, dtype=HALF, device="meta")
    count = torch.arange(TOKENS)[None]
    branches = [Branch(text, count < TOKENS)] + [Branch(text, count < 1)] * guided
    everything: Prepared = unet.prepare(list(range(steps)), branches)
    return everything


def count_pass(unet: Kandinsky3UNet, guided: bool, fuse_norms: bool = False) -> Counts:
    """The second step of a request at 1024 pixels: one picture, with or without guidance."""
    with torch.inference_mode():
        conditions = prepared(unet, 4, guided)
        sample = torch.empty(1 + guided, 4, LATENT, LATENT, dtype=HALF, device="meta")
    with counting(unet, fuse_norms) as counts:
        unet.denoise(sample, conditions, 1)
    return counts


def count_preparation(unet: Kandinsky3UNet) -> Counts:
    """What a request of 50 guided steps costs before its loop."""
    with counting(unet) as counts:
        prepared(unet, 50, guided=True)
    return counts


def count_decode() -> Counts:
    """One picture of 1024 pixels."""
    with torch.device("meta"):
        movq = MoVQ().to(HALF)
        latents = torch.empty(1, 4, LATENT, LATENT, dtype=HALF)
    with counting(movq) as counts:
        movq.decode(latents)
    return counts


def count_window(side: int = 1024) -> Counts:
    """One window of so many pixels a side through KandiSuperRes, in half precision."""
    with torch.device("meta"):
        network = SuperResolutionUNet().to(HALF)
        window = torch.empty(1, 3, side, side, dtype=HALF)
    network.settle()
    with counting(network) as counts:
        network(window, 999, window)
    return counts


def count_round_trips(flash: bool) -> int:
    """Values that cross between host and device in one step of the loop."""
    unet = full_unet()
    sampler: Sampler = FlashSampler("epsilon") if flash else BaseSampler(50, 1.0, 0.99, "epsilon")
    with torch.inference_mode():
        conditions = prepared(unet, len(sampler.timesteps), not flash)
        latents = torch.empty(1, 4, LATENT, LATENT, device="meta")
        noise = [latents] * sampler.noise_count
    with counting(unet) as counts:
        sample = latents.repeat(2 - flash, 1, 1, 1).to(HALF)
        predictions = unet.denoise(sample, conditions, 1).float().chunk(2 - flash)
        prediction = predictions[0] if flash else guide(predictions[0], predictions[1], 3.0)
        sampler.step(prediction, 1, latents, noise)
    return counts.host_round_trips


def report() -> Iterator[tuple[str, str, str, str]]:
    """Rows of the counted part: what, ours, official, bar."""
    unet = full_unet()
    plain, guided = count_pass(unet, guided=False), count_pass(unet, guided=True)
    fused, fused_guided = count_pass(unet, False, fuse_norms=True), count_pass(unet, True, fuse_norms=True)
    before, decode = count_preparation(unet), count_decode()
    yield "C1 kernels per pass, 1 sample", f"{plain.kernels:,}", "2,844 (autocast) / 2,296", "900"
    yield "   with norm and SiLU as one kernel", f"{fused.kernels:,}", "", ""
    yield "   kernels per guided step, 2 samples", f"{guided.kernels:,} / {fused_guided.kernels:,}", "2,406", ""
    yield "C2 GB per pass, 1 sample", f"{plain.bytes / GB:.1f}", "40.2 (autocast) / 22.7", "14"
    yield "   with norm and SiLU as one kernel", f"{fused.bytes / GB:.1f}", "", ""
    yield "   GB per guided step, 2 samples", f"{guided.bytes / GB:.1f} / {fused_guided.bytes / GB:.1f}", "40.2", ""
    yield "C3 TFLOP per guided step", f"{guided.flops / TERA:.3f}", "6.488", "5.95"
    yield "   TFLOP per Flash pass", f"{plain.flops / TERA:.3f}", "3.244", "3.07"
    yield "   TFLOP per decode", f"{decode.flops / TERA:.2f}", "34.12", "30.1"
    yield "   TFLOP before the loop, 50 guided steps", f"{before.flops / TERA:.3f}", "0", ""
    yield "C4 GiB alive at the worst moment of a decode", f"{decode.peak / GIB:.2f}", "10.0 (fp32) / 5.0", "2.7"
    yield "   of a pass, 1 sample", f"{plain.peak / GIB:.2f}", "0.40", ""
    yield "   GB per decode", f"{decode.bytes / GB:.0f} in {decode.kernels} kernels", "145 in 345", ""
    window = count_window()
    yield "   TFLOP per super-resolution window of 1024", f"{window.flops / TERA:.2f}", "15.89", ""
    yield "   GB and kernels of one", f"{window.bytes / GB:.1f} in {window.kernels}", "34 in 529", ""
    yield "   GiB alive at its worst moment", f"{window.peak / GIB:.2f}", "1.2", ""
    whole = count_window(4096)
    yield "C4 GiB alive, super-resolution of 4096 in one frame", f"{whole.peak / GIB:.2f}", "19.1", "14"
    yield "C5 GB of parameters per pass after preparation", f"{plain.parameter_bytes / GB:.2f}", "6.08", "4.0"
    yield "C9 host round trips per step, Flash / base", f"{count_round_trips(True)} / {count_round_trips(False)}", "4 / 7", "0"


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-time", action="store_true", help="only count")
    logging.getLogger("diffusers").setLevel(logging.ERROR)  # casting the whole network is meant
    arguments = parser.parse_args()
    print(f"{'full size, 1024 pixels, bfloat16':<48}{'ours':>22}{'official':>28}{'bar':>8}")
    for name, ours, official, bar in report():
        print(f"{name:<48}{ours:>22}{official:>28}{bar:>8}")
    if not arguments.no_time:
        engine_times.main()
        engine_start.main()


if __name__ == "__main__":
    main()
