"""Writes the RIFE-like files the element is tested with: `python fixtures.py ../tests/fixtures`.

Each is a network of this folder with a few channels, random weights that move things by some pixels, and inputs and
outputs like files met in the wild. They tell nothing of how well the published networks interpolate.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert import Form, Stacked, export, form_of
from rife import Grid, Layout, Rife, warp

TINY_46 = Layout("4.6", (8, 8, 4, 4), None, 6, depth=2)
TINY_425 = Layout("4.25", (4, 4, 4, 4, 4), (4, 2), 13, depth=1)


def tiny(layout: Layout, seed: int) -> Rife:
    """A network whose coarse blocks move things by some three pixels, and whose fine ones add a little."""
    torch.manual_seed(seed)
    network = Rife(layout).eval().requires_grad_(False)
    pictures = smooth(2, 128, 192)
    phase = torch.full((1, 1, 128, 192), 0.5)
    for index, scale in enumerate(layout.scales):
        block = getattr(network, f"block{index}")
        found: list[tuple[Tensor, ...]] = []
        handle = block.register_forward_hook(lambda _block, _inputs, outputs: found.append(outputs))
        network(pictures[:1], pictures[1:], phase, Grid.of(pictures))
        handle.remove()
        flow, logit, _ = found[0]
        head = block.lastconv[0]
        # four channels of flow and one of mask, each of four cells that are shuffled into one
        for channels, factor in (
            (slice(0, 16), (1.5 * scale / layout.scales[0] + 0.1) / flow.std()),
            (slice(16, 20), 1 / logit.std()),
        ):
            head.weight[:, channels] *= factor
            head.bias[channels] *= factor
    return network


def smooth(count: int, height: int, width: int) -> Tensor:
    """Random pictures without sharp edges, [count,3,height,width]."""
    coarse = torch.rand(count, 3, height // 8, width // 8)
    return F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


class Padded(nn.Module):
    """One input of 7 channels of any size, padded and cropped inside."""

    def __init__(self, network: Rife) -> None:
        super().__init__()
        self.stacked = Stacked(network)

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[2], input.shape[3]
        padded = F.pad(input, (0, (64 - width % 64) % 64, 0, (64 - height % 64) % 64))
        return self.stacked(padded)[:, :, :height, :width].clamp(0, 1)


class Lerp(nn.Module):
    """One input of 8 channels, the last the scale of the flow; the blend written as a weighted difference."""

    def __init__(self, network: Rife) -> None:
        super().__init__()
        self.network = network

    def forward(self, input: Tensor) -> Tensor:
        img0, img1, phase, scale = input[:, :3], input[:, 3:6], input[:, 6:7], input[:, 7:8]
        flow, mask = self.network(img0, img1, phase, Grid.of(img0))
        grid = Grid.of(img0)
        first, second = warp(img0, flow[:, :2] * scale, grid), warp(img1, flow[:, 2:4] * scale, grid)
        return (second + mask * (first - second)).clamp(0, 1)


class WithGrid(nn.Module):
    """One input of 11 channels, of which the last four are the grid."""

    def __init__(self, network: Rife) -> None:
        super().__init__()
        self.network = network

    def forward(self, input: Tensor) -> Tensor:
        grid = Grid((input[:, 7:8], input[:, 8:9]), (input[:, 9:10], input[:, 10:11]))
        return self.network.picture(input[:, :3], input[:, 3:6], input[:, 6:7], grid)


class Three(nn.Module):
    """Two pictures and a plane of the phase; the weights of both warped pictures are computed each for itself."""

    def __init__(self, network: Rife) -> None:
        super().__init__()
        self.network = network

    def forward(self, img0: Tensor, img1: Tensor, timestep: Tensor) -> Tensor:
        flow, mask = self.network(img0, img1, timestep, Grid.of(img0))
        grid = Grid.of(img0)
        logit = torch.logit(mask)
        second = warp(img1, flow[:, 2:4], grid) * torch.sigmoid(-logit)
        return second + warp(img0, flow[:, :2], grid) * torch.sigmoid(logit)


class Refined(nn.Module):
    """The blend is not the end: something is added to it that no motion could bring."""

    def __init__(self, network: Rife) -> None:
        super().__init__()
        self.stacked = Stacked(network)
        self.residue = nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        return (self.stacked(input) + 0.1 * torch.tanh(self.residue(input))).clamp(0, 1)


def folded(path: Path) -> None:
    """Simplifies a file as exporters do: constants folded, what says nothing taken out."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    del model.graph.value_info[:]
    onnx.save(model, path)


def halved(path: Path) -> None:
    """Puts all of a file into 16 bits, inputs and outputs too, as exporters do; but for the factors of Resize."""
    model = onnx.load(path)
    factors = {name for node in model.graph.node if node.op_type == "Resize" for name in node.input[1:3]}
    full, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16

    def convert(tensor: onnx.TensorProto) -> None:
        if tensor.data_type == full:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    for tensor in model.graph.initializer:
        if tensor.name not in factors:
            convert(tensor)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == full:
                attribute.i = half
            elif attribute.HasField("t") and not factors.intersection(node.output):
                convert(attribute.t)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = half
    del model.graph.value_info[:]
    onnx.save(model, path)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)

    def stacked(channels: int) -> dict[str, Tensor]:
        return {"input": torch.rand(1, channels, 128, 192)}

    def write(name: str, module: nn.Module, inputs: dict[str, Tensor]) -> Path:
        path = folder / name
        export(Form(module.eval().requires_grad_(False), inputs, ("output",), {}), path)
        return path

    write("rife46_7.onnx", Stacked(tiny(TINY_46, 0)), stacked(7))
    # the same network as convert.py writes it
    export(form_of(tiny(TINY_46, 0), picture=False), folder / "rife46_motion.onnx")
    folded(write("rife425_7_padded_folded.onnx", Padded(tiny(TINY_425, 1)), stacked(7)))
    write("rife46_8_lerp.onnx", Lerp(tiny(TINY_46, 2)), stacked(8))
    folded(write("rife46_11_folded.onnx", WithGrid(tiny(TINY_46, 3)), stacked(11)))
    pictures = torch.rand(2, 1, 3, 128, 192)
    three = {"img0": pictures[0], "img1": pictures[1], "timestep": torch.full((1, 1, 128, 192), 0.5)}
    write("rife425_3_half.onnx", Three(tiny(TINY_425, 4).half()), three)
    halved(write("rife46_7_fp16.onnx", Stacked(tiny(TINY_46, 6)), stacked(7)))
    write("rife46_7_refined.onnx", Refined(tiny(TINY_46, 5)), stacked(7))


if __name__ == "__main__":
    main()
