"""How LitServe is set up. The time-out is that of its guide to fast serving of an image classifier
(https://lightning.ai/docs/litserve/speed-up-serving-by-200x).
"""

from __future__ import annotations

from typing import Final

MAX_BATCH_SIZE: Final = 16
BATCH_TIMEOUT_S: Final = 0.01
