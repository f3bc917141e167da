"""What IKEv2 does with keys: PRF, key exchange, the Encrypted payload's ciphers, AUTH, key derivation.

Start with `ike_keys.py`, which turns a `key_exchange` and two nonces into the keys of an IKE SA or a Child
SA with the functions of `prf.py`; then `sk.py`, which protects messages with them. Primitives come from the
`cryptography` package and the standard library; nothing here has a clock or randomness of its own.
"""
