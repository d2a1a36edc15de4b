"""The other side of a comparison: diffusers' networks with the weights of ours, run as others run them.

Diffusers' graph is the official one. Their loops get our samplers and noise for nothing, so that results can be compared.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor
from diffusers.models.autoencoders.vq_model import VQModel
from diffusers.models.unets.unet_kandinsky3 import Kandinsky3UNet as DiffusersUNet
from torch import Tensor, nn

from engine.components import Networks
from engine.denoising import LATENT_CHANNELS, LATENT_SCALE, guide
from engine.models.movq import MoVQ
from engine.models.unet import Kandinsky3UNet
from engine.requests import TextToImage, image_seed
from engine.schedulers import BaseSampler, FlashSampler, Sampler, draw_noise

_TEXT_LENGTH = 128  # others run the text encoder over all positions
_CODES = 16  # of a codebook that nobody reads


@dataclass(frozen=True)
class Way:
    """One way of running diffusers' networks. scores: attention writes them out, as the official code does."""

    unet: torch.dtype
    movq: torch.dtype
    scores: bool = False
    autocast: bool = False
    compile: bool = False


def ways(device: torch.device) -> dict[str, Way]:
    """O: the official README. O16: its half precision. D: diffusers. DC: diffusers, compiled. A CPU draws in float32."""
    single, half, brain = torch.float32, torch.float16, torch.bfloat16
    if device.type == "cpu":
        half, brain = torch.bfloat16, torch.float32
    return {
        "O": Way(single, single, scores=True),
        "O16": Way(half, single, scores=True, autocast=True),
        "D": Way(brain, brain),
        "DC": Way(brain, brain, compile=True),
    }


@dataclass(frozen=True)
class Words:
    """What a UNet reads of a prompt: states (B, L, C) and mask (B, L), the unconditional branch second if there is one."""

    states: Tensor
    mask: Tensor


class Theirs:
    """A baseline: text, loop, decoder."""

    def __init__(self, way: Way, networks: Networks, unet: Any, movq: Any) -> None:
        self.way = way
        self.unet = unet
        self.movq = movq
        self._conditioning = networks.conditioning
        self._threshold = networks.threshold
        self._device = networks.device

    @classmethod
    def like(cls, networks: Networks, name: str) -> Theirs:
        """The baseline of this name with the weights of ours."""
        way = ways(networks.device)[name]
        unet, movq = unet_like(networks.unet, way.unet, networks.device), movq_like(networks.movq, way.movq, networks.device)
        if way.scores:
            _write_scores(unet)
            _write_scores(movq)
        if way.compile:
            for network in (unet, movq):
                network.to(memory_format=torch.channels_last)
            unet = torch.compile(unet, mode="max-autotune")
            movq.decode = torch.compile(movq.decode, mode="max-autotune")
        return cls(way, networks, unet, movq)

    @torch.inference_mode()
    def draw(self, request: TextToImage) -> np.ndarray[Any, Any]:
        """8-bit pixels (H, W, 3) on the host."""
        picture = self.picture(request)[0].float()
        levels = ((picture + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        pixels: np.ndarray[Any, Any] = levels.permute(1, 2, 0).cpu().numpy()
        return pixels

    @torch.inference_mode()
    def picture(self, request: TextToImage) -> Tensor:
        """(1, 3, H, W)."""
        flash = request.flash
        sampler: Sampler = FlashSampler("epsilon") if flash else _base(request, self._threshold)
        size = (LATENT_CHANNELS, request.height // LATENT_SCALE, request.width // LATENT_SCALE)
        noise = draw_noise([image_seed(request, 0)], sampler.noise_count, size, self._device)
        words = self.words(request.prompt, guided=not flash)
        x = sampler.start(noise)
        for index, t in enumerate(sampler.timesteps):
            branches = len(words.states)
            cond, *uncond = self.predict(x.repeat(branches, 1, 1, 1), t, words).chunk(branches)
            said = guide(cond, uncond[0], request.guidance_scale) if uncond else cond
            x = sampler.step(said, index, x, noise).prev_sample
        return self.decode(x)

    def words(self, prompt: str, guided: bool) -> Words:
        """Text as the official code reads it: all positions encoded and projected, pads zeroed, one of them kept."""
        conditioning = self._conditioning
        ids = torch.tensor([conditioning.tokenizer.encode(prompt).ids], device=self._device)
        count = ids.shape[1]
        kept = min(count + 1, _TEXT_LENGTH)
        mask = torch.arange(_TEXT_LENGTH, device=self._device)[None] < count
        padded = F.pad(ids, (0, _TEXT_LENGTH - count))
        hidden = conditioning.text_encoder(input_ids=padded, attention_mask=mask.long()).last_hidden_state
        states = (conditioning.projection(hidden) * mask[..., None])[:, :kept]
        mask = mask[:, :kept]
        if not guided:
            return Words(states.to(self.way.unet), mask)
        nothing, first = torch.zeros_like(states), torch.zeros_like(mask)
        nothing[:, 0] = conditioning.null_embedding
        first[:, 0] = True
        return Words(torch.cat([states, nothing]).to(self.way.unet), torch.cat([mask, first]))

    def predict(self, sample: Tensor, t: int, words: Words) -> Tensor:
        """One pass of the UNet, float32."""
        if self.way.compile:
            torch.compiler.cudagraph_mark_step_begin()
        time = torch.tensor(t, device=self._device)  # a number would be compiled anew for each time
        with self._cast():
            (said,) = self.unet(sample.to(self.way.unet), time, words.states, words.mask, return_dict=False)
        prediction: Tensor = said.float()
        return prediction

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, H, W)."""
        pictures: Tensor = self.movq.decode(latents.to(self.way.movq), force_not_quantize=True, return_dict=False)[0]
        return pictures

    def _cast(self) -> AbstractContextManager[object]:
        return torch.autocast(self._device.type, dtype=self.way.unet) if self.way.autocast else nullcontext()


def _base(request: TextToImage, threshold: float) -> BaseSampler:
    return BaseSampler(request.num_inference_steps, request.eta, threshold, "epsilon")


def unet_like(own: Kandinsky3UNet, dtype: torch.dtype, device: torch.device) -> Any:
    """Diffusers' UNet with the weights of ours; texts come projected."""
    known = inspect.signature(DiffusersUNet).parameters
    config = {name: value for name, value in own.config.items() if name in known}
    with torch.device("meta"):
        unet = DiffusersUNet(**config | {"encoder_hid_dim": config["cross_attention_dim"]})
        unet.encoder_hid_proj = nn.Identity()
        unet.conv_out = nn.Conv2d(own.conv_out.in_channels, own.conv_out.out_channels, 3, padding=1)
    unet.load_state_dict(copied(own, dtype, device), assign=True)
    return unet.eval().requires_grad_(False)


def movq_like(own: MoVQ, dtype: torch.dtype, device: torch.device) -> Any:
    """Diffusers' autoencoder with the weights of ours."""
    known = inspect.signature(VQModel).parameters
    config = {name: value for name, value in own.config.items() if name in known}
    with torch.device("meta"):
        movq = VQModel(**config | {"num_vq_embeddings": _CODES})
    codes = {"quantize.embedding.weight": torch.zeros(_CODES, own.config["vq_embed_dim"], device=device, dtype=dtype)}
    movq.load_state_dict(copied(own, dtype, device) | codes, assign=True)
    return movq.eval().requires_grad_(False)


def copied(own: nn.Module, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """A network's weights as others lay them: contiguous, in a precision of their own."""
    return {
        name: tensor.detach().to(device, dtype, copy=True, memory_format=torch.contiguous_format)
        for name, tensor in own.state_dict().items()
    }


def _write_scores(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())
