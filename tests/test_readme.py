"""What the README shows is what the bot offers."""

from pathlib import Path

from engine import catalog

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_the_prompts_that_the_bot_offers() -> None:
    for prompts in catalog.family(catalog.DEFAULT_FAMILY).examples.values():
        for prompt in prompts:
            assert f"`{prompt}`" in README


def test_every_picture_of_the_readme_is_there() -> None:
    for line in README.splitlines():
        if line.startswith("!["):
            assert (Path(__file__).parent.parent / line.rsplit("(", 1)[1].rstrip(")")).is_file()
