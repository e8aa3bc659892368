"""Runs at the start of every worker of a test: its captioner fails as a GPU does, in mid-batch, where a prompt asks it.

On a GPU the failures are real: memory beyond the worker's share, a kernel that reads outside of its table. On a CPU the
memory is real, and the GPU's words stand for the GPU. Prompts: `FAULT take N MiB each`, of every picture of a batch;
`FAULT lose the GPU N times`, in so many batches, counted in a file of the folder `REELGRAPH_TEST_FAULTS`.
"""

import os
import re
import runpy
from pathlib import Path

from tasks.engines import captions

# Python imports one sitecustomize alone: the one that lets a CPU build of torch have torchvision comes along
runpy.run_path(str(Path(__file__).parents[1] / "engines" / "sitecustomize.py"))

TOKEN = 3
"""Of an answer, at which the batch fails: its prompt is read, and nothing of it is answered."""
TAKES = re.compile(r"FAULT take (\d+) MiB each")
LOSES = re.compile(r"FAULT lose the GPU (\d+) times")
MIB = 1 << 20
NOBODY_HAS = 1 << 55


class FailingBlip2(captions.Blip2):
    """BLIP-2 as it is, but for what its prompts ask for."""

    def _captions(self, pictures, asked, check):
        said, held = [], []

        def checked():
            check()
            said.append(None)
            if len(said) == TOKEN:
                held.append(self.fail(asked.prompt, len(pictures)))

        return super()._captions(pictures, asked, checked)

    def fail(self, prompt, pictures):
        """What is held until the batch has ended."""
        if takes := TAKES.search(prompt):
            return self.take(int(takes[1]) * pictures)
        if (loses := LOSES.search(prompt)) and counted(loses[0]) <= int(loses[1]):
            return self.lose()
        return None

    def take(self, mib):
        import torch

        device = self.files.device
        if not device.is_gpu and mib > int(os.environ["REELGRAPH_GPU_MEMORY_MIB"]):
            return torch.empty(NOBODY_HAS, dtype=torch.uint8)
        return torch.empty(mib * MIB, dtype=torch.uint8, device=device.name)

    def lose(self):
        import torch

        if not self.files.device.is_gpu:
            raise RuntimeError("CUDA error: device-side assert triggered")
        table = torch.zeros(4, device=self.files.device.name)
        return table[torch.tensor([10_000_000], device=self.files.device.name)]  # nobody waits for it here


def counted(name):
    """How many times that has been asked, this one too, by any process."""
    with (Path(os.environ["REELGRAPH_TEST_FAULTS"]) / name.replace(" ", "-")).open("a") as file:
        file.write("x")
        file.flush()
        return file.tell()


if "REELGRAPH_TEST_FAULTS" in os.environ:
    captions.CAPTIONERS["blip-2"] = FailingBlip2
