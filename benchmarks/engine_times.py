"""What UNet, decoder and whole pipelines cost on a CPU beside diffusers' and the official graphs, with the same random weights.

`python -m benchmarks.engine_times`. Thread CPU time of one thread, ours and theirs in turn, least of six; rows C6 to C8 of
`performance.md` section 5.
"""

import inspect
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.official_sr import OfficialNetwork, official_enlarged
from engine import catalog
from engine.denoising import guide
from engine.models.conditions import Branch
from engine.models.movq import MoVQ
from engine.models.super_resolution import SuperResolutionUNet
from engine.models.unet import Kandinsky3UNet
from engine.outcomes import ignore
from engine.pipelines.upscale import Enlarger, sample
from engine.schedulers import BaseSampler, FlashSampler, Sampler
from engine.super_resolution import Enlarged, SolverSampler, Windows
from engine.watch import Watch

BARS = {"C6": 1.4, "C7": 1.3, "C8": 1.25}
TINY_UNET: dict[str, Any] = {"time_embedding_dim": 256, "block_out_channels": (64, 128, 256, 512), "cross_attention_dim": 512}
TINY_MOVQ: dict[str, Any] = {
    "block_out_channels": (32, 64, 64, 128),
    "layers_per_block": 2,
    "latent_channels": 4,
    "vq_embed_dim": 4,
}
TINY_SR: dict[str, Any] = {
    "init_channels": 32,
    "model_channels": 32,
    "time_embed_dim": 128,
    "groups": 8,
    "num_resnet_blocks": (2, 2, 2, 2),
}
SR_SIDE, SR_WINDOW, SR_STRIDE = 56, 128, 96  # four windows of the picture four times as large
CPU = torch.device("cpu")


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
    their_unet.conv_out = nn.Conv2d(their_unet.conv_out.in_channels, 4, 3, padding=1)  # of 9 channels the class gives 9 back
    their_movq = VQModel(**movq_settings)
    if weights is not None:
        for name, network in (("unet", their_unet), ("movq", their_movq)):
            tensors = load_file(weights / name / "diffusion_pytorch_model.safetensors")
            if name == "unet":
                tensors["conv_in.weight"] = _widened(tensors["conv_in.weight"], their_unet.conv_in.in_channels)
            network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    unet = Kandinsky3UNet(**unet_settings | {"encoder_hid_dim": None, "out_channels": 4})
    unet.load_state_dict(their_unet.state_dict())
    cast(Any, unet).to(memory_format=torch.channels_last).settle()
    known = inspect.signature(MoVQ).parameters
    movq = MoVQ(**{name: value for name, value in movq_settings.items() if name in known})
    movq.load_state_dict({name: value for name, value in their_movq.state_dict().items() if not name.startswith("quantize.")})
    cast(Any, movq).to(memory_format=torch.channels_last)
    return Pair(unet.eval(), movq.eval(), their_unet.eval(), their_movq.eval(), context)


def tiny() -> Pair:
    """Random networks of the full shape; the UNet has 82 M parameters."""
    down, up = ("DownEncoderBlock2D",) * 3 + ("AttnDownEncoderBlock2D",), ("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 3
    kinds = {"norm_type": "spatial", "down_block_types": down, "up_block_types": up, "num_vq_embeddings": 16}
    return pair(TINY_UNET, TINY_MOVQ | kinds)


def _widened(weight: Tensor, channels: int) -> Tensor:
    """A first convolution that reads further channels, too; what it makes of those is random."""
    more = torch.randn(weight.shape[0], channels - weight.shape[1], *weight.shape[2:]).to(weight)
    return torch.cat([weight, more * weight.std()], dim=1)


def nano(in_channels: int = 4) -> Pair:
    """The packaged family, since only trained networks keep rounding small over many steps."""
    folder = catalog.weights_folder("kandinsky-nano")
    settings = [json.loads((folder / name / "config.json").read_text(encoding="utf-8")) for name in ("unet", "movq")]
    unet, movq = ({key: value for key, value in each.items() if not key.startswith("_")} for each in settings)
    return pair(unet | {"in_channels": in_channels}, movq, folder)


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
        x = sampler.step(guide(predictions[0], predictions[1], 3.0) if guided else predictions[0], index, x, noise).prev_sample
    return networks.movq.decode(x)


def their_loop(networks: Pair, sampler: Sampler, noise: list[Tensor], words: Prompt, guided: bool) -> Tensor:
    """The same with diffusers' networks under our sampler."""
    x = sampler.start(noise)
    states = torch.cat([words.text, words.free][: 1 + guided])
    mask = torch.cat([words.counted, words.first][: 1 + guided])
    for index, t in enumerate(sampler.timesteps):
        predictions = networks.their_unet(x.repeat(1 + guided, 1, 1, 1), t, states, mask).sample.chunk(1 + guided)
        x = sampler.step(guide(predictions[0], predictions[1], 3.0) if guided else predictions[0], index, x, noise).prev_sample
    pictures: Tensor = networks.their_movq.decode(x, force_not_quantize=True).sample
    return pictures


@dataclass(frozen=True)
class Hole:
    """A picture to repaint: its pixels (1, 3, H, W), grey where it is to be drawn; and 1 where it is known (1, 1, h, w)."""

    pixels: Tensor
    known: Tensor


def hole(cells: int) -> Hole:
    """The middle quarter of a random picture."""
    known = torch.ones(1, 1, cells, cells)
    known[:, :, cells // 4 : -cells // 4, cells // 4 : -cells // 4] = 0
    pixels = torch.rand(1, 3, 8 * cells, 8 * cells) * 2 - 1
    return Hole(pixels * known.repeat_interleave(8, 2).repeat_interleave(8, 3), known)


def our_inpainting(networks: Pair, sampler: Sampler, noise: list[Tensor], words: Prompt, repainted: Hole) -> Tensor:
    """A repainted picture as the engine draws it."""
    beside = torch.cat([repainted.known, networks.movq.encode(repainted.pixels)], dim=1)
    x = sampler.start(noise)
    prepared = networks.unet.prepare(sampler.timesteps, words.branches(guided=True))
    for index in range(len(sampler.timesteps)):
        predictions = networks.unet.denoise(torch.cat([x, beside], dim=1).repeat(2, 1, 1, 1), prepared, index).chunk(2)
        x = sampler.step(guide(predictions[0], predictions[1], 4.0), index, x, noise).prev_sample
    return networks.movq.decode(x)


def their_inpainting(networks: Pair, sampler: Sampler, noise: list[Tensor], words: Prompt, repainted: Hole) -> Tensor:
    """The same with diffusers' networks under our sampler."""
    beside = torch.cat([repainted.known, networks.their_movq.encode(repainted.pixels).latents], dim=1)
    states, mask = torch.cat([words.text, words.free]), torch.cat([words.counted, words.first])
    x = sampler.start(noise)
    for index, t in enumerate(sampler.timesteps):
        predictions = networks.their_unet(torch.cat([x, beside], dim=1).repeat(2, 1, 1, 1), t, states, mask).sample.chunk(2)
        x = sampler.step(guide(predictions[0], predictions[1], 4.0), index, x, noise).prev_sample
    pictures: Tensor = networks.their_movq.decode(x, force_not_quantize=True).sample
    return pictures


def our_super_resolution(network: SuperResolutionUNet, low_res: Tensor) -> Tensor:
    """A picture four times as large, as the engine makes it on a CPU: window by window."""
    side = 4 * low_res.shape[2]
    sampler = SolverSampler(5, torch.Generator().manual_seed(0), (side, side), CPU)
    windows = Windows(SR_WINDOW, SR_STRIDE, per_call=1)
    return sample(sampler, Enlarged(low_res, 4), Enlarger(network, 4, CPU, torch.float32), windows, Watch(ignore, CPU))


def their_super_resolution(network: OfficialNetwork, low_res: Tensor) -> Tensor:
    """The same by the official graph and loop."""
    side = 4 * low_res.shape[2]
    noise = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return official_enlarged(network, low_res, 4, noise, torch.float32, SR_WINDOW, SR_STRIDE)


Timed = tuple[str, Callable[[], Tensor], Callable[[], Tensor]]


def networks_rows() -> Iterator[Timed]:
    """C6, C8: one step and one decode of random networks."""
    random = tiny()
    words, latents = prompt(random.context), torch.randn(1, 4, 32, 32)
    sample_ = torch.randn(1, 4, 24, 24).repeat(2, 1, 1, 1)
    states, mask = torch.cat([words.text, words.free]), torch.cat([words.counted, words.first])
    step = random.unet.prepare([500], words.branches(guided=True))
    yield (
        "C6 UNet of 82 M, guided step, 24x24",
        lambda: random.unet.denoise(sample_, step, 0),
        lambda: random.their_unet(sample_, 500, states, mask).sample,
    )
    yield (
        "C8 decode, 256 pixels",
        lambda: random.movq.decode(latents),
        lambda: random.their_movq.decode(latents, force_not_quantize=True).sample,
    )


def pipelines_rows() -> Iterator[Timed]:
    """C7: whole pipelines."""
    trained, nine = nano(), nano(in_channels=9)
    words, repainted = prompt(trained.context), hole(16)
    noise = [torch.randn(1, 4, 16, 16) for _ in range(11)]
    flash, base = FlashSampler("v_prediction"), BaseSampler(10, 1.0, 0.99, "v_prediction")
    network: SuperResolutionUNet = cast(Any, SuperResolutionUNet(**TINY_SR).eval()).to(memory_format=torch.channels_last)
    network.settle()
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    official = OfficialNetwork(weights, tuple(TINY_SR["num_resnet_blocks"]), TINY_SR["groups"])
    low_res = torch.rand(1, 3, SR_SIDE, SR_SIDE) * 2 - 1
    yield (
        "C7 nano, Flash, 4 steps and decode",
        lambda: our_loop(trained, flash, noise, words, False),
        lambda: their_loop(trained, flash, noise, words, False),
    )
    yield (
        "C7 nano, base, 10 guided steps and decode",
        lambda: our_loop(trained, base, noise, words, True),
        lambda: their_loop(trained, base, noise, words, True),
    )
    yield (
        "C7 inpainting, encode, 10 guided steps, decode",
        lambda: our_inpainting(nine, base, noise, words, repainted),
        lambda: their_inpainting(nine, base, noise, words, repainted),
    )
    yield (
        "C7 super-resolution, 5 steps in 4 windows",
        lambda: our_super_resolution(network, low_res),
        lambda: their_super_resolution(official, low_res),
    )


def time_tiny(rounds: int = 6) -> Iterator[tuple[str, float, float, float]]:
    """Per row: name, seconds of ours, seconds of theirs, largest relative difference of the results."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        for name, ours, theirs in (*networks_rows(), *pipelines_rows()):
            expected = theirs()
            difference = float((ours() - expected).abs().max() / expected.abs().max())
            yield name, *interleaved(ours, theirs, rounds), difference


def main() -> None:
    """Print the table."""
    print(f"\n{'tiny, one CPU thread':<48}{'ours ms':>10}{'theirs ms':>14}{'ratio':>8}{'bar':>8}{'difference':>12}")
    for name, ours_s, theirs_s, difference in time_tiny():
        ratio, bar = f"{theirs_s / ours_s:.2f}", BARS[name[:2]]
        print(f"{name:<48}{ours_s * 1e3:>10.1f}{theirs_s * 1e3:>14.1f}{ratio:>8}{bar:>8}{difference:>12.1e}")


if __name__ == "__main__":
    main()
