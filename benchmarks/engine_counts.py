"""What UNet and decoder cost at full size, counted without a GPU, beside the official code and the bars set for us.

`python -m benchmarks.engine_counts [--no-time]`. Full-size networks are walked on the meta device in bfloat16: every kernel that
is not a view counts once, with the bytes of its inputs and outputs. Attention counts as one kernel that keeps its scores to
itself, which is what it is on a GPU. Times are thread CPU time of one thread on tiny networks, ours and diffusers' in turn, least
of six.
Official values and bars: `performance.md` section 5, rows C1 to C9 as far as UNet and decoder decide them.
"""

import argparse
import inspect
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from engine import catalog
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
        super().__init__()
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


def count_window() -> Counts:
    """One window of 1024 pixels through KandiSuperRes, in half precision."""
    with torch.device("meta"):
        network = SuperResolutionUNet().to(HALF)
        window = torch.empty(1, 3, 1024, 1024, dtype=HALF)
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
        prediction = predictions[0] if flash else guide(*predictions, 3.0)
        sampler.step(prediction, 1, latents, noise)
    return counts.host_round_trips


def interleaved(ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 6) -> tuple[float, float]:
    """Least thread CPU time of each, in seconds, taken in turn after one call of each to warm up."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for round_ in range(rounds + 1):
        for which, call in enumerate((ours, theirs)):
            started = time.thread_time()
            call()
            if round_:
                times[which].append(time.thread_time() - started)
    return min(times[0]), min(times[1])


@dataclass(frozen=True)
class Pair:
    """UNet and decoder of ours and of diffusers with the same weights, and the width of their text."""

    unet: Kandinsky3UNet
    movq: MoVQ
    their_unet: Any
    their_movq: Any
    context: int


def pair(unet_settings: dict[str, Any], movq_settings: dict[str, Any], weights: Path | None = None) -> Pair:
    """Networks of these sizes; with random weights if `weights` names no family's folder."""
    from diffusers.models.autoencoders.vq_model import VQModel
    from diffusers.models.unets.unet_kandinsky3 import Kandinsky3UNet as DiffusersUNet

    torch.manual_seed(0)
    context = unet_settings["cross_attention_dim"]
    their_unet = DiffusersUNet(**unet_settings | {"encoder_hid_dim": context})
    their_unet.encoder_hid_proj = nn.Identity()
    their_movq = VQModel(**movq_settings)
    if weights is not None:
        for name, network in (("unet", their_unet), ("movq", their_movq)):
            tensors = load_file(weights / name / "diffusion_pytorch_model.safetensors")
            network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    unet = Kandinsky3UNet(**unet_settings | {"encoder_hid_dim": None})
    unet.load_state_dict(their_unet.state_dict())
    unet.to(memory_format=torch.channels_last).settle()
    known = inspect.signature(MoVQ).parameters
    movq = MoVQ(**{name: value for name, value in movq_settings.items() if name in known})
    movq.load_state_dict({name: value for name, value in their_movq.state_dict().items() if not name.startswith("quantize.")})
    movq.to(memory_format=torch.channels_last)
    return Pair(unet.eval(), movq.eval(), their_unet.eval(), their_movq.eval(), context)


def tiny() -> Pair:
    """Random networks of the full shape; the UNet has 82 M parameters."""
    unet = {"time_embedding_dim": 256, "block_out_channels": (64, 128, 256, 512), "cross_attention_dim": 512}
    down, up = ("DownEncoderBlock2D",) * 3 + ("AttnDownEncoderBlock2D",), ("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 3
    movq = {"block_out_channels": (32, 64, 64, 128), "layers_per_block": 2, "latent_channels": 4, "vq_embed_dim": 4}
    return pair(unet, movq | {"norm_type": "spatial", "down_block_types": down, "up_block_types": up, "num_vq_embeddings": 16})


def nano() -> Pair:
    """The packaged family, since only trained networks keep rounding small over many steps."""
    folder = catalog.weights_folder("kandinsky-nano")
    settings = [json.loads((folder / name / "config.json").read_text(encoding="utf-8")) for name in ("unet", "movq")]
    unet, movq = ({key: value for key, value in each.items() if not key.startswith("_")} for each in settings)
    return pair(unet, movq, folder)


@dataclass(frozen=True)
class Prompt:
    """A text of 39 tokens and no negative prompt, by hand: states (1, L, C) and masks (1, L) of both branches."""

    text: Tensor
    free: Tensor
    counted: Tensor
    first: Tensor

    def branches(self, guided: bool) -> list[Branch]:
        """As our UNet reads them."""
        return [Branch(self.text, self.counted)] + [Branch(self.free, self.first)] * guided


def prompt(context: int) -> Prompt:
    """A random prompt."""
    text, free = torch.randn(1, 40, context), torch.zeros(1, 40, context)
    text[:, 39] = 0
    free[:, 0] = torch.randn(context)
    return Prompt(text, free, torch.arange(40)[None] < 39, torch.arange(40)[None] < 1)


def our_loop(networks: Pair, sampler: Sampler, noise: list[Tensor], words: Prompt, guided: bool) -> Tensor:
    """A picture (1, 3, H, W) as the engine draws it."""
    x = sampler.start(noise)
    prepared_ = networks.unet.prepare(sampler.timesteps, words.branches(guided))
    for index in range(len(sampler.timesteps)):
        predictions = networks.unet.denoise(x.repeat(1 + guided, 1, 1, 1), prepared_, index).chunk(1 + guided)
        x = sampler.step(guide(*predictions, 3.0) if guided else predictions[0], index, x, noise).prev_sample
    return networks.movq.decode(x)


def their_loop(networks: Pair, sampler: Sampler, noise: list[Tensor], words: Prompt, guided: bool) -> Tensor:
    """The same with diffusers' networks under our sampler."""
    x = sampler.start(noise)
    states = torch.cat([words.text, words.free][: 1 + guided])
    mask = torch.cat([words.counted, words.first][: 1 + guided])
    for index, t in enumerate(sampler.timesteps):
        predictions = networks.their_unet(x.repeat(1 + guided, 1, 1, 1), t, states, mask).sample.chunk(1 + guided)
        x = sampler.step(guide(*predictions, 3.0) if guided else predictions[0], index, x, noise).prev_sample
    pictures: Tensor = networks.their_movq.decode(x, force_not_quantize=True).sample
    return pictures


def time_tiny() -> Iterator[tuple[str, float, float, float]]:
    """Per row: name, seconds of ours, seconds of diffusers', largest relative difference of the results."""
    torch.set_num_threads(1)
    random, trained = tiny(), nano()
    words, nano_words = prompt(random.context), prompt(trained.context)
    latents, sample = torch.randn(1, 4, 32, 32), torch.randn(1, 4, 24, 24).repeat(2, 1, 1, 1)
    states, mask = torch.cat([words.text, words.free]), torch.cat([words.counted, words.first])
    noise = [torch.randn(1, 4, 16, 16) for _ in range(11)]
    flash, base = FlashSampler("v_prediction"), BaseSampler(10, 1.0, 0.99, "v_prediction")
    with torch.inference_mode():
        step = random.unet.prepare([500], words.branches(guided=True))
        rows: list[tuple[str, Callable[[], Tensor], Callable[[], Tensor]]] = [
            (
                "C6 UNet of 82 M, guided step, 24x24",
                lambda: random.unet.denoise(sample, step, 0),
                lambda: random.their_unet(sample, 500, states, mask).sample,
            ),
            (
                "C7 nano, Flash, 4 steps and decode",
                lambda: our_loop(trained, flash, noise, nano_words, False),
                lambda: their_loop(trained, flash, noise, nano_words, False),
            ),
            (
                "C7 nano, base, 10 guided steps and decode",
                lambda: our_loop(trained, base, noise, nano_words, True),
                lambda: their_loop(trained, base, noise, nano_words, True),
            ),
            (
                "C8 decode, 256 pixels",
                lambda: random.movq.decode(latents),
                lambda: random.their_movq.decode(latents, force_not_quantize=True).sample,
            ),
        ]
        for name, ours, theirs in rows:
            expected = theirs()
            difference = float((ours() - expected).abs().max() / expected.abs().max())
            yield name, *interleaved(ours, theirs), difference


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
    yield "C5 GB of parameters per pass after preparation", f"{plain.parameter_bytes / GB:.2f}", "6.08", "4.0"
    yield "C9 host round trips per step, Flash / base", f"{count_round_trips(True)} / {count_round_trips(False)}", "4 / 7", "0"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-time", action="store_true", help="only count")
    logging.getLogger("diffusers").setLevel(logging.ERROR)  # casting the whole network is meant
    arguments = parser.parse_args()
    print(f"{'full size, 1024 pixels, bfloat16':<48}{'ours':>22}{'official':>28}{'bar':>8}")
    for name, ours, official, bar in report():
        print(f"{name:<48}{ours:>22}{official:>28}{bar:>8}")
    if not arguments.no_time:
        bars = {"C6": "1.4", "C7": "1.3", "C8": "1.25"}
        print(f"\n{'tiny, one CPU thread':<48}{'ours ms':>10}{'diffusers ms':>14}{'ratio':>8}{'bar':>8}{'difference':>12}")
        for name, ours_s, theirs_s, difference in time_tiny():
            ratio = f"{theirs_s / ours_s:.2f}"
            print(f"{name:<48}{ours_s * 1e3:>10.1f}{theirs_s * 1e3:>14.1f}{ratio:>8}{bars[name[:2]]:>8}{difference:>12.1e}")


if __name__ == "__main__":
    main()
