"""Studies in other people's formats, and other people's studies as folders that compare and report read."""
