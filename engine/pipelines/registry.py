"""Which pipeline serves which kind of request: one line a mode."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from PIL.Image import Image

from engine.components import Components
from engine.outcomes import Outcome
from engine.pipelines.judged import judged
from engine.pipelines.language import LanguagePipeline, prompt_writer
from engine.pipelines.text_to_image import TextToImagePipeline
from engine.pipelines.upscaling import Upscaling
from engine.requests import Beautify, Request, TextToImage, Translate, Upscale
from engine.watch import Watch


class Pipeline(Protocol):
    """One way to answer one kind of request."""

    def __call__(self, request: Any, pictures: Mapping[str, Image], watch: Watch) -> Outcome:
        """Answer a request; `pictures` has all of its sources.

        Raises: GivenUp when the watch says so, RequestError for a picture that cannot be used, BadPicture.
        """


Build = Callable[[Components, str], Pipeline]

_DRAWING: Mapping[type[Request], Build] = {
    TextToImage: lambda parts, lane: TextToImagePipeline(parts.drawing(lane)),
    Upscale: lambda parts, lane: Upscaling(parts),
}
_WRITING: Mapping[type[Request], Build] = {
    Beautify: lambda parts, lane: LanguagePipeline(prompt_writer(parts).beautify),
    Translate: lambda parts, lane: LanguagePipeline(prompt_writer(parts).translate),
}
PIPELINES: Mapping[type[Request], Build] = {kind: judged(build) for kind, build in _DRAWING.items()} | dict(_WRITING)
