import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


def proxy(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tfleet", "proxy", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--registry", "static:"), "names no worker"),
        (("--registry", "etcd://x"), "consul://HOST:8500"),
        (("--mode", "sideways"), "'forward', 'p2p'"),
        (("--max-body-bytes", "0"), "--max-body-bytes"),
        (("--timeout", "0"), "--timeout"),
        (("--port", "65536"), "--port"),
        (("--redirect-all",), "--redirect-all is for --mode p2p, and the mode is forward: leave it out"),
        (("--port", "1234", "--admin-port", "1234"), "--admin-port 1234 is --port, too: choose another one"),
        (("--ticket-key-file", "nowhere"), "tfleet proxy: --ticket-key-file nowhere: no such file"),
        (("--host", "192.0.2.1", "--port", "0", "--registry", "static:h:1"), "can't listen on 192.0.2.1"),
    ],
)
def test_an_unusable_option_is_exit_code_2_with_a_reason(options: tuple[str, ...], said: str) -> None:
    run = proxy(*options)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_help_shows_examples() -> None:
    text = proxy("--help").stdout
    for taught in ("tfleet worker", "consul://", "p2p", "round-robin", "12480"):
        assert taught in text


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--jobs", "http://u:secret@host"), "begins with none of"),
        (("--jobs", "redis://host", "--max-jobs-bytes", "1000"), "has no room for a body"),
        (("--jobs", "redis://host", "--job-callback-allow", "https://a/"), "need each other"),
    ],
)
def test_jobs_that_can_not_work_are_refused(options: tuple[str, ...], why: str) -> None:
    done = proxy(*options)
    assert done.returncode == 2
    assert why in done.stderr
    assert "secret" not in done.stderr
