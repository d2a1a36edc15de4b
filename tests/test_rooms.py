"""What each room may load: the table of the house, checked in fresh processes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TORCH_FREE = (  # of the engine
    "requests", "request_base", "request_fields", "catalog", "families", "nano_world", "errors", "nano",
    *(f"nano.{name}" for name in ("worlds", "english", "russian", "lexicon", "reading", "mending", "examples")),
    "safety", "safety.text", "safety.folding",
    "language", *(f"language.{name}" for name in ("answers", "glossary", "numerals", "readings", "words")),
)  # fmt: skip
OTHERS = {"bot", "handlers", "engine", "storage", "sandbox", "training"}

FORBIDDEN = {
    "handlers": {"torch", "celery", "sqlalchemy", "diffusers", "transformers", "bot", "sandbox", "training"},
    "storage": {"aiogram", "celery", "torch", "diffusers", *(OTHERS - {"storage"})},
    "sandbox": {"aiogram", "celery", "torch", "sqlalchemy", *(OTHERS - {"sandbox"})},
    "engine": {"aiogram", "celery", "sqlalchemy", *(OTHERS - {"engine"})},
    "training": {"aiogram", "celery", "sqlalchemy", *(OTHERS - {"training", "engine"})},
}


def modules_of(room: str) -> list[str]:
    """Every module of a room by its dotted name, migrations aside: Alembic loads those."""
    files = (file for file in (ROOT / room).rglob("*.py") if "migrations" not in file.parts and file.stem != "__main__")
    return [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]


def loaded_by(*modules: str) -> set[str]:
    """What is in `sys.modules` of a fresh process that imported these."""
    code = f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def rooms(names: set[str]) -> set[str]:
    """Top-level packages among these modules."""
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("room", [pytest.param("training", marks=pytest.mark.long), "engine", "storage", "sandbox"])
def test_a_room_loads_nothing_it_may_not(room: str) -> None:
    assert not rooms(loaded_by(*modules_of(room))) & FORBIDDEN[room]


def test_handlers_know_of_the_engine_and_storage_only_what_they_may() -> None:
    loaded = loaded_by(*modules_of("handlers"))
    assert not rooms(loaded) & FORBIDDEN["handlers"]
    known = {name for name in loaded if name.startswith(("engine.", "storage."))}
    assert known <= {*(f"engine.{name}" for name in TORCH_FREE), "storage.domain", "storage.wording"}


def test_what_looks_at_words_and_files_before_anything_is_drawn_loads_no_torch() -> None:
    assert "torch" not in loaded_by("bot.worker", "engine.pictures", "engine.recipe", "engine.safety.text")


def test_the_bot_process_and_the_workers_parent_load_no_torch_and_only_the_demo_knows_the_sandbox() -> None:
    modules = [name for name in modules_of("bot") if name != "bot.demo"]
    loaded = rooms(loaded_by(*modules))
    assert {"celery", "aiogram"} <= loaded
    assert not loaded & {"torch", "diffusers", "transformers", "sandbox"}
    assert not rooms(loaded_by("bot.demo")) & {"torch", "diffusers", "transformers"}


@pytest.mark.parametrize("room", sorted(OTHERS))
def test_package_files_stay_empty(room: str) -> None:
    assert all(not file.read_text().strip() for file in (ROOT / room).rglob("__init__.py"))
