"""A file says what it shows."""

import pytest

from bot.file_names import file_name
from engine.requests import TextToImage, Upscale


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a big red circle on a blue background", "kandinsky-big-red-circle-blue-background-7.png"),
        ("большой красный круг на синем фоне", "kandinsky-bolshoy-krasnyy-krug-sinem-fone-7.png"),
        ("Щётка & Объём", "kandinsky-shchetka-obem-7.png"),
        ("Café, naïve", "kandinsky-cafe-naive-7.png"),
        ("../../etc/passwd\x00", "kandinsky-etc-passwd-7.png"),
        ("猫", "kandinsky-7.png"),
        ("the", "kandinsky-7.png"),
        ("x" * 300, f"kandinsky-{'x' * 40}-7.png"),
        ("one two three four five six seven", "kandinsky-one-two-three-four-five-7.png"),
        ("electroencephalographically antidisestablishmentarian pictures", "kandinsky-electroencephalographically-7.png"),
    ],
)
def test_a_few_words_and_the_seed(prompt: str, name: str) -> None:
    assert file_name(TextToImage(prompt, 7), 7, "png") == name


def test_a_request_without_words_has_its_seed() -> None:
    assert file_name(Upscale("m", 3), 3, "jpg") == "kandinsky-3.jpg"
