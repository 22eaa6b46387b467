import random

from tfleet.client.routes.p2p import AGAIN_AFTER_S, ProxyFallback

NOW_S = 1000.0


def test_the_fallback_lasts_until_a_worker_is_reached() -> None:
    """It is reported once."""
    none = ProxyFallback()
    assert (none.taken, none.told, none.due(NOW_S)) == (False, False, False)
    on = none.on(NOW_S, random.Random(1))
    assert (on.taken, on.told) == (True, True)
    off = on.off()
    assert (off.taken, off.told, off.due(NOW_S + 1e6)) == (False, True, False)


def test_workers_are_tried_again_after_a_jittered_pause() -> None:
    waits_s = [
        (ProxyFallback().on(NOW_S, random.Random(seed)).look_at_s or 0.0) - NOW_S for seed in range(100)
    ]
    assert 0.75 * AGAIN_AFTER_S <= min(waits_s) < 0.8 * AGAIN_AFTER_S
    assert 1.2 * AGAIN_AFTER_S < max(waits_s) <= 1.25 * AGAIN_AFTER_S
    on = ProxyFallback(8.0).on(NOW_S, random.Random(1))
    assert (on.due(NOW_S + 5.9), on.due(NOW_S + 10)) == (False, True)
