"""HTTP/1 as bytes: heads and bodies read strictly, and written. Nothing here knows whose they are."""
