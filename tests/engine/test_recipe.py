"""A file says that it was generated, whatever is opted out of, and how to draw it again."""

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.recipe import (
    GENERATED,
    Recipe,
    RecipeError,
    encode,
    encode_like,
    encode_marked,
    form_of,
    is_marked,
    read,
    recipe_of,
    stored_in,
)
from engine.requests import TextToImage, Variation

PICTURE = Image.effect_noise((64, 48), 60).convert("RGB")
REQUEST = TextToImage("a red circle", 7)
RECIPE = recipe_of(REQUEST, 1, 8, "0123456789abcdef", "cuda:1")


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("form", "name"), [("PNG", "a.png"), ("JPEG", "a.jpg")])
def test_what_is_written_is_read_back(tmp_path: Path, form, name: str):
    data = encode(PICTURE, RECIPE, form)

    found = read(saved(tmp_path / name, data))

    assert found == RECIPE
    assert found.asked() == REQUEST
    assert (found.index, found.seed, found.family, found.device) == (1, 8, "kandinsky-nano", "cuda")
    assert is_marked(data)


def test_every_letter_comes_back(tmp_path: Path):
    request = Variation("a" * 64 + ".png", 3, negative_prompt='красный "круг" <&> \u2028 日本 🎨')
    for form, name in (("PNG", "a.png"), ("JPEG", "a.jpg")):
        assert read(saved(tmp_path / name, encode(PICTURE, recipe_of(request, 0, 3, "r", "cpu"), form))).asked() == request


def test_pixels_of_a_png_are_untouched_and_bytes_are_the_same_again(tmp_path: Path):
    data = encode(PICTURE, RECIPE)
    assert encode(PICTURE, RECIPE) == data
    with Image.open(saved(tmp_path / "a.png", data)) as opened:
        assert np.array_equal(np.asarray(opened), np.asarray(PICTURE))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_without_a_recipe_the_mark_stays(tmp_path: Path, form):
    data = encode_marked(PICTURE, form)
    assert is_marked(data)
    assert b"a red circle" not in data
    with Image.open(saved(tmp_path / "a", data)) as opened:
        assert GENERATED in str(opened.info)
    with pytest.raises(RecipeError, match="left out"):
        read(tmp_path / "a")


def test_the_mark_is_where_tools_look_for_it():
    png, jpeg = encode_marked(PICTURE, "PNG"), encode_marked(PICTURE, "JPEG")
    assert b"iTXtXML:com.adobe.xmp\0\0\0\0\0<?xpacket" in png  # not compressed, before the pixels
    assert png.index(b"com.adobe.xmp") < png.index(b"IDAT")
    assert b"http://ns.adobe.com/xap/1.0/\0<?xpacket" in jpeg
    assert b'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"' in png


def test_a_picture_made_larger_keeps_the_recipe(tmp_path: Path):
    large = encode_like(PICTURE.resize((512, 384)), encode(PICTURE, RECIPE))
    assert read(saved(tmp_path / "a.png", large)) == RECIPE


def bad(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    whole = encode(PICTURE, RECIPE)

    def with_text(text: str) -> bytes:
        info = PngInfo()
        info.add_itxt("kandinsky-bot", text)
        PICTURE.save(tmp_path / "made.png", pnginfo=info)
        return (tmp_path / "made.png").read_bytes()

    stored = json.loads(json.dumps(RECIPE.__dict__))
    plain = tmp_path / "plain.png"
    PICTURE.save(plain)
    bomb = PngInfo()
    bomb.add_text("kandinsky-bot", "x" * 3_000_000, zip=True)
    PICTURE.save(tmp_path / "bomb.png", pnginfo=bomb)
    cases = {
        "no picture": (b"hello", "no whole PNG or JPEG"),
        "empty": (b"", "no whole PNG or JPEG"),
        "cut short": (whole[: len(whole) // 2], "no whole PNG or JPEG"),
        "no recipe": (plain.read_bytes(), "has no recipe"),
        "text bomb": ((tmp_path / "bomb.png").read_bytes(), "no whole PNG or JPEG"),
        "no JSON": (with_text("{"), "damaged"),
        "a list": (with_text("[]"), "damaged"),
        "deep": (with_text("[" * 100_000), "damaged"),
        "a field is missing": (with_text(json.dumps({"request": stored["request"]})), "damaged"),
        "a field has another type": (with_text(json.dumps(stored | {"seed": "8"})), "damaged"),
        "a negative index": (with_text(json.dumps(stored | {"index": -1})), "damaged"),
        "another request": (with_text(json.dumps(stored | {"request": '{"kind":"sculpt"}'})), "sculpt"),
        "a request out of range": (
            with_text(json.dumps(stored | {"request": RECIPE.request.replace('"seed":7', '"seed":-7')})),
            "-7",
        ),
    }
    return {name: (saved(tmp_path / f"{index}.png", data), said) for index, (name, (data, said)) in enumerate(cases.items())}


def test_bad_files_are_one_line_with_the_file(tmp_path: Path):
    for name, (path, expected) in bad(tmp_path).items():
        with pytest.raises(RecipeError) as caught:
            read(path)
        said = str(caught.value)
        assert expected in said, name
        assert str(path) in said, name
        assert len(said.splitlines()) == 1, name
    with pytest.raises(RecipeError, match="cannot be read"):
        read(tmp_path / "none.png")


def test_fields_of_a_later_version_are_left_alone(tmp_path: Path):
    info = PngInfo()
    info.add_itxt("kandinsky-bot", json.dumps(RECIPE.__dict__ | {"lens": "wide"}))
    PICTURE.save(tmp_path / "a.png", pnginfo=info)
    assert read(tmp_path / "a.png") == RECIPE


def test_a_recipe_too_long_for_a_jpeg_is_left_out_whole(tmp_path: Path):
    data = encode(PICTURE, replace(RECIPE, revision="x" * 70_000), "JPEG")
    assert is_marked(data)
    with pytest.raises(RecipeError, match="has no recipe"):
        read(saved(tmp_path / "a.jpg", data))


@pytest.mark.parametrize("name", ["a.webp", "a", "a.gif"])
def test_other_formats_are_refused(name: str):
    with pytest.raises(RecipeError, match="neither PNG nor JPEG"):
        form_of(Path(name))


def test_damage_behind_the_pixels_is_seen(tmp_path: Path):
    data = bytearray(encode(PICTURE, RECIPE))
    place = data.index(b"IDAT") + 20
    data[place] ^= 0xFF
    assert zlib.crc32(bytes(data)) != zlib.crc32(encode(PICTURE, RECIPE))
    with pytest.raises(RecipeError, match="no whole"):
        read(saved(tmp_path / "a.png", bytes(data)))


def test_a_recipe_is_plain_data():
    assert Recipe(**RECIPE.__dict__) == RECIPE


def test_a_recipe_is_found_in_bytes_and_none_where_there_is_none():
    assert stored_in(encode(PICTURE, RECIPE)) == RECIPE
    assert stored_in(encode_marked(PICTURE, "PNG")) is None
    assert stored_in(encode(PICTURE, RECIPE)[:200]) is None
