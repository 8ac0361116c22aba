// SPDX-License-Identifier: MIT
//! Proofs received in pieces: whole whatever the pieces, and nothing that is out of turn, too much or malformed is kept.
#![cfg(all(feature = "owned", feature = "sha256"))]

use cascow_core::merkle::owned::{OwnedStatement, Piece, ProofBuffer, ReceiveError};
use cascow_core::merkle::{StateRoot, verify};

const PROOF: &[u8] = include_bytes!("../../tests/fixtures/v1/sha256-present.proof");
const ROOT: &str = "017b5824e91259326bf6806f23ab0a72a803f424e611daa623154d1e5beeed13";

fn root() -> StateRoot {
    ROOT.parse().unwrap()
}

fn total() -> u32 {
    u32::try_from(PROOF.len()).unwrap()
}

fn piece(from: usize, to: usize) -> Piece<'static> {
    Piece { total: total(), offset: u32::try_from(from).unwrap(), bytes: &PROOF[from..to] }
}

#[test]
fn a_proof_in_pieces_of_any_length_is_the_proof() {
    let mut buffer = ProofBuffer::<512>::new();
    for len in 1..=PROOF.len() {
        let mut whole = false;
        for from in (0..PROOF.len()).step_by(len) {
            assert_eq!(
                buffer.proof().is_some(),
                from == 0 && len > 1,
                "before it began, the one before"
            );
            let mut message = [0; 600];
            let message =
                piece(from, PROOF.len().min(from + len)).encode(&mut message).unwrap().to_vec();
            whole = buffer.accept(&Piece::decode(&message).unwrap()).unwrap();
            assert_eq!(whole, buffer.proof().is_some());
        }
        assert!(whole);
        assert_eq!(buffer.proof(), Some(PROOF));
        assert!(verify(buffer.proof().unwrap(), &root()).is_ok());
    }
    buffer.clear();
    assert_eq!(buffer.proof(), None);
}

#[test]
fn what_does_not_come_in_its_turn_is_refused_and_changes_nothing() {
    let mut buffer = ProofBuffer::<512>::new();
    let refused =
        |buffer: &mut ProofBuffer<512>, piece: Piece<'_>| buffer.accept(&piece).unwrap_err();
    assert_eq!(
        refused(&mut buffer, piece(1, 5)),
        ReceiveError::OutOfTurn { expected: 0, found: 1 }
    );
    assert_eq!(buffer.accept(&piece(0, 50)), Ok(false));
    for (bad, error) in [
        (piece(0, 50), ReceiveError::OutOfTurn { expected: 50, found: 0 }),
        (piece(49, 60), ReceiveError::OutOfTurn { expected: 50, found: 49 }),
        (piece(51, 60), ReceiveError::OutOfTurn { expected: 50, found: 51 }),
        (piece(50, 50), ReceiveError::Empty),
        (
            Piece { total: 51, ..piece(50, 51) },
            ReceiveError::Total { expected: total(), found: 51 },
        ),
        (
            Piece { bytes: PROOF, ..piece(50, 51) },
            ReceiveError::Total { expected: total(), found: u32::MAX },
        ),
    ] {
        assert_eq!(refused(&mut buffer, bad), error);
        assert_eq!(buffer.proof(), None);
    }
    assert_eq!(buffer.accept(&piece(50, PROOF.len())), Ok(true));
    assert_eq!(buffer.proof(), Some(PROOF));
}

#[test]
fn what_has_no_room_is_refused_before_any_of_it_is_kept() {
    let mut buffer = ProofBuffer::<64>::new();
    let error = ReceiveError::TooLong { len: PROOF.len(), capacity: 64 };
    assert_eq!(buffer.accept(&piece(0, 10)), Err(error));
    let lie = Piece { total: u32::MAX, ..piece(0, 10) };
    assert!(matches!(buffer.accept(&lie), Err(ReceiveError::TooLong { capacity: 64, .. })));
    let beyond = Piece { total: 10, ..piece(0, 11) };
    assert!(matches!(buffer.accept(&beyond), Err(ReceiveError::Total { expected: 10, .. })));
    let mut exact = ProofBuffer::<10>::new();
    assert_eq!(exact.accept(&Piece { total: 10, ..piece(0, 10) }), Ok(true));
    assert!(matches!(
        piece(0, 10).encode(&mut [0; 5]),
        Err(ReceiveError::TooLong { capacity: 5, .. })
    ));
}

#[test]
fn what_is_no_piece_is_malformed() {
    let mut buffer = [0; 64];
    let message = piece(0, 40).encode(&mut buffer).unwrap();
    assert_eq!(Piece::decode(message), Ok(piece(0, 40)));
    for len in 0..message.len() {
        assert_eq!(Piece::decode(&message[..len]), Err(ReceiveError::Malformed), "cut to {len}");
    }
    let longer = [message, &[0]].concat();
    assert_eq!(Piece::decode(&longer), Err(ReceiveError::Malformed));
    assert_eq!(Piece::decode(&[0xff; 20]), Err(ReceiveError::Malformed));
}

#[test]
fn a_statement_outlives_its_proof_and_travels() {
    let statement = verify(PROOF, &root()).unwrap();
    let kept = OwnedStatement::<64, 256>::new(&statement).unwrap();
    assert_eq!((kept.entries(), kept.key(), kept.value()), (9, statement.key, statement.value));
    let mut buffer = [0; 400];
    let sent = postcard::to_slice(&kept, &mut buffer).unwrap();
    assert_eq!(postcard::from_bytes(sent), Ok(kept));
    assert!(postcard::from_bytes::<OwnedStatement<1, 1>>(sent).is_err(), "no room for it there");
    let (len, capacity) = (statement.key.len(), 1);
    assert_eq!(
        OwnedStatement::<1, 256>::new(&statement),
        Err(ReceiveError::TooLong { len, capacity })
    );
    assert!(OwnedStatement::<64, 1>::new(&statement).is_err());
}

#[test]
fn errors_of_pieces_say_what_was_expected_and_found() {
    let says = |error: ReceiveError, words: &[&str]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    says(ReceiveError::Malformed, &["not a piece"]);
    says(ReceiveError::Empty, &["without bytes"]);
    says(ReceiveError::TooLong { len: 12, capacity: 34 }, &["12", "34"]);
    says(ReceiveError::OutOfTurn { expected: 12, found: 34 }, &["12", "34"]);
    says(ReceiveError::Total { expected: 12, found: 34 }, &["12", "34"]);
}
