"""Every error that the package raises on purpose.

One base class, `PersonSearchError`; each subclass is also the builtin that callers already catch.
A message says what is wrong, what was found, and what to do.
"""


class PersonSearchError(Exception):
    """Base of all errors raised on purpose by personsearch."""


class ImageError(PersonSearchError, ValueError):
    """A file, bytes or array is not a picture that can be used."""


class SourceError(PersonSearchError, FileNotFoundError):
    """A folder, glob, list or video yields no picture to index."""


class BoxError(PersonSearchError, ValueError):
    """A box is not finite, is empty, or lies outside its picture."""


class ShapeError(PersonSearchError, ValueError):
    """Arrays that belong together have shapes that do not."""


class QueryError(PersonSearchError, ValueError):
    """A query cannot be answered as asked (CBGM with a bare crop, say)."""


class GalleryError(PersonSearchError, RuntimeError):
    """A gallery cannot be read or written."""


class GalleryModelError(GalleryError):
    """A gallery holds another model's features; they are never mixed."""


class GalleryPermissionError(GalleryError, PermissionError):
    """A gallery's folder may not be written."""


class ConfigError(PersonSearchError, ValueError):
    """A model's config, a manifest or an option is malformed."""


class WeightsError(PersonSearchError, ValueError):
    """Weights are missing, damaged, or do not belong to the network."""


class ModelNotFoundError(PersonSearchError, LookupError):
    """No model has this name, and no folder is there."""


class HubError(PersonSearchError, ConnectionError):
    """The Hub cannot be reached, refuses, or may not be asked."""


class DeviceError(PersonSearchError, RuntimeError):
    """The device or execution provider asked for is not there."""


class CompilerError(PersonSearchError, RuntimeError):
    """Networks cannot be compiled on this machine."""


class DataError(PersonSearchError, ValueError):
    """An evaluation file or a data set does not follow its schema."""


class MissingExtraError(PersonSearchError, ImportError):
    """An optional dependency is not installed; the message names the extra."""
