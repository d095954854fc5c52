"""The command line: one file a sub-command, reached through the `mts` launcher."""
