"""The other side of a comparison: diffusers' networks and scheduler with an engine's weights, and a look at final latents."""

import math

import torch
from diffusers.models.autoencoders.vq_model import VQModel
from diffusers.models.unets.unet_kandinsky3 import Kandinsky3UNet as DiffusersUNet
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from PIL.Image import Image
from torch import Tensor, nn

from engine.components import Networks
from engine.engine import Engine
from engine.outcomes import Drawn
from engine.requests import Request
from engine.schedulers import alphas_cumprod, draw_noise
from tests.engine.conftest import CONTEXT_WIDTH


class Reference:
    """Diffusers' two classes with an engine's weights."""

    def __init__(self, networks: Networks) -> None:
        names = ("time_embedding_dim", "groups", "attention_head_dim", "layers_per_block", "block_out_channels")
        config = {name: networks.unet.config[name] for name in (*names, "cross_attention_dim", "in_channels")}
        self.unet = DiffusersUNet(**config, encoder_hid_dim=CONTEXT_WIDTH).eval()
        self.unet.encoder_hid_proj = nn.Identity()
        self.unet.conv_out = nn.Conv2d(config["block_out_channels"][0] // 2, 4, 3, padding=1)
        self.unet.load_state_dict(networks.unet.state_dict())
        self.movq = VQModel(**vq_settings(networks)).eval()
        self.movq.load_state_dict(networks.movq.state_dict(), strict=False)
        self._conditioning = networks.conditioning

    def encode(self, pixels: Tensor) -> Tensor:
        return self.movq.encode(pixels).latents

    def guided(self, latents: Tensor, t: int, prompts: tuple[str, str], guidance_scale: float, known: Tensor) -> Tensor:
        """Two passes, one a context; `known` are channels beside the latents, none of them perhaps."""
        contexts = self._conditioning.pair(*prompts)
        sample = torch.cat([latents, known], dim=1)
        cond, uncond = (self.unet(sample, t, each.states, each.mask.float()).sample for each in contexts)
        return cond + guidance_scale * (cond - uncond)

    def late_flash(self, latents: Tensor, prompt: str, times: tuple[int, ...], noise: list[Tensor]) -> Tensor:
        """Flash as its plain statement: noise to each time, then jump to the estimate."""
        context = self._conditioning.encode(prompt)
        for t, fresh in zip(times, noise, strict=True):
            angle = math.acos(math.sqrt(alphas_cumprod()[t].item()))  # signal = cos, noise = sin
            sample = math.cos(angle) * latents + math.sin(angle) * fresh
            said = self.unet(sample, t, context.states, context.mask.float()).sample
            latents = (sample - math.sin(angle) * said) / math.cos(angle)
        return latents


def vq_settings(networks: Networks) -> dict[str, object]:
    names = ("block_out_channels", "layers_per_block", "latent_channels", "norm_num_groups", "vq_embed_dim", "norm_type")
    types = {name: tuple(networks.movq.config[name]) for name in ("down_block_types", "up_block_types")}
    return {name: networks.movq.config[name] for name in names} | types | {"num_vq_embeddings": 16}


def official_scheduler(steps: int, quantile: float) -> DDIMScheduler:
    """The base sampler as diffusers can be told to run it (shared/engine-facts.md 4.1)."""
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        timestep_spacing="trailing",
        set_alpha_to_one=False,
        clip_sample=False,
        thresholding=True,
        dynamic_thresholding_ratio=quantile,
        sample_max_value=1e9,
    )
    scheduler.set_timesteps(steps)
    return scheduler


def official_step(scheduler: DDIMScheduler, said: Tensor, t: int, latents: Tensor, fresh: Tensor | None) -> Tensor:
    noise = torch.zeros_like(latents) if fresh is None else fresh
    return scheduler.step(said, t, latents, eta=1.0, use_clipped_model_output=True, variance_noise=noise).prev_sample


def noise_of(seed: int, count: int, size: tuple[int, int]) -> list[Tensor]:
    return draw_noise([seed], count, (4, *size), torch.device("cpu"))


def drawn(engine: Engine, request: Request, pictures: dict[str, Image]) -> Image:
    (outcome,) = engine.run([request], pictures)
    assert isinstance(outcome, Drawn)
    return outcome.images[0]


def final_latents(networks: Networks, engine: Engine, request: Request, pictures: dict[str, Image]) -> Tensor:
    """What a request decodes last."""
    seen: list[Tensor] = []
    decode = networks.movq.decode

    def remember(latents: Tensor) -> Tensor:
        seen.append(latents.clone())
        return decode(latents)

    networks.movq.decode = remember
    try:
        drawn(engine, request, pictures)
    finally:
        networks.movq.decode = decode
    return seen[-1]


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())
