//! IDEA with three keys, put together as 3DES is (RFC 2451, section 2.6): encrypt, decrypt, encrypt.

use aes::cipher::consts::{U1, U8, U16, U48};
use aes::cipher::inout::InOut;
use aes::cipher::{
    Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, Key, KeyInit, KeySizeUser,
    ParBlocksSizeUser,
};
use idea::Idea;

pub(super) struct TripleIdea {
    first: Idea,
    second: Idea,
    third: Idea,
}

impl KeySizeUser for TripleIdea {
    type KeySize = U48;
}

impl BlockSizeUser for TripleIdea {
    type BlockSize = U8;
}

impl ParBlocksSizeUser for TripleIdea {
    type ParBlocksSize = U1;
}

impl KeyInit for TripleIdea {
    fn new(key: &Key<Self>) -> Self {
        let (first, rest) = key.split_ref::<U16>();
        let (second, third) = rest.split_ref::<U16>();
        Self {
            first: Idea::new(first),
            second: Idea::new(second),
            third: Idea::new(third),
        }
    }
}

impl BlockCipherEncrypt for TripleIdea {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        f.call(self);
    }
}

impl BlockCipherEncBackend for TripleIdea {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut text = *block.get_in();
        BlockCipherEncrypt::encrypt_block(&self.first, &mut text);
        BlockCipherDecrypt::decrypt_block(&self.second, &mut text);
        BlockCipherEncrypt::encrypt_block(&self.third, &mut text);
        *block.get_out() = text;
    }
}

impl BlockCipherDecrypt for TripleIdea {
    fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U8>) {
        f.call(self);
    }
}

impl BlockCipherDecBackend for TripleIdea {
    fn decrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut text = *block.get_in();
        BlockCipherDecrypt::decrypt_block(&self.third, &mut text);
        BlockCipherEncrypt::encrypt_block(&self.second, &mut text);
        BlockCipherDecrypt::decrypt_block(&self.first, &mut text);
        *block.get_out() = text;
    }
}
