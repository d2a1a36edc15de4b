"""What a run shows while it goes on: a bar or a line, TensorBoard's curves, and sheets of samples."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

EVERY = 50  # steps between lines


class Progress:
    """A bar on a terminal, otherwise a line every 50 steps; curves in `folder`/logs/NAME, if TensorBoard is there.

    name: of the recipe.  start: the step that a resumed run begins with; later entries of a killed one are taken back.
    """

    def __init__(self, folder: Path, name: str, start: int, end: int, say: Callable[[str], None], logs: bool = True) -> None:
        self._folder, self._name, self._say = folder, name, say
        self._start, self._end, self._since = start, end, time.monotonic()
        self._bar = tqdm(total=end, initial=start, desc=name, unit="step", disable=None)  # none where nobody watches
        self._board = _board(folder / "logs" / name, start) if logs else None
        self._recent: list[float] = []

    def step(self, step: int, loss: float, rate: float, norm: float) -> None:
        """A step was taken. norm: of the gradient, before it was cut."""
        self._recent = [*self._recent[1 - EVERY :], loss]
        mean = sum(self._recent) / len(self._recent)
        pace = (time.monotonic() - self._since) / (step - self._start)
        self._bar.update()
        self.figures(step, {"loss": loss, "learning_rate": rate, "gradient_norm": norm, "seconds_per_step": pace})
        if step % EVERY == 0:
            self._bar.set_postfix(loss=f"{mean:.4f}")
            if self._bar.disable:
                self._say(f"{self._name} {step}/{self._end} loss {mean:.4f} {pace * 1000:.0f} ms/step")

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        """Add what a recipe measured of itself, and say it."""
        self.figures(step, figures)
        self._say(f"{self._name} {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))

    def sheet(self, step: int, sheet: Image.Image) -> None:
        """Keep a sheet of samples as `folder`/sheets/NAME-STEP.png."""
        path = self._folder / "sheets" / f"{self._name}-{step:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
        if self._board is not None:
            self._board.add_image("samples", np.asarray(sheet.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still in memory."""
        self._bar.close()
        if self._board is not None:
            self._board.close()


def _board(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # takes a second, and the extra `training`
    except ImportError:
        return None
    writer: Any = SummaryWriter
    return writer(str(folder), purge_step=start + 1)  # what a killed run wrote beyond its checkpoint


def tiled(rows: list[list[Image.Image]], gap: int = 4) -> Image.Image:
    """Pictures of one size as a sheet, row under row."""
    width, height = rows[0][0].size
    columns = max(map(len, rows))
    sheet = Image.new("RGB", (columns * (width + gap) - gap, len(rows) * (height + gap) - gap), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * (width + gap), y * (height + gap)))
    return sheet
