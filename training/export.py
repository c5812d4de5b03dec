"""Writes a checkpoint as the ONNX file that the element loads: `python export.py CHECKPOINT OUTPUT`.

The network's stages (`model.Stage`) become functions of the file's own: a node for each, and a definition in standard
operators beside the graph. Any runtime puts the definition in the node's place; the element has an operator for it."""

from __future__ import annotations

import argparse
import copy
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from model import ALIGN, HEADS, OUTPUT_STRIDE, STAGES_VERSION, Stage, Vfi

OPSET = 17
IR_VERSION = 8

DOMAIN = "vfiinterp"
"""Of the functions."""


def training_commit() -> str:
    """The commit this folder was last changed in, with `-dirty` when its files differ from that."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True).stdout.strip()

    return git("log", "-1", "--format=%H", "--", ".") + ("-dirty" if git("status", "--porcelain", "--", ".") else "")


def to_onnx(module: nn.Module, given: tuple[Tensor, ...], names: tuple[list[str], list[str]], axes: dict) -> onnx.ModelProto:
    """Exports what `module` does with tensors like `given`. names: of inputs and outputs; axes: which of their sizes vary."""
    with warnings.catch_warnings(), tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            given,
            file.name,
            input_names=names[0],
            output_names=names[1],
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
        model = onnx.load(file.name)
    for node in model.graph.node:
        node.ClearField("doc_string")
    return model


class Call(nn.Module):
    """Stands in for a stage: when traced, it becomes a node that calls the function of its name. It has to be run before, to
    know what it takes and gives."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.given: tuple[Tensor, ...] = ()
        self.result: tuple[Tensor, ...] = ()

    def forward(self, *given: Tensor):
        if not torch.jit.is_tracing():
            result = self.stage(*given)
            self.given, self.result = given, result if isinstance(result, tuple) else (result,)
            return result

        class Node(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *tensors: Tensor):
                return tuple(tensor.clone() for tensor in self.result) if len(self.result) > 1 else self.result[0].clone()

            @staticmethod
            def symbolic(graph, *tensors):
                made = graph.op(f"{DOMAIN}::{self.stage.name()}", *tensors, outputs=len(self.result))
                for value, tensor in zip(made if isinstance(made, tuple) else (made,), self.result):
                    value.setType(tensors[0].type().with_sizes([1, tensor.shape[1], None, None]))
                return made

        return Node.apply(*given)

    def definition(self) -> onnx.FunctionProto:
        """The function in standard operators."""
        names = [f"in{i}" for i in range(len(self.given))], [f"out{i}" for i in range(len(self.result))]
        large = {name for name, tensor in zip(names[0], self.given) if tensor.dim() == 4 and tensor.shape[2] > 1}
        axes = {name: {2: f"{name}.height", 3: f"{name}.width"} for name in large.union(names[1])}
        graph = to_onnx(self.stage, self.given, names, axes).graph
        constants = [
            onnx.helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in graph.initializer
        ]
        return onnx.helper.make_function(
            DOMAIN,
            self.stage.name(),
            *names,
            [*constants, *graph.node],
            [onnx.helper.make_opsetid("", OPSET)],
        )


def with_calls(network: Vfi) -> tuple[Vfi, list[Call]]:
    """The network with its stages as calls."""
    network = copy.deepcopy(network)
    calls = []
    for name, stage in list(network.named_modules()):
        if isinstance(stage, Stage):
            owner, _, attribute = name.rpartition(".")
            calls.append(Call(stage))
            setattr(network.get_submodule(owner), attribute, calls[-1])
    return network, calls


def name_heads(graph: onnx.GraphProto, learned: dict[str, Tensor]) -> None:
    """Gives the weights of blocks' joint heads names that tell whose they are: `blocks.2.heads.weight`."""
    names = {}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] not in learned:
            block = node.name.split("/")[1]
            for index, part in ((1, "weight"), (2, "bias")):
                names[node.input[index]] = node.input[index] = f"{block}.heads.{part}"
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


def learned(path: Path) -> dict[str, Tensor]:
    """The weights in a file that [`export`] wrote, under the network's own names."""
    weights = {}
    for tensor in onnx.load(path).graph.initializer:
        value = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        if ".heads." not in tensor.name:
            weights[tensor.name] = value
            continue
        first = 0
        for head, channels in HEADS.items():
            if first < value.shape[0]:
                weights[tensor.name.replace("heads", head)] = value[first : first + channels]
            first += channels
    return weights


def export(network: Vfi, output: Path, commit: str) -> None:
    """Writes `network` with the metadata from which the element knows what inputs and outputs mean."""
    pictures = torch.rand(2, 1, 3, 8 * ALIGN, 6 * ALIGN)
    names = ["img0", "img1", "timestep"], ["flow", "mask"]
    size = {2: "height", 3: "width"}
    grid = {2: f"height/{OUTPUT_STRIDE}", 3: f"width/{OUTPUT_STRIDE}"}
    axes = {"img0": size, "img1": size, "flow": grid, "mask": grid}
    given = pictures[0], pictures[1], torch.tensor([0.5])
    calling, calls = with_calls(network)
    with torch.no_grad():
        calling(*given)
    model = to_onnx(calling, given, names, axes)
    model.functions.extend(call.definition() for call in calls)
    name_heads(model.graph, network.state_dict())
    for opset in model.opset_import:
        opset.version = STAGES_VERSION if opset.domain == DOMAIN else OPSET
    model.ir_version = IR_VERSION
    model.producer_name = "vfiinterp training"
    model.producer_version = ""
    for value_info, channels in zip(model.graph.output, (4, 1)):  # which the exporter can't always tell
        for dim, value in zip(value_info.type.tensor_type.shape.dim, (1, channels)):
            dim.dim_value = value
    metadata = {
        "name": f"vfi-{network.size}",
        "family": "rife",
        "output": "motion",
        "range": "0..1",
        "align": str(ALIGN),
        "flow_unit": "input_pixels",
        "timestep": "scalar",
        "light": "levelled",
        "licence": "MIT OR Apache-2.0",
        "training_commit": commit,
    }
    onnx.helper.set_model_props(model, {f"vfiinterp.{key}": value for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, output)


def verify(network: Vfi, path: Path) -> float:
    """Compares the file with the network at sizes it was not traced at; returns the mean difference of flow (input pixels)
    or mask, whichever is larger, and fails when that is not small. Single cells may differ by much: which of two motions
    fits better can hang on the last bit."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for height, width, timestep in ((96, 160, 0.5), (368, 640, 0.3)):
        soft = torch.rand(1, 3, height // 4, width // 4, generator=generator)
        first = nn.functional.interpolate(soft, scale_factor=4.0, mode="bilinear")
        pictures = torch.stack([first, first.roll((2, 5), (2, 3))])
        phase = torch.tensor([timestep])
        with torch.no_grad():
            expected = network.eval()(pictures[0], pictures[1], phase)
        feeds = {"img0": pictures[0].numpy(), "img1": pictures[1].numpy(), "timestep": phase.numpy()}
        for mine, theirs in zip(session.run(["flow", "mask"], feeds), expected):
            worst = max(worst, float(np.abs(mine - theirs.numpy()).mean()))
    if worst > 0.01:
        raise SystemExit(f"{path}: differs from the network by {worst}")
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="written by train.py; its averaged weights are exported")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    state = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)
    network = Vfi(state.get("size", "lite"))
    network.load_state_dict(state["average"])
    export(network, arguments.output, state["commit"])
    print(f"{arguments.output}: differs from the network by {verify(network, arguments.output):.2g}")


if __name__ == "__main__":
    main()
