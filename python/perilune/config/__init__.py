"""From text in swanctl.conf's own language to frozen settings.

`load.py` is where to start: `load(path)` gives `Settings` or raises `InvalidConfigError`. On its way a file
passes `lexer.py` and `syntax.py` (text to `tree.py`), `includes.py` (many files, one tree),
`references.py` (inheritance), then `connections.py`, `children.py`, `shared_secrets.py` and `daemon.py`,
which read the keys that `schema/` declares. Only `files.py` touches the disk.
"""
