"""Authors' checkpoints into model folders; one file per layout."""

from personsearch.convert.checkpoint import CONVERTERS, convert_checkpoint, convert_named, load_plain, read_checkpoint

__all__ = ["CONVERTERS", "convert_checkpoint", "convert_named", "load_plain", "read_checkpoint"]
