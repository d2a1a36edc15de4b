"""Repainting a masked part of a picture, and drawing on beyond its sides."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.components import Networks
from engine.denoising import LATENT_CHANNELS, decode, pictures_of, predictor, prepare, run_steps
from engine.framing import Frame
from engine.marked import Box, Mask, read_mask
from engine.masks import Alpha, dilated, feathered, latent_mask, place_of
from engine.outcomes import Drawn
from engine.pictures import opaque
from engine.requests import Inpaint, Outpaint, image_seed
from engine.schedulers import BaseSampler, draw_noise
from engine.tensors import to_tensor
from engine.watch import Watch


class InpaintPipeline:
    """Repaints what a mask marks, at the picture's size; what it leaves black is copied, never redrawn.

    Source: ai-forever/Kandinsky-3 kandinsky3/inpainting_pipeline.py, with the corrections of engine/README.md.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    @torch.inference_mode()
    def __call__(self, request: Inpaint, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        picture = opaque(pictures[request.image])
        mask = dilated(read_mask(pictures[request.mask_image], picture.size), request.mask_dilation)
        return repaint(self._networks, request, picture, mask, watch)


class OutpaintPipeline:
    """Draws on beyond a picture's sides: the same network, on a larger canvas whose new area is the mask."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    @torch.inference_mode()
    def __call__(self, request: Outpaint, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        canvas, mask = extended(opaque(pictures[request.image]), request)
        return repaint(self._networks, request, canvas, mask, watch)


def extended(picture: Image.Image, request: Outpaint) -> tuple[Image.Image, Mask]:
    """The canvas, on which the picture's mirror image stands in for what is to be drawn, and the mask of that area."""
    width, height = picture.size
    across, down = (round(side * (request.zoom - 1)) for side in picture.size)
    sides = (
        (request.top + down // 2, request.bottom + down - down // 2),
        (request.left + across // 2, request.right + across - across // 2),
    )
    canvas = np.pad(np.asarray(picture), (*sides, (0, 0)), mode="symmetric")
    mask: Mask = np.pad(np.zeros((height, width), dtype=np.bool_), sides, constant_values=True)
    return Image.fromarray(canvas, "RGB"), mask


def repaint(networks: Networks, request: Inpaint | Outpaint, picture: Image.Image, mask: Mask, watch: Watch) -> Drawn:
    """Repaint what the mask marks of an RGB picture; a small part is drawn enlarged and pasted back."""
    place = place_of(mask)
    frame = Frame.around(place.size, networks.areas)
    part = mask[place.top : place.bottom, place.left : place.right]
    known = known_channels(networks, frame, picture.crop(place.corners), part)  # (1, 5, h, w)

    steps, eta = request.num_inference_steps, request.eta
    sampler = BaseSampler(steps, eta, networks.threshold, networks.prediction_type)
    seeds = tuple(image_seed(request, index) for index in range(request.num_images_per_prompt))
    noise = draw_noise(seeds, sampler.noise_count, (LATENT_CHANNELS, *frame.latents), networks.device)
    contexts = networks.conditioning.pair(request.prompt, request.negative_prompt)
    prepared = prepare(networks, sampler.timesteps, *contexts)
    alpha = feathered(part, request.mask_feather)

    def finish(drawn: Image.Image) -> Image.Image:
        return pasted(picture, frame.restore(drawn), alpha, place)

    def preview(latents: Tensor) -> Image.Image:
        return finish(decode(networks, latents))

    watch.finished("encode", 1, 1, partial(picture.copy))
    predict = predictor(networks, prepared, request.guidance_scale, known)
    latents = run_steps(sampler, sampler.start(noise), noise, predict, watch, preview)
    return pictures_of(networks, latents, seeds, watch, finish)


def known_channels(networks: Networks, frame: Frame, picture: Image.Image, mask: Mask) -> Tensor:
    """What the inpainting UNet reads beside the noisy latents, (1, 5, h, w): the inverted mask, the masked picture's latents.

    Masked pixels are mid grey. Padding mirrors picture and mask.
    """
    pixels = to_tensor(frame.fit(picture)).to(networks.device)  # (1, 3, H, W)
    marked = frame.fit(Image.fromarray(mask.astype(np.uint8) * 255, "L"))
    repainted: Mask = np.asarray(marked) > 0  # in part, too
    pixels = pixels * torch.from_numpy(~repainted).to(pixels)
    return torch.cat([latent_mask(repainted).to(pixels), networks.movq.encode(pixels)], dim=1)


def pasted(picture: Image.Image, drawn: Image.Image, alpha: Alpha, place: Box) -> Image.Image:
    """The picture with what was drawn for a place of it, blended by alpha; where that is 0 the bytes are the picture's own."""
    old = np.asarray(picture.crop(place.corners), dtype=np.float32)
    share = alpha[..., None]
    blended = (old + (np.asarray(drawn, dtype=np.float32) - old) * share).round().astype(np.uint8)
    result = picture.copy()
    result.paste(Image.fromarray(blended, "RGB"), (place.left, place.top))
    return result
