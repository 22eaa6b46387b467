"""The current keys and values. Each change is saved before anybody sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from tfleet.discovery.embedded.key_value_file import KeyValueFile
from tfleet.discovery.embedded.key_values import KeyValues

_IN_MEMORY: Final = "a restart of the registry loses them: choose a folder with --registry-data-dir"


class SavedKeyValues:
    """`current` is what readers see. Changes are made one after another, and saved in a thread.

    Without a file, which is before `load`, they are in memory only. `on_change` is called after each change.
    """

    def __init__(self, first: KeyValues, on_change: Callable[[], None]) -> None:
        self.current = first
        self._on_change = on_change
        self._file: KeyValueFile | None = None
        self._turn = asyncio.Lock()
        """Who makes a change has it until the change is saved."""
        self._failing = False
        self._warned = False
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<SavedKeyValues {self.current!r} {self._file!r}>"

    async def load(self, file: KeyValueFile) -> None:
        """Go on with what is in the file, and save to it from now on. Raises KeyValueFileError."""
        loaded = await asyncio.to_thread(file.load)
        self._file = file
        if loaded is not None:
            # Never below the index of before: the clients of an earlier start know that one.
            index = max(loaded.index, self.current.index)
            self.current = replace(loaded, index=index)
            self._log.info("keys loaded", file=str(file.path), keys=len(loaded.entries))

    async def change(self, decide: Callable[[KeyValues], KeyValues | None]) -> bool:
        """Make and save a change. `decide` gets the current keys, and returns those after it or None.

        False after None. If the caller is cancelled the change may still be made. Raises what `decide`
        raises, and KeysNotSavedError.
        """
        await self._turn.acquire()
        saving = None
        try:
            after = decide(self.current)
            if after is None or after is self.current:
                return after is not None
            if self._file is None:
                self._change_in_memory(after)
                return True
            saving = asyncio.get_running_loop().run_in_executor(None, self._file.save, after)
            saving.add_done_callback(partial(self._saved, after))
        finally:
            if saving is None:
                self._turn.release()
        # A client that leaves cancels its request, but not the thread. What that one saves becomes current.
        await asyncio.shield(saving)
        return True

    async def close(self) -> None:
        """Wait for the change that is being saved, and give the file free."""
        async with self._turn:
            file, self._file = self._file, None
            if file is not None:
                await asyncio.to_thread(file.close)

    def _change_in_memory(self, after: KeyValues) -> None:
        if not self._warned:
            self._warned = True
            self._log.warning("the registry's keys are in memory only", why=_IN_MEMORY)
        self.current = after
        self._on_change()

    def _saved(self, after: KeyValues, saving: asyncio.Future[None]) -> None:
        self._turn.release()
        error = saving.exception()
        if error is None:
            self.current = after
            self._on_change()
        if (error is not None) != self._failing:
            self._failing = error is not None
            if error is None:
                self._log.info("the registry's keys can be saved again")
            else:
                self._log.warning("the registry's keys can't be saved", error=str(error))
