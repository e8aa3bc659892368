"""Imported by every Python that has this folder in PYTHONPATH: torchvision's CUDA wheel works beside a CPU torch.

CI's torch is a CPU build, and torchvision comes as a CUDA build only. Two operators that it looks for at import are
declared before it is imported; no test uses them.
"""

import importlib.abc
import sys


class BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Finds nothing; declares the operators when somebody looks for torchvision."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                self.library = torch.library.Library("torchvision", "FRAGMENT")
                self.library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                self.library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                sys.modules["torch"]._declared_for_torchvision = self.library
        return


sys.meta_path.insert(0, BeforeTorchvision())
