import pytest
import torch
from diffusers.pipelines.kandinsky3.pipeline_kandinsky3 import Kandinsky3Pipeline
from transformers import BatchEncoding

from engine.components import Networks
from engine.conditioning import (
    MAX_TOKENS,
    DiffusersTextConditioning,
    ForkTextConditioning,
    OutlineTextConditioning,
    WordlessTextConditioning,
)

PROMPT = "a big red circle"
TOKENS = 5  # with the end of the sequence


def test_the_context_is_the_official_one(networks: Networks):
    conditioning = networks.conditioning
    ids = torch.zeros(1, MAX_TOKENS, dtype=torch.long)
    ids[0, :TOKENS] = torch.tensor(conditioning.tokenizer.encode(PROMPT).ids)
    mask = (torch.arange(MAX_TOKENS) < TOKENS)[None]
    projected = conditioning.projection(conditioning.text_encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state)
    projected[~mask] = 0

    context = conditioning.encode(PROMPT)

    assert (context.states - projected[:, : TOKENS + 1]).abs().max() <= 1e-5
    assert torch.equal(context.mask, mask[:, : TOKENS + 1])


def test_one_zero_masked_pad_is_kept(networks: Networks):
    context = networks.conditioning.encode(PROMPT)

    assert context.mask.tolist() == [[True] * TOKENS + [False]]
    assert not context.states[:, -1].any()
    assert networks.conditioning.projection[1].bias.any()  # zeroed after the projection: before it, the bias would be left


def test_a_full_prompt_is_cut_with_its_end_and_gets_no_pad(networks: Networks):
    context = networks.conditioning.encode("red " * 500)

    assert context.mask.shape == (1, MAX_TOKENS)
    assert context.mask.all()
    assert networks.conditioning.tokenizer.encode("red " * 500).tokens[-1] == "</s>"


def test_without_a_negative_prompt_the_null_embedding_is_the_only_token(networks: Networks):
    cond, uncond = networks.conditioning.pair(PROMPT, "")

    assert uncond.states.shape == cond.states.shape
    assert torch.equal(uncond.states[0, 0], networks.conditioning.null_embedding)
    assert not uncond.states[:, 1:].any()
    assert uncond.mask.tolist() == [[True] + [False] * TOKENS]


def test_a_negative_prompt_keeps_its_own_tokens_and_mask(networks: Networks):
    for negative_prompt in ("star", "a green star on the blue background"):
        cond, uncond = networks.conditioning.pair(PROMPT, negative_prompt)
        alone = networks.conditioning.encode(negative_prompt)

        assert cond.mask.shape == uncond.mask.shape
        assert uncond.mask.sum() == alone.mask.sum()
        assert torch.equal(uncond.states[uncond.mask], alone.states[alone.mask])
        assert not uncond.states[~uncond.mask].any()
        assert cond.mask.sum() == TOKENS


def test_padding_adds_only_zeros_and_no_tokens(networks: Networks):
    context = networks.conditioning.encode(PROMPT)
    longer = context.padded(TOKENS + 4)

    assert torch.equal(longer.states[:, : TOKENS + 1], context.states)
    assert not longer.states[:, TOKENS + 1 :].any()
    assert longer.mask.sum() == context.mask.sum()


class PaddingTokenizer:
    """What diffusers' pipeline asks of a tokenizer: all texts at one length, with a mask."""

    def __init__(self, networks: Networks) -> None:
        self._tokenizer = networks.conditioning.tokenizer

    def __call__(self, text: str | list[str], max_length: int, **options: object) -> BatchEncoding:
        ids = self._tokenizer.encode(text if isinstance(text, str) else text[0]).ids
        missing = [0] * (max_length - len(ids))
        mask = [1] * len(ids) + missing
        return BatchEncoding({"input_ids": torch.tensor([ids + missing]), "attention_mask": torch.tensor([mask])})


@pytest.mark.parametrize("negative_prompt", ["", "star", "a green star on the blue background with a big square"])
def test_the_path_of_hub_checkpoints_is_that_of_diffusers(networks: Networks, negative_prompt: str):
    conditioning = networks.conditioning
    pipeline = Kandinsky3Pipeline(PaddingTokenizer(networks), conditioning.text_encoder, None, None, None)
    cond, uncond, cond_mask, uncond_mask = pipeline.encode_prompt(
        PROMPT, True, negative_prompt=negative_prompt or None, _cut_context=True, device=torch.device("cpu")
    )
    own = DiffusersTextConditioning(conditioning.tokenizer, conditioning.text_encoder, conditioning.projection)

    with torch.inference_mode():
        contexts = own.pair(PROMPT, negative_prompt)

    for context, states, mask in zip(contexts, (cond, uncond), (cond_mask, uncond_mask), strict=True):
        assert (context.states - conditioning.projection(states)).abs().max() <= 1e-5
        assert torch.equal(context.mask, mask.bool())


def hidden_states(networks: Networks, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """T5 over all 128 positions, and the mask."""
    batch = PaddingTokenizer(networks)(text, MAX_TOKENS)
    return networks.conditioning.text_encoder(**batch).last_hidden_state, batch["attention_mask"]


def fork(networks: Networks, path: type[ForkTextConditioning]) -> ForkTextConditioning:
    conditioning = networks.conditioning
    return path(conditioning.tokenizer, conditioning.text_encoder, conditioning.projection)


@pytest.mark.parametrize("path", [ForkTextConditioning, OutlineTextConditioning])
def test_the_forks_prompt_is_zeroed_cut_and_then_projected(networks: Networks, path: type[ForkTextConditioning]):
    hidden, mask = hidden_states(networks, PROMPT)
    expected = networks.conditioning.projection((hidden * mask[..., None])[:, : TOKENS + 1])

    cond, _ = fork(networks, path).pair(PROMPT, "")

    assert (cond.states - expected).abs().max() <= 1e-5
    assert torch.equal(cond.mask, mask[:, : TOKENS + 1].bool())


@pytest.mark.parametrize("negative_prompt", ["star", "green star"])
def test_pads_of_a_negative_are_zeros_for_picture_prompts_and_biases_for_outlines(networks: Networks, negative_prompt: str):
    hidden, mask = (each[:, : TOKENS + 1] for each in hidden_states(networks, negative_prompt))
    project = networks.conditioning.projection

    _, for_pictures = fork(networks, ForkTextConditioning).pair(PROMPT, negative_prompt)
    _, for_outlines = fork(networks, OutlineTextConditioning).pair(PROMPT, negative_prompt)

    assert (for_pictures.states - project(hidden) * mask[..., None]).abs().max() <= 1e-5
    assert (for_outlines.states - project(hidden * mask[..., None])).abs().max() <= 1e-5
    assert torch.equal(for_pictures.mask, mask.bool())
    assert torch.equal(for_outlines.mask, mask.bool())


def test_no_words_are_zeros_for_picture_prompts_and_an_empty_text_for_outlines(networks: Networks):
    cond, uncond = fork(networks, ForkTextConditioning).pair("", "")
    _, empty = fork(networks, OutlineTextConditioning).pair(PROMPT, "")

    for context in (cond, uncond):
        assert context.states.shape[1] == 2
        assert not context.states.any()
        assert not context.mask.any()
    assert empty.mask.tolist() == [[True] + [False] * TOKENS]
    assert empty.states.any(dim=2).all()


def test_a_negative_prompt_keeps_its_tokens_beside_a_picture_without_words(networks: Networks):
    _, uncond = fork(networks, ForkTextConditioning).pair("", "a green star on the blue background")

    assert uncond.mask.sum() == 8


def test_pictures_without_words_stand_beside_the_learned_nothing(networks: Networks):
    own = networks.conditioning
    wordless = WordlessTextConditioning(own.tokenizer, own.text_encoder, own.projection, own.null_embedding)

    cond, uncond = wordless.pair("", "")
    with_words, official = wordless.pair(PROMPT, "star"), own.pair(PROMPT, "star")
    _, negative = wordless.pair("", PROMPT)

    assert torch.equal(cond.states, uncond.states)
    assert torch.equal(cond.states[0, 0], own.null_embedding)
    assert cond.mask.tolist() == [[True, False]]
    assert all(torch.equal(a.states, b.states) for a, b in zip(with_words, official, strict=True))
    assert torch.equal(negative.states, own.encode(PROMPT).states)
    assert wordless.pair("", PROMPT)[0].mask.shape == negative.mask.shape
