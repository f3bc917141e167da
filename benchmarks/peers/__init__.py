"""The tunnels that are compared, one file a program."""
