"""The networks that `vfi-lab speed` measures, in PyTorch.

`python networks.py CODE write NETWORK FILE` writes one with random weights as ONNX; `python networks.py CODE time NETWORK
DEVICE PRECISION RUNS WIDTH HEIGHT MODE` prints how many milliseconds a run of it takes. CODE: the folder with `training/` and
`convert/`. NETWORK: `vfi-lite` or `random-rife-VERSION`. DEVICE: `cpu` or `cuda:0`. PRECISION: `fp32` or `fp16`. MODE: `eager` or
`compiled`. A run includes bringing two pictures of 32-bit floats to the device and bringing flow and mask back.
"""

import sys
import time
from pathlib import Path

WARM_UP = 3


def network_of(name):
    import torch

    torch.manual_seed(0)
    if name == "vfi-lite":
        from model import Vfi

        return Vfi().eval()
    from convert import Motion
    from rife import LAYOUTS, Rife

    version = name.removeprefix("random-rife-")
    layouts = {layout.version: layout for layout in LAYOUTS}
    if version not in layouts:
        raise SystemExit(f"{name} is none of vfi-lite, " + ", ".join(f"random-rife-{known}" for known in layouts))
    return Motion(Rife(layouts[version]).eval()).eval()


def write(name, output):
    from convert import export, form_of

    export(form_of(network_of(name).network, picture=False), Path(output))


def measured(name, device, precision, runs, width, height, mode):
    import torch

    network = network_of(name).to(device)
    if mode == "compiled":
        network = torch.compile(network)
    on_gpu = device.startswith("cuda")
    pictures = [torch.rand(1, 3, height, width) for _ in range(2)]
    phase = torch.tensor([0.5])
    given = [tensor.pin_memory() if on_gpu else tensor for tensor in (*pictures, phase)]
    times = []
    with torch.inference_mode(), torch.autocast(device.split(":")[0], torch.float16, enabled=precision == "fp16"):
        for _ in range(WARM_UP + runs):
            start = time.perf_counter()
            answers = network(*(tensor.to(device, non_blocking=True) for tensor in given))
            for answer in answers:  # which waits for it
                answer.float().cpu()
            times.append(time.perf_counter() - start)
    return sum(times[WARM_UP:]) / runs * 1e3


def main():
    code, task, name, *rest = sys.argv[1:]
    sys.path[:0] = [f"{code}/training", f"{code}/convert"]
    if task == "write":
        write(name, *rest)
    else:
        device, precision, runs, width, height, mode = rest
        print(measured(name, device, precision, int(runs), int(width), int(height), mode))


if __name__ == "__main__":
    main()
