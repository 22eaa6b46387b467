"""HTTP/1.1 as bytes: heads, bodies and fields. No I/O."""
