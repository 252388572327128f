"""The size that a network in an ONNX file is run at."""

from pathlib import Path

from personsearch.errors import ConfigError

Size = tuple[int, int]


def input_size(file: Path, declared: tuple[int | None, ...], option: Size | None) -> Size:
    """(height, width) of the network's input.

    Args:
        file: ONNX file, named in the errors.
        declared: (height, width) as the file declares them; None: any size.
        option: `size` of the network's options.

    Raises:
        ConfigError: the file takes any size and the option is missing, or the two differ.
    """
    height, width = (side or chosen for side, chosen in zip(declared, option or (None, None), strict=True))
    if height is None or width is None:
        raise ConfigError(f"size: {file} takes inputs of any size; set size to (height, width)")
    if option not in (None, (height, width)):
        raise ConfigError(f"size is {option}, but {file} takes {declared}; leave size out")
    return height, width
