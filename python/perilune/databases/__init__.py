"""The databases of RFC 4301: SPD, SAD, PAD, and the changes that reach a data plane.

`pad.py` says who may be a peer and what children it may have, `spd.py` what to do with a packet,
`sad.py` what an SA is, `changes.py` what a data plane can be told. All are frozen values.
"""
