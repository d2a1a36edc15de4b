"""Prompts made richer, and prompts made English; in doubt a person's own words, unchanged."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

from tokenizers import Tokenizer

from engine.language import answers, glossary, small_world
from engine.language.answers import Doubt
from engine.language.model import LanguageError, LanguageModel, Sampling
from engine.language.template import BEAUTIFY, TRANSLATE, Template, harmless
from engine.safety.text import illegal

MAX_TOKENS = 128  # what the text encoder reads, with its end token
_FULL = 96  # tokens of a prompt that is rich enough: a scene would have no room beside it
_MAX_READ = 512  # tokens of a prompt that the language model is given
_TRIES = 6  # of a small world's model, which is as quick as it is forgetful
_LIVELY = 0.7  # temperature of every try but the first
_COUNT_EVERY = 8  # answers are counted in the text encoder's tokens once in so many of their own

Why: TypeAlias = (
    Doubt
    | Literal["names-object", "long-enough", "too-long", "already-english", "unsafe", "too-slow", "model-failed", "lost-words"]
)
OnToken: TypeAlias = Callable[[int, int], None]
Test: TypeAlias = Callable[[str, str], bool]
Judge: TypeAlias = Callable[[str], str | None]
GREEDY = Sampling()
_LASTING: tuple[Why, ...] = (
    "too-long",
    "unsafe",
    "too-slow",
    "model-failed",
)  # no second try


@dataclass(frozen=True)
class Answer:
    """A prompt to draw: the model's text if `changed`, else the person's own words, to the letter, and why."""

    text: str
    changed: bool
    why: Why | None = None


def silent(token: int, total: int) -> None:
    """Watch nothing."""


def always(prompt: str, answer: str) -> bool:
    """Ask nothing of an answer."""
    return True


class PromptWriter:
    """Writes prompts with a language model.

    text_tokenizer: the text encoder's, which counts what fits.  judge: names what is illegal in a text, or None.
    time_limit_s: an answer that takes longer is given up; None waits for ever.  small_world: answers are read by the small
    world's own reader, too, and one that does not keep what was said is given up.
    """

    def __init__(
        self,
        model: LanguageModel,
        text_tokenizer: Tokenizer,
        judge: Judge = illegal,
        time_limit_s: float | None = 30.0,
        small_world: bool = False,
    ) -> None:
        self._model = model
        # a copy: the encoder's own is set to cut, so it never counts beyond the limit
        self._text_tokenizer = Tokenizer.from_str(text_tokenizer.to_str())
        self._text_tokenizer.no_truncation()
        self._text_tokenizer.no_padding()
        self._judge = judge
        self._time_limit_s = time_limit_s
        self._small_world = small_world

    def beautify(
        self, prompt: str, sampling: Sampling = GREEDY, on_token: OnToken = silent, names_object: bool = False
    ) -> Answer:
        """Expand a short prompt into a scene, in English.

        on_token: called after every token with its number and the most there can be; what it raises ends the work.
        names_object: the prompt says what belongs into a hole of a picture; a scene there would be drawn into the hole.
        """
        if names_object:
            return Answer(prompt, False, "names-object")
        if self.count(prompt) > _FULL:
            return Answer(prompt, False, "long-enough")
        return self._kept(partial(self._written, BEAUTIFY, on_token), prompt, sampling, small_world.keeps, small_world.adds)

    def translate(self, prompt: str, sampling: Sampling = GREEDY, on_token: OnToken = silent) -> Answer:
        """Put a prompt into English, with numbers as digits and names as the picture model knows them."""
        if answers.is_english(prompt):
            return Answer(prompt, False, "already-english")
        return self._kept(partial(self._translated, on_token), prompt, sampling, small_world.same)

    def count(self, text: str) -> int:
        """Tokens of a text as the text encoder reads it, with the end token."""
        return len(self._text_tokenizer.encode(text).ids)

    def _translated(self, on_token: OnToken, prompt: str, sampling: Sampling) -> Answer:
        answer = self._written(TRANSLATE, on_token, prompt, sampling)
        if answer.changed and answers.said_too_much(answer.text, glossary.in_english(prompt)[0]):
            return Answer(prompt, False, "off-task")
        return answer

    def _written(self, template: Template, on_token: OnToken, prompt: str, sampling: Sampling) -> Answer:
        named, names = glossary.in_english(prompt)
        filled = template.filled(named)
        if len(self._model.encode(harmless(named))) > _MAX_READ:
            return Answer(prompt, False, "too-long")
        try:
            raw = self._said(template.head, filled, sampling, on_token)
        except LanguageError:
            return Answer(prompt, False, "model-failed")
        if raw is None:
            return Answer(prompt, False, "too-slow")
        text = self.fitted(answers.cleaned(raw))
        why: Why | None = answers.doubt(text, prompt, names) or ("unsafe" if self._judge(text) else None)
        return Answer(prompt, False, why) if why else Answer(text, True)

    def _kept(
        self, write: Callable[[str, Sampling], Answer], prompt: str, sampling: Sampling, keeps: Test, adds: Test = always
    ) -> Answer:
        """What the model writes. Of a small world its reader can tell what is lost, so there the best of a few tries counts.

        keeps: whether an answer has all that was said.  adds: whether it has more; one that has not is second best.
        """
        if not self._small_world:
            return write(prompt, sampling)
        if not small_world.in_the_world(prompt):
            return Answer(prompt, False, "lost-words")
        kept, began = None, time.monotonic()
        lively = replace(sampling, temperature=max(sampling.temperature, _LIVELY))
        for number in range(_TRIES):
            answer = write(prompt, replace(lively, seed=sampling.seed + number) if number else sampling)
            if answer.why in _LASTING:
                return kept or answer
            if answer.changed and keeps(prompt, answer.text):
                if adds(prompt, answer.text):
                    return answer
                kept = kept or answer
            if self._time_limit_s is not None and time.monotonic() - began > self._time_limit_s:
                break
        return kept or Answer(prompt, False, "lost-words")

    def _said(self, head: str, filled: str, sampling: Sampling, on_token: OnToken) -> str | None:
        """The raw answer, as long as it can be of use; None if it took too long."""
        started, token, text = time.monotonic(), 0, ""
        for token, text in enumerate(self._model.stream(head, filled, sampling), 1):
            on_token(token, sampling.max_new_tokens)
            if answers.HEADING in text:
                return text
            if token % _COUNT_EVERY == 0 and self.count(text) > MAX_TOKENS + _COUNT_EVERY:
                return answers.whole_clauses(text, len(text) - 1)  # the rest would be cut
            if self._time_limit_s is not None and time.monotonic() - started > self._time_limit_s:
                return None
        return text if token < sampling.max_new_tokens else answers.whole_clauses(text, len(text) - 1)

    def fitted(self, text: str) -> str:
        """Cut a text behind a sentence, a clause or a word, so that the text encoder reads all of it."""
        while self.count(text) > MAX_TOKENS:
            offsets = self._text_tokenizer.encode(text).offsets
            text = answers.whole_clauses(text, min(offsets[MAX_TOKENS - 2][1], len(text) - 1))
        return text
