"""Keep freed memory in the process, or return it to the system."""

import ctypes
import sys

TRIM_THRESHOLD, MAP_AT_MOST = -1, -4  # options of glibc's mallopt(3)


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for the next image.

    The feature maps of a network are large, and the system clears every new page: on a CPU that takes a seventh of a Faster R-CNN's
    time. The process then never shrinks below its largest size. The setting applies to the whole process, so the program must call
    this function itself; the command line does so in the commands that run a network.

    Returns:
        Whether the setting took effect: True on Linux with glibc, False elsewhere.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(MAP_AT_MOST, 0)) and bool(mallopt(TRIM_THRESHOLD, 2**31 - 1))


def return_freed_memory() -> None:
    """Return freed memory to the system at once, as after a very large picture: each thread keeps freed memory of its own."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
