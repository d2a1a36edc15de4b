"""Fetching from a hub on this machine: only what lanes need, resumed, checked, converted, locked; then drawn with."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bot.cli import main
from engine import catalog, lock
from engine.engine import load
from engine.errors import WeightsError
from engine.fetching import DOWNLOADS, fetch
from engine.models.unet import Kandinsky3UNet
from tests.engine.conftest import tiny_movq, tiny_text_encoder, tiny_tokenizer
from tests.engine.conversion import official
from tests.engine.conversion.official_movq import OfficialMoVQ
from tests.engine.hub import COMMIT, Hub
from tests.engine.models.oracles import UNET, awaken
from tests.engine.safety.tiny import NEVER, network

FAMILY, FLASH = "kandinsky-3.1", ["flash"]


@pytest.fixture(autouse=True)
def free_gigabytes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """However full this machine is, there is room; a test may put another number there."""
    free = [200.0]
    monkeypatch.setattr("engine.fetching.shutil.disk_usage", lambda path: SimpleNamespace(free=free[0] * 1e9))
    return free


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Official files as on the hub, tiny."""
    root = tmp_path_factory.mktemp("hub")
    weights = root / "ai-forever" / "Kandinsky3.1" / "weights"
    encoder = weights / "flan_ul2_encoder"
    encoder.mkdir(parents=True)
    for suffix in ("", "_flash"):
        unet = official.UNet()
        official.randomise(unet)
        torch.save(
            {"unet": unet.state_dict(), "null_embedding": torch.randn(official.CONTEXT)}, weights / f"kandinsky3{suffix}.pt"
        )
        projection = nn.Sequential(nn.Linear(24, official.CONTEXT, bias=False), nn.LayerNorm(official.CONTEXT))
        torch.save(projection.state_dict(), encoder / f"projection{suffix}.pt")
    movq = OfficialMoVQ()
    official.randomise(movq)
    torch.save(movq.state_dict(), weights / "movq.pt")
    text = tiny_text_encoder()
    text.config.save_pretrained(encoder)
    torch.save({n: t for n, t in text.state_dict().items() if n != "encoder.embed_tokens.weight"}, encoder / "pytorch_model.bin")
    tiny_tokenizer().save(str(encoder / "tokenizer.json"))
    judge = root / "CompVis" / "stable-diffusion-safety-checker"
    network(NEVER, NEVER).save_pretrained(judge)
    return root


@pytest.fixture
def hub(published: Path) -> Iterator[Hub]:
    served = Hub(published)
    yield served
    served.close()


def fetched(hub: Hub, folder: Path, lanes: list[str] = FLASH, family: str = FAMILY) -> list[str]:
    said: list[str] = []
    fetch(family, lanes, said.append, folder, endpoint=hub.url)
    return said


def resolved(hub: Hub) -> set[str]:
    return {path.rsplit("/", 1)[1] for command, path, _ in hub.asked if command == "GET" and "/resolve/" in path}


def test_flash_alone_is_fetched_and_draws(hub: Hub, tmp_path: Path):
    said = fetched(hub, tmp_path / FAMILY)

    assert "kandinsky3.pt" not in resolved(hub)
    assert any("unet-flash" in line and "12.2 GB" in line and "Apache-2.0" in line for line in said)
    assert not (tmp_path / FAMILY / "unet").exists()
    assert not (tmp_path / FAMILY / DOWNLOADS).exists()
    engine = load(FAMILY, FLASH, weights=tmp_path / FAMILY)
    request = catalog.text_to_image(FAMILY, "a red circle", 1, num_images_per_prompt=1, width=256, height=256)
    (outcome,) = engine.run([request])
    assert outcome.images[0].size == (256, 256)
    with pytest.raises(WeightsError, match=r"conditioning\.safetensors is missing.*weights fetch"):
        load(FAMILY, ["base"], weights=tmp_path / FAMILY)


@pytest.mark.long
def test_what_is_there_is_not_fetched_again_and_another_lane_adds_its_own(hub: Hub, tmp_path: Path):
    fetched(hub, tmp_path)
    first = lock.read(tmp_path, FAMILY)
    hub.asked.clear()

    assert fetched(hub, tmp_path)[-1].endswith("is here.")
    assert hub.asked == []

    fetched(hub, tmp_path, ["flash", "base"])
    assert resolved(hub) == {"kandinsky3.pt", "projection.pt"}
    both = lock.read(tmp_path, FAMILY)
    assert first.files.items() <= both.files.items()
    assert {origin.revision for several in both.origins.values() for origin in several} == {COMMIT}


def test_a_download_that_breaks_off_goes_on_where_it_was(hub: Hub, tmp_path: Path):
    hub.cut_after = 12_000_000
    with pytest.raises(WeightsError, match="goes on where it was"):
        fetched(hub, tmp_path)
    hub.cut_after = None
    hub.asked.clear()

    fetched(hub, tmp_path)

    ranges = [asked for method, path, asked in hub.asked if method == "GET" and path.endswith("kandinsky3_flash.pt")]
    assert ranges == ["bytes=10485760-"]  # whole pieces of 10 MiB are kept
    load(FAMILY, FLASH, weights=tmp_path)


def test_a_file_with_another_hash_is_not_used(hub: Hub, tmp_path: Path):
    hub.lie = True
    with pytest.raises(WeightsError, match="another SHA-256"):
        fetched(hub, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("kandinsky3_flash.pt"))


@pytest.mark.parametrize(
    "name", ["unet_flash/diffusion_pytorch_model.safetensors", "movq/config.json", "tokenizer/tokenizer.json"]
)
def test_every_load_verifies_what_the_lock_holds(hub: Hub, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]):
    fetched(hub, tmp_path)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)

    with pytest.raises(WeightsError, match="is not the file that") as caught:
        load(FAMILY, FLASH, weights=tmp_path)

    assert str(path) in str(caught.value)
    assert main(["weights", "verify", FAMILY, "--folder", str(tmp_path)]) == 1
    assert str(path) in capsys.readouterr().out


@pytest.mark.long
def test_the_lock_does_not_change_the_revision(hub: Hub, tmp_path: Path):
    fetched(hub, tmp_path)
    with_lock = load(FAMILY, FLASH, weights=tmp_path).revision
    (tmp_path / lock.NAME).unlink()
    assert load(FAMILY, FLASH, weights=tmp_path).revision == with_lock


@pytest.mark.parametrize("content", ["{", '{"family": "kandinsky-3.0", "files": {}, "origins": {}}', "[]"])
def test_a_lock_that_is_damaged_or_anothers_is_named(tmp_path: Path, content: str):
    (tmp_path / lock.NAME).write_text(content)
    with pytest.raises(WeightsError, match=r"weights\.lock\.json"):
        load(FAMILY, FLASH, weights=tmp_path)


def test_nobody_there_and_nothing_there_are_one_line(hub: Hub, tmp_path: Path):
    with pytest.raises(WeightsError, match="look at the network"):
        fetch(FAMILY, FLASH, print, tmp_path, endpoint="http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"has no weights/kandinsky3_flash\.pt at v9"):
        fetch(FAMILY, FLASH, print, tmp_path, endpoint=hub.url, revision="v9")
    with pytest.raises(WeightsError, match="bring your weights"):
        fetch("kandinsky-3.1-small", [], print, tmp_path)
    with pytest.raises(WeightsError, match="has the lanes"):
        fetch(FAMILY, ["sideways"], print, tmp_path)


def test_a_hub_folder_is_taken_as_it_is(tmp_path: Path, tiny_family: Path):
    repository = tmp_path / "hub" / "kandinsky-community" / "kandinsky-3"
    unet = Kandinsky3UNet(**UNET, encoder_hid_dim=24)
    awaken(unet)
    unet.save_pretrained(repository / "unet")
    half = {name: tensor.half() * 0 for name, tensor in unet.state_dict().items()}
    save_file(half, repository / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    torch.save(unet.state_dict(), repository / "unet" / "diffusion_pytorch_model.bin")
    tiny_movq().save_pretrained(repository / "movq")
    tiny_text_encoder().save_pretrained(repository / "text_encoder")
    (repository / "tokenizer").mkdir()
    tiny_tokenizer().save(str(repository / "tokenizer" / "tokenizer.json"))
    network(NEVER, NEVER).save_pretrained(tmp_path / "hub" / "CompVis" / "stable-diffusion-safety-checker")
    hub = Hub(tmp_path / "hub")

    fetched(hub, tmp_path / "family", [], "kandinsky-3.0")
    hub.close()

    names = {path.name for path in (tmp_path / "family" / "unet").iterdir()}
    assert names == {"config.json", "diffusion_pytorch_model.safetensors"}
    request = catalog.text_to_image(
        "kandinsky-3.0", "a star", 1, num_images_per_prompt=1, width=256, height=256, num_inference_steps=1
    )
    (outcome,) = load("kandinsky-3.0", ["base"], weights=tmp_path / "family").run([request])
    assert outcome.images
    # the repository itself, with copies in half precision and pickles beside, loads as well once the judge lies in it
    network(NEVER, NEVER).save_pretrained(repository / "safety_checker")
    engine = load("kandinsky-3.0", ["base"], weights=repository)
    assert torch.equal(engine.networks["base"].unet.conv_in.weight, unet.conv_in.weight)
