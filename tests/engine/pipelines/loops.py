"""Loops written plainly over diffusers' UNet and scheduler, and what the tests of picture prompts, outlines and regions share."""

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from diffusers.models.unets.unet_kandinsky3 import Kandinsky3UNet as DiffusersUNet
from diffusers.schedulers import scheduling_ddpm
from PIL import Image
from torch import Tensor, nn

from engine.components import Components
from engine.engine import Engine
from engine.models.unet import Kandinsky3UNet
from engine.outcomes import Drawn
from engine.pictures import decoded
from engine.requests import Request
from engine.schedulers import draw_noise
from tests.engine.test_pictures import saved

Pictures = Mapping[str, Image.Image]


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft blobs of colour."""
    levels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


def draw(engine: Engine, request: Request, pictures: Pictures) -> list[Image.Image]:
    (outcome,) = engine.run([request], pictures)
    assert isinstance(outcome, Drawn)
    return list(outcome.images)


def latents_of(engine: Engine, request: Request, pictures: Pictures) -> Tensor:
    """What a request hands to the decoder, (B, 4, h, w)."""
    movq = engine.components.movq()
    seen: list[Tensor] = []
    decode = movq.decode
    with patch.object(movq, "decode", lambda latents: seen.append(latents.clone()) or decode(latents)):
        draw(engine, request, pictures)
    return torch.cat(seen)


def difference(one: Image.Image, other: Image.Image) -> int:
    assert one.size == other.size
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


def diffusers_unet(own: Kandinsky3UNet) -> DiffusersUNet:
    """diffusers' class with the same weights; texts come projected."""
    config = {name: value for name, value in own.config.items() if not name.startswith("_") and name != "out_channels"}
    reference = DiffusersUNet(**config | {"encoder_hid_dim": config["cross_attention_dim"]})
    reference.encoder_hid_proj = nn.Identity()
    reference.load_state_dict(own.state_dict())
    return reference.eval()


def ddpm(request: Any, size: tuple[int, int], predict: Callable[[Tensor, int, int], tuple[Tensor, Tensor]]) -> Tensor:
    """diffusers' DDPM loop in the hub's settings with the request's noise. predict: (x, t, index) to (cond, uncond)."""
    scheduler = scheduling_ddpm.DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", timestep_spacing="leading", steps_offset=1, clip_sample=True
    )
    scheduler.set_timesteps(request.num_inference_steps)
    times = scheduler.timesteps.tolist()
    latents, *fresh = draw_noise([request.seed], len(times), (4, *size), torch.device("cpu"))
    drawn = iter([*fresh, torch.zeros_like(latents)])
    with patch.object(scheduling_ddpm, "randn_tensor", lambda *args, **kwargs: next(drawn)):
        for index, t in enumerate(times):
            cond, uncond = predict(latents, t, index)
            guided = (request.guidance_scale + 1) * cond - request.guidance_scale * uncond
            latents = scheduler.step(guided, t, latents).prev_sample
    return latents


def t5(parts: Components, text: str, length: int = 128) -> tuple[Tensor, Tensor]:
    """Hidden states over all positions, and the mask."""
    tokenizer = parts.folder.tokenizer()
    ids = tokenizer.encode(text).ids
    padded = torch.tensor([ids + [0] * (length - len(ids))])
    mask = (torch.arange(length) < len(ids))[None]
    return parts.text_encoder()(input_ids=padded, attention_mask=mask.long()).last_hidden_state, mask


BAD = {  # stored as, and drawn from all the same
    "one pixel": saved(Image.new("RGB", (1, 1), "red")),
    "transparent": saved(Image.new("RGBA", (40, 30), (200, 30, 20, 90))),
    "grey": saved(Image.new("L", (40, 30), 77)),
    "sixteen bits": saved(Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)),
    "huge": saved(Image.new("RGB", (6000, 5000), "green")),
    "thin": saved(Image.new("RGB", (1, 8192), "blue")),
}


def bad_picture(name: str) -> Image.Image:
    return decoded(BAD[name])
