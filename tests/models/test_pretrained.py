import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from helpers.web_server import Page, Site, closed_port, serve
from psmnet.errors import ConfigError, InputError, PsmnetError
from psmnet.models.encoder import CompactEncoder, ResNetEncoder
from psmnet.models.pretrained import load_torchvision
from psmnet.models.psm_net import PSMNet, PSMNetSettings

NAME = "resnet18-f37072fd.pth"
URL = f"https://download.example/{NAME}"


def resnet18() -> PSMNet:
    return PSMNet(ResNetEncoder(18, 8), 8, PSMNetSettings())


def published(seed: int = 5) -> dict[str, Tensor]:
    """A ResNet-18's tensors under torchvision's segmentation names, with a classifier."""
    torch.manual_seed(seed)
    own = ResNetEncoder(18, 4).state_dict()
    tensors = {f"backbone.{name}": value for name, value in own.items() if not name.startswith("projection")}
    tensors["backbone.bn1.running_mean"] = torch.full((64,), 0.25)
    tensors["classifier.4.weight"] = torch.zeros(21, 256, 1, 1)
    tensors["aux_classifier.0.weight"] = torch.zeros(2)
    return tensors


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pretrained") / "deeplab.pth"
    torch.save(published(), path)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_refused(kind: type[PsmnetError], match: str, *args: Any) -> None:
    with pytest.raises(kind, match=match) as caught:
        load_torchvision(*args)
    assert "\n" not in str(caught.value)


def test_torchvisions_tensors_load_and_the_projection_stays(weights: Path, tmp_path: Path):
    torch.manual_seed(0)
    model = resnet18()
    projection = model.encoder.projection.weight.clone()
    line = load_torchvision(model, str(weights), digest(weights), tmp_path)
    given = published()
    for name, value in model.encoder.state_dict().items():
        if name != "projection.weight":
            assert torch.equal(value, given[f"backbone.{name}"])
    assert torch.equal(model.encoder.projection.weight, projection)
    # 20 convolutions (1 + 8 x 2 + 3 shortcuts), each with a BatchNorm of five tensors.
    assert line == "encoder: 120 tensors from deeplab.pth"


def test_the_first_eight_digits_of_a_checksum_suffice(weights: Path, tmp_path: Path):
    load_torchvision(resnet18(), str(weights), digest(weights)[:8].upper(), tmp_path)
    check_refused(InputError, "SHA-256", resnet18(), str(weights), digest(weights)[:7], tmp_path)


def test_safetensors_of_an_imagenet_resnet_load(tmp_path: Path):
    tensors = {
        name.removeprefix("backbone."): value
        for name, value in published().items()
        if not name.endswith("num_batches_tracked")  # as files from before PyTorch 0.4 have it
    }
    save_file(tensors, tmp_path / "resnet18.safetensors")
    model = resnet18()
    load_torchvision(model, str(tmp_path / "resnet18.safetensors"), None, tmp_path)
    assert torch.equal(model.encoder.conv1.weight, tensors["conv1.weight"])


def test_refusals_leave_the_encoder_alone(weights: Path, tmp_path: Path):
    model = resnet18()
    before = model.encoder.conv1.weight.clone()
    check_refused(InputError, f"deeplab.pth has SHA-256 {digest(weights)}", model, str(weights), "0" * 64, tmp_path)
    assert torch.equal(model.encoder.conv1.weight, before)


def test_a_missing_file(tmp_path: Path):
    check_refused(
        InputError, "no encoder weights .*absent.pth", resnet18(), str(tmp_path / "absent.pth"), None, tmp_path
    )


def test_an_encoder_that_is_no_resnet(weights: Path, tmp_path: Path):
    model = PSMNet(CompactEncoder(8, (8, 8, 8, 8)), 8, PSMNetSettings())
    check_refused(ConfigError, "need a ResNet", model, str(weights), None, tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"backbone.conv1.weight": torch.zeros(64, 1, 7, 7)}, r"has conv1.weight of shape \(64, 1, 7, 7\)"),
        ({"backbone.layer4.1.bn2.bias": None}, "lacks layer4.1.bn2.bias"),
    ],
)
def test_tensors_that_do_not_fit(change: dict[str, Tensor | None], match: str, tmp_path: Path):
    tensors = {name: value for name, value in (published() | change).items() if value is not None}
    torch.save(tensors, tmp_path / "w.pth")
    check_refused(InputError, match, resnet18(), str(tmp_path / "w.pth"), None, tmp_path)


@pytest.mark.parametrize(
    "content", [[torch.zeros(2)], {"state_dict": {"conv1.weight": torch.zeros(2)}}, {1: torch.zeros(2)}, {"conv1": 3}]
)
def test_a_pytorch_file_that_holds_no_named_tensors(content: Any, tmp_path: Path):
    torch.save(content, tmp_path / "w.pth")
    check_refused(InputError, "w.pth", resnet18(), str(tmp_path / "w.pth"), None, tmp_path)


def test_a_value_under_a_tensors_name_is_refused(tmp_path: Path):
    torch.save(published() | {"backbone.conv1.weight": 3}, tmp_path / "w.pth")
    check_refused(InputError, "lacks conv1.weight", resnet18(), str(tmp_path / "w.pth"), None, tmp_path)


class Harmful:
    def __reduce__(self) -> Any:
        return exec, ("import psmnet; psmnet.harmed = True",)


def test_a_pickle_is_never_run(tmp_path: Path):
    import psmnet

    torch.save(Harmful(), tmp_path / "torch.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Harmful()))
    for name in ("torch.pth", "plain.pth"):
        check_refused(
            InputError, f"{name} is not a PyTorch weights file", resnet18(), str(tmp_path / name), None, tmp_path
        )
    assert not hasattr(psmnet, "harmed")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_damaged_file(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(b"\x01not weights" * 9)
    check_refused(InputError, f"{name} is not", resnet18(), str(tmp_path / name), None, tmp_path)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with serve(monkeypatch) as site:
        yield site


def test_a_url_needs_a_checksum_and_https(site: Site, tmp_path: Path):
    check_refused(ConfigError, "no checksum for https", resnet18(), URL, None, tmp_path)
    http = URL.replace("https", "http")
    check_refused(ConfigError, "is not https", resnet18(), http, "f37072fd", tmp_path)
    assert site.asked == []


def test_a_download_is_kept_and_used_again(site: Site, weights: Path, tmp_path: Path):
    site.pages[f"/{NAME}"] = Page(weights.read_bytes())
    for _ in range(2):
        load_torchvision(resnet18(), f"{site.url}/{NAME}", digest(weights)[:8], tmp_path)
    assert site.asked == [(f"/{NAME}", None)]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_download_with_another_checksum_is_not_kept(site: Site, weights: Path, tmp_path: Path):
    url = f"{site.url}/{NAME}"
    site.pages[f"/{NAME}"] = Page(b"other weights")
    check_refused(InputError, "SHA-256", resnet18(), url, digest(weights), tmp_path)
    assert list(tmp_path.iterdir()) == []
    site.pages[f"/{NAME}"] = Page(weights.read_bytes())
    load_torchvision(resnet18(), url, digest(weights), tmp_path)


@pytest.mark.parametrize(
    ("page", "match"),
    [
        (Page(cuts=[1000]), f"can't fetch {NAME}: the connection to .* broke; .* give the file"),
        (Page(status=404), rf"can't fetch {NAME}: HTTP 404 \(Not Found\) from "),
        (Page(status=302, location="http://example.org/w.pth"), "is not an https address"),
    ],
)
def test_a_download_that_fails_leaves_nothing(page: Page, match: str, site: Site, tmp_path: Path):
    site.pages[f"/{NAME}"] = page
    check_refused(InputError, match, resnet18(), f"{site.url}/{NAME}", "f37072fd", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer(site: Site, tmp_path: Path):
    url = f"http://127.0.0.1:{closed_port()}/{NAME}"
    check_refused(InputError, "can't fetch .*no answer", resnet18(), url, "f37072fd", tmp_path)
    assert list(tmp_path.iterdir()) == []
