"""Text to image: the base sampler with guidance, or Flash in one pass per step."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from engine.components import Networks
from engine.conditioning import Context
from engine.errors import BadPicture
from engine.models.conditions import Branch, Prepared
from engine.outcomes import Drawn
from engine.requests import TextToImage, image_seed
from engine.schedulers import BaseSampler, FlashSampler, Sampler, draw_noise
from engine.watch import Watch

LATENT_CHANNELS = 4
LATENT_SCALE = 8  # pixels per latent


class TextToImagePipeline:
    """Draws the candidates of one request as one batch; each is the picture its own seed gives alone."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    @torch.inference_mode()
    def __call__(self, request: TextToImage, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        """Draw a request, reporting to `watch`.

        Raises: GivenUp when the watch says so, BadPicture if the network's numbers are no picture.
        """
        networks = self._networks
        sampler = self._sampler(request)
        seeds = tuple(image_seed(request, index) for index in range(request.num_images_per_prompt))
        shape = (LATENT_CHANNELS, request.height // LATENT_SCALE, request.width // LATENT_SCALE)
        noise = draw_noise(seeds, sampler.noise_count, shape, networks.device)
        latents = sampler.start(noise)  # (B, 4, H/8, W/8)

        cond, uncond = networks.conditioning.pair(request.prompt, "" if request.flash else request.negative_prompt)
        contexts = (cond,) if request.flash else (cond, uncond)
        prepared = prepare(networks, sampler.timesteps, *contexts)
        watch.finished("encode", 1, 1, partial(self._decode, latents[:1]))

        for index in range(len(sampler.timesteps)):
            prediction, *free = predict(networks, latents, prepared, index)
            if free:
                prediction = guide(prediction, free[0], request.guidance_scale)
            latents, x0 = sampler.step(prediction, index, latents, noise)
            watch.finished("step", index + 1, len(sampler.timesteps), partial(self._decode, x0[:1]))

        images: list[Image.Image] = []
        for latent in latents.split(1):
            images.append(self._decode(latent))
            watch.finished("decode", len(images), len(seeds), partial(images.__getitem__, -1))
        return Drawn(tuple(images), seeds)

    def _sampler(self, request: TextToImage) -> Sampler:
        networks = self._networks
        if request.flash:
            return FlashSampler(networks.prediction_type)
        return BaseSampler(request.num_inference_steps, request.eta, networks.threshold, networks.prediction_type)

    def _decode(self, latents: Tensor) -> Image.Image:
        with torch.inference_mode():  # a preview is decoded outside of the loop
            return to_image(self._networks.movq.decode(latents))


def prepare(networks: Networks, timesteps: Sequence[int], *contexts: Context) -> Prepared:
    """What the UNet reads at these times under each of these contexts."""
    branches = [Branch(context.states.to(networks.dtype), context.mask) for context in contexts]
    prepared: Prepared = networks.unet.prepare(timesteps, branches)
    return prepared


def predict(networks: Networks, latents: Tensor, prepared: Prepared, index: int) -> tuple[Tensor, ...]:
    """One UNet call at the time of this index; returns the prediction (B, 4, h, w) under each prepared context."""
    contexts = prepared.table.shape[1]
    sample = latents.repeat(contexts, 1, 1, 1).to(networks.dtype)
    prediction: Tensor = networks.unet.denoise(sample, prepared, index)
    return prediction.float().chunk(contexts)


def guide(cond: Tensor, uncond: Tensor, guidance_scale: float) -> Tensor:
    """Mix conditional and unconditional prediction (classifier-free guidance).

    Args: cond, uncond: (B, 4, h, w).  guidance_scale: w >= 0; 0 returns cond.
    Source: ai-forever/Kandinsky-3 kandinsky3/model/diffusion.py: text_guidance.
    """
    return (guidance_scale + 1) * cond - guidance_scale * uncond


def to_image(decoded: Tensor) -> Image.Image:
    """Turn one decoded picture (1, 3, H, W) in [-1, 1] into 8 bits.

    Raises: BadPicture for NaN, infinity or solid black.
    """
    if not torch.isfinite(decoded).all():
        raise BadPicture("The network produced numbers that are not finite; draw again with another seed.")
    pixels = ((decoded[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    if not pixels.any():
        raise BadPicture("The network produced a solid black picture; draw again with another seed.")
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy(), "RGB")
