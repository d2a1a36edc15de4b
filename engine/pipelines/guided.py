"""What the modes share that draw from noise under guidance, with something beside the text."""

from functools import partial
from typing import Any, Protocol

from engine.components import Networks
from engine.conditioning import Context
from engine.denoising import LATENT_CHANNELS, LATENT_SCALE, Finish, Predict, decode, pictures_of, run_steps
from engine.models.conditions import Branch
from engine.outcomes import Drawn
from engine.requests import GuidedRequest, image_seed
from engine.schedulers import Sampler, draw_noise
from engine.watch import Watch

Size = tuple[int, int]  # height, width


class Sized(Protocol):
    """A request that names its size in pixels."""

    @property
    def size(self) -> tuple[int, int]: ...


def latent_size(request: Sized) -> Size:
    """The size that a request asks for, in latents."""
    width, height = request.size
    return height // LATENT_SCALE, width // LATENT_SCALE


def branch(networks: Networks, context: Context, **beside: Any) -> Branch:
    """One branch of guidance: a text, and what stands beside it."""
    return Branch(context.states.to(networks.dtype), context.mask, **beside)


def draw(
    networks: Networks,
    request: GuidedRequest,
    sampler: Sampler,
    size: Size,
    predict: Predict,
    watch: Watch,
    finish: Finish = lambda image: image,
) -> Drawn:
    """Draw a request's candidates as one batch, each from its own seed; `finish` makes of each what the person gets."""
    seeds = tuple(image_seed(request, index) for index in range(request.num_images_per_prompt))
    noise = draw_noise(seeds, sampler.noise_count, (LATENT_CHANNELS, *size), networks.device)
    latents = sampler.start(noise)  # (B, 4, h, w)
    watch.finished("encode", 1, 1, partial(decode, networks, latents[:1]))
    latents = run_steps(sampler, latents, noise, predict, watch, partial(decode, networks))
    return pictures_of(networks, latents, seeds, watch, finish)
