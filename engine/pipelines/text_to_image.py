"""Text to image: the base sampler with guidance, or Flash in one pass per step; panoramas in windows."""

from collections.abc import Mapping
from functools import partial

import torch
from PIL import Image

from engine.components import Networks
from engine.denoising import LATENT_CHANNELS, LATENT_SCALE, decode, in_windows, pictures_of, predictor, prepare, run_steps
from engine.outcomes import Drawn
from engine.requests import TextToImage, image_seed
from engine.schedulers import BaseSampler, FlashSampler, Sampler, draw_noise
from engine.watch import Watch


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
        height, width = request.height // LATENT_SCALE, request.width // LATENT_SCALE
        noise = draw_noise(seeds, sampler.noise_count, (LATENT_CHANNELS, height, width), networks.device)
        latents = sampler.start(noise)  # (B, 4, H/8, W/8)

        cond, uncond = networks.conditioning.pair(request.prompt, "" if request.flash else request.negative_prompt)
        contexts = (cond,) if request.flash else (cond, uncond)
        prepared = prepare(networks, sampler.timesteps, *contexts)
        watch.finished("encode", 1, 1, partial(decode, networks, latents[:1]))

        predict = predictor(networks, prepared, request.guidance_scale)
        predict = in_windows(predict, (height, width), networks.window(height, width))
        latents = run_steps(sampler, latents, noise, predict, watch, partial(decode, networks))
        return pictures_of(networks, latents, seeds, watch)

    def _sampler(self, request: TextToImage) -> Sampler:
        networks = self._networks
        if request.flash:
            return FlashSampler(networks.prediction_type)
        return BaseSampler(request.num_inference_steps, request.eta, networks.threshold, networks.prediction_type)
