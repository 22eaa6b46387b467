"""The page behind `GET /` in forward mode."""

from __future__ import annotations


def help_page(host: str) -> str:
    """A short text with lines to paste; `host` is how the client reached the proxy."""
    return f"""\
tfleet classifies images. Send one:

  curl -v -XPOST {host} -F "data=@cat.jpg"
  curl -X POST -F image=@cat.jpg 'http://{host}/predict'

Or ask for a worker and send it there, past the proxy:

  curl -v -XPOST $(curl -s {host}/worker) -F "data=@cat.jpg"

?top=N            how many labels, best first
GET /workers      the workers and how they are
GET /healthz, /readyz, /metrics
"""
