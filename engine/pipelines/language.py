"""Prompts written by the language model: beautified, or in English."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from PIL.Image import Image

from engine.components import Components
from engine.errors import BadPicture
from engine.language.model import Sampling, load
from engine.language.writer import Answer, OnToken, PromptWriter
from engine.outcomes import Written
from engine.requests import Beautify, Translate
from engine.watch import Watch

Write: TypeAlias = Callable[[str, Sampling, OnToken], Answer]


class LanguagePipeline:
    """Answers one kind of language request; a token is a step."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def __call__(self, request: Beautify | Translate, pictures: Mapping[str, Image], watch: Watch) -> Written:
        """Write a request's text, or say why its own words stay.

        Raises: GivenUp when the watch says so.
        """
        sampling = Sampling(request.temperature, request.top_p, request.seed, request.max_new_tokens)

        def on_token(token: int, total: int) -> None:
            watch.finished("step", token, total, _no_picture)

        answer = self._write(request.prompt, sampling, on_token)
        return Written(answer.text, answer.why)


def prompt_writer(parts: Components) -> PromptWriter:
    """The family's writer; all kinds of language requests share it."""

    def build() -> PromptWriter:
        model = load(parts.folder, parts.device, parts.dtype, parts.plan.language_bits)
        return PromptWriter(model, parts.folder.tokenizer(), small_world=parts.family.small_world)

    return parts.once("prompt_writer", build)


def _no_picture() -> Image:
    raise BadPicture("A text that is being written has no picture to look at; ask for previews of drawings alone.")
