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
from tfleet.discovery.consul.access import BadAccessError, Tls
from tfleet.discovery.consul.credentials import context_of, files_of


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def believed(tls: Tls) -> int:
    """How many CAs."""
    return len(context_of(tls).get_ca_certs())


def test_all_files_that_are_named_are_known(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    folder, one, two, three = tmp_path, Path("/1"), Path("/2"), Path("/3")
    assert files_of(Tls(one, folder, two, three)) == [one, folder, folder / "ca.pem", two, three]
    assert files_of(Tls()) == []


def test_only_the_ca_that_is_named_is_believed(tmp_path: Path, ca: trustme.CA) -> None:
    ca_file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)
    assert believed(Tls(ca_file=ca_file)) == 1


def test_of_a_folder_each_file_is_believed_but_hidden_ones(tmp_path: Path, ca: trustme.CA) -> None:
    for name, owner in (("a", ca), ("b.crt", trustme.CA()), ("..data", trustme.CA())):
        owner.cert_pem.write_to_path(tmp_path / name)
    assert believed(Tls(ca_folder=tmp_path)) == 2


def test_verification_can_be_turned_off() -> None:
    context = context_of(Tls(verify=False, server_name="x"))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_by_default_the_system_s_cas_are_believed() -> None:
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
        (lambda at: Tls(ca_file=at / "text"), "CONSUL_CACERT={at}/text: it holds no certificates"),
        (lambda at: Tls(ca_folder=at / "no"), "CONSUL_CAPATH={at}/no: no such file"),
        (lambda at: Tls(ca_folder=at / "empty"), "CONSUL_CAPATH={at}/empty: there is no file in it"),
        (lambda at: Tls(ca_folder=at), "CONSUL_CAPATH={at}/text: it holds no certificates"),
        (
            lambda at: Tls(client_cert=at / "text", client_key=at / "no"),
            "CONSUL_CLIENT_KEY={at}/no: no such",
        ),
        (
            lambda at: Tls(client_cert=at / "text", client_key=at / "text"),
            "CONSUL_CLIENT_CERT={at}/text with CONSUL_CLIENT_KEY={at}/text: they are no certificate",
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
