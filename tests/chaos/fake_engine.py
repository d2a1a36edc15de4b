"""Stands in for `engine.engine` in the processes of a chaos run: takes time, draws the request's own pattern."""

import os
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from engine.outcomes import Drawn, Dropped, OnStep, Outcome, Progress, ignore
from engine.requests import Request, TextToImage, image_seed, to_json
from tests.chaos import emblem

_STEPS = 4


class FakeEngine:
    revision = "fake"

    def run(self, requests: Sequence[Request], pictures: Mapping[str, Any], on_step: OnStep = ignore) -> list[Outcome]:
        return [self._draw(request, index, on_step) for index, request in enumerate(requests)]

    def _draw(self, request: Request, index: int, on_step: OnStep) -> Outcome:
        assert isinstance(request, TextToImage)
        seconds = float(os.environ["CHAOS_DRAW_S"]) * random.uniform(0.5, 1.5)
        for step in range(1, _STEPS + 1):
            time.sleep(seconds / _STEPS)
            if index in on_step(Progress("step", index, step, _STEPS, lambda: emblem.draw(to_json(request), 0))):
                return Dropped()
        pictures = range(request.num_images_per_prompt)
        images = tuple(emblem.draw(to_json(request), picture) for picture in pictures)
        return Drawn(images, tuple(image_seed(request, picture) for picture in pictures))


def load(*what: Any, **more: Any) -> FakeEngine:
    return FakeEngine()
