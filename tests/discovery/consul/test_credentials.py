import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.secured_consul import write
from tfleet.discovery.consul.access import Access, BadAccessError, Tls
from tfleet.discovery.consul.credentials import Credentials, context_of, files_of
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


def test_a_token_file_wins_over_a_token_variable(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    assert Credentials(Access("plain")).headers() == {"X-Consul-Token": "plain"}
    assert Credentials(Access("plain", file)).headers() == {"X-Consul-Token": "from-the-file"}


def test_a_changed_token_file_is_used_from_then_on(tmp_path: Path) -> None:
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
        "the credentials for the registry are unchanged: "
        f"CONSUL_HTTP_TOKEN_FILE={file}: no such file or directory"
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


def test_repr_does_not_show_the_token() -> None:
    assert "secret" not in repr(Credentials(Access("secret")))


def believed(tls: Tls) -> int:
    """How many CAs."""
    return len(context_of(tls).get_ca_certs())


def test_every_named_file_is_watched(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    folder, one, two, three = tmp_path, Path("/1"), Path("/2"), Path("/3")
    assert files_of(Tls(one, folder, two, three)) == [one, folder, folder / "ca.pem", two, three]
    assert files_of(Tls()) == []


def test_only_the_named_ca_is_trusted(tmp_path: Path, ca: trustme.CA) -> None:
    ca_file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)
    assert believed(Tls(ca_file=ca_file)) == 1


def test_each_file_of_a_ca_folder_but_hidden_ones_is_trusted(tmp_path: Path, ca: trustme.CA) -> None:
    for name, owner in (("a", ca), ("b.crt", trustme.CA()), ("..data", trustme.CA())):
        owner.cert_pem.write_to_path(tmp_path / name)
    assert believed(Tls(ca_folder=tmp_path)) == 2


def test_verification_can_be_turned_off() -> None:
    context = context_of(Tls(verify=False, server_name="x"))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_by_default_the_systems_cas_are_trusted() -> None:
    context = context_of(Tls())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def _locked(folder: Path) -> Tls:
    """A certificate whose key has a password."""
    cert, key = write(trustme.CA().issue_cert("mine"), folder, "locked")
    plain = load_pem_private_key(key.read_bytes(), None)
    locked = BestAvailableEncryption(b"secret")
    key.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    return Tls(client_cert=cert, client_key=key)


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        (lambda at: Tls(ca_file=at), "CONSUL_CACERT={at}: is a directory"),
        (lambda at: Tls(ca_file=at / "no"), "CONSUL_CACERT={at}/no: no such file"),
        (lambda at: Tls(ca_file=at / "text"), "CONSUL_CACERT={at}/text: expected certificates in PEM"),
        (lambda at: Tls(ca_folder=at / "no"), "CONSUL_CAPATH={at}/no: no such file"),
        (lambda at: Tls(ca_folder=at / "empty"), "CONSUL_CAPATH={at}/empty: the folder is empty"),
        (lambda at: Tls(ca_folder=at), "CONSUL_CAPATH={at}/text: expected certificates in PEM"),
        (
            lambda at: Tls(client_cert=at / "text", client_key=at / "no"),
            "CONSUL_CLIENT_KEY={at}/no: no such",
        ),
        (
            lambda at: Tls(client_cert=at / "text", client_key=at / "text"),
            "CONSUL_CLIENT_CERT={at}/text with CONSUL_CLIENT_KEY={at}/text: expected a certificate and its",
        ),
        (_locked, "without a password"),
    ],
)
def test_a_file_that_can_t_be_used_is_named_with_its_variable(
    tls: Callable[[Path], Tls], told: str, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("this is no token\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadAccessError) as raised:
        context_of(tls(tmp_path))
    assert told.format(at=tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)
