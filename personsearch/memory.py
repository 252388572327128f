"""Freed memory: kept for the next image, or given back to the system."""

import ctypes
import sys

TRIM_THRESHOLD, MAP_AT_MOST = -1, -4  # options of glibc's mallopt(3)


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, instead of giving it back and asking again for each image.

    A network's maps are large, and a new page has to be cleared by the system: on a CPU that takes a seventh of a Faster R-CNN's time.
    The process then stays as large as it has been at most. It concerns all of the process, so a program decides on its own; the
    command line does it for the commands that run a network.

    Returns:
        Whether it does now. It is for Linux with glibc; elsewhere nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(MAP_AT_MOST, 0)) and bool(mallopt(TRIM_THRESHOLD, 2**31 - 1))
