"""Keep freed memory in the process, or return it to the system; and errors that say that there is too little."""

import ctypes
import sys

TRIM_THRESHOLD, MAP_AT_MOST = -1, -4  # options of glibc's mallopt(3)
# What torch, ONNX Runtime, OpenVINO and OpenCV say in errors of general classes
_LACK = ("out of memory", "not enough memory", "can't allocate memory", "insufficient memory", "failed to allocate memory", "bad_alloc")


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


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error, or the one behind it, says that there is too little memory, of the system or of a GPU."""
    behind = error.__cause__
    if isinstance(error, MemoryError) or (behind is not None and is_lack_of_memory(behind)):
        return True
    text = str(error).lower() if isinstance(error, RuntimeError) or type(error).__module__.startswith(("onnxruntime", "cv2")) else ""
    return any(words in text for words in _LACK)
