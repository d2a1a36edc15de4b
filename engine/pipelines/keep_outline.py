"""Keeping outlines: a prompt drawn along the outlines of a picture or a sketch, perhaps in the look of another picture."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine.components import Components, Networks
from engine.denoising import Predict, guide
from engine.framing import Frame
from engine.hints import canny_hint, hed_hint, sketch_hint
from engine.models.conditions import Branch
from engine.models.controlnet import Kandinsky3ControlNet
from engine.outcomes import Drawn
from engine.pictures import opaque
from engine.pipelines.guided import branch, draw
from engine.pipelines.mix import picture_tokens
from engine.requests import KeepOutline
from engine.schedulers import HubSampler
from engine.watch import Watch


class KeepOutlinePipeline:
    """Draws along outlines; results have the picture's size.

    The look of another picture is a picture prompt beside the text; the outline network does not read it.
    Source: ai-forever/kandinsky3-diffusers pipelines/kandinsky3/kandinsky3controlnet_pipeline.py.
    """

    def __init__(self, parts: Components) -> None:
        self._parts = parts
        self._networks = parts.drawing("outline")
        self._controlnet = parts.controlnet()

    @torch.inference_mode()
    def __call__(self, request: KeepOutline, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        networks = self._networks
        picture = pictures[request.image]
        frame = Frame.around(picture.size, networks.areas)
        hint = self._hint(request.hint, picture, frame).to(networks.device, networks.dtype)
        sampler = HubSampler(request.num_inference_steps, request.eta, networks.prediction_type)
        texts = [branch(networks, each) for each in networks.conditioning.pair(request.prompt, request.negative_prompt)]
        branches = self._in_the_look_of(pictures[request.style_image], request, texts) if request.style_image else texts
        predict = outlined(networks, self._controlnet, request, hint, sampler.timesteps, texts, branches)
        return draw(networks, request, sampler, frame.latents, predict, watch, frame.restore)

    def _hint(self, kind: str, picture: Image.Image, frame: Frame) -> Tensor:
        """Outlines (1, 3, H, W) in the frame; none in its padding, which is cut away afterwards."""
        width, height = frame.scaled
        if kind == "hed":
            hint = hed_hint(self._parts.edge_detector(), picture, width, height)
        else:
            hint = (canny_hint if kind == "canny" else sketch_hint)(picture, width, height)
        return F.pad(hint, (0, frame.padded[0] - width, 0, frame.padded[1] - height))

    def _in_the_look_of(self, picture: Image.Image, request: KeepOutline, texts: Sequence[Branch]) -> list[Branch]:
        encoder, adapter = self._parts.picture_encoder(), self._parts.picture_prompt()
        looks = picture_tokens(encoder, adapter, encoder.embeds([opaque(picture)], [1.0]), request.ip_adapter_scale)
        return [Branch(text.states, text.mask, picture=look) for text, look in zip(texts, looks, strict=True)]


def outlined(
    networks: Networks,
    controlnet: Kandinsky3ControlNet,
    request: KeepOutline,
    hint: Tensor,
    timesteps: Sequence[int],
    texts: Sequence[Branch],
    branches: Sequence[Branch],
) -> Predict:
    """Predict with the residuals of an outline (1, 3, 8 h, 8 w) in those steps where it counts.

    texts: what the outline network reads.  branches: what the UNet reads, the same texts and perhaps a picture beside them.
    """
    prepared = networks.unet.prepare(timesteps, branches)
    read, features = controlnet.prepare(timesteps, texts), controlnet.hint_features(hint)
    scale, counts = request.controlnet_conditioning_scale, steps_of_outlines(request, len(timesteps))

    def predict(latents: Tensor, index: int) -> Tensor:
        sample = latents.repeat(len(branches), 1, 1, 1).to(networks.dtype)
        residuals = controlnet.residuals(sample, features, read, index, scale) if index in counts else ()
        cond, uncond = networks.unet.denoise(sample, prepared, index, residuals).float().chunk(len(branches))
        return guide(cond, uncond, request.guidance_scale)

    return predict


def steps_of_outlines(request: KeepOutline, steps: int) -> range:
    """The steps in which outlines count: from the share where they begin to the one where they end, both rounded down."""
    if not request.controlnet_conditioning_scale:
        return range(0)
    return range(int(steps * request.control_guidance_start), int(steps * request.control_guidance_end) + 1)
