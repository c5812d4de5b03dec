"""Writes published weights of RIFE 4.x or FILM as an ONNX file: `python convert.py WEIGHTS OUTPUT`."""

from __future__ import annotations

import argparse
import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from film import Film, film_of
from rife import LAYOUTS, Grid, Layout, Rife, layout_of

OPSET = 17
"""The newest whose GridSample and Pad CUDA runs."""

IR_VERSION = 8

RIFE_ALIGN = 64
"""Coarser blocks need 32 up to 4.24 and 64 from 4.25 on; sizes of 64 are a little better for the former too."""

FILM_ALIGN = 64

ONLY_TRAINED = ("block_tea.", "teacher.", "caltime.", "contextnet.", "unet.", "loss.", "vgg.")
"""Parts of published files that only training used."""


class Unusable(Exception):
    """A file that can't be converted; the message says what was found and what would be accepted."""


@dataclass
class Form:
    """Form in which a network is written: the module to be traced and what its inputs and outputs are called."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    metadata: dict[str, str]


class Motion(nn.Module):
    """img0, img1 [1,3,H,W], timestep [1] to flow [1,4,H,W] and mask [1,1,H,W]."""

    def __init__(self, network: Rife) -> None:
        super().__init__()
        self.network = network

    def forward(self, img0: Tensor, img1: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        phase = timestep.view(1, 1, 1, 1) + torch.zeros_like(img0[:, :1])
        return self.network(img0, img1, phase, Grid.of(img0))


class Stacked(nn.Module):
    """Network of one input [1,7,H,W] (two pictures and a plane of the phase), with output [1,3,H,W]."""

    def __init__(self, network: Rife) -> None:
        super().__init__()
        self.network = network

    def forward(self, input: Tensor) -> Tensor:
        img0, img1, phase = input[:, :3], input[:, 3:6], input[:, 6:7]
        return self.network.picture(img0, img1, phase, Grid.of(img0))


def read(path: Path) -> tuple[dict[str, Tensor], torch.jit.ScriptModule | None]:
    """The weights in a file, in 32 bits, and the program if the file is one (TorchScript). Nothing but tensors is taken
    from a pickle."""
    if path.suffix == ".onnx":
        raise Unusable(f"{path} is called as ONNX files are, which need no converting: the element takes them as they are")
    try:
        if zipfile.is_zipfile(path) and any("/code/" in name for name in zipfile.ZipFile(path).namelist()):
            script = torch.jit.load(path, map_location="cpu").float().eval()
            return dict(script.state_dict()), script
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise Unusable(f"{path} can't be read: {error.strerror or error}") from error
    except Exception as error:
        # PyTorch's own words for this advise to let the file run code
        raise Unusable(
            f"{path} can't be read: it is damaged, or holds no weights that PyTorch saved (tensors by name, or "
            "TorchScript); nothing else is taken from a file, as that could run code"
        ) from error
    for key in ("state_dict", "model", "params"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise Unusable(f"{path} holds a {type(state).__name__}, not weights by name")
    return {name.removeprefix("module."): value.float() for name, value in state.items()}, None


def network_of(state: dict[str, Tensor], version: str, path: Path) -> Rife | Film:
    """The network the weights belong to, with them in it."""
    try:
        if any(name.startswith("predict_flow.") for name in state):
            if version not in ("auto", "film"):
                raise ValueError(f"these are weights of FILM, not of RIFE {version}")
            network: Rife | Film = film_of(state)
        else:
            network = Rife(chosen(layout_of(state), version, path))
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from None
    left = {name for name in state if name not in network.state_dict()}
    strange = sorted(name for name in left if not name.startswith(ONLY_TRAINED))
    if strange:
        count, name = len(strange), describe(network)
        raise Unusable(f"{path} holds {count} parts that {name} does not have, such as `{strange[0]}`")
    try:
        network.load_state_dict({name: value for name, value in state.items() if name not in left})
    except RuntimeError as error:
        raise Unusable(f"{path} does not fit {describe(network)}: {error}") from None
    return network.eval().requires_grad_(False)


def chosen(found: Layout, version: str, path: Path) -> Layout:
    """The layout of the version asked for; else, where versions share shapes, the one that the file's name tells."""
    alike = [layout for layout in LAYOUTS if replace(layout, version=found.version) == found]
    names = [layout.version for layout in alike]
    if version == "auto":
        named = [layout for layout in alike if layout.version in path.stem]
        return named[-1] if named else alike[0]
    for layout in alike:
        if layout.version == version:
            return layout
    raise ValueError(f"these are the shapes of {' and '.join(names)}, not of {version}")


def describe(network: Rife | Film) -> str:
    return f"RIFE {network.layout.version}" if isinstance(network, Rife) else "FILM"


def form_of(network: Rife | Film, picture: bool) -> Form:
    """Returns the form in which a network is to be written: RIFE as motion, or as a picture if that is asked for; FILM as a picture."""
    height, width = 2 * RIFE_ALIGN, 3 * RIFE_ALIGN
    pictures = torch.rand(2, 1, 3, height, width)
    common = {"range": "0..1", "timestep": "scalar"}
    if isinstance(network, Film):
        inputs = {"x0": pictures[0], "x1": pictures[1], "batch_dt": torch.full((1, 1), 0.5)}
        metadata = {"name": "film", "family": "film", "output": "picture", "align": str(FILM_ALIGN), **common}
        return Form(network, inputs, ("image",), metadata)
    if picture:
        return Form(Stacked(network), {"input": torch.rand(1, 7, height, width)}, ("output",), {})
    inputs = {"img0": pictures[0], "img1": pictures[1], "timestep": torch.tensor([0.5])}
    metadata = {
        "name": f"rife-{network.layout.version}",
        "family": "rife",
        "output": "motion",
        "flow_unit": "input_pixels",
        "align": str(RIFE_ALIGN),
        **common,
    }
    return Form(Motion(network), inputs, ("flow", "mask"), metadata)


def export(form: Form, output: Path) -> None:
    """Writes a network, with the metadata from which the element knows what inputs and outputs mean."""
    size = {2: "height", 3: "width"}
    axes = {name: size for name, value in form.inputs.items() if value.dim() == 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            form.module,
            tuple(form.inputs.values()),
            str(output),
            input_names=list(form.inputs),
            output_names=list(form.outputs),
            dynamic_axes=axes | {name: size for name in form.outputs},
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    model = onnx.load(output)
    model.ir_version = IR_VERSION
    model.producer_name = "vfiinterp convert"
    model.producer_version = ""
    for node in model.graph.node:
        node.ClearField("doc_string")
    if form.metadata:
        onnx.helper.set_model_props(model, {f"vfiinterp.{key}": value for key, value in form.metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, output)


def difference(path: Path, form: Form, reference: nn.Module, sizes: tuple[tuple[int, int], ...]) -> list[float]:
    """The mean absolute difference of each output between a file and a module, over random pictures of some sizes."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    sums = [0.0] * len(form.outputs)
    for height, width in sizes:
        feeds = {}
        for name, value in form.inputs.items():
            shape = (*value.shape[:2], height, width) if value.dim() == 4 else value.shape
            feeds[name] = torch.rand(shape, generator=generator)
        with torch.no_grad():
            expected = reference(*feeds.values())
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = session.run(list(form.outputs), {name: value.numpy() for name, value in feeds.items()})
        for i, (mine, theirs) in enumerate(zip(found, expected)):
            sums[i] += float(np.abs(mine - theirs.numpy()).mean()) / len(sizes)
    return sums


def convert(weights: Path, output: Path, version: str = "auto", half: bool = False, picture: bool = False) -> str:
    """Converts a file, compares the result with what it was made from, and tells what was done."""
    state, script = read(weights)
    network = network_of(state, version, weights)
    original = network_of(state, version, weights)
    form = form_of(network.half() if half else network, picture)
    export(form, output)
    reference = script or form_of(original, picture).module
    sizes = ((128, 192), (192, 64))
    found = dict(zip(form.outputs, difference(output, form, reference, sizes)))
    # in units of a pixel for flow, of the whole range for the rest
    limits = {"flow": 0.25 if half else 1e-3}
    for name, value in found.items():
        if not value <= limits.get(name, 5e-3 if half else 1e-4):
            output.unlink()
            raise Unusable(f"{weights}: the {name} of what was written differs by {value:.2g} on average")
    count = sum(parameter.numel() for parameter in network.parameters())
    differences = ", ".join(f"{name} {value:.1g}" for name, value in found.items())
    return (
        f"{output}: {describe(network)}, {count / 1e6:.2f} M parameters, {'fp16' if half else 'fp32'}; "
        f"mean difference from {'the TorchScript' if script else 'the weights in PyTorch'}: {differences}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="RIFE's flownet.pkl or .pth, or FILM's TorchScript .pt")
    parser.add_argument("output", type=Path, help="the .onnx file to be written")
    versions = ["auto", *(layout.version for layout in LAYOUTS), "film"]
    parser.add_argument("--version", choices=versions, default="auto", help="checked against the weights' shapes")
    parser.add_argument("--half", action="store_true", help="convolutions in 16 bits, for GPUs")
    picture = "RIFE: one input of 7 channels and a picture, as in others' files"
    parser.add_argument("--picture", action="store_true", help=picture)
    arguments = parser.parse_args()
    try:
        print(convert(**vars(arguments)))
    except Unusable as error:
        raise SystemExit(f"convert.py: {error}") from None


if __name__ == "__main__":
    main()
