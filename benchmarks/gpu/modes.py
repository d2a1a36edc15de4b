"""A row for every other mode: its time through the engine's front door, safety checker and all."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from PIL import Image, ImageDraw

from benchmarks.gpu.clock import RowFailed, race
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.table import Row
from engine.engine import Engine
from engine.outcomes import Drawn, Progress, Written
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
    Upscale,
    Variation,
)

_BEAUTIFIED_WORDS = 5


def modes(rig: Rig) -> Iterator[Row]:
    """Each mode at the size that its request has by default; the language model last, and alone on the device."""
    engine, pictures = rig.engine, _pictures(rig)
    for what, request in _drawing(rig).items():
        yield rig.attempt("M", what, partial(_mode, rig, engine, what, request, pictures))
    del engine
    rig.drop()
    what = f"beautify, at most {rig.sizes.tokens * 3} tokens"
    yield rig.attempt("M", what, lambda: _mode(rig, rig.engine, what, _beautify(rig), pictures))


def _mode(rig: Rig, engine: Engine, what: str, request: Request, pictures: Mapping[str, Image.Image]) -> Row:
    steps: list[Progress] = []

    def remember(progress: Progress) -> tuple[int, ...]:
        steps.append(progress)
        return ()

    (outcome,) = engine.run([request], pictures, remember)  # warms up, too
    if not isinstance(outcome, Drawn | Written):
        raise RowFailed(f"the engine answered {outcome}")
    took = race(
        {"ours": lambda: engine.run([request], pictures)}, rig.device, rig.sizes.long_rounds, warm={"ours": lambda: None}
    ).ours
    done = [progress for progress in steps if progress.stage in ("step", "window")]
    note = f"median of {rig.sizes.long_rounds}; {len(done)} reports of steps or windows"
    if isinstance(outcome, Drawn):
        note += f"; {outcome.images[0].width}x{outcome.images[0].height}"
    return Row("M", what, took, note=note)


def _pictures(rig: Rig) -> dict[str, Image.Image]:
    side = rig.sizes.side
    mask, areas = Image.new("L", (side, side)), Image.new("RGB", (side, side), "red")
    ImageDraw.Draw(mask).rectangle((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=255)
    ImageDraw.Draw(areas).rectangle((side // 2, 0, side, side), fill="blue")
    return {"photo": rig.photo(side), "small": rig.photo(side * 3 // 4), "mask": mask, "areas": areas}


def _drawing(rig: Rig) -> dict[str, Request]:
    """Requests by what they are. Those for many steps take the rig's."""
    sizes, prompt = rig.sizes, rig.prompt()
    steps, family = sizes.steps, sizes.family.name
    panorama = TextToImage(
        prompt, seed=1, width=sizes.panorama[0], height=sizes.panorama[1], num_images_per_prompt=1, family=family
    )
    square: dict[str, Any] = {"width": sizes.side, "height": sizes.side}
    edges = sizes.side // 4
    return {
        "image to image, strength 0.75": ImageToImage("photo", prompt, 1, num_inference_steps=steps),
        "refine, two steps": Refine("photo", prompt, 1),
        "inpaint, the middle quarter": Inpaint("photo", "mask", prompt, 1, num_inference_steps=steps),
        "outpaint, a quarter on two sides": Outpaint(
            "small", 1, prompt=prompt, left=edges, right=edges, num_inference_steps=steps
        ),
        f"panorama, Flash, {sizes.panorama[0]}x{sizes.panorama[1]}": panorama,
        "variation": Variation("photo", 1, num_inference_steps=steps, **square),
        "mix of two pictures and a prompt": Mix(("photo", "small"), 1, prompt=prompt, num_inference_steps=steps, **square),
        "outline, HED": KeepOutline("photo", prompt, 1, num_inference_steps=steps),
        "outline, Canny, the look of a picture": KeepOutline(
            "photo", prompt, 1, hint="canny", style_image="small", num_inference_steps=steps
        ),
        "regions, two": Regions("areas", (prompt, rig.prompt(9)), 1, num_inference_steps=steps, **square),
        "upscale x2": Upscale("photo", 1, scale=2),
        "upscale x2, Flash and refiner": Upscale("photo", 1, scale=2, flash=True),
    }


def _beautify(rig: Rig) -> Beautify:
    return Beautify(rig.prompt(_BEAUTIFIED_WORDS), 1, max_new_tokens=rig.sizes.tokens * 3)
