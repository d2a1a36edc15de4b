"""Regions: each part of the picture is drawn from its own prompt."""

from collections.abc import Mapping

import torch
from PIL import Image

from engine.components import Networks
from engine.denoising import predictor
from engine.models.conditions import RegionText
from engine.outcomes import Drawn
from engine.pipelines.guided import branch, draw, latent_size
from engine.region_map import read_areas
from engine.requests import Regions
from engine.schedulers import BaseSampler
from engine.watch import Watch


class RegionsPipeline:
    """Lets the base model's cross-attentions read another text in each part; all parts share the rest, so that they fit together.

    Without a prompt for the whole, the whole is all of the regions' prompts. A panorama is one pass, not windows.
    Source: ai-forever/kandinsky3-diffusers pipelines/kandinsky3/kandinsky3_regional_prompting_pipeline.py.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    @torch.inference_mode()
    def __call__(self, request: Regions, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        networks = self._networks
        areas = read_areas(pictures[request.map_image], len(request.region_prompts), request.size)
        sampler = BaseSampler(request.num_inference_steps, request.eta, networks.threshold, networks.prediction_type)
        conditioning = networks.conditioning
        cond, uncond = conditioning.pair(request.prompt or ", ".join(request.region_prompts), request.negative_prompt)

        regions = []
        for prompt, area in zip(request.region_prompts, areas, strict=True):
            text = conditioning.encode(prompt)
            regions.append(RegionText(text.states.to(networks.dtype), text.mask, area.to(networks.device, networks.dtype)))
        whole = branch(networks, cond, regions=tuple(regions), base_ratio=request.base_ratio)
        prepared = networks.unet.prepare(sampler.timesteps, [whole, branch(networks, uncond)])
        predict = predictor(networks, prepared, request.guidance_scale)
        return draw(networks, request, sampler, latent_size(request), predict, watch)
