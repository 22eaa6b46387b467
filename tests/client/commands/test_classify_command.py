from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aiohttp import web

    from tests.client.conftest import Command, ScriptedFleet

pytestmark = pytest.mark.process


def test_results_in_a_pipe_are_tab_separated(fleet: ScriptedFleet, classify: Command, photo: Path) -> None:
    proxy = fleet.server()
    done = classify(photo, "--proxy", proxy.address, "--top", "2")
    assert done.stdout == f"{photo}\ttabby\t0.750000\n{photo}\ttiger cat\t0.125000\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert proxy.seen[0].path == "/predict?top=2"


def test_without_top_the_worker_chooses_the_number_of_labels(
    fleet: ScriptedFleet, classify: Command, photo: Path
) -> None:
    proxy = fleet.server()
    assert classify(photo, TFLEET_PROXY=proxy.url).returncode == 0
    assert proxy.seen[0].path == "/predict", "a model may have fewer than five labels"


@pytest.mark.parametrize("how", ["options", "one option", "the environment"])
def test_a_dead_proxy_among_several_costs_no_image(
    fleet: ScriptedFleet, classify: Command, photos: list[Path], nobody: str, how: str
) -> None:
    good = fleet.server().url
    options = {"options": ["--proxy", nobody, "--proxy", good], "one option": ["--proxy", f"{nobody},{good}"]}
    done = classify(*photos, *options.get(how, []), TFLEET_PROXY=f"{nobody}, {good}")
    assert (done.returncode, done.stderr) == (0, "")


def test_proxies_are_found_in_a_registry(fleet: ScriptedFleet, classify: Command, photo: Path) -> None:
    host, port = fleet.server().address.split(":")
    service = {"ID": "p1", "Address": host, "Port": int(port)}
    entry = {"Node": {"Node": "n"}, "Service": service, "Checks": [{"Status": "passing"}]}
    consul = fleet.server(otherwise=fleet.text(200, json.dumps([entry]), "application/json"))
    done = classify(photo, "--proxy", f"consul://{consul.address}/pets", "--top", "1")
    assert done.stdout == f"{photo}\ttabby\t0.750000\n{photo}\ttiger cat\t0.125000\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert consul.seen[0].path == "/v1/health/service/pets-proxy?passing=1&stale"


def test_a_failure_is_reported_and_the_others_go_on(
    fleet: ScriptedFleet, classify: Command, photos: list[Path], tmp_path: Path
) -> None:
    names = ["missing.jpg", *map(str, photos), str(tmp_path)]
    done = classify("--proxy", fleet.server().url, "--top", "1", *names)
    assert done.returncode == 1
    assert [line.split("\t")[0] for line in done.stdout.splitlines()[::2]] == list(map(str, photos))
    errors = done.stderr.splitlines()
    assert errors[0] == "missing.jpg: no such file or directory"
    assert errors[1].startswith(f"{tmp_path}: no images in this folder (looked for ")
    assert errors[2].startswith("6 files: 4 classified, 2 failed in ")
    assert len(errors) == 3


def test_skipped_files_in_a_folder_are_counted(
    fleet: ScriptedFleet, classify: Command, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "cat.jfif").write_bytes(photo.read_bytes())
    for name in ("1.tif", "2.tif", "notes.txt"):
        (tmp_path / name).touch()
    done = classify("--proxy", fleet.server().url, "--top", "1", tmp_path)
    assert done.stdout.startswith(f"{tmp_path}/cat.jfif\ttabby\t")
    assert (
        done.stderr == "skipped 3 files (2 .tif, 1 .txt); name a file on the command line to send it anyway\n"
    )
    assert done.returncode == 0


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_full_disk_is_one_line(
    fleet: ScriptedFleet, classify: Command, photo: Path, form: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("wb") as full:
        arguments = ("--proxy", fleet.server().url, *form)
        process = classify.start(photo, *arguments, stdout=full, stderr=subprocess.PIPE)
        _, errors = process.communicate(timeout=30)
    assert errors == b"can't write to standard output: No space left on device\n"
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nope.jpg", "no such file or directory"),
        ("https://example.com/cat.jpg", "a URL is not fetched: download it and name the file"),
    ],
)
def test_a_source_that_is_no_file_is_named_once(
    fleet: ScriptedFleet, classify: Command, source: str, reason: str
) -> None:
    done = classify("--proxy", fleet.server().url, source)
    assert (done.returncode, done.stderr) == (1, f"{source}: {reason}\n")


def test_https_for_an_http_proxy_is_one_line(
    fleet: ScriptedFleet, classify: Command, status: Command, photo: Path
) -> None:
    address = fleet.server().address
    told = f"https://{address} speaks http, not https: use http://{address}\n"
    done = classify("--proxy", f"https://{address}", photo)
    assert (done.returncode, done.stderr) == (1, f"{photo}: {told}")
    done = status("--proxy", f"https://{address}")
    assert (done.returncode, done.stderr) == (1, told)


def test_the_path_of_a_proxys_url_is_used(fleet: ScriptedFleet, classify: Command, photo: Path) -> None:
    proxy = fleet.server()
    assert classify("--proxy", f"{proxy.url}/cats/", photo).returncode == 0
    assert proxy.seen[0].path == "/cats/predict"
    done = classify("--proxy", f"{proxy.url}/predict", photo)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(f"without /predict it is the proxy's, {proxy.url}")


def test_json_is_one_line_a_file_for_failures_too(
    fleet: ScriptedFleet, classify: Command, photo: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    proxy = fleet.server(fleet.predictions(), fleet.problem(415, "this is text"))
    done = classify("--json", "--proxy", proxy.url, "--concurrency", "1", photo, text)
    good, bad = map(json.loads, done.stdout.splitlines())
    assert good["file"] == str(photo)
    assert good["predictions"][0] == {"label": "tabby", "probability": 0.75}
    assert (good["worker"], good["model"]) == ("tfleet-w1", "lite0/1")
    assert good["ms"] > 0
    assert (bad["file"], bad["error"], bad["status"]) == (str(text), "this is text", 415)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{text}: this is text\n")


def test_names_from_stdin_are_classified_as_they_come(
    fleet: ScriptedFleet, classify: Command, photos: list[Path]
) -> None:
    with classify.start(
        "-", "--json", "--proxy", fleet.server().url, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for photo in photos:  # the next name is written when the result of this one was read
            process.stdin.write(os.fsencode(photo) + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["file"] == str(photo)
        process.stdin.close()
    assert process.returncode == 0


def test_a_file_name_need_not_be_text(fleet: ScriptedFleet, classify: Command, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.jpg"
    with open(name, "wb") as file:  # noqa: PTH123 - a Path would have to be text
        file.write(b"\xff\xd8\xff")
    done = classify("-", "--proxy", fleet.server().url, stdin=name + b"\n")
    assert done.stdout.startswith(os.fsdecode(name) + "\ttabby\t")
    assert (done.returncode, done.stderr) == (0, "")


def test_images_go_straight_to_the_workers_with_p2p(
    fleet: ScriptedFleet, classify: Command, photo: Path
) -> None:
    worker = fleet.server()
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    done = classify("--p2p", "--proxy", proxy.url, photo)
    assert done.returncode == 0
    assert len(worker.seen) == 1


def test_unreachable_workers_are_reported_once_and_bypassed(
    fleet: ScriptedFleet, classify: Command, photos: list[Path], nobody: str
) -> None:
    """The images are classified through the proxy."""
    lease, forward = fleet.leases(nobody, forwards=True), fleet.predictions()

    async def proxy(request: web.Request) -> web.StreamResponse:
        return await (forward if request.method == "POST" else lease)(request)

    server = fleet.server(otherwise=proxy)
    done = classify("--p2p", "--proxy", server.url, "--top", "2", *photos)
    assert len(done.stdout.splitlines()) == 2 * len(photos)
    assert done.stderr == (
        f"no worker can be reached from here ({nobody}: connection refused): images go through {server.url}\n"
    )
    assert done.returncode == 0


def test_a_proxy_that_is_not_there_is_named_with_what_to_do(
    classify: Command, nobody: str, photo: Path
) -> None:
    done = classify(photo, "--proxy", nobody)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{photo}: cannot reach http://{nobody}: connection refused",
        "Is the fleet up? Start one with `tfleet up`, or name its proxy with --proxy.",
    ]


def test_an_image_over_the_timeout_fails(fleet: ScriptedFleet, classify: Command, photo: Path) -> None:
    done = classify(photo, "--proxy", fleet.server(fleet.never()).url, "--timeout", "0.1")
    assert done.returncode == 1
    assert "in 0.1 s" in done.stderr


def test_a_worker_that_never_answers_costs_one_attempt(
    fleet: ScriptedFleet, classify: Command, photo: Path
) -> None:
    silent, good = fleet.server(otherwise=fleet.never()), fleet.server()
    proxy = fleet.server(otherwise=fleet.names(silent.address, good.address))
    done = classify(photo, "--proxy", proxy.url, "--p2p", "--timeout", "8", "--try-timeout", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert (len(silent.seen), len(good.seen)) == (1, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--top", "0", "x"),
        ("--concurrency", "0", "x"),
        ("--timeout", "0", "x"),
        ("--try-timeout", "0", "x"),
        ("--proxy", "ftp://x", "x"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_was_expected(
    classify: Command, arguments: tuple[str, ...]
) -> None:
    done = classify(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage: tfleet classify" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")


def test_help_shows_examples(classify: Command) -> None:
    help_text = classify("--help").stdout
    assert "  find . -name '*.jpg' | tfleet classify - --json > labels.jsonl\n" in help_text
    assert "TFLEET_PROXY" in help_text


def test_a_closed_output_pipe_ends_it_quietly(fleet: ScriptedFleet, classify: Command, photo: Path) -> None:
    with classify.start(
        *["-", "--proxy", fleet.server().url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(os.fsencode(photo) + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(os.fsencode(photo) + b"\n")
        process.stdin.flush()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize("waits_for", ["the fleet", "names"])
def test_ctrl_c_ends_it_without_a_traceback(
    fleet: ScriptedFleet, classify: Command, photo: Path, waits_for: str
) -> None:
    proxy = fleet.server(otherwise=fleet.never() if waits_for == "the fleet" else None)
    with classify.start(
        *["-", "--proxy", proxy.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(os.fsencode(photo) + b"\n")
        process.stdin.flush()
        proxy.wait_for(1)
        if waits_for == "names":
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read() == b""
