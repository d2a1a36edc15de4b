"""The default judge of pictures: CLIP embeddings against the concepts of Stable Diffusion's safety checker.

It knows sexual content alone: its 17 concepts are that, and 3 more ("special care") are young people, near whom it is stricter.
Gore and violence pass (arXiv:2210.04610), so an installation may put another `PictureJudge` in its place.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL.Image import Image
from PIL.Image import new as new_image
from torch import Tensor
from transformers.models.clip.configuration_clip import CLIPConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from engine.errors import EngineError
from engine.weights import Folder

SEXUAL, MINORS = "sexual", "minors"
_STRICTER = 0.01  # added to every concept's score once a special-care concept is near
_FOLDER = "safety_checker"
_BLANK_SIDE = 64
_POSITIONS = "vision_model.embeddings.position_ids"
_NESTED = "vision_model.vision_model."  # how published checkpoints, older than the library, name the tower


class NotJudged(EngineError):
    """The network's numbers say nothing about the picture."""


class ConceptChecker:
    """A `PictureJudge` with the weights and the rule of `StableDiffusionSafetyChecker`.

    The class itself answers with a black picture, and with "safe" if its numbers are NaN, so its parts are used instead.
    """

    def __init__(self, network: StableDiffusionSafetyChecker) -> None:
        self.network = network
        side = network.config.vision_config.image_size
        self._processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})

    def __call__(self, image: Image) -> str | None:
        """Name the category of an unsafe picture: "sexual", or "minors" if young people are near.

        Raises: NotJudged if the numbers are not finite.
        """
        pixels = self._processor(images=squares(image), return_tensors="pt")["pixel_values"]
        concepts, special = self.scores(pixels)
        unsafe = (concepts > 0).any(1)
        if not unsafe.any():
            return None
        return MINORS if (unsafe & (special > 0).any(1)).any() else SEXUAL

    @torch.inference_mode()
    def scores(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """How far pictures (B, 3, S, S) lie beyond the thresholds: concepts (B, 17), special care (B, 3); above 0 is too near.

        Raises: NotJudged if they are not finite.
        Source: huggingface/diffusers pipelines/stable_diffusion/safety_checker.py: forward.
        """
        network = self.network
        pooled = network.vision_model(pixels.to(network.device, network.dtype)).pooler_output
        embeds = network.visual_projection(pooled)
        special = _rounded(_cosines(embeds, network.special_care_embeds) - network.special_care_embeds_weights.cpu().double())
        stricter = _STRICTER * (special > 0).any(1, keepdim=True)
        concepts = _rounded(_cosines(embeds, network.concept_embeds) - network.concept_embeds_weights.cpu().double() + stricter)
        if not (torch.isfinite(concepts).all() and torch.isfinite(special).all()):
            raise NotJudged("The safety checker produced numbers that are not finite; check its weights.")
        return concepts, special


def squares(image: Image) -> list[Image]:
    """Squares that cover a picture, each half over the next; the checker would look at the middle one alone."""
    picture = image.convert("RGB")
    side, length = sorted(picture.size)
    count = 1 if side == length else math.ceil(2 * length / side) - 1
    starts = [round(index * (length - side) / max(count - 1, 1)) for index in range(count)]
    wide = picture.width > picture.height
    return [picture.crop((start, 0, start + side, side) if wide else (0, start, side, start + side)) for start in starts]


def _cosines(embeds: Tensor, concepts: Tensor) -> Tensor:
    return (F.normalize(embeds) @ F.normalize(concepts).T).cpu().float().double()


def _rounded(scores: Tensor) -> Tensor:
    return scores.round(decimals=3)  # the published thresholds were set for three decimals


def load(folder: Folder, device: torch.device) -> ConceptChecker:
    """Load a family's `safety_checker/`, in the layout of `CompVis/stable-diffusion-safety-checker`, in float32.

    Raises: WeightsError, also for a checker that could never find anything, or that cannot judge a blank picture: it would
    withhold every picture that is drawn.
    """
    network: StableDiffusionSafetyChecker = folder.module(
        _FOLDER, _network, torch.float32, device, unused=(_POSITIONS,), rename=_own_name
    )
    thresholds = torch.cat([network.concept_embeds_weights, network.special_care_embeds_weights])
    embeds = torch.cat([network.concept_embeds, network.special_care_embeds])
    if not (torch.isfinite(embeds).all() and embeds.abs().sum(1).all() and ((thresholds > 0) & (thresholds < 1)).all()):
        raise folder.broken(f"{folder.path / _FOLDER} holds no trained safety checker: it would call every picture safe")
    checker = ConceptChecker(network)
    try:
        checker(new_image("RGB", (_BLANK_SIDE, _BLANK_SIDE), "white"))
    except torch.OutOfMemoryError:
        raise  # the files are good
    except Exception as error:
        raise folder.broken(f"{folder.path / _FOLDER} cannot judge a blank picture ({error})") from error
    return checker


def _network(config: dict[str, Any]) -> StableDiffusionSafetyChecker:
    network = StableDiffusionSafetyChecker(CLIPConfig.from_dict(config))
    embeddings = network.vision_model.embeddings
    with torch.device("cpu"):  # counted, not read, and networks are built without memory
        embeddings.register_buffer("position_ids", torch.arange(embeddings.num_positions)[None], persistent=False)
    return network


def _own_name(name: str) -> str:
    return name.replace(_NESTED, "vision_model.", 1) if name.startswith(_NESTED) else name
