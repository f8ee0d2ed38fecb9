"""The command line: it parses options, calls the library and reports an error as one line on stderr."""
