"""What a decoder process runs: `python -m tfleet.worker.image.decoder_main`. It knows no TensorFlow."""

from __future__ import annotations

from tfleet.worker.decoders.child import serve
from tfleet.worker.image.errors import ImageError
from tfleet.worker.image.prepare import JOBS

if __name__ == "__main__":
    serve(JOBS, expected=(ImageError,))
