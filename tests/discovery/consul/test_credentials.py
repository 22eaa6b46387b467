import logging
import os
from pathlib import Path

import pytest
import trustme

from tests.support.secured_consul import write
from tfleet.discovery.consul.access import Access, BadAccessError, Tls
from tfleet.discovery.consul.credentials import Credentials
from tfleet.discovery.errors import RegistryUnavailableError


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def ca_file(ca: trustme.CA, folder: Path) -> Path:
    path = folder / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return path


def test_no_token_means_no_header_and_no_tls_no_context() -> None:
    credentials = Credentials(Access())
    credentials.check()
    assert credentials.headers() == {}
    assert credentials.context() is None
    assert credentials.server_name is None


def test_a_token_is_shown_and_one_in_a_file_wins(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    assert Credentials(Access("plain")).headers() == {"X-Consul-Token": "plain"}
    assert Credentials(Access("plain", file)).headers() == {"X-Consul-Token": "from-the-file"}


def test_a_token_that_is_exchanged_is_shown_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    credentials = Credentials(Access(token_file=file))
    assert credentials.headers() == {"X-Consul-Token": "old"}
    file.write_text("newer")
    assert credentials.headers() == {"X-Consul-Token": "newer"}


def test_a_lost_file_changes_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    credentials = Credentials(Access(token_file=file))
    credentials.check()
    file.unlink()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert credentials.headers() == {"X-Consul-Token": "old"}
    assert [record.getMessage() for record in caplog.records] == [
        f"the access to the registry is not changed: CONSUL_HTTP_TOKEN_FILE={file}: no such file or directory"
    ]


def test_a_missing_file_makes_the_registry_unavailable(tmp_path: Path) -> None:
    """Until it is there."""
    file = tmp_path / "token"
    credentials = Credentials(Access(token_file=file))
    with pytest.raises(RegistryUnavailableError, match=f"CONSUL_HTTP_TOKEN_FILE={file}: no such file"):
        credentials.headers()
    file.write_text("new")
    assert credentials.headers() == {"X-Consul-Token": "new"}


def test_only_a_changed_ca_makes_a_new_context(tmp_path: Path) -> None:
    file = ca_file(trustme.CA(), tmp_path)
    credentials = Credentials(Access(tls=Tls(ca_file=file)))
    before = credentials.context()
    assert credentials.context() is before
    ca_file(trustme.CA(), tmp_path)
    os.utime(file, ns=(0, 0))
    assert credentials.context() is not before


def test_a_renewed_certificate_waits_for_its_key(
    tmp_path: Path, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = write(ca.issue_cert("mine"), tmp_path, "mine")
    credentials = Credentials(Access(tls=Tls(client_cert=cert, client_key=key)))
    before = credentials.context()
    new_cert, new_key = write(ca.issue_cert("mine"), tmp_path, "new")
    new_cert.replace(cert)
    assert credentials.context() is before, "a certificate without its key"
    assert "key values mismatch" in caplog.text
    new_key.replace(key)
    assert credentials.context() not in {None, before}


def test_a_folder_of_cas_that_is_lost_changes_nothing(tmp_path: Path, ca: trustme.CA) -> None:
    folder = tmp_path / "cas"
    folder.mkdir()
    file = ca_file(ca, folder)
    credentials = Credentials(Access(tls=Tls(ca_folder=folder)))
    before = credentials.context()
    file.unlink()
    folder.rmdir()
    assert credentials.context() is before
    folder.mkdir()
    ca_file(trustme.CA(), folder)
    assert credentials.context() not in {None, before}


def test_a_file_that_can_t_be_used_is_found_at_once(tmp_path: Path) -> None:
    for access in (Access(token_file=tmp_path / "no"), Access(tls=Tls(ca_file=tmp_path / "no"))):
        with pytest.raises(BadAccessError, match="/no: no such file"):
            Credentials(access).check()


@pytest.mark.parametrize("content", ["", "two words", "\N{SNOWMAN}"])
def test_an_invalid_token_is_reported(content: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(BadAccessError, match=f"CONSUL_HTTP_TOKEN_FILE={file}: expected one token"):
        Credentials(Access(token_file=file)).check()


def test_it_does_not_show_its_token() -> None:
    assert "secret" not in repr(Credentials(Access("secret")))
