from pathlib import Path

import pytest
import torch

from engine.engine import Engine, load
from engine.errors import OutOfMemory, WeightsError
from engine.outcomes import Dropped, Progress, Written
from engine.pipelines.language import prompt_writer
from engine.requests import Beautify, Translate
from tests.engine.conftest import tiny_tokenizer
from tests.engine.language.tiny import write_scripted

FAMILY = "kandinsky-3.1"
SCENE = "A red cat rests on a velvet sofa, soft morning light"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("weights") / FAMILY
    write_scripted(folder, SCENE)
    (folder / "tokenizer").mkdir()
    tiny_tokenizer().save(str(folder / "tokenizer" / "tokenizer.json"))
    return load(FAMILY, ["language"], weights=folder)


def test_language_requests_are_written(engine: Engine):
    requests = [Beautify("red cat", seed=1), Translate("рыжий кот на диване, утренний свет"), Beautify("blue whale", seed=1)]

    assert engine.run(requests) == [Written(SCENE), Written(SCENE), Written("blue whale", unchanged="off-task")]


def test_a_token_is_a_step_after_which_a_request_can_be_dropped(engine: Engine):
    seen: list[Progress] = []

    def on_step(progress: Progress) -> tuple[int, ...]:
        seen.append(progress)
        return (0,) if progress.step == 2 else ()

    outcomes = engine.run([Beautify("red cat", seed=1), Translate("A red cat")], on_step=on_step)

    assert outcomes == [Dropped(), Written("A red cat", unchanged="already-english")]
    assert [(progress.stage, progress.request, progress.step, progress.total) for progress in seen] == [
        ("step", 0, 1, 200),
        ("step", 0, 2, 200),
    ]


def test_after_a_full_device_the_next_request_is_written(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object, **settings: object) -> None:
        raise torch.OutOfMemoryError("CUDA")

    request = Beautify("red cat", seed=1)
    fresh = load(FAMILY, ["language"], weights=engine.components.folder.path)  # whose first read, of the template's head, fails
    for each in (fresh, engine):
        network = prompt_writer(each.components)._model.network
        with monkeypatch.context() as patch:
            patch.setattr(network, "forward", full)
            with pytest.raises(OutOfMemory, match=f"{FAMILY}.language"):
                each.run([request])
        assert each.run([request]) == [Written(SCENE)]


def test_without_a_language_model_the_request_says_what_is_missing(tmp_path: Path):
    with pytest.raises(WeightsError, match="language_model"):
        load(FAMILY, ["language"], weights=tmp_path).run([Beautify("red cat", seed=1)])
