"""What ``underlie doctor`` finds out about the machine: cores and threads, memory, GPU, units for bfloat16."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

_CGROUP = Path("/sys/fs/cgroup")
_GB = 1e9
#: Bytes below which a fit to a table of some thousand rows may fail: PyTorch alone takes half of it.
_LITTLE_MEMORY = 2 * _GB
#: A limit of a container above this is no limit.
_NO_LIMIT = 1 << 60


@final
@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    topic, name, value : str
    state : {"ok", "note", "problem"}
    remedy : str
        What to do, where something can be done.
    """

    topic: str
    name: str
    value: str
    state: Literal["ok", "note", "problem"] = "ok"
    remedy: str = ""


def environment() -> list[Finding]:
    """Variables that libraries read when they are loaded, and stumble over."""
    given = os.environ.get("OMP_NUM_THREADS")
    if given is None or (given.strip().isdecimal() and int(given) > 0):
        return []
    remedy = f"give one whole number, export OMP_NUM_THREADS={usable_cores()}, or unset it"
    return [Finding("installation", "OMP_NUM_THREADS", repr(given), "problem", remedy)]


def machine() -> list[Finding]:
    """What models are fitted on."""
    return [threads(), memory(), gpu(), precision()]


def threads() -> Finding:
    """Cores that this process may use, and the threads that PyTorch takes."""
    import torch

    given = os.environ.get("OMP_NUM_THREADS")
    cores, taken = usable_cores(), torch.get_num_threads()
    value = f"{cores} of {os.cpu_count()} cores may be used, PyTorch takes {taken} thread{'s' if taken > 1 else ''}"
    if given is not None:
        value += f", OMP_NUM_THREADS={given}"
    if taken > cores:
        # Threads without a core wait for each other at every operation.
        return Finding("machine", "threads", value, "note", f"export OMP_NUM_THREADS={cores}")
    if given == "1" and cores >= 4:
        remedy = "unset OMP_NUM_THREADS for large networks; small ones use one thread in any case"
        return Finding("machine", "threads", value, "note", remedy)
    return Finding("machine", "threads", value)


def memory() -> Finding:
    """Memory of the machine or of the container."""
    total = usable_memory()
    if total is None:
        return Finding("machine", "memory", "unknown on this system")
    value = f"{total / _GB:.1f} GB"
    if total < _LITTLE_MEMORY:
        remedy = "use small batches (batch_size=64), and Parquet files or memory maps for large data"
        return Finding("machine", "memory", value, "note", remedy)
    return Finding("machine", "memory", value)


def gpu() -> Finding:
    """The device that ``device="auto"`` chooses, and why no GPU where a driver says that there is one."""
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        more = torch.cuda.device_count() - 1
        value = f"{properties.name}, {properties.total_memory / _GB:.0f} GB" + (f", and {more} more" if more else "")
        return Finding("machine", "GPU", f"{value} (CUDA {torch.version.cuda})")
    if not (Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi")):
        return Finding("machine", "GPU", "none that PyTorch can use; models are fitted on the processor")
    if torch.version.cuda is None:
        remedy = "install a build of PyTorch with CUDA: https://pytorch.org/get-started"
        return Finding(
            "machine", "GPU", "an NVIDIA driver is there, but PyTorch is a build without CUDA", "note", remedy
        )
    value = f"an NVIDIA driver is there, but PyTorch (CUDA {torch.version.cuda}) finds no GPU"
    remedy = "see what nvidia-smi says; a driver older than this CUDA, or CUDA_VISIBLE_DEVICES, hides GPUs"
    return Finding("machine", "GPU", value, "problem", remedy)


def precision() -> Finding:
    """What ``precision="auto"`` means here."""
    import torch

    from underlie.engine.precision import suitable_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if suitable_precision("auto", device) is torch.bfloat16:
        return Finding("machine", "precision", f"bfloat16 units on the {device.type}; precision='auto' uses them")
    return Finding("machine", "precision", f"no bfloat16 units on the {device.type}; precision='auto' is float32")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Cores that this process may use: those it is bound to, and what its container grants, rounded up."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = _granted_cores(cgroup)
    return bound if granted is None else max(1, min(bound, math.ceil(granted)))


def usable_memory(cgroup: Path = _CGROUP) -> int | None:
    """Bytes of memory of the machine, or what its container grants where that is less; None where nobody says."""
    sizes = [_whole_number(cgroup / "memory.max"), _whole_number(cgroup / "memory" / "memory.limit_in_bytes")]
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((size for size in sizes if size is not None and 0 < size < _NO_LIMIT), default=None)


def _granted_cores(cgroup: Path) -> float | None:
    """Processor time per time of a container, by the files of either version of Linux's control groups."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        first = _whole_number(cgroup / "cpu" / "cpu.cfs_quota_us")
        second = _whole_number(cgroup / "cpu" / "cpu.cfs_period_us")
        return first / second if first is not None and second and first > 0 else None


def _whole_number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
