"""The inputs: files of rows, read in pieces that begin and end at the same places in every run."""
