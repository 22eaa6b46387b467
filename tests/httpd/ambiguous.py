"""Requests that two readers could understand in two ways (request smuggling), each with a request behind it.

RFC 9112 is named where it says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SMUGGLED: Final = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
EMPTY_CHUNKS: Final = b"\r\n\r\n0\r\n\r\n" + SMUGGLED
ABCD: Final = b"\r\n\r\nabcd" + SMUGGLED
FOUR: Final = b"Content-Length: 4"
CHUNKED: Final = b"Transfer-Encoding: chunked"


def post(*lines: bytes, body: bytes = ABCD, version: bytes = b"HTTP/1.1") -> bytes:
    """A request for a classification with these fields."""
    return b"\r\n".join([b"POST / " + version, b"Host: a", *lines]) + body


def in_chunks(body: bytes) -> bytes:
    """A request whose body is meant to be in chunks."""
    return post(CHUNKED, body=b"\r\n\r\n" + body + SMUGGLED)


def first_line(line: bytes) -> bytes:
    """A request that begins with this line."""
    return line + b"\r\nHost: a\r\n" + FOUR + ABCD


# Two ideas of where the body ends (section 6.3).
_LENGTHS: Final = {
    "a length beside chunks": post(FOUR, CHUNKED, body=EMPTY_CHUNKS),
    "chunks beside a length": post(CHUNKED, FOUR, body=EMPTY_CHUNKS),
    "chunks beside an empty length": post(CHUNKED, b"Content-Length:", body=EMPTY_CHUNKS),
    "chunks beside a length of 0": post(CHUNKED, b"Content-Length: 0", body=EMPTY_CHUNKS),
    "two different lengths": post(FOUR, b"Content-Length: 5"),
    "the same length twice": post(FOUR, FOUR),
    "a length twice, in two cases": post(FOUR, b"content-length: 4"),
    "a list of lengths": post(b"Content-Length: 4, 4"),
    "a list of different lengths": post(b"Content-Length: 4, 5"),
    "a list that begins with a comma": post(b"Content-Length: ,4"),
    "a list that ends with a comma": post(b"Content-Length: 4,"),
    "a space before the colon of a length": post(b"Content-Length : 4"),
    "a tab before the colon of a length": post(b"Content-Length\t: 4"),
    "a length on the next line": post(b"Content-Length:", b" 4"),
    **{
        f"the length {value!r}": post(b"Content-Length: " + value)
        for value in (
            b"",
            b"+4",
            b"-4",
            b"-0",
            b"0x4",
            b"4x",
            b"4 5",
            b"4.0",
            b"4e0",
            b"4_0",
            b'"4"',
            b"4;",
            b"abc",
            b"\x0b4",
            b"4\x0c",
            b"\xd9\xa4",  # a digit, but an Arabic one
            b"\xb2",
            b"99999999999999999999999",
            b"18446744073709551620",
            b"-123456789123456789123456789",
            b"1" * 5000,
        )
    },
}

# Transfer codings that one side knows and the other one doesn't (section 6.1).
_CODINGS: Final = {
    "chunked in two fields": post(CHUNKED, CHUNKED, body=EMPTY_CHUNKS),
    "chunked in two fields of two cases": post(CHUNKED, b"transfer-encoding: chunked", body=EMPTY_CHUNKS),
    "chunked and then identity": post(CHUNKED, b"Transfer-Encoding: identity", body=EMPTY_CHUNKS),
    "identity and then chunked": post(b"Transfer-Encoding: identity", CHUNKED, body=EMPTY_CHUNKS),
    "chunked and then nothing": post(CHUNKED, b"Transfer-Encoding:", body=EMPTY_CHUNKS),
    "chunked on the next line": post(b"Transfer-Encoding:", b" chunked", body=EMPTY_CHUNKS),
    "chunked and a folded line": post(CHUNKED, b" , gzip", body=EMPTY_CHUNKS),
    "a space before the colon of a coding": post(b"Transfer-Encoding : chunked", body=EMPTY_CHUNKS),
    "a tab before the colon of a coding": post(b"Transfer-Encoding\t: chunked", body=EMPTY_CHUNKS),
    "chunks in HTTP/1.0": post(CHUNKED, body=EMPTY_CHUNKS, version=b"HTTP/1.0"),
    **{
        f"the coding {value!r}": post(b"Transfer-Encoding: " + value, body=EMPTY_CHUNKS)
        for value in (
            b"",
            b"identity",
            b"gzip",
            b"deflate",
            b"xchunked",
            b"chunkedx",
            b"x chunked",
            b"chunked x",
            b"gzip, chunked",
            b"chunked, gzip",
            b"chunked, identity",
            b"identity, chunked",
            b"chunked, chunked",
            b"chunked,",
            b",chunked",
            b"chunked;",
            b"chunked;q=1",
            b'"chunked"',
            b"'chunked'",
            b"\x0bchunked",
            b"chunked\x0b",
            b"\x0cchunked",
            b"\x00chunked",
            b"chunked\x00",
            b"chunked\x1f",
            b"\xa0chunked",
            b"chunked\x85",
            b"chun ked",
            b"cow",
        )
    },
}

# Chunks that are none (section 7.1), and trailers that are none.
_CHUNKS: Final = {
    **{
        f"the chunk size {size!r}": in_chunks(size + b"\r\nabcd\r\n0\r\n\r\n")
        for size in (
            b"ZZ",
            b"",
            b" ",
            b" 4",
            b"\t4",
            b"0x4",
            b"0X4",
            b"-4",
            b"+4",
            b"-0",
            b"4 4",
            b"4_0",
            b"4,",
            b"4:",
            b"4x",
            b"4\x0b",
            b"4\x0c",
            b"4\x00",
            b"4\r",
            b"4\xa0",
            b'"4"',
            b"fffffffffffffffff",
            b"10000000000000004",
            b"0000000000000004",
            b"4;a\x00b",
            b"4;a\rb",
            b"4;a\x07",
        )
    },
    "chunk lines that end in LF alone": in_chunks(b"4\nabcd\n0\n\n"),
    "a chunk size that ends in LF alone": in_chunks(b"4\nabcd\r\n0\r\n\r\n"),
    "a chunk that ends in LF alone": in_chunks(b"4\r\nabcd\n0\r\n\r\n"),
    "a chunk that ends in CR alone": in_chunks(b"4\r\nabcd\r0\r\n\r\n"),
    "a last chunk that ends in LF alone": in_chunks(b"4\r\nabcd\r\n0\n\r\n"),
    "trailers that end in LF alone": in_chunks(b"4\r\nabcd\r\n0\r\n\n"),
    "a chunk longer than its size": in_chunks(b"4\r\nabcdXX0\r\n\r\n"),
    "a chunk longer than its size by a line": in_chunks(b"4\r\nabcd\r\n\r\n0\r\n\r\n"),
    "a chunk extension with LF": in_chunks(b"4;a\nb\r\nabcd\r\n0\r\n\r\n"),
    "a chunk extension of 10,000 bytes": in_chunks(b"4;" + b"a" * 10_000 + b"\r\nabcd\r\n0\r\n\r\n"),
    "a chunk size of 10,000 zeros": in_chunks(b"0" * 10_000 + b"4\r\nabcd\r\n0\r\n\r\n"),
    **{
        f"the trailer {trailer[:20]!r}": in_chunks(b"4\r\nabcd\r\n0\r\n" + trailer + b"\r\n\r\n")
        for trailer in (
            b"X Y: b",
            b"X",
            b": b",
            b" X: b",
            b"X : b",
            b"X: b\r\n c",
            b"X: a\x00b",
            b"X: a\rb",
            b"X: a\nb",
            b"X(Y: b",
            b"X\xe9: b",
            b"POST /predict HTTP/1.1",
            b"A: " + b"a" * 5000,
            b"\r\n".join([b"B: b"] * 1000),
        )
    },
}

# Lines and names (sections 2.2 and 5).
_LINES: Final = {
    "a folded line": post(b"X-A: b", b" c", FOUR),
    "a line folded with a tab": post(b"X-A: b", b"\tc", FOUR),
    "a space before the first field": b"POST / HTTP/1.1\r\n Host: a\r\nContent-Length: 4\r\n\r\nabcd",
    "a field before which there is a space": post(b" X: a", FOUR),
    "an empty line within": b"POST / HTTP/1.1\r\nHost: a\r\n\rX: b\r\nContent-Length: 4\r\n\r\nabcd",
    "a letter beyond ASCII in a name": post("X\u00e9: b".encode(), FOUR),
    "an empty name": post(b": b", FOUR),
    "a line without a colon": post(b"foo", FOUR),
    "a line of one space": post(b" ", FOUR),
    **{
        f"{byte!r} in a name": post(b"X" + byte + b"A: b", FOUR)
        for byte in (
            b" ",
            b"\t",
            b"(",
            b")",
            b"[",
            b"]",
            b"{",
            b"}",
            b"/",
            b'"',
            b"@",
            b"=",
            b";",
            b",",
            b"\x00",
            b"\x07",
            b"\x7f",
            b"\x80",
        )
    },
    **{
        f"{byte!r} in a value": post(b"X: a" + byte + b"b", FOUR)
        for byte in (b"\x00", b"\x01", b"\x07", b"\x08", b"\x0b", b"\x0c", b"\r", b"\n", b"\x1b", b"\x7f")
    },
    "a request in a value, behind LF": post(b"X: a\nContent-Length: 0", FOUR),
    "lines that end in LF alone": b"POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\nabcd" + SMUGGLED,
    "one line that ends in LF alone": b"POST / HTTP/1.1\r\nHost: a\nX: b\r\nContent-Length: 4" + ABCD,
    "a first line that ends in LF alone": b"POST / HTTP/1.1\nHost: a\r\nContent-Length: 4" + ABCD,
    "lines that end in CR alone": b"POST / HTTP/1.1\rHost: a\rContent-Length: 4\r\r" + SMUGGLED,
    "a head that ends in two LFs": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\n\nabcd" + SMUGGLED,
}

# Whom it is for (section 3.2).
_HOSTS: Final = {
    "no host": b"POST / HTTP/1.1\r\nContent-Length: 4" + ABCD,
    "two hosts": post(b"Host: b", FOUR),
    "the same host twice": post(b"Host: a", FOUR),
    "a host named by Connection": b"POST / HTTP/1.1\r\nConnection: close, Host\r\nContent-Length: 4" + ABCD,
    **{
        f"the host {host!r}": b"POST / HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 4" + ABCD
        for host in (
            b"a b",
            b"a/b",
            b"a b/c",
            b"a?b",
            b"a#b",
            b"a@b",
            b"a\\b",
            b'"a"',
            b"a\xe9",
            b"<a>",
            b"a\x00",
        )
    },
}

# The request line (section 3).
_FIRST_LINES: Final = {
    "a target of 9,000 bytes": first_line(b"POST /" + b"a" * 9000 + b" HTTP/1.1"),
    **{
        f"the line {line!r}": first_line(line)
        for line in (
            b"POST /a b HTTP/1.1",
            b"POST /a\x00b HTTP/1.1",
            b"POST /a\x07b HTTP/1.1",
            b"POST /a\tb HTTP/1.1",
            b"POST /a\x7fb HTTP/1.1",
            b"POST /\xc3\xa9 HTTP/1.1",
            b"POST  / HTTP/1.1",
            b"POST /  HTTP/1.1",
            b"POST\t/ HTTP/1.1",
            b"POST / HTTP/1.1 ",
            b" POST / HTTP/1.1",
            b"POST * HTTP/1.1",
            b"OPTIONS *?a HTTP/1.1",
            b"GET /healthz#a HTTP/1.1",
            b"POST /#a HTTP/1.1",
            b"POST http://a#b HTTP/1.1",
            b"POST a HTTP/1.1",
            b"POST ftp://a/ HTTP/1.1",
            b"CONNECT a:80 HTTP/1.1",
            b"POST  HTTP/1.1",
            b"POST /",
            b"POST / ",
            b"/ HTTP/1.1",
            b"POST / HTTP",
            b"POST / HTTP/",
            b"POST / HTTP/1",
            b"POST / HTTP/1.",
            b"POST / HTTP/.1",
            b"POST / HTTP/1.2",
            b"POST / HTTP/1.10",
            b"POST / HTTP/11.1",
            b"POST / HTTP/0.9",
            b"POST / HTTP/2.0",
            b"POST / HTTP/9.9",
            b"POST / HTTP/1,1",
            b"POST / HTTP /1.1",
            b"POST / http/1.1",
            b"POST / ICAP/1.1",
            b"post / HTTP/1.1",
            b"P(ST / HTTP/1.1",
            b"P\x00ST / HTTP/1.1",
            b"P\xd6ST / HTTP/1.1",
            b"Extra linePOST / HTTP/1.1",
        )
    },
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 50 + b"\r\n\r\n",
    "three empty lines before": b"\r\n" * 5 + post(FOUR),
}

_SIZES: Final = {
    "a field of 9,000 bytes": post(b"X: " + b"a" * 9000, FOUR),
    "200 fields": post(*[b"X: a"] * 200, FOUR),
    "a head of 80,000 bytes": post(*[b"X: " + b"a" * 8000] * 10, FOUR),
    "a head of 800,000 bytes": post(*[b"X: " + b"a" * 8000] * 100, FOUR),
}

REFUSED: Final[Mapping[str, Mapping[str, bytes]]] = {
    "lengths": _LENGTHS,
    "codings": _CODINGS,
    "chunks": _CHUNKS,
    "lines": _LINES,
    "hosts": _HOSTS,
    "first lines": _FIRST_LINES,
    "sizes": _SIZES,
}
"""By what is wrong. Each is answered 400, and nothing of it, nor of what comes behind it, is served."""

READ: Final[Mapping[str, bytes]] = {
    "chunked in capitals": post(b"Transfer-Encoding: CHUNKED", body=b"\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"),
    "chunked between spaces": post(
        b"Transfer-Encoding: \t chunked \t", body=b"\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    ),
    "chunks with an extension": post(CHUNKED, body=b"\r\n\r\n4;a=b\r\nabcd\r\n0\r\n\r\n"),
    "a space behind a chunk size": post(CHUNKED, body=b"\r\n\r\n4 \r\nabcd\r\n0\r\n\r\n"),
    "chunks with trailers": post(CHUNKED, body=b"\r\n\r\n4\r\nabcd\r\n0\r\nX-Sum: 1\r\n\r\n"),
    "a length with zeros before it": post(b"Content-Length: 0004", body=b"\r\n\r\nabcd"),
    "empty lines before": b"\r\n\r\n" + post(FOUR, body=b"\r\n\r\nabcd"),
    "a whole URL": b"POST http://b/ HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\nabcd",
    "HTTP/1.0 without a host": b"POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nabcd",
    "an address for a host": b"POST / HTTP/1.1\r\nHost: [::1]:12480\r\nContent-Length: 4\r\n\r\nabcd",
    "an empty host": b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 4\r\n\r\nabcd",
    "an empty field": post(b"X:", FOUR, body=b"\r\n\r\nabcd"),
    "bytes beyond ASCII in a value": post(b"X: caf\xe9", FOUR, body=b"\r\n\r\nabcd"),
    "an upgrade that nobody wants": post(
        b"Connection: upgrade", b"Upgrade: websocket", FOUR, body=b"\r\n\r\nabcd"
    ),
}
"""What is only unusual: the body of each is `abcd`."""
