"""Telling the caller how far a request is, and hearing from it what to give up."""

from collections import deque
from collections.abc import Callable
from functools import partial

import torch
from PIL.Image import Image

from engine.outcomes import OnStep, Progress, Stage


class GivenUp(Exception):
    """The caller dropped the request that is being drawn."""


class Watch:
    """Reports finished steps of the requests of one run and remembers which are dropped.

    On a GPU a step is reported once the next one has been queued, so that the device never waits for the caller; the wait is
    for an event, no value is read back.
    """

    def __init__(self, on_step: OnStep, device: torch.device) -> None:
        self._on_step = on_step
        self._device = device
        self._request = 0
        self._dropped: set[int] = set()
        self._queued: deque[tuple[Progress, torch.cuda.Event]] = deque()

    def begin(self, request: int) -> None:
        """Turn to the request at this index.

        Raises: GivenUp if it was dropped before its turn.
        """
        self._request = request
        self._queued.clear()
        self._stop_if_dropped()

    def finished(self, stage: Stage, step: int, total: int, preview: Callable[[], Image | None]) -> None:
        """Report that a step's work has been handed to the device.

        Raises: GivenUp if the caller dropped the request.
        """
        progress = Progress(stage, self._request, step, total, preview)
        if self._device.type == "cpu":
            self._tell(progress)
            return
        event = torch.cuda.Event()
        event.record()
        self._queued.append((progress, event))
        ahead = 0 if stage == "decode" else 1  # a decoded picture has been copied to the host, and a tile takes long
        while len(self._queued) > ahead:
            progress, event = self._queued.popleft()
            event.synchronize()
            self._tell(progress)

    def _tell(self, progress: Progress) -> None:
        self._dropped.update(self._on_step(progress))
        self._stop_if_dropped()

    def _stop_if_dropped(self) -> None:
        if self._request in self._dropped:
            raise GivenUp


class JudgedWatch(Watch):
    """Another watch, whose caller sees no preview that was not judged."""

    def __init__(self, watch: Watch, passes: Callable[[Image], bool]) -> None:
        self._watch = watch
        self._passes = passes

    def begin(self, request: int) -> None:
        self._watch.begin(request)

    def finished(self, stage: Stage, step: int, total: int, preview: Callable[[], Image | None]) -> None:
        self._watch.finished(stage, step, total, partial(self._judged, preview))

    def _judged(self, preview: Callable[[], Image | None]) -> Image | None:
        picture = preview()
        return picture if picture is not None and self._passes(picture) else None
