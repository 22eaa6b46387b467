"""The rules of Consul's blocking queries, as functions of data.

Source: https://developer.hashicorp.com/consul/api-docs/features/blocking
"""

from __future__ import annotations

WAIT_S = 30.0


def next_index(asked: int, answered: int) -> int:
    """The index to ask with next, given the one asked with (0: no wait) and the one answered.

    One that went backwards means that the server lost its state: start again at 0. One below 1 is no index:
    asking with 0 would turn the watch into a busy loop, so 1 is asked.
    """
    if answered < 1:
        return 1
    return 0 if answered < asked else answered


def answer_timeout_s(wait_s: float) -> float:
    """How long an answer may take: the server adds up to wait/16 of jitter, the network a little."""
    return wait_s + wait_s / 16 + 5.0
