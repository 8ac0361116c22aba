// SPDX-License-Identifier: MIT
//! Pieces in which a device receives a proof.

use cascow_core::merkle::owned::{Piece, ProofBuffer};

/// Messages, each behind its length of a byte, as they come in over a radio. What a buffer has taken is what the pieces that it took held,
/// one behind the other.
pub fn piece(data: &[u8]) {
    let mut buffer = ProofBuffer::<96>::new();
    let (mut taken, mut total) = (Vec::new(), 0);
    let mut rest = data;
    while let Some((len, behind)) = rest.split_first() {
        let (message, behind) = behind.split_at(behind.len().min(usize::from(*len)));
        rest = behind;
        let Ok(piece) = Piece::decode(message) else { continue };
        let mut again = vec![0; piece.bytes.len() + 15];
        let encoded = piece.encode(&mut again).expect("at most 15 bytes more");
        assert_eq!(Piece::decode(encoded), Ok(piece));
        let before = buffer.proof().map(<[u8]>::to_vec);
        match buffer.accept(&piece) {
            Ok(whole) => {
                if piece.offset == 0 {
                    taken.clear();
                    total = piece.total;
                }
                taken.extend_from_slice(piece.bytes);
                assert_eq!(whole, taken.len() as u64 == u64::from(total));
                assert_eq!(buffer.proof(), whole.then_some(&taken[..]));
            }
            Err(_) => assert_eq!(buffer.proof(), before.as_deref()),
        }
    }
}
