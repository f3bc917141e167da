"""Real time, real sockets: what carries the cores on a live system.

`driver.py` moves events and datagrams between the data plane and the IKE endpoint and is the place to
start reading. Beside it are the cores' arguments (`clock.py`, `rng.py`), what they cannot know
(`resolver.py`: addresses; `routes.py`, `route_table.py`: the way into the TUN device) and what others read
(`key_log.py`: keys for Wireshark; `vici_socket.py`: the control socket).
"""
