"""Picture prompts: what one to four pictures have in common, with words or without."""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from engine.components import Components, Networks
from engine.denoising import in_windows, predictor
from engine.models.conditions import PictureTokens
from engine.models.picture_prompt import PicturePrompt
from engine.outcomes import Drawn
from engine.picture_encoder import PictureEncoder
from engine.pictures import opaque
from engine.pipelines.guided import branch, draw, latent_size
from engine.requests import Mix
from engine.schedulers import HubSampler
from engine.watch import Watch


class MixPipeline:
    """Draws the weighted sum of pictures, guided away from a negative prompt and from no picture.

    Source: ai-forever/kandinsky3-diffusers pipelines/kandinsky3/kandinsky3_pipeline_ip_adapter.py.
    """

    def __init__(self, parts: Components) -> None:
        self._networks = parts.drawing("picture")
        self._encoder = parts.picture_encoder()
        self._adapter = parts.picture_prompt()

    @torch.inference_mode()
    def __call__(self, request: Mix, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        return mixed(self._networks, self._encoder, self._adapter, request, pictures, watch)


def mixed(
    networks: Networks,
    encoder: PictureEncoder,
    adapter: PicturePrompt,
    request: Mix,
    pictures: Mapping[str, Image.Image],
    watch: Watch,
) -> Drawn:
    """Draw a mix with these networks; pictures: by the names that the request gives them."""
    sampler = HubSampler(request.num_inference_steps, request.eta, networks.prediction_type)
    contexts = networks.conditioning.pair(request.prompt, request.negative_prompt)
    embeds = encoder.embeds([opaque(pictures[media_id]) for media_id in request.images], request.weights)
    looks = picture_tokens(encoder, adapter, embeds, request.ip_adapter_scale)
    branches = [branch(networks, context, picture=look) for context, look in zip(contexts, looks, strict=True)]

    size = latent_size(request)
    predict = predictor(networks, networks.unet.prepare(sampler.timesteps, branches), request.guidance_scale)
    return draw(networks, request, sampler, size, in_windows(predict, size, networks.window(*size)), watch)


def picture_tokens(
    encoder: PictureEncoder, adapter: PicturePrompt, embeds: Tensor, ip_adapter_scale: float
) -> Sequence[tuple[PictureTokens, ...]]:
    """What the conditional and the unconditional branch read: these embeddings (1, 768), and those of no picture."""
    return [adapter(each.to(adapter.dtype), ip_adapter_scale) for each in (embeds, encoder.nothing())]
