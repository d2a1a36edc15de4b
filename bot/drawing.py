"""One drawing between the engine's thread, which tells how far it is, and the heartbeat, which carries that to SQL."""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.presentation import as_preview
from storage.domain import Job
from storage.places import Place, reached

if TYPE_CHECKING:
    from engine.outcomes import Progress

log = logging.getLogger(__name__)

_STEPS = ("step", "window")  # encoding and decoding are no part of what a person sees done, or is charged for


@dataclass
class Drawing:
    """What the two tell each other about one job. preview_s: between two looks at what is half drawn; 0 for none."""

    job: Job
    preview_s: float = 0.0
    stage: str | None = None
    step: int = 0
    steps: int = 0
    began_at: float = field(default_factory=time.monotonic)
    moved_at: float = field(default_factory=time.monotonic)
    first_at: float | None = None  # when it first moved: before that, networks may be loading
    stop: bool = False
    lost: bool = False
    late: bool = False  # a text that takes too long: the picture is drawn without it
    drained: bool = False  # stopped so that another worker draws it
    _preview: tuple[int, bytes] | None = None
    _looked_at: float = field(default_factory=time.monotonic)

    def on_step(self, progress: "Progress") -> Collection[int]:
        self.stage, self.moved_at = progress.stage, time.monotonic()
        self.first_at = self.first_at or self.moved_at
        if progress.stage in _STEPS:
            self.step, self.steps = progress.step, progress.total
            reached(Place.MID_STEP)
            if self.preview_s and not self.stop:
                self._look(progress)
        return {0} if self.stop or self.late else ()

    def begin_again(self) -> None:
        """Nothing is done yet, after all."""
        self.stage, self.step, self.steps = None, 0, 0
        self.began_at = self.moved_at = time.monotonic()

    def take_preview(self) -> tuple[int, bytes] | None:
        """The newest preview that was not taken yet, with its step: a small JPEG."""
        taken, self._preview = self._preview, None
        return taken

    @property
    def left_s(self) -> float:
        """How long it still takes at its own pace; 0 before the first step, when nobody knows."""
        elapsed = time.monotonic() - self.began_at
        return elapsed * (self.steps - self.step) / self.step if self.step else 0.0

    def _look(self, progress: "Progress") -> None:
        """Take a preview now and then, but none that the picture itself would overtake; one that fails is the last."""
        if time.monotonic() - self._looked_at < self.preview_s or self.left_s < self.preview_s:
            return
        try:
            picture = progress.preview()
            if picture is not None:  # else the judge did not let it pass
                self._preview = progress.step, as_preview(picture)
        except Exception as error:  # whatever it is: the drawing itself goes on
            log.warning("no preview: %s: %s", type(error).__name__, error)
            self.preview_s = 0.0
        self._looked_at = self.moved_at = time.monotonic()
