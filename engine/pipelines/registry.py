"""Which pipeline serves which kind of request: one line a mode.

What loads a library that the other modes do without is imported when such a request first comes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from PIL.Image import Image

from engine.components import Components
from engine.outcomes import Outcome
from engine.pipelines.image_to_image import ImageToImagePipeline, RefinePipeline
from engine.pipelines.inpaint import InpaintPipeline, OutpaintPipeline
from engine.pipelines.judged import judged
from engine.pipelines.keep_outline import KeepOutlinePipeline
from engine.pipelines.mix import MixPipeline
from engine.pipelines.regions import RegionsPipeline
from engine.pipelines.text_to_image import TextToImagePipeline
from engine.pipelines.variation import VariationPipeline
from engine.requests import (
    Beautify,
    ImageToImage,
    Inpaint,
    KeepOutline,
    Mix,
    Outpaint,
    Refine,
    Regions,
    Request,
    TextToImage,
    Translate,
    Upscale,
    Variation,
)
from engine.watch import Watch


class Pipeline(Protocol):
    """One way to answer one kind of request."""

    def __call__(self, request: Any, pictures: Mapping[str, Image], watch: Watch) -> Outcome:
        """Answer a request; `pictures` has all of its sources.

        Raises: GivenUp when the watch says so, RequestError for a picture that cannot be used, BadPicture.
        """


Build = Callable[[Components, str], Pipeline]


def _upscaling(parts: Components, lane: str) -> Pipeline:
    from engine.pipelines.upscaling import Upscaling  # here: diffusers' solver loads scipy

    return Upscaling(parts)


def _beautify(parts: Components, lane: str) -> Pipeline:
    from engine.pipelines.language import LanguagePipeline, prompt_writer  # here: the language model loads transformers

    return LanguagePipeline(prompt_writer(parts).beautify)


def _translate(parts: Components, lane: str) -> Pipeline:
    from engine.pipelines.language import LanguagePipeline, prompt_writer  # here: the language model loads transformers

    return LanguagePipeline(prompt_writer(parts).translate)


_DRAWING: Mapping[type[Request], Build] = {
    TextToImage: lambda parts, lane: TextToImagePipeline(parts.drawing(lane)),
    ImageToImage: lambda parts, lane: ImageToImagePipeline(parts.drawing(lane)),
    Refine: lambda parts, lane: RefinePipeline(parts.drawing(lane)),
    Inpaint: lambda parts, lane: InpaintPipeline(parts.drawing("inpaint")),
    Variation: lambda parts, lane: VariationPipeline(MixPipeline(parts)),
    Mix: lambda parts, lane: MixPipeline(parts),
    KeepOutline: lambda parts, lane: KeepOutlinePipeline(parts),
    Regions: lambda parts, lane: RegionsPipeline(parts.drawing(lane)),
    Outpaint: lambda parts, lane: OutpaintPipeline(parts.drawing("inpaint")),
    Upscale: _upscaling,
}
_WRITING: Mapping[type[Request], Build] = {Beautify: _beautify, Translate: _translate}
PIPELINES: Mapping[type[Request], Build] = {kind: judged(build) for kind, build in _DRAWING.items()} | dict(_WRITING)
