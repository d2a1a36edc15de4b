import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from engine.picture_encoder import MEAN, STD, PictureEncoder, pixel_values
from tests.engine.conftest import CLIP


def photo(width: int, height: int) -> Image.Image:
    seeded = np.random.default_rng(width * 31 + height)
    return Image.fromarray(seeded.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def encoder() -> PictureEncoder:
    torch.manual_seed(0)
    return PictureEncoder(CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP)).eval(), CLIP["image_size"])


@pytest.mark.parametrize("size", [(224, 224), (300, 500), (500, 333), (640, 97), (225, 224), (70, 1000), (1, 1), (7, 3), (16, 1)])
def test_pixels_are_those_of_clips_own_processor(size: tuple[int, int]):
    processor = CLIPImageProcessorPil(image_mean=MEAN, image_std=STD)
    expected = processor(photo(*size), return_tensors="pt").pixel_values

    found = pixel_values(photo(*size), 224)

    assert (found - expected).abs().max() <= 1e-5


def test_the_numbers_are_those_of_the_published_processor():
    processor = CLIPImageProcessorPil()

    assert (tuple(processor.image_mean), tuple(processor.image_std), processor.crop_size["height"]) == (MEAN, STD, 224)


@pytest.mark.parametrize("size", [(1, 8192), (20_000, 3)])
def test_a_very_thin_picture_is_cut_before_it_grows(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    grown = []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda picture, size, *rest: grown.append(size) or resize(picture, size, *rest))

    assert pixel_values(photo(*size), 224).shape == (1, 3, 224, 224)
    assert max(*grown[0]) == 224 * 16


@torch.inference_mode()
def test_pictures_are_summed_with_their_weights(encoder: PictureEncoder):
    first, second = photo(30, 20), photo(20, 40)

    both = encoder.embeds([first, second], [0.5, 1.25])

    assert torch.allclose(both, 0.5 * encoder.embeds([first], [1]) + 1.25 * encoder.embeds([second], [1]), atol=1e-6)
    assert both.shape == (1, CLIP["projection_dim"])


@torch.inference_mode()
def test_no_picture_is_the_embedding_of_zeros(encoder: PictureEncoder):
    pixels = torch.zeros(1, 3, CLIP["image_size"], CLIP["image_size"])

    assert torch.equal(encoder.nothing(), encoder.network(pixels).image_embeds)
    assert encoder.nothing().any()
