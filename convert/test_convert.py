"""The converter, on random weights of the published shapes: `pytest test_convert.py`, about two minutes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convert import Motion, Stacked, Unusable, convert
from film import Film
from fixtures import TINY_46, TINY_425, smooth, tiny
from rife import LAYOUTS, Grid, Layout, Rife

TINY_415 = Layout("4.15.lite", (8, 8, 4, 4), (4, 2), 6, depth=2)


def weights(network: torch.nn.Module, path: Path, prefix: str = "module.") -> Path:
    torch.save({prefix + name: value for name, value in network.state_dict().items()}, path)
    return path


@pytest.mark.parametrize(
    ("version", "millions", "giga"),
    # multiplications per picture of 1920x1088, without the encoder, which each picture goes through once
    [("4.6", 5.3, 87.6), ("4.15.lite", 2.6, 48.5), ("4.22.lite", 4.9, 46.6), ("4.25", 5.7, 40.1), ("4.26", 5.7, 40.1)],
)
def test_size_is_the_published_one(version: str, millions: float, giga: float) -> None:
    layout = next(layout for layout in LAYOUTS if layout.version == version)
    with torch.device("meta"):
        network = Rife(layout)
        picture, phase = torch.empty(1, 3, 1088, 1920), torch.empty(1, 1, 1088, 1920)
        one = torch.empty(1, 1, 1, 1)
        with FlopCounterMode(display=False) as counter:
            network(picture, picture, phase, Grid((phase, phase), (one, one)))
        with FlopCounterMode(display=False) as encoder:
            if layout.encoder:
                network.encode(torch.cat([picture, picture]))
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
    found = (counter.get_total_flops() - encoder.get_total_flops()) / 2e9
    assert found == pytest.approx(giga, abs=0.1)


def test_film_has_the_published_size() -> None:
    with torch.device("meta"):
        network = Film()
        picture = torch.empty(1, 3, 1088, 1920)
        with FlopCounterMode(display=False) as counter:
            network(picture, picture, torch.empty(1, 1))
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(34.4, abs=0.1)
    assert counter.get_total_flops() / 2e9 == pytest.approx(4448, rel=0.01)


def sampled(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """picture [C,H,W] where flow [2,H,W] points to, bilinear, written pixel by pixel."""
    _, height, width = picture.shape
    out = np.empty_like(picture)
    for y in range(height):
        for x in range(width):
            px = min(max(x + flow[0, y, x], 0), width - 1)
            py = min(max(y + flow[1, y, x], 0), height - 1)
            x0, y0 = int(px), int(py)
            x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
            upper = picture[:, y0, x0] * (1 - px + x0) + picture[:, y0, x1] * (px - x0)
            lower = picture[:, y1, x0] * (1 - px + x0) + picture[:, y1, x1] * (px - x0)
            out[:, y, x] = upper * (1 - py + y0) + lower * (py - y0)
    return out


def reference(state: dict[str, Tensor], masks_add: bool, head: int, img0: Tensor, img1: Tensor, t: float) -> tuple:
    """RIFE written once more, straight from the weights' names: flow, mask and picture."""

    def lrelu(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, 1)

    def up(x: Tensor, name: str) -> Tensor:
        return F.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], 2, 1)

    def backwards(x: Tensor, flow: Tensor) -> Tensor:
        return torch.from_numpy(sampled(x[0].numpy(), flow[0].numpy()))[None]

    def scaled(x: Tensor, factor: float) -> Tensor:
        return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False, recompute_scale_factor=False)

    def encode(x: Tensor) -> Tensor:
        x = lrelu(conv(x, "encode.cnn0", 2))
        x = lrelu(conv(x, "encode.cnn1"))
        return up(lrelu(conv(x, "encode.cnn2")), "encode.cnn3")

    blocks = 1 + max(int(name[5]) for name in state if name.startswith("block"))
    depth = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("block0.convblock."))
    phase = torch.full_like(img0[:, :1], t)
    encoded = [encode(img0), encode(img1)] if "encode.cnn0.weight" in state else []
    flow = mask = hint = None
    for i in range(blocks):
        scale = 2 ** (blocks - 1 - i)
        if flow is None:
            x = scaled(torch.cat([img0, img1, *encoded, phase], 1), 1 / scale)
        else:
            pictures = [backwards(img0, flow[:, :2]), backwards(img1, flow[:, 2:])]
            pictures += [backwards(e, f) for e, f in zip(encoded, (flow[:, :2], flow[:, 2:]))]
            x = torch.cat([*pictures, phase, mask, *([hint] if head > 6 else [])], 1)
            x = torch.cat([scaled(x, 1 / scale), scaled(flow, 1 / scale) / scale], 1)
        x = lrelu(conv(lrelu(conv(x, f"block{i}.conv0.0.0", 2)), f"block{i}.conv0.1.0", 2))
        for k in range(depth):
            name = f"block{i}.convblock.{k}"
            x = lrelu(conv(x, f"{name}.conv") * state[f"{name}.beta"] + x)
        x = up(x, f"block{i}.lastconv.0")
        b, c, h, w = x.shape
        x = x.view(b, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(b, c // 4, 2 * h, 2 * w)
        x = scaled(x, float(scale))
        flow = x[:, :4] * scale if flow is None else flow + x[:, :4] * scale
        mask = x[:, 4:5] if mask is None or not masks_add else mask + x[:, 4:5]
        hint = x[:, 5:]
    weight = 1 / (1 + torch.exp(-mask))
    return flow, weight, backwards(img0, flow[:, :2]) * weight + backwards(img1, flow[:, 2:]) * (1 - weight)


@pytest.mark.parametrize("layout", [TINY_46, TINY_415, TINY_425], ids=lambda layout: layout.version)
def test_arithmetic_is_that_of_the_reference(layout: Layout) -> None:
    network = tiny(layout, 7)
    torch.manual_seed(8)
    img0, img1 = smooth(2, 64, 128).split(1)
    expected = reference(network.state_dict(), layout.encoder is None, layout.head, img0, img1, 0.3)
    flow, mask = Motion(network)(img0, img1, torch.tensor([0.3]))
    assert flow.abs().mean() > 0.5, "nothing moves, so nothing was compared"
    picture = Stacked(network)(torch.cat([img0, img1, torch.full_like(img0[:, :1], 0.3)], 1))
    for found, wanted in zip((flow, mask, picture), expected):
        assert (found - wanted).abs().max() < 1e-3


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.version)
def test_published_shapes_are_recognised_and_converted(layout: Layout, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = weights(Rife(layout), tmp_path / f"flownet_v{layout.version}.pkl")
    # convert() compares the file with the network itself
    assert f"RIFE {layout.version}," in convert(path, tmp_path / "out.onnx")
    model = onnx.load(tmp_path / "out.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["vfiinterp.name"] == f"rife-{layout.version}"
    assert metadata["vfiinterp.output"] == "motion" and metadata["vfiinterp.align"] == "64"
    assert [output.name for output in model.graph.output] == ["flow", "mask"]
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [17]


def test_half_and_picture_forms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layout = next(layout for layout in LAYOUTS if layout.version == "4.22.lite")
    path = weights(Rife(layout), tmp_path / "weights.pth", prefix="")
    assert "fp16" in convert(path, tmp_path / "half.onnx", half=True)
    convert(path, tmp_path / "full.onnx", picture=True)
    half, full = (onnx.load(tmp_path / name) for name in ("half.onnx", "full.onnx"))
    assert (tmp_path / "half.onnx").stat().st_size < 0.6 * (tmp_path / "full.onnx").stat().st_size
    for value in (*half.graph.input, *half.graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert len(full.graph.input) == 1 and not full.metadata_props


def test_film(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Film(4, (4, 6, 8, 10)).eval()
    pictures = torch.rand(2, 1, 3, 128, 192)
    torch.jit.trace(network, (pictures[0], pictures[1], torch.full((1, 1), 0.5))).save(tmp_path / "film_net_fp32.pt")
    # convert() compares the file with the TorchScript
    assert "TorchScript" in convert(tmp_path / "film_net_fp32.pt", tmp_path / "film.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "film.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["x0", "x1", "batch_dt"]
    phases = []
    for t in (0.2, 0.8):
        feeds = {"x0": pictures[0].numpy(), "x1": pictures[1].numpy(), "batch_dt": np.full((1, 1), t, np.float32)}
        phases.append(session.run(None, feeds)[0])
    assert np.abs(phases[0] - phases[1]).max() > 1e-4, "the phase makes no difference"


def test_parts_that_only_training_used_are_left_out(tmp_path: Path) -> None:
    state = Rife(LAYOUTS[1]).state_dict() | {"block_tea.conv0.0.0.weight": torch.zeros(1)}
    torch.save(state, tmp_path / "weights.pkl")
    convert(tmp_path / "weights.pkl", tmp_path / "out.onnx")


def test_what_cannot_be_converted_is_one_clear_error(tmp_path: Path) -> None:
    def refusal(content: object, **options: str) -> str:
        path = tmp_path / "weights.pkl"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(Unusable) as error:
            convert(path, tmp_path / "out.onnx", **options)
        assert not (tmp_path / "out.onnx").exists()
        assert "weights.pkl" in str(error.value)
        return str(error.value)

    state = Rife(LAYOUTS[1]).state_dict()
    assert "can't be read" in refusal(b"Dear network, please interpolate.")
    assert "can't be read" in refusal(b"")
    # a pickle can hold anything; only tensors are accepted
    assert "can't be read" in refusal(pickle.dumps(Path("/tmp")))
    for content in (np.random.default_rng(0).bytes(4096), b"\x80\x02" + bytes(64), b"PK\x03\x04" + bytes(64)):
        assert "weights_only" not in refusal(content)
        assert "can't be read" in refusal(content)
    (tmp_path / "network.onnx").write_bytes(b"\x08\x0a")
    with pytest.raises(Unusable, match="network.onnx.*need no converting"):
        convert(tmp_path / "network.onnx", tmp_path / "out.onnx")
    assert "not weights by name" in refusal([1, 2])
    assert "no weights of RIFE" in refusal({"conv.weight": torch.zeros(3)})
    assert "no weights of FILM" in refusal({"predict_flow.x": torch.zeros(3)})
    assert "4.15.lite, not of 4.6" in refusal(state, version="4.6")
    assert "`surprise`" in refusal(state | {"surprise": torch.zeros(1)})
    wide = dict(state)
    wide["block0.conv0.1.0.weight"] = torch.zeros(130, 64, 3, 3)
    assert "none of the known versions (4.6," in refusal(wide)
    cut = dict(state)
    del cut["block3.convblock.7.conv.bias"]
    assert "does not fit RIFE 4.15.lite" in refusal(cut)
