"""Pictures drawn over a picture: the base sampler from a share of its steps on, and Flash's late steps as a refiner."""

from collections.abc import Mapping
from functools import partial

import torch
from PIL import Image

from engine.components import Networks
from engine.conditioning import Context
from engine.denoising import LATENT_CHANNELS, decode, pictures_of, predictor, prepare, rough, run_steps
from engine.framing import Frame
from engine.outcomes import Drawn
from engine.pictures import opaque
from engine.requests import ImageToImage, Refine, image_seed
from engine.schedulers import BaseSampler, FlashSampler, Sampler, draw_noise
from engine.tensors import to_tensor
from engine.watch import Watch


class ImageToImagePipeline:
    """Draws a prompt over a picture; the less strength, the more of it stays. Results have its size.

    Source: huggingface/diffusers pipelines/kandinsky3/pipeline_kandinsky3_img2img.py.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    @torch.inference_mode()
    def __call__(self, request: ImageToImage, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        networks = self._networks
        steps, eta = request.num_inference_steps, request.eta
        sampler = BaseSampler(steps, eta, networks.threshold, networks.prediction_type, request.strength)
        contexts = networks.conditioning.pair(request.prompt, request.negative_prompt)
        return _redraw(networks, request, pictures[request.image], sampler, contexts, request.guidance_scale, watch)


class RefinePipeline:
    """Runs Flash's late steps over a picture, without guidance. Results have its size.

    Source: ai-forever/Kandinsky-3 README ("Flash as refiner"); the times are those of ai-forever/KandiSuperRes' refiner.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    @torch.inference_mode()
    def __call__(self, request: Refine, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        networks = self._networks
        sampler = FlashSampler(networks.prediction_type, request.timesteps)
        contexts = (networks.conditioning.encode(request.prompt),)
        return _redraw(networks, request, pictures[request.image], sampler, contexts, 0.0, watch)


def _redraw(
    networks: Networks,
    request: ImageToImage | Refine,
    picture: Image.Image,
    sampler: Sampler,
    contexts: tuple[Context, ...],
    guidance_scale: float,
    watch: Watch,
) -> Drawn:
    frame = Frame.around(picture.size, networks.areas)
    seeds = tuple(image_seed(request, index) for index in range(request.num_images_per_prompt))
    noise = draw_noise(seeds, sampler.noise_count, (LATENT_CHANNELS, *frame.latents), networks.device)
    clean = networks.movq.encode(to_tensor(frame.fit(opaque(picture))).to(networks.device))  # (1, 4, h, w)
    latents = sampler.start_from(clean, noise).expand(len(seeds), -1, -1, -1)  # (B, 4, h, w)
    watch.finished("encode", 1, 1, partial(rough, networks, clean))

    if sampler.timesteps:  # strength 0 takes no step
        predict = predictor(networks, prepare(networks, sampler.timesteps, *contexts), guidance_scale)
        latents = run_steps(sampler, latents, noise, predict, watch, partial(decode, networks))
    return pictures_of(networks, latents, seeds, watch, frame.restore)
