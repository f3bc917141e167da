//! What a datagram on UDP port 4500 is (RFC 3948, section 2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   SPI of ESP (never zero)  or  Non-ESP Marker (zero)          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

/// The payload of one datagram received on UDP port 4500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// An ESP packet; the whole payload is it.
    Esp,
    /// An IKE message; it starts after the four octets of the non-ESP marker.
    Ike,
    /// Neither: empty, or too short to be any of them.
    Malformed,
    /// The single octet 0xff, to be ignored (section 2.3).
    NatKeepalive,
}

/// Octets of the non-ESP marker in front of an IKE message.
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// Tell what the payload of a datagram on UDP port 4500 is.
pub fn classify(payload: &[u8]) -> Payload {
    match payload {
        //= https://www.rfc-editor.org/rfc/rfc3948#section-2.3
        //# The sender MUST use a one-octet-long payload with the value 0xFF.
        [0xff] => Payload::NatKeepalive,
        [0, 0, 0, 0, _, ..] => Payload::Ike,
        [_, _, _, _, _, _, _, _, ..] => Payload::Esp,
        _ => Payload::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_apart() {
        assert_eq!(classify(&[0xff]), Payload::NatKeepalive);
        assert_eq!(classify(&[0, 0, 0, 0, 9]), Payload::Ike);
        assert_eq!(classify(&[0, 0, 1, 0, 0, 0, 0, 1]), Payload::Esp);
        for short in [&[][..], &[0xfe], &[0; 4], &[1, 2, 3, 4, 5, 6, 7]] {
            assert_eq!(classify(short), Payload::Malformed, "{short:?}");
        }
    }
}
