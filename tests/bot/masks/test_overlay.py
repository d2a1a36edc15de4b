"""The preview of a mask can be told from its picture, whatever colour that has."""

import numpy as np
import pytest
from PIL import Image

from bot.masks.overlay import overlay


@pytest.mark.parametrize("colour", ["red", "white", "black", "teal", "#ff2020"])
def test_marked_parts_and_their_outline_stand_out_on_any_colour(colour: str) -> None:
    mask = np.zeros((200, 300), bool)
    mask[50:150, 100:200] = True
    shown = np.asarray(overlay(Image.new("RGB", (300, 200), colour), mask), np.int16)
    rest = shown[10, 10]
    assert np.abs(shown[60:140, 110:190].reshape(-1, 3).mean(axis=0) - rest).max() > 25
    assert (shown[49, 150] == 255).all()
    assert (shown[48, 150] == 0).all()


def test_a_mask_of_another_picture_is_an_error() -> None:
    with pytest.raises(ValueError, match="lies over"):
        overlay(Image.new("RGB", (30, 20)), np.zeros((30, 20), bool))
