"""The command `perilune`: what a person types, and what it prints.

`main.py` has the commands, `client.py` talks to the daemon over its control socket, `snapshot.py` is what
a daemon said of itself and `status_table.py` how that looks. `exit_codes.py` says how commands end.
"""
