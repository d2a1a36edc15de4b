"""A tiny official file of every kind: converted, loaded by the engine, run; its numbers are those of the official graph."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection
from transformers.models.mistral.configuration_mistral import MistralConfig
from transformers.models.mistral.modeling_mistral import MistralForCausalLM
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5EncoderModel

from engine import catalog
from engine.components import Components
from engine.conversion.checkpoint import Checkpoint
from engine.conversion.kinds import convert
from engine.models.conditions import Branch
from engine.models.hed import HED
from engine.models.super_resolution import SuperResolutionUNet
from engine.safety.checker import ConceptChecker
from engine.safety.checker import load as load_judge
from engine.weights import Folder, settings
from tests.engine.conftest import tiny_tokenizer
from tests.engine.conversion import official
from tests.engine.conversion.official import CONTEXT, EMBED
from tests.engine.conversion.official_movq import OfficialMoVQ
from tests.engine.models import test_super_resolution as stated
from tests.engine.models.oracles import relative
from tests.engine.safety.tiny import family_folder, network, write_published

CPU = torch.device("cpu")
TIMES = torch.tensor([979.0, 229.0])


def loaded(folder: Path) -> Components:
    return Components(Folder(catalog.family("kandinsky-3.1"), folder), CPU, torch.float32)


def made(network: nn.Module, seed: int = 0) -> nn.Module:
    official.randomise(network, seed)
    return network.eval().requires_grad_(False)


def noise(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def text() -> tuple[Tensor, Tensor]:
    return noise(2, 7, CONTEXT, seed=6), torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0]]).bool()


@pytest.mark.parametrize(
    ("file", "channels", "use"),
    [("kandinsky3", 4, "base"), ("kandinsky3_flash", 4, "flash"), ("kandinsky3_inpainting", 9, "inpaint")],
)
def test_a_unet_predicts_what_the_official_one_does(tmp_path: Path, file: str, channels: int, use: str):
    network = made(official.UNet(channels))
    torch.save({"unet": network.state_dict(), "null_embedding": noise(1, 1, CONTEXT)}, tmp_path / f"{file}.pt")
    x, (context, mask) = noise(2, channels, 16, 8), text()

    convert(tmp_path / f"{file}.pt", tmp_path / "family")
    place = catalog.family("kandinsky-3.1").unets[use]
    unet = loaded(tmp_path / "family").unet(place)

    with torch.inference_mode():
        found = unet(x, TIMES, context, mask).sample
    assert relative(found, network(x, TIMES, context, mask)) < 1e-4
    assert torch.equal(load_file(tmp_path / "family" / place.conditioning)["null_embedding"], noise(1, 1, CONTEXT)[0, 0])


def test_the_autoencoder_encodes_and_decodes_as_the_official_one(tmp_path: Path):
    network = made(OfficialMoVQ())
    torch.save(network.state_dict(), tmp_path / "movq.pt")

    convert(tmp_path / "movq.pt", tmp_path / "family")
    movq = loaded(tmp_path / "family").movq()

    pictures, latents = noise(2, 3, 64, 32), noise(2, 4, 8, 4)
    with torch.inference_mode():
        assert relative(movq.encode(pictures), network.encode(pictures)) < 1e-5
        assert relative(movq.decode(latents), network.decode(latents)) < 1e-5


@pytest.mark.parametrize("suffix", ["", *(pytest.param(name, marks=pytest.mark.long) for name in ("_flash", "_inpainting"))])
def test_a_projection_joins_the_null_embedding_of_its_unet(tmp_path: Path, suffix: str):
    projection = made(nn.Sequential(nn.Linear(24, CONTEXT, bias=False), nn.LayerNorm(CONTEXT)))
    network = official.UNet(9 if suffix == "_inpainting" else 4)
    torch.save(projection.state_dict(), tmp_path / f"projection{suffix}.pt")
    torch.save({"unet": network.state_dict(), "null_embedding": noise(CONTEXT)}, tmp_path / f"kandinsky3{suffix}.pt")
    write_text_encoder(tmp_path / "t5", tmp_path / "family")

    for name in (f"projection{suffix}", f"kandinsky3{suffix}"):
        convert(tmp_path / f"{name}.pt", tmp_path / "family")
    parts = loaded(tmp_path / "family")
    place = next(each for each in parts.family.unets.values() if each.conditioning == f"conditioning{suffix}.safetensors")
    conditioning = parts.conditioning(place)

    states = noise(1, 5, 24)
    assert torch.equal(conditioning.projection(states), projection(states))
    assert torch.equal(conditioning.null_embedding, noise(CONTEXT))


def write_text_encoder(source: Path, family: Path) -> T5EncoderModel:
    config = T5Config(vocab_size=64, d_model=24, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-silu")
    encoder = made(T5EncoderModel(config))
    source.mkdir(exist_ok=True)
    tensors = {name: tensor for name, tensor in encoder.state_dict().items() if name != "encoder.embed_tokens.weight"}
    half = len(tensors) // 2
    for index, names in enumerate((list(tensors)[:half], list(tensors)[half:]), start=1):
        torch.save({name: tensors[name] for name in names}, source / f"pytorch_model-0000{index}-of-00002.bin")
    tiny_tokenizer().save(str(source / "tokenizer.json"))
    convert(source, family)
    return encoder


@pytest.mark.parametrize("with_config", [True, False])
def test_shards_of_a_text_encoder_encode_as_before(tmp_path: Path, with_config: bool):
    encoder = write_text_encoder(tmp_path / "t5", tmp_path / "family")
    if with_config:  # as every published one has; FLAN-T5-XL's activation, say, does not show in shapes
        encoder.config.save_pretrained(tmp_path / "t5")
        convert(tmp_path / "t5", tmp_path / "family")

    found = loaded(tmp_path / "family").text_encoder()

    ids = torch.tensor([[3, 9, 1], [7, 1, 0]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    assert torch.equal(found(ids, attention_mask=mask)[0], encoder(ids, attention_mask=mask)[0])
    assert loaded(tmp_path / "family").folder.tokenizer().encode("a red circle").ids


@pytest.mark.parametrize(
    "own_unet", [pytest.param("none", marks=pytest.mark.long), pytest.param("the same", marks=pytest.mark.long), "another"]
)
def test_an_adapter_is_split_off_the_unet_it_came_with(tmp_path: Path, own_unet: str):
    network = made(official.UNet(pictures=True, model_dim=24))
    torch.save(network.state_dict(), tmp_path / "diffusion_pytorch_model.bin")
    if own_unet != "none":
        names = official.UNet().state_dict().keys()
        plain = {name: each for name, each in network.state_dict().items() if name in names}
        if own_unet == "another":
            plain["out_layer.2.bias"] = plain["out_layer.2.bias"] + 1e-6
        torch.save({"unet": plain, "null_embedding": noise(CONTEXT)}, tmp_path / "kandinsky3.pt")
        convert(tmp_path / "kandinsky3.pt", tmp_path / "family")

    _, written = convert(tmp_path / "diffusion_pytorch_model.bin", tmp_path / "family")

    names = [path.name for path in written]
    extra = [] if own_unet == "the same" else ["picture_prompt_unet", "conditioning_picture_prompt.safetensors"]
    assert names == ["picture_prompt", *extra]
    parts = loaded(tmp_path / "family")
    place = catalog.UNetWeights("unet" if own_unet == "the same" else "picture_prompt_unet")
    unet, adapter = parts.unet(place), parts.picture_prompt()
    x, (context, mask), seen = noise(1, 4, 8, 16), text(), noise(1, EMBED)
    network.see(seen, 0.7)
    with torch.inference_mode():
        prepared = unet.prepare([229], [Branch(context[1:], mask[1:], picture=adapter(seen, 0.7))])
        found = unet.denoise(x, prepared, 0)
    assert relative(found, network(x, TIMES[1:], context[1:], mask[1:])) < 1e-4


def test_the_outline_network_adds_what_the_forks_adds(tmp_path: Path):
    network = made(official.ControlNet())
    torch.save(network.state_dict(), tmp_path / "controlnet.bin")

    convert(tmp_path / "controlnet.bin", tmp_path / "family")
    controlnet = loaded(tmp_path / "family").controlnet()

    x, (context, mask), hint = noise(2, 4, 16, 8), text(), noise(2, 3, 128, 64)
    with torch.inference_mode():
        found = controlnet(x, TIMES, context, hint, mask)
    expected = network(x, TIMES, context, mask, hint)
    assert max(relative(mine, theirs) for mine, theirs in zip(found, expected, strict=True)) < 1e-4


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("KandiSuperRes.ckpt", "super_resolution_x4"),
        ("KandiSuperRes_x2.ckpt", "super_resolution_x2"),
        ("KandiSuperRes_flash_x2.pt", "super_resolution_flash_x2"),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_super_resolution_enlarges_as_the_official_graph(
    tmp_path: Path, file: str, folder: str, nested: bool, monkeypatch: pytest.MonkeyPatch
):
    sizes = {"init_channels": 32, "model_channels": 32, "time_embed_dim": 32, "dim_mult": (1, 1, 2, 2)}
    network = made(SuperResolutionUNet(**sizes, num_resnet_blocks=stated.RESNETS))
    tensors = network.state_dict()
    torch.save({"unet": tensors} if nested else tensors, tmp_path / file)
    monkeypatch.setattr(stated, "GROUPS", 32)

    convert(tmp_path / file, tmp_path / "family")
    opened = Folder(catalog.family("kandinsky-3.1"), tmp_path / "family")
    found = opened.module(folder, lambda config: SuperResolutionUNet(**settings(SuperResolutionUNet, config)), torch.float32, CPU)

    sample, low_res = noise(1, 3, 16, 24), noise(1, 3, 16, 24, seed=9)
    with torch.inference_mode():
        assert relative(found(sample, 799, low_res), stated.stated(tensors, sample, torch.tensor([799]), low_res)) < 1e-5


def test_the_refiners_text_and_mask_become_one_file(tmp_path: Path):
    context, mask = noise(1, 128, CONTEXT).half(), (torch.arange(128) == 0).long()[None]
    torch.save(context, tmp_path / "context.pt")
    torch.save(mask, tmp_path / "context_mask.pt")

    kinds = [convert(tmp_path / f"{name}.pt", tmp_path / "family")[0].name for name in ("context", "context_mask")]

    assert kinds == ["refiner-context", "refiner-mask"]
    stored = load_file(tmp_path / "family" / "refiner_context.safetensors")
    assert torch.equal(stored["context"], context)
    assert torch.equal(stored["context_mask"], mask.bool())


def test_the_outline_detector_finds_as_before(tmp_path: Path):
    detector = made(HED())
    torch.save(detector.state_dict(), tmp_path / "ControlNetHED.pth", _use_new_zipfile_serialization=False)  # as the real one

    convert(tmp_path / "ControlNetHED.pth", tmp_path / "family")

    pictures = noise(1, 3, 32, 48) * 128
    assert torch.equal(loaded(tmp_path / "family").edge_detector()(pictures), detector(pictures))


def test_the_judge_scores_as_before(tmp_path: Path):
    judge = network(0.3)
    (tmp_path / "judge").mkdir()
    write_published(tmp_path / "judge", judge)
    published = load_file(tmp_path / "judge" / "safety_checker" / "model.safetensors")
    torch.save(published, tmp_path / "judge" / "safety_checker" / "pytorch_model.bin")
    (tmp_path / "judge" / "safety_checker" / "model.safetensors").unlink()

    convert(tmp_path / "judge" / "safety_checker", tmp_path / "family")

    pixels = noise(2, 3, 56, 56)
    found = load_judge(family_folder(tmp_path / "family"), CPU)
    assert torch.equal(found.scores(pixels)[0], ConceptChecker(judge).scores(pixels)[0])


@pytest.mark.parametrize("with_config", [True, False])
def test_the_image_encoder_sees_as_before(tmp_path: Path, with_config: bool):
    config = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=8,
        image_size=32,
        projection_dim=EMBED,
    )
    encoder = made(CLIPVisionModelWithProjection(config))
    tensors = encoder.state_dict() | {"vision_model.embeddings.position_ids": torch.arange(17)[None]}  # as in old files
    (tmp_path / "image_encoder").mkdir()
    torch.save(tensors, tmp_path / "image_encoder" / "pytorch_model.bin")
    if with_config:
        config.save_pretrained(tmp_path / "image_encoder")

    convert(tmp_path / "image_encoder", tmp_path / "family")

    found = CLIPVisionModelWithProjection.from_pretrained(tmp_path / "family" / "image_encoder").eval()
    pixels = noise(2, 3, 32, 32)
    assert relative(found(pixels).image_embeds, encoder(pixels).image_embeds) < 1e-6


def test_the_language_model_says_as_before(tmp_path: Path):
    config = MistralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    model = made(MistralForCausalLM(config))
    (tmp_path / "llm").mkdir()
    config.save_pretrained(tmp_path / "llm")
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, tmp_path / "llm" / "model.safetensors")
    save_file({name: tensor.half() for name, tensor in tensors.items()}, tmp_path / "llm" / "model.fp16.safetensors")

    convert(tmp_path / "llm", tmp_path / "family")

    found = MistralForCausalLM.from_pretrained(tmp_path / "family" / "language_model").eval()
    ids = torch.tensor([[1, 5, 9, 4]])
    assert torch.equal(found(ids).logits, model(ids).logits)


@pytest.mark.long
@pytest.mark.parametrize("shard", [1_500_000, 4_000_000])
def test_shards_and_precision_are_chosen_and_read_back_whole(tmp_path: Path, shard: int):
    network = made(official.UNet())
    torch.save({"unet": network.state_dict(), "null_embedding": noise(CONTEXT)}, tmp_path / "kandinsky3.pt")

    convert(tmp_path / "kandinsky3.pt", tmp_path / "family", dtype=torch.bfloat16, shard=shard)

    files = list((tmp_path / "family" / "unet").glob("*.safetensors"))
    assert len(files) > 2
    assert max(file.stat().st_size for file in files) < shard / 2 + 20_000  # float32 is read, half of it is written
    stored = Checkpoint(tmp_path / "family" / "unet")
    assert set(stored.dtypes.values()) == {torch.bfloat16}
    unet = loaded(tmp_path / "family").unet(catalog.UNetWeights())
    assert relative(unet.conv_in.weight, network.in_layer.weight.bfloat16().float()) == 0
