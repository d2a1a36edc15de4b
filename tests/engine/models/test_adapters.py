"""Outlines, picture prompts and regions, each against a statement of the facts written on diffusers' UNet."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.models.conditions import Branch, RegionText
from engine.models.controlnet import Kandinsky3ControlNet
from engine.models.picture_prompt import PicturePrompt, cross_attentions
from engine.models.unet import Kandinsky3UNet
from tests.engine.models.oracles import (
    CONTEXT,
    UNET,
    WIDTHS,
    attend,
    awaken,
    branch,
    outline_residuals,
    relative,
    rewrite,
    unet_pair,
    walk,
)

HEAD = UNET["attention_head_dim"]
TIME = 300


def picture_prompt() -> PicturePrompt:
    torch.manual_seed(3)
    adapter = PicturePrompt(WIDTHS, UNET["layers_per_block"], CONTEXT, HEAD, image_embed_dim=24)
    awaken(adapter)
    return adapter.eval()


def controlnet() -> Kandinsky3ControlNet:
    torch.manual_seed(4)
    network = Kandinsky3ControlNet(**UNET | {"block_out_channels": WIDTHS[:3]})
    awaken(network)
    return network.eval()


def size_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_full_size_adapters_have_the_official_number_of_parameters():
    with torch.device("meta"):
        outline, pictures = Kandinsky3ControlNet(), PicturePrompt()

    assert (size_of(outline), len(outline.state_dict())) == (469_613_584, 396 + 16 + 6)
    assert (size_of(pictures), len(pictures.state_dict())) == (378_991_872, 112)


def test_picture_layers_stand_in_the_order_of_the_cross_attentions():
    with torch.device("meta"):
        unet = Kandinsky3UNet()
    blocks = {name: module for name, module in unet.named_modules() if getattr(module, "cross", False)}
    ordered = sorted(blocks, key=lambda name: blocks[name].index)

    places = cross_attentions(unet.config["block_out_channels"], unet.config["layers_per_block"])

    assert places == [(name, blocks[name].attention.to_q.out_features) for name in ordered]


@pytest.mark.parametrize("counted", [1, 4])
def test_picture_tokens_are_a_second_attention_with_the_texts_queries(counted: int):
    own, reference = unet_pair()
    adapter = picture_prompt()
    embeds, sample, text = torch.randn(1, 24), torch.randn(2, 4, 16, 8), branch(5, counted, seed=1)
    layers = list(adapter.layers.values())

    def rule(attention: Any, index: int, x: Tensor, query: Tensor) -> Tensor:
        heads, layer = attention.heads, layers[index]
        out = attend(query, attention.to_k(text.states), attention.to_v(text.states), heads, text.mask)
        picture = adapter.image_norm(adapter.image_proj(embeds).reshape(1, 4, CONTEXT))
        seen = attend(query, layer.to_key_ip(picture), layer.to_v_ip(picture), heads)
        return attention.to_out[0](out) + 0.7 * layer.to_out_ip(seen)

    with torch.inference_mode():
        plain = own.denoise(sample, own.prepare([TIME], [text]), 0)
        tokens = Branch(text.states, text.mask, picture=adapter(embeds, ip_adapter_scale=0.7))
        found = own.denoise(sample, own.prepare([TIME], [tokens]), 0)
        rewrite(reference, rule)
        mask = text.mask.expand(2, -1)
        assert relative(found, reference(sample, TIME, text.states.expand(2, -1, -1), mask).sample) < 1e-4

        silent = Branch(text.states, text.mask, picture=adapter(embeds, ip_adapter_scale=0.0))
        assert relative(own.denoise(sample, own.prepare([TIME], [silent]), 0), plain) < 1e-5
    assert relative(found, plain) > 1e-3


def test_a_batch_in_training_reads_pictures_as_a_request_does():
    own, _ = unet_pair()
    adapter = picture_prompt()
    texts, embeds, sample = [branch(5, 4, seed=1), branch(5, 2, seed=2)], torch.randn(2, 24), torch.randn(2, 4, 8, 8)
    states, mask = torch.cat([text.states for text in texts]), torch.cat([text.mask for text in texts])

    trained = own(sample, TIME, states, mask, picture=adapter(embeds)).sample

    assert trained.requires_grad
    with torch.inference_mode():
        rich = [Branch(text.states, text.mask, picture=adapter(one[None])) for text, one in zip(texts, embeds, strict=True)]
        drawn = own.denoise(sample, own.prepare([TIME], rich), 0)
        assert relative(trained, drawn) < 1e-4
        assert relative(own(sample, TIME, states, mask).sample, drawn) > 1e-3


@pytest.mark.parametrize("base_ratio", [0.0, 0.3])
def test_regions_answer_with_their_own_text_and_later_ones_win(base_ratio: float):
    own, reference = unet_pair()
    sample, text, first, second = torch.randn(1, 4, 16, 16), branch(5, 4, 1), branch(6, 3, 2), branch(4, 1, 3)
    left, middle = torch.zeros(32, 32), torch.zeros(32, 32)
    left[:, :16] = 1
    middle[:, 8:24] = 1

    def rule(attention: Any, index: int, x: Tensor, query: Tensor) -> Tensor:
        side = int(x.shape[1] ** 0.5)
        base, one, other = (
            attention.to_out[0](
                attend(query, attention.to_k(each.states), attention.to_v(each.states), attention.heads, each.mask)
            )
            for each in (text, first, second)
        )
        step = 32 // side
        in_left, in_middle = (mask[step // 2 :: step, step // 2 :: step].reshape(1, -1, 1).bool() for mask in (left, middle))
        pasted = torch.where(in_middle, other, torch.where(in_left, one, base))
        return (1 - base_ratio) * pasted + base_ratio * base

    with torch.inference_mode():
        plain = own.denoise(sample, own.prepare([TIME], [text]), 0)
        regions = (RegionText(first.states, first.mask, left), RegionText(second.states, second.mask, middle))
        parted = Branch(text.states, text.mask, regions=regions, base_ratio=base_ratio)
        found = own.denoise(sample, own.prepare([TIME], [parted]), 0)
        rewrite(reference, rule)
        assert relative(found, reference(sample, TIME, text.states, text.mask).sample) < 1e-4
    assert relative(found, plain) > 1e-3


def test_branches_with_and_without_adapters_share_a_batch():
    own, _ = unet_pair()
    adapter = picture_prompt()
    text, nothing = branch(5, 4, seed=1), branch(5, 1, seed=2)
    rich = Branch(text.states, text.mask, picture=adapter(torch.randn(1, 24)))
    sample = torch.randn(2, 4, 8, 8)

    with torch.inference_mode():
        together = own.denoise(sample, own.prepare([TIME], [rich, nothing]), 0)
        apart = [own.denoise(sample[i : i + 1], own.prepare([TIME], [each]), 0) for i, each in enumerate((rich, nothing))]

    assert relative(together, torch.cat(apart)) < 1e-5


def test_outlines_become_residuals_as_the_facts_say():
    own, reference = unet_pair()
    _, shell = unet_pair(seed=8)
    network = controlnet()
    shared = network.state_dict().keys() & shell.state_dict().keys()
    copied = {name: value for name, value in network.state_dict().items() if name in shared}
    assert len(copied) == len(network.state_dict()) - 16 - 6
    shell.load_state_dict(copied, strict=False)
    text = branch(6, 4, seed=1)
    sample, hint = torch.randn(2, 4, 16, 8), torch.rand(2, 3, 128, 64)
    wide = Branch(text.states.expand(2, -1, -1), text.mask.expand(2, -1))

    with torch.inference_mode():
        expected = outline_residuals(network, shell, sample, TIME, hint, wide)
        plain = network(sample, TIME, wide.states, hint, wide.mask)
        prepared = network.prepare([TIME], [text])
        found = network.residuals(sample, network.hint_features(hint), prepared, 0, controlnet_conditioning_scale=0.5)
        for ours, halved, theirs in zip(plain, found, expected, strict=True):
            assert relative(ours, theirs) < 1e-4
            assert relative(2 * halved, theirs) < 1e-4
        drawn = own.denoise(sample, own.prepare([TIME], [text]), 0, plain)
        assert relative(drawn, walk(reference, sample, TIME, wide, expected)) < 1e-4


def test_an_untrained_outline_network_adds_nothing():
    network = Kandinsky3ControlNet(**UNET | {"block_out_channels": WIDTHS[:3]})
    text = branch(3, 3, seed=1)

    residuals = network(torch.randn(1, 4, 8, 8), TIME, text.states, torch.rand(1, 3, 64, 64), text.mask)

    assert [tuple(each.shape) for each in residuals] == [(1, 16, 4, 4), (1, 32, 2, 2), (1, 64, 1, 1)]
    assert not any(each.any() for each in residuals)
