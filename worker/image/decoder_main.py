"""The program of a decoder process: `python -m tfleet.worker.image.decoder_main`. It imports no
TensorFlow.
"""

from __future__ import annotations

from contextlib import suppress

from PIL import AvifImagePlugin

from tfleet.worker.decoders.child import serve
from tfleet.worker.image.errors import ImageError
from tfleet.worker.image.preprocess import JOBS

# One thread per process: the pool counts one CPU for each decoder.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
with suppress(ImportError):
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1

if __name__ == "__main__":
    serve(JOBS, expected=(ImageError,))
