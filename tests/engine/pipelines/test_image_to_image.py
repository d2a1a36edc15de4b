from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.pipelines.kandinsky3.pipeline_kandinsky3_img2img import Kandinsky3Img2ImgPipeline
from PIL import Image

from engine.components import Components
from engine.engine import Engine
from engine.pictures import opaque
from engine.requests import ImageToImage, Refine
from engine.tensors import to_tensor
from tests.engine.pipelines.reference import (
    Reference,
    drawn,
    final_latents,
    noise_of,
    official_scheduler,
    official_step,
    relative,
)

PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (128, 192, 3), dtype=np.uint8))
OVER = ImageToImage("a.png", "a big red circle", 5, num_inference_steps=10, negative_prompt="green star")
REFINE = Refine("a.png", "a big red circle", 5)


@pytest.mark.parametrize("strength", [0.3, *(pytest.param(strength, marks=pytest.mark.long) for strength in (0.75, 1.0))])
@torch.inference_mode()
def test_image_to_image_equals_diffusers_networks_and_scheduler(every_mode: Engine, parts: Components, strength: float):
    reference, scheduler = Reference(parts.drawing("base")), official_scheduler(10, 0.99)
    times, count = Kandinsky3Img2ImgPipeline.get_timesteps(SimpleNamespace(scheduler=scheduler), 10, strength, "cpu")
    noise = noise_of(5, count, (16, 24))
    clean = reference.encode(to_tensor(PICTURE))

    expected = scheduler.add_noise(clean, noise[0], times[:1])
    for index, t in enumerate(times.tolist()):
        said = reference.guided(expected, t, (OVER.prompt, OVER.negative_prompt), 3.0, expected[:, :0])
        expected = official_step(scheduler, said, t, expected, noise[index + 1] if index + 1 < count else None)

    found = final_latents(parts.drawing("base"), every_mode, replace(OVER, strength=strength), {"a.png": PICTURE})
    assert relative(found, expected) <= 1e-4


@pytest.mark.long
@pytest.mark.parametrize("times", [(479, 229), (229,)])
@torch.inference_mode()
def test_refining_is_late_flash_over_the_picture(every_mode: Engine, parts: Components, times: tuple[int, ...]):
    reference = Reference(parts.drawing("flash"))
    _, *noise = noise_of(5, 1 + len(times), (16, 24))
    expected = reference.late_flash(reference.encode(to_tensor(PICTURE)), REFINE.prompt, times, noise)

    found = final_latents(parts.drawing("flash"), every_mode, replace(REFINE, timesteps=times), {"a.png": PICTURE})

    assert relative(found, expected) <= 1e-4


def test_strength_says_how_much_of_the_picture_stays(every_mode: Engine, parts: Components):
    networks = parts.drawing("base")
    distances = []
    for strength in (0.0, 0.3, 0.9):
        latents = final_latents(networks, every_mode, replace(OVER, strength=strength), {"a.png": PICTURE})
        distances.append(float((latents - networks.movq.encode(to_tensor(PICTURE))).abs().mean().detach()))

    assert distances[0] == 0
    assert distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("request_", [replace(OVER, strength=0.3), REFINE], ids=["over", "refine"])
@pytest.mark.parametrize("size", [(150, 100), (17, 300), (700, 500)])
def test_a_result_has_the_size_of_its_picture(every_mode: Engine, request_: ImageToImage | Refine, size: tuple[int, int]):
    assert drawn(every_mode, request_, {"a.png": PICTURE.resize(size)}).size == size


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_transparent_pictures_are_drawn_over(every_mode: Engine, mode: str):
    assert (
        drawn(every_mode, REFINE, {"a.png": PICTURE.convert(mode)}).tobytes()
        == drawn(every_mode, REFINE, {"a.png": PICTURE.convert(mode).convert("RGB")}).tobytes()
    )


def test_transparent_parts_are_white():
    assert np.asarray(opaque(Image.new("RGBA", (2, 2), (0, 0, 0, 0)))).min() == 255
