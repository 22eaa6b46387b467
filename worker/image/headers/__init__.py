"""Read the headers of images before any library sees their bytes. One module for each format.

Each module walks the structure of the file once, from the front, in a bounded number of steps. It returns the
size, the orientation and the work of decoding, and the bytes for the decoder: the first frame, without
comments, profiles and other metadata. So hostile metadata costs no more than skipping it.
"""
