"""One file a format: each finds the arrays of a file and says, where its layout does, which are inputs and outputs."""
