"""What can be called from the command line, one file per command."""
