"""IKEv2 (RFC 7296) with fragmentation (RFC 7383), without sockets, clock or threads.

Start with `endpoint.py`, what a driver talks to. `exchanges/ike_sa_init.py` and `exchanges/ike_auth.py` lead
to an `IkeSa` (`ike_sa.py`); `established.py` is the way of a message through it and `upkeep.py` that of time.
Each request of ours is a `Task` (`tasks.py`). `events.py` says what an endpoint tells.
"""
