"""The numbers that blocking queries wait on."""

from __future__ import annotations


class Indexes:
    """One counter that rises with each change and never falls, and for each service name its last change.

    An absent name has the index at which any name last became absent, so that a watch on it needs no memory
    of the name; before the first such, the index of the last change of any service. Consul does the same.
    """

    def __init__(self, first: int) -> None:
        self.last = first
        """Of the last change of anything."""
        self.services = first
        """Of the last time that a service came, changed or went. Checks do not count."""
        self._of: dict[str, int] = {}
        self._extinction = 0

    def of(self, name: str) -> int:
        """Of the last change that touched a service of this name or a check of one."""
        return self._of.get(name) or self._extinction or self.services

    def rise(self) -> int:
        """A change begins: its index."""
        self.last += 1
        return self.last

    def touch(self, name: str) -> None:
        """The change concerns this name."""
        self._of[name] = self.last

    def forget(self, name: str) -> None:
        """With this change the name lost its last service."""
        del self._of[name]
        self._extinction = self.last

    def touch_services(self) -> None:
        """The change is one of a service, not of a check only."""
        self.services = self.last
