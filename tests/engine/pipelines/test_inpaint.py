from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from engine.components import Components
from engine.engine import Engine
from engine.masks import place_of
from engine.pipelines.inpaint import extended
from engine.requests import Inpaint, Outpaint, RequestError
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

PAINT = Inpaint("a.png", "m.png", "a big red circle", 5, num_inference_steps=2)
EXTEND = Outpaint("a.png", 5, bottom=8, num_inference_steps=2)


def picture(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def marking(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


@torch.inference_mode()
def test_inpainting_equals_its_statement_with_diffusers_networks_and_scheduler(every_mode: Engine, parts: Components):
    """The facts 4.3: [x_t, mask with 1 = known, latents of the picture with grey in place of what is repainted], w 4, p 0.95."""
    image, mask = picture((192, 128)), marking((192, 128), (16, 8, 160, 120))
    reference, scheduler = Reference(parts.drawing("inpaint")), official_scheduler(10, 0.95)
    repainted = torch.zeros(1, 1, 128, 192)
    repainted[:, :, 8:120, 16:160] = 1
    kept = (1 - repainted)[:, :, ::8, ::8]  # nearest
    known = torch.cat([kept, reference.encode(torch.where(repainted > 0, 0, to_tensor(image)))], dim=1)
    noise = noise_of(5, 10, (16, 24))

    expected = noise[0]
    for index, t in enumerate(scheduler.timesteps.tolist()):
        said = reference.guided(expected, t, (PAINT.prompt, ""), 4.0, known)
        expected = official_step(scheduler, said, t, expected, noise[index + 1] if index < 9 else None)

    request = replace(PAINT, num_inference_steps=10)
    found = final_latents(parts.drawing("inpaint"), every_mode, request, {"a.png": image, "m.png": mask})
    assert relative(found, expected) <= 1e-4


@pytest.mark.parametrize("size", [(192, 128), (150, 99), (600, 400), (64, 700)])
@pytest.mark.parametrize("feather", [0, 8])
def test_what_the_mask_leaves_black_is_the_same_to_the_bit(every_mode: Engine, size: tuple[int, int], feather: int):
    image, box = picture(size), (size[0] // 3, size[1] // 3, size[0] // 2, size[1] // 2)
    mask = marking(size, box)

    result = drawn(every_mode, replace(PAINT, mask_feather=feather), {"a.png": image, "m.png": mask})

    changed = (np.asarray(result) != np.asarray(image)).any(axis=2)
    assert result.size == size
    assert not changed[np.asarray(mask) == 0].any()
    assert changed[np.asarray(mask) > 0].mean() > 0.9


def test_a_grown_mask_repaints_so_much_more_and_no_more(every_mode: Engine):
    image, mask = picture((192, 128)), marking((192, 128), (60, 40, 120, 80))

    result = drawn(every_mode, replace(PAINT, mask_dilation=10, mask_feather=0), {"a.png": image, "m.png": mask})

    changed = (np.asarray(result) != np.asarray(image)).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (50, 30, 130, 90)


def test_a_small_mask_is_its_surroundings_drawn_alone_and_pasted_back(every_mode: Engine):
    image, mask = picture((700, 500)), marking((700, 500), (300, 200, 360, 240))
    place = place_of(np.asarray(mask) > 0).corners

    whole = drawn(every_mode, PAINT, {"a.png": image, "m.png": mask})
    alone = drawn(every_mode, PAINT, {"a.png": image.crop(place), "m.png": mask.crop(place)})

    assert (place[2] - place[0], place[3] - place[1]) == (256, 256)
    assert whole.crop(place).tobytes() == alone.tobytes()


def test_a_small_place_is_drawn_enlarged(every_mode: Engine, parts: Components):
    """What small objects lack is pixels: a place of 64 pixels is drawn as large as a whole picture."""
    pictures = {"a.png": picture((64, 64)), "m.png": marking((64, 64), (8, 8, 56, 56))}

    assert final_latents(parts.drawing("inpaint"), every_mode, PAINT, pictures).shape == (1, 4, 16, 16)


def test_a_mask_of_everything_is_served_and_each_candidate_differs(every_mode: Engine):
    pictures = {"a.png": picture((128, 128)), "m.png": Image.new("L", (128, 128), 255)}
    request = replace(PAINT, num_images_per_prompt=2)

    (outcome,) = every_mode.run([request], pictures)

    first, second = outcome.images
    assert outcome.seeds == (5, 6)
    assert first.tobytes() != second.tobytes()
    difference = np.asarray(drawn(every_mode, replace(PAINT, seed=6), pictures), dtype=int) - np.asarray(second, dtype=int)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (Image.new("L", (192, 128)), "mask-empty"),
        (Image.new("L", (192, 128), 100), "mask-empty"),
        (Image.new("RGBA", (192, 128)), "mask-empty"),
        (Image.new("L", (128, 192), 255), "mask-size"),
    ],
)
def test_a_mask_that_cannot_be_used_is_refused_and_the_next_request_draws(every_mode: Engine, mask: Image.Image, code: str):
    image, good = picture((192, 128)), marking((192, 128), (60, 40, 120, 80))
    before = drawn(every_mode, PAINT, {"a.png": image, "m.png": good})

    with pytest.raises(RequestError) as caught:
        every_mode.run([PAINT], {"a.png": image, "m.png": mask})

    assert caught.value.code == code
    assert drawn(every_mode, PAINT, {"a.png": image, "m.png": good}).tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("sides", "size", "corner"),
    [
        ({"left": 70}, (220, 100), (70, 0)),
        ({"right": 33}, (183, 100), (0, 0)),
        ({"top": 64, "bottom": 1}, (150, 165), (0, 64)),
        ({"left": 10, "top": 20, "right": 30, "bottom": 40}, (190, 160), (10, 20)),
        ({"zoom": 1.5}, (225, 150), (37, 25)),
        ({"zoom": 1.1, "left": 500}, (665, 110), (507, 5)),
    ],
)
def test_outpainting_keeps_the_picture_to_the_bit(
    every_mode: Engine, sides: dict[str, float], size: tuple[int, int], corner: tuple[int, int]
):
    image = picture((150, 100))

    result = drawn(every_mode, replace(EXTEND, **({"bottom": 0} | sides)), {"a.png": image})

    assert result.size == size
    assert result.crop((*corner, corner[0] + 150, corner[1] + 100)).tobytes() == image.tobytes()


def test_outpainting_is_inpainting_of_the_new_area(every_mode: Engine):
    request = replace(EXTEND, right=60, prompt="a red star")
    canvas, mask = extended(picture((128, 128)), request)
    pictures = {"a.png": canvas, "m.png": Image.fromarray(mask.astype(np.uint8) * 255, "L")}
    same = Inpaint("a.png", "m.png", "a red star", 5, num_inference_steps=2)

    assert drawn(every_mode, request, {"a.png": picture((128, 128))}).tobytes() == drawn(every_mode, same, pictures).tobytes()
