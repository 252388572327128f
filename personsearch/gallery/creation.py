"""Make an empty gallery."""

import time
from collections.abc import Mapping

from personsearch import checks
from personsearch.gallery.location import lance_errors, make_files_private, make_private_folder
from personsearch.gallery.table import ModelKey, Storage, schema


def create_table(
    location: str, key: ModelKey, storage: Storage, every: int | None, storage_options: Mapping[str, str] | None = None
) -> None:
    """Make an empty gallery; another process may do so at the same time."""
    import lance

    every = None if every is None else checks.count("every", every)
    make_private_folder(location)
    columns = schema(key, time.time_ns(), storage, every)
    with lance_errors(location):
        try:
            lance.write_dataset(columns.empty_table(), location, mode="create", storage_options=storage_options)
        except OSError as error:
            if "already exists" not in str(error):
                raise
    make_files_private(location)
