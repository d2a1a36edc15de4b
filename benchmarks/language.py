"""How well kandinsky-nano beautifies and translates: counts with intervals, through the engine as the bot asks it.

`python -m benchmarks.language [--n 400] [--weights FOLDER]`. Prompts are held out: one object in a triple of background,
colour and shape that no training scene has, or two in a fresh scene; half of them said carelessly (other cases and words, another
order). Then prompts that a person wrote, with the translations that the same person expects. Prompt number i is beautified with
seed i, at the temperature that the bot uses. What counts as right is in `training.language_score`.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.nano import FAMILY, wilson
from engine import catalog
from engine.engine import Engine, load
from engine.language.answers import cleaned
from engine.outcomes import Written
from engine.requests import Beautify, LanguageRequest, RequestError, Translate
from training.language_score import Score, judge_scenery, score

BARS = {
    "beautify: names the objects": 1.0,
    "beautify: names their colours": 1.0,
    "beautify: adds detail": 0.95,
    "translate: says the same": 0.98,
    "translate: word for word": 0.98,
    "by hand, beautify: names the objects": 1.0,
    "by hand, beautify: names their colours": 1.0,
    "by hand, beautify: adds detail": 0.95,
    "by hand, translate: word for word": 0.98,
}
HAND_TRANSLATED = {
    "красный круг": "a red circle",
    "Синий квадрат на белом фоне": "a blue square on a white background",
    "хочу красный круг": "хочу красный круг",
    "нарисуй мне большую жёлтую звезду": "a big yellow star",
    "Нарисуйте, пожалуйста, зелёный треугольник слева": "a green triangle on the left",
    "маленькое розовое сердечко": "a small pink heart",
    "огромный чёрный крест на оранжевом фоне": "a big black cross on an orange background",
    "лиловая звёздочка вверху": "a purple star at the top",
    "кружок белый, фон синий": "a white circle on a blue background",
    "квадрат серого цвета на чёрном фоне": "a gray square on a black background",
    "фиолетовый квадратик снизу на желтом": "a purple square at the bottom on a yellow background",
    "ЗЕЛЁНЫЙ КРУГ В ЦЕНТРЕ!!!": "a green circle in the center",
    "картинка с красным сердцем на розовом фоне": "a red heart on a pink background",
    "на чёрном фоне белая звезда": "a white star on a black background",
    "справа большой синий крестик": "a big blue cross on the right",
    "посередине красный квадрат": "a red square in the center",
    "крупный оранжевый шар наверху": "a big orange circle at the top",
    "треугольник": "a triangle",
    "серый плюс внизу, красный фон": "a gray cross at the bottom on a red background",
    "средний зелёный квадрат с правой стороны": "a medium green square on the right",
    "круг среднего размера": "a medium circle",
    "красный круг и синий квадрат": "a red circle and a blue square",
    "красный круг над синим квадратом": "a red circle above a blue square",
    "белая звезда под черным сердцем на зеленом фоне": "a white star below a black heart on a green background",
    "жёлтый треугольник слева от фиолетового круга": "a yellow triangle to the left of a purple circle",
    "розовый крест справа от серой звезды на белом фоне": "a pink cross to the right of a gray star on a white background",
    "звезда рядом с сердцем": "a star next to a heart",
    "красная звезда слева, большой синий квадрат справа": "a red star on the left and a big blue square on the right",
    "вверху чёрное сердце, внизу белый крест": "a black heart at the top and a white cross at the bottom",
    "два слона на велосипеде": "два слона на велосипеде",
}
HAND_BEAUTIFIED = (
    "red circle", "A yellow star", "big blue square", "heart", "a tiny violet disc", "draw a green triangle please", "grey cross",
    "Two", "a white plus on black", "star, orange", "a red circle and a blue square", "a pink heart above a black cross",
    "a star next to a heart", "PURPLE TRIANGLE!!!", "a circle on a red background", "a large ball on the left", "show me a heart",
    "красный круг", "звезда", "большое синее сердце", "нарисуй зелёный крест", "чёрный квадратик на белом фоне", "желтый шар",
    "сердечко и звёздочка", "красный круг слева от синего квадрата", "лиловый треугольник внизу", "картинка с белой звездой",
    "an elephant", "красный слон", "a red circle on a red background",
)  # fmt: skip


def asked(engine: Engine, request: LanguageRequest) -> str:
    """The text that the engine answers with."""
    (outcome,) = engine.run([request])
    if not isinstance(outcome, Written):
        raise TypeError(f"{request.prompt!r} was not answered: {outcome}")
    return outcome.text


def beautifier(engine: Engine) -> Callable[[str], str]:
    """Beautify with a fresh seed each time."""
    seeds = iter(range(2**31))
    return lambda prompt: asked(engine, catalog.make(Beautify, FAMILY, prompt=prompt, seed=next(seeds)))


def translator(engine: Engine) -> Callable[[str], str]:
    """Translate, the likeliest word each time."""
    return lambda prompt: asked(engine, catalog.make(Translate, FAMILY, prompt=prompt))


def by_hand(beautify: Callable[[str], str], translate: Callable[[str], str]) -> Score:
    """Answers to what a person wrote; a prompt that nano cannot draw has to stay as it is."""
    found, scenes = Score(), Score()
    for prompt, wanted in HAND_TRANSLATED.items():
        answer = translate(prompt)
        found.add("by hand, translate: word for word", answer == cleaned(wanted), 1, f"{prompt!r} became {answer!r}")
    for prompt in HAND_BEAUTIFIED:
        answer = beautify(prompt)
        try:
            catalog.text_to_image(FAMILY, prompt, 0)
        except RequestError:
            found.add("by hand, left as it is if nano cannot draw it", answer == prompt, 1, f"{prompt!r} became {answer!r}")
        else:
            judge_scenery(prompt, answer, scenes)
    for question, counts in scenes.counts.items():
        found.add(f"by hand, {question}", *counts)
    found.wrong = [each for each in found.wrong if not each.endswith(": ")] + scenes.wrong
    return found


def print_score(found: Score, seconds: float, asked_for: int) -> None:
    """Print shares with their intervals and bars, then what went wrong."""
    print(f"\n{asked_for} answers, {1000 * seconds / max(asked_for, 1):.0f} ms each")
    for name, (right, total) in found.counts.items():
        low, high = wilson(right, total)
        bar = f"  bar {BARS[name]:.0%}" if name in BARS else ""
        print(f"  {name:46} {right:4}/{total:<4} {right / max(total, 1):7.1%}  [{low:.1%}, {high:.1%}]{bar}")
    for words in found.wrong:
        print(f"    {words}")


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    engine = load(FAMILY, ("language",), weights=options.weights)
    beautify, translate = beautifier(engine), translator(engine)
    beautify("a red circle")  # reads the weights
    started = time.monotonic()
    found = score(beautify, translate, options.n)
    print_score(found, time.monotonic() - started, 2 * options.n + 2 * (options.n // 4))
    started = time.monotonic()
    found = by_hand(beautify, translate)
    print_score(found, time.monotonic() - started, len(HAND_TRANSLATED) + len(HAND_BEAUTIFIED))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language", description=__doc__)
    parser.add_argument("--n", type=int, default=400, help="prompts of each task (%(default)s)")
    parser.add_argument("--weights", type=Path, help="the family's folder, instead of the packaged one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
