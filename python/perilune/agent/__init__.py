"""What one node shows and lets itself be told, in the words of a management protocol.

Today that is VICI (`vici/`), strongSwan's control protocol, so that swanctl and the vici bindings work
unchanged. `node.py` is what the daemon offers to a protocol; start reading there.
"""
