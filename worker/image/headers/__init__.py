"""What the header of a picture says, read here before any library sees its bytes.

One module for each format. Each walks the file's own structure once, from the front, in bounded steps: it
gives the size, how the picture is turned, and what decoding it will take. It also gives the bytes that the
decoder is to see: the first frame, without comments, profiles and other metadata. So nothing that a stranger
puts into metadata costs more than stepping over it.
"""
