"""Find data that an HDF5 file has not in itself but in other files. Uses h5py: for child processes.

HDF5 reads such data without a word when a weight is read, and so would show what is in any file that this
user may read (CVE-2026-1669). No model needs it.
"""

from __future__ import annotations

from typing import Any, Final

import h5py

_MAX_OBJECTS: Final = 1_000_000  # a network with a thousand layers has some ten thousand


class OutsideDataError(ValueError):
    """The file refers to another one. The message names the object."""


def check_links(file: h5py.File) -> None:
    """Raise OutsideDataError for the first object of the file that is kept elsewhere. Nothing is read."""
    pending, seen = [file], 0
    visited: set[Any] = set()
    while pending:
        group = pending.pop()
        for name in group:
            seen += 1
            if seen > _MAX_OBJECTS:
                raise OutsideDataError(f"it has more than {_MAX_OBJECTS} objects")
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise OutsideDataError(f"{group.name.rstrip('/')}/{name} is a link to {link.filename!r}")
            if not isinstance(link, h5py.HardLink):
                continue  # a soft link, to an object of this file, which is looked at where it is
            child = group[name]
            if isinstance(child, h5py.Group) and child.id not in visited:  # a group may contain itself
                visited.add(child.id)
                pending.append(child)
            elif isinstance(child, h5py.Dataset):
                _check_dataset(child)


def _check_dataset(dataset: h5py.Dataset) -> None:
    if dataset.external:
        raise OutsideDataError(f"{dataset.name} is kept in {dataset.external[0][0]!r}")
    if dataset.is_virtual:
        raise OutsideDataError(f"{dataset.name} is put together from other datasets")
