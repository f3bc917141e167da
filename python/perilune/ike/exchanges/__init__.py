"""The exchanges of IKEv2, one file each for what we ask and what we answer.

`ike_sa_init.py` and `ike_auth.py` lead to an `IkeSa`; the others are tasks and answers of one.
"""
