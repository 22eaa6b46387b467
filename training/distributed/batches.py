"""Each process reads whole batches, and computes its share of each.

Keras' own rule is another one: it takes what a process reads for that process's share, so that a script would
have to know how many there are. Here a batch is the same with any number of processes, and so is the model.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import jax
import keras
import numpy as np
from keras.src.backend.jax import distribution_lib as keras_jax

if TYPE_CHECKING:
    from tfleet.training.distributed.peers import Peers

_WHOLE = jax.sharding.PartitionSpec()


class WholeBatches:
    """Gives Keras' batches to the devices."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._predicting = 0

    def install(self) -> None:
        """Distribute models and batches from now on."""
        distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(distribution)
        keras_jax.distribute_data_input = self._distribute
        keras.Model.predict = self._whole(keras.Model.predict)
        for name in ("initialize", "set_distribution"):
            setattr(keras.distribution, name, _refuse(name))

    def _distribute(self, batch: Any, layout: Any, batch_dim_name: str) -> Any:
        """The batch as one array over all devices. Keras calls this for each array of a batch."""
        del batch_dim_name
        if batch is None:
            return None
        values = np.asarray(batch)
        self._peers.saw_batch(values)
        sharding = getattr(layout, "backend_layout", layout)
        # What cannot be divided is computed in whole by each, such as the last batch of an epoch. So are
        # predictions: each process wants all of them.
        if self._predicting or not values.ndim or values.shape[0] % jax.device_count():
            sharding = jax.sharding.NamedSharding(sharding.mesh, _WHOLE)
        return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

    def _whole(self, predict: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(predict)
        def whole(*args: Any, **options: Any) -> Any:
            self._predicting += 1
            try:
                return predict(*args, **options)
            finally:
                self._predicting -= 1

        return whole


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError(
            f"tfleet train distributes the model by itself: remove keras.distribution.{name} from the script"
        )

    return refuse
