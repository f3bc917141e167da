//! ESP of a cipher and a MAC that know nothing of each other, of which one may be missing: encrypt,
//! then protect (RFC 4303, section 3.3.2.1).

use perilune_wire::esp::HEADER_OCTETS;

use super::mac::Mac;
use super::{Layout, PacketTransform, Sequence};

/// What encrypts the payload, padding and trailer of a packet.
pub(super) trait PacketCipher: Send + Sync {
    /// Octets of the IV in a packet, and what the length of the text is a multiple of.
    fn sizes(&self) -> (usize, usize);

    /// Write the IV of the packet with this sequence number; `None` where its length is wrong.
    fn make_iv(&self, number: u64, iv: &mut [u8]) -> Option<()>;

    /// Encrypt in place; `None` where a length is wrong.
    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()>;

    /// Decrypt in place; `None` where a length is wrong.
    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()>;
}

/// A cipher, or NULL, and a MAC, or none.
pub(super) struct Separate {
    cipher: Option<Box<dyn PacketCipher>>,
    mac: Option<Mac>,
    layout: Layout,
}

/// Without a cipher there is no IV, and four octets is what ESP aligns to (RFC 4303, section 2.4).
const NULL_SIZES: (usize, usize) = (0, 4);

impl Separate {
    pub(super) fn new(cipher: Option<Box<dyn PacketCipher>>, mac: Option<Mac>) -> Self {
        let (iv, block) = cipher.as_ref().map_or(NULL_SIZES, |cipher| cipher.sizes());
        let icv = mac.as_ref().map_or(0, Mac::icv_octets);
        Self {
            cipher,
            mac,
            layout: Layout { iv, block, icv },
        }
    }

    /// Cut a packet: IV and text; then ICV.
    fn parts<'a>(&self, packet: &'a mut [u8]) -> Option<(&'a mut [u8], &'a mut [u8])> {
        packet.split_at_mut_checked(packet.len().checked_sub(self.layout.icv)?)
    }
}

impl PacketTransform for Separate {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn seal(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        let (protected, icv) = self.parts(packet)?;
        if let Some(cipher) = &self.cipher {
            let rest = protected.get_mut(HEADER_OCTETS..)?;
            let (iv, text) = rest.split_at_mut_checked(self.layout.iv)?;
            cipher.make_iv(sequence.number, iv)?;
            cipher.encrypt(iv, text)?;
        }
        if let Some(mac) = &self.mac {
            icv.copy_from_slice(mac.icv([&*protected, sequence.implied().get()]).get());
        }
        Some(())
    }

    fn open(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        let (protected, icv) = self.parts(packet)?;
        if let Some(mac) = &self.mac {
            mac.verify([&*protected, sequence.implied().get()], icv)?;
        }
        if let Some(cipher) = &self.cipher {
            let rest = protected.get_mut(HEADER_OCTETS..)?;
            let (iv, text) = rest.split_at_mut_checked(self.layout.iv)?;
            cipher.decrypt(iv, text)?;
        }
        Some(())
    }
}
