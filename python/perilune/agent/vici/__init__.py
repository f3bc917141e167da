"""VICI, the control protocol of strongSwan, without sockets: octets in, octets out.

`codec.py` is a message, `packet.py` what travels over a stream, `session.py` one client, `server.py`
all of them and their events, `commands.py` the table of commands.
"""
