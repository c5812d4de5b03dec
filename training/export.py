"""Writes a checkpoint as the ONNX file that the element loads: `python export.py CHECKPOINT OUTPUT`."""

from __future__ import annotations

import argparse
import subprocess
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from model import ALIGN, OUTPUT_STRIDE, Vfi

OPSET = 17
IR_VERSION = 8


def training_commit() -> str:
    """The commit this folder was last changed in, with `-dirty` when its files differ from that."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True).stdout.strip()

    return git("log", "-1", "--format=%H", "--", ".") + ("-dirty" if git("status", "--porcelain", "--", ".") else "")


def export(network: Vfi, output: Path, commit: str) -> None:
    """Writes `network` with the metadata from which the element knows what inputs and outputs mean."""
    pictures = torch.rand(2, 1, 3, 8 * ALIGN, 6 * ALIGN)
    names = ["img0", "img1", "timestep"], ["flow", "mask"]
    size = {2: "height", 3: "width"}
    grid = {2: f"height/{OUTPUT_STRIDE}", 3: f"width/{OUTPUT_STRIDE}"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (pictures[0], pictures[1], torch.tensor([0.5])),
            str(output),
            input_names=names[0],
            output_names=names[1],
            dynamic_axes={"img0": size, "img1": size, "flow": grid, "mask": grid},
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    model = onnx.load(output)
    model.ir_version = IR_VERSION
    model.producer_name = "vfiinterp training"
    model.producer_version = ""
    for value_info, channels in zip(model.graph.output, (4, 1)):  # which the exporter can't always tell
        for dim, value in zip(value_info.type.tensor_type.shape.dim, (1, channels)):
            dim.dim_value = value
    for node in model.graph.node:
        node.ClearField("doc_string")
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
    """Compares the file with the network at sizes it was not traced at; returns the largest difference of flow (input
    pixels) and mask, and fails when that is not small."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for height, width, timestep in ((96, 160, 0.5), (368, 640, 0.3)):
        pictures = torch.rand(2, 1, 3, height, width, generator=generator)
        moment = torch.tensor([timestep])
        with torch.no_grad():
            expected = network.eval()(pictures[0], pictures[1], moment)
        feeds = {"img0": pictures[0].numpy(), "img1": pictures[1].numpy(), "timestep": moment.numpy()}
        for mine, theirs in zip(session.run(["flow", "mask"], feeds), expected):
            worst = max(worst, float(np.abs(mine - theirs.numpy()).max()))
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
    print(f"{arguments.output}: differs from the network by at most {verify(network, arguments.output):.2g}")


if __name__ == "__main__":
    main()
