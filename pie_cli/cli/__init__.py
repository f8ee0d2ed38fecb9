"""The command line: options in, calls, one line on stderr where something is wrong."""
