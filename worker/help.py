"""The page behind `GET /` on a worker."""

from __future__ import annotations


def help_page(host: str) -> str:
    """A short text with lines to paste; `host` is how the client reached the worker."""
    return f"""\
This is one worker of a tfleet. It classifies images:

  curl -v -XPOST {host} -F "data=@cat.jpg"
  curl -X POST -F image=@cat.jpg 'http://{host}/predict'

?top=N            how many labels, best first
GET /worker       this worker's address, /healthz, /readyz, /metrics
"""
