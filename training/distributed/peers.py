"""The other processes of a run: to join them, to check that all do the same, and to end with them.

JAX's coordination service carries it all. It has no public key-value store: `_state` is what JAX itself uses.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import jax
import numpy as np
from jax._src.distributed import global_state as _state
from jax._src.lib import _jax

from tfleet.training.distributed.errors import DisagreementError
from tfleet.training.distributed.rank_job import HEARTBEAT_TIMEOUT_S

if TYPE_CHECKING:
    from tfleet.training.distributed.rank_job import RankJob

# Processes go in step, but for what one does alone: process 0 saves.
_WAIT_MS: Final = 3_600_000


class Peers:
    """All processes of a run, this one included."""

    def __init__(self, job: RankJob) -> None:
        self._job = job
        self._batches = 0
        self._digest = 0

    def __repr__(self) -> str:
        return f"<Peers of {self._job.rank} in {self._job.processes}>"

    def join(self) -> None:
        """Wait until all processes are there, at most `join_timeout_s`."""
        job = self._job
        if job.processes == 1:
            return
        # It would catch SIGTERM, and leave the process running.
        jax.config.update("jax_enable_preemption_service", False)
        _bind_collectives(job.host)
        jax.distributed.initialize(
            coordinator_address=job.coordinator,
            num_processes=job.processes,
            process_id=job.rank,
            coordinator_bind_address=job.coordinator,
            initialization_timeout=int(job.join_timeout_s),
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT_S,
        )

    def agree(self, what: str, value: str, advice: str) -> None:
        """Raise DisagreementError in this process if rank 0 has another value for `what`, which is asked
        once.
        """
        job = self._job
        if job.processes == 1:
            return
        key = f"tfleet/{what}"
        if job.rank == 0:
            _state.client.key_value_set(key, value)
        elif _state.client.blocking_key_value_get(key, _WAIT_MS) != value:
            raise DisagreementError(f"process {job.rank} has another {what} than process 0: {advice}")

    def saw_batch(self, batch: np.ndarray[Any, Any]) -> None:
        """Check now and then that all processes have read the same batches: after 1, 2, 4, 8... of them."""
        self._batches += 1
        self._digest = zlib.crc32(np.ascontiguousarray(batch).reshape(-1).view(np.uint8).data, self._digest)
        if self._batches & (self._batches - 1) == 0:
            self.agree(
                f"batch {self._batches}",
                f"{self._digest:08x}",
                "each process has to read the same rows in the same order; give a seed to what draws numbers "
                "by itself, such as numpy.random.default_rng(1)",
            )

    def finish(self) -> None:
        """Wait until all processes are through with the script. Raises JAX's error if one has failed."""
        if self._job.processes > 1:
            _state.client.wait_at_barrier("tfleet/end", _WAIT_MS)
            jax.distributed.shutdown()


def _bind_collectives(host: str) -> None:
    """Let CPUs exchange gradients at this address. JAX would take that of the machine's name, which often is
    a loopback address.
    """
    make = _jax.make_gloo_tcp_collectives

    def made(distributed_client: Any, **_: Any) -> Any:
        return make(distributed_client=distributed_client, hostname=host)

    _jax.make_gloo_tcp_collectives = made
