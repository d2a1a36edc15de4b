"""Variations of a picture: a mix of that one picture, without words."""

from collections.abc import Mapping
from dataclasses import fields

from PIL import Image

from engine.outcomes import Drawn
from engine.pipelines.mix import MixPipeline
from engine.requests import Mix, Variation
from engine.watch import Watch


class VariationPipeline:
    """Draws the like of a picture; `ip_adapter_scale` says how like."""

    def __init__(self, mix: MixPipeline) -> None:
        self._mix = mix

    def __call__(self, request: Variation, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        return self._mix(as_mix(request), pictures, watch)


def as_mix(request: Variation) -> Mix:
    """The same wish in the words of a mix."""
    shared = {field.name: getattr(request, field.name) for field in fields(request) if field.name != "image"}
    return Mix(images=(request.image,), weights=(1.0,), **shared)
