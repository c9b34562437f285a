"""One file or folder a method."""
