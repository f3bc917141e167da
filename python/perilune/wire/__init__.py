"""Codecs of IKEv2 messages: octets to typed values and back (RFC 7296, section 3; RFC 7383).

Start with `message.py`: a datagram becomes a `Message`, and payloads become a datagram. The payloads, each
a frozen value with `encode` and `decode`, live in `payloads/`, one file per section of the RFC. A decoder
raises `DecodeError` and nothing else, whatever octets it is given; `limits.py` bounds what hostile octets
can cost.
"""
