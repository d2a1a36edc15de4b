import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageChops, ImageDraw
from torch import Tensor

from engine.canny import canny
from engine.hints import canny_hint, hed_hint, sketch_hint
from engine.models.hed import HED
from engine.sketch import thinned
from engine.weights import settings


def detector() -> HED:
    torch.manual_seed(0)
    network = HED()
    torch.nn.init.normal_(network.norm, 120, 10)
    return network.eval()


def stated_hed(w: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """As the facts tell it (4.6)."""
    x, logits = pictures - w["norm"], []
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
        x = F.max_pool2d(x, 2, 2) if block > 1 else x
        for conv in range(count):
            x = F.relu(F.conv2d(x, w[f"block{block}.convs.{conv}.weight"], w[f"block{block}.convs.{conv}.bias"], padding=1))
        logit = F.conv2d(x, w[f"block{block}.projection.weight"], w[f"block{block}.projection.bias"])
        logits.append(F.interpolate(logit, pictures.shape[2:], mode="bilinear", align_corners=False))
    return torch.stack(logits).mean(dim=0).sigmoid()


def drawing(line: int = 5, size: int = 256) -> Image.Image:
    """Black strokes on white: a circle and a cross line."""
    picture = Image.new("L", (size, size), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((50, 50, 200, 200), outline="black", width=line)
    pen.line((20, 220, 230, 128), fill="black", width=line)
    return picture


def on_nothing(strokes: str) -> Image.Image:
    picture = Image.new("RGBA", (256, 256), strokes)
    picture.putalpha(ImageChops.invert(drawing()))
    return picture


def test_hed_has_the_official_number_of_parameters_and_names():
    with torch.device("meta"):
        network = HED()
    assert sum(parameter.numel() for parameter in network.parameters()) == 14_716_168
    assert {name.split(".")[0] for name in network.state_dict()} == {"norm", *(f"block{index}" for index in range(1, 6))}


def test_hed_may_be_narrower_and_keeps_its_settings():
    network = HED(((4, 1), (6, 2), (8, 1), (8, 1), (8, 1)))
    again = HED(**settings(HED, json.loads(network.to_json_string())))
    again.load_state_dict(network.state_dict())
    pictures = torch.rand(1, 3, 32, 48) * 255
    assert network.block2.convs[1].weight.shape == (6, 6, 3, 3)
    assert torch.equal(again(pictures), network(pictures))


@pytest.mark.parametrize("size", [(64, 80), (37, 50), (16, 16)])
def test_hed_is_the_network_of_the_facts(size: tuple[int, int]):
    network, pictures = detector(), torch.rand(2, 3, *size) * 255
    expected = stated_hed(network.state_dict(), pictures)
    assert (network(pictures) - expected).abs().max() < 1e-5
    with torch.inference_mode():
        assert (network(pictures) - expected).abs().max() < 1e-5


def stated_canny(grey: np.ndarray, low: int, high: int) -> np.ndarray:
    """Place by place, in floating point, angles and all."""
    image = np.pad(grey.astype(float), 1, mode="edge")
    height, width = grey.shape
    dx, dy = np.zeros((2, height + 2, width + 2))
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            window = image[y - 1 : y + 2, x - 1 : x + 2]
            dx[y, x] = (window[:, 2] - window[:, 0]) @ (1, 2, 1)
            dy[y, x] = (1, 2, 1) @ (window[2] - window[0])
    size = np.abs(dx) + np.abs(dy)
    ridge = np.zeros((height + 2, width + 2))
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            angle = np.degrees(np.arctan2(dy[y, x], dx[y, x])) % 180
            if angle < 22.5 or angle > 157.5:
                top = size[y, x] > size[y, x - 1] and size[y, x] >= size[y, x + 1]
            elif 67.5 < angle < 112.5:
                top = size[y, x] > size[y - 1, x] and size[y, x] >= size[y + 1, x]
            else:
                side = 1 if angle < 90 else -1
                top = size[y, x] > size[y - 1, x - side] and size[y, x] > size[y + 1, x + side]
            ridge[y, x] = size[y, x] if top else 0
    found, waiting = np.zeros_like(ridge, dtype=bool), list(zip(*np.nonzero(ridge > high), strict=True))
    while waiting:
        y, x = waiting.pop()
        if not found[y, x]:
            found[y, x] = True
            waiting += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if ridge[y + i, x + j] > low]
    return found[1:-1, 1:-1]


@pytest.mark.parametrize(("low", "high"), [(100, 200), (20, 60), (0, 400)])
def test_canny_finds_what_its_definition_says(low: int, high: int):
    grey = np.array(Image.effect_noise((48, 40), 90).resize((60, 52), Image.Resampling.BICUBIC))

    found = canny(np.repeat(grey[..., None], 3, axis=2), low, high)

    assert found.any()
    assert np.array_equal(found, stated_canny(grey, low, high))


def test_canny_sees_an_edge_in_any_colour():
    pixels = np.full((20, 20, 3), 100, dtype=np.uint8)
    pixels[:, 10:, 2] = 250
    assert canny(pixels).sum() == 20


def test_a_long_faint_edge_is_kept_because_its_end_is_strong():
    pixels = np.zeros((30, 400, 3), dtype=np.uint8)
    pixels[15:] = np.linspace(200, 30, 400, dtype=np.uint8)[None, :, None]  # the gradient of the faint end is 120

    assert canny(pixels, 100, 200).any(axis=0).all()
    assert not canny(pixels[:, 370:], 100, 200).any()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1"])
@pytest.mark.parametrize("size", [(64, 128), (192, 64)])
def test_every_kind_of_hint_is_one_kind_of_tensor(mode: str, size: tuple[int, int]):
    picture, network = drawing().convert(mode), detector()
    for hint in (hed_hint(network, picture, *size), canny_hint(picture, *size), sketch_hint(picture, *size)):
        assert hint.shape == (1, 3, size[1], size[0])
        assert hint.dtype == torch.float32
        assert 0 <= hint.min() < hint.max() <= 1
        assert torch.equal(hint[:, 0], hint[:, 1])
        assert torch.equal(hint[:, 0], hint[:, 2])


def test_a_sketch_means_the_same_on_white_on_black_and_on_nothing():
    expected = sketch_hint(drawing(), 256, 256)

    assert 0.01 < expected.mean() < 0.1
    for same in (
        ImageChops.invert(drawing()),
        drawing().convert("RGB"),
        on_nothing("black"),
        on_nothing("white"),
        on_nothing("navy"),
    ):
        assert torch.equal(sketch_hint(same, 256, 256), expected)


def reached(one: Tensor, other: Tensor, within: int) -> float:
    """Share of the lines of one that lie near lines of the other."""
    near = F.max_pool2d(other, 2 * within + 1, 1, within) > 0.5
    return float((near & (one > 0.9)).sum() / (one > 0.9).sum())


@pytest.mark.parametrize("thick", [1, 2, 7])
def test_thin_and_thick_lines_give_the_same_lines(thick: int):
    """PIL's ellipses grow inwards, so a thicker one is a smaller one."""
    one, other = sketch_hint(drawing(4), 256, 256), sketch_hint(drawing(thick), 256, 256)

    assert reached(one, other, 4) > 0.98
    assert reached(other, one, 4) > 0.98
    assert 0.7 < float(one.mean() / other.mean()) < 1.4


def test_a_filled_shape_gives_its_border():
    picture = Image.new("L", (256, 256), "white")
    ImageDraw.Draw(picture).rectangle((60, 80, 180, 200), fill="black")

    hint = sketch_hint(picture, 256, 256)[0, 0]

    assert hint[140, 58:64].max() > 0.5
    assert hint[100:180, 80:160].max() == 0


def test_a_thin_line_survives_a_much_smaller_size():
    large = Image.new("L", (2000, 2000), "white")
    ImageDraw.Draw(large).line((0, 1000, 2000, 1000), fill="black", width=1)
    assert (sketch_hint(large, 128, 128)[0, 0].max(dim=0).values > 0.5).all()


def test_pencil_on_grainy_paper_leaves_the_grain_out():
    grain = Image.effect_noise((256, 256), 8).point(lambda level: level + 80)
    pencil = ImageChops.darker(grain, drawing(3).point(lambda level: 60 if level < 128 else 255))

    assert reached(sketch_hint(pencil, 256, 256), sketch_hint(drawing(3), 256, 256), 3) > 0.95


@pytest.mark.parametrize("colour", ["white", "black", "grey", (0, 0, 0, 0)])
def test_a_blank_sketch_has_no_lines(colour: str | tuple[int, ...]):
    assert sketch_hint(Image.new("RGBA", (64, 64), colour), 64, 64).max() == 0


def test_thinning_keeps_lines_connected_and_one_pixel_wide():
    thin = thinned(np.asarray(drawing(9)) < 128)

    assert 0 < thin.sum() < 1200
    square = thin[1:, 1:] & thin[:-1, 1:] & thin[1:, :-1] & thin[:-1, :-1]
    assert square.sum() <= 4  # where lines cross
