// SPDX-License-Identifier: MIT
//! What a proof shows is true, and a proof with any one bit changed shows nothing.

use std::thread;

use cascow_core::hash::HashKind;
use cascow_core::merkle::{self, StateRoot};
use cascow_core::store::ObjectStore;
use cascow_native::repository::Repository;
use cascow_tests::sandbox::{Sandbox, text};

struct Question {
    key: Vec<u8>,
    value: Option<Box<[u8]>>,
    proof: Vec<u8>,
}

/// A snapshot of 1,000 files, with a proof of each path and of 100 that are not there.
fn questions(kind: HashKind) -> (Sandbox, String, StateRoot, Vec<Question>) {
    let sandbox = Sandbox::without_repository();
    sandbox.cascow(["init", "--hash", kind.name()]).done();
    for index in 0..1000 {
        sandbox.write(&format!("tree/{:02}/{index}.txt", index % 37), format!("content {index}"));
    }
    let snapshot = sandbox.save("tree");
    let repository = Repository::open(&sandbox.path("")).unwrap();
    assert_eq!(repository.store().hash_kind(), kind);
    let state = repository.state(&snapshot.parse().unwrap()).unwrap();
    assert_eq!(state.len(), 1037);
    let trie = state.trie(kind);
    let present = state.iter().map(|(key, value)| (key.to_vec(), Some(value.bytes.clone())));
    let absent = (0..100).map(|index| match index {
        0 => (Vec::new(), None),
        _ => (format!("{:02}/{}.txt", index % 40, index + 5000).into_bytes(), None),
    });
    let ask = |(key, value): (Vec<u8>, Option<Box<[u8]>>)| {
        let proof = trie.prove(&key, value.as_deref()).unwrap();
        Question { key, value, proof }
    };
    let questions = present.chain(absent).map(ask).collect();
    (sandbox, snapshot, trie.root(), questions)
}

#[test]
fn every_path_is_proved_and_every_flipped_bit_of_every_proof_is_rejected() {
    let (_sandbox, _, root, questions) = questions(HashKind::Sha256);
    let check = |question: &Question| {
        let statement = merkle::verify(&question.proof, &root).unwrap();
        assert_eq!(statement.key, question.key);
        assert_eq!(statement.value, question.value.as_deref());
        let mut altered = question.proof.clone();
        for bit in 0..altered.len() * 8 {
            altered[bit / 8] ^= 1 << (bit % 8);
            let accepted = merkle::verify(&altered, &root);
            assert!(accepted.is_err(), "bit {bit} of the proof of {}", question.key.escape_ascii());
            altered[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..altered.len() {
            assert!(merkle::verify(&altered[..len], &root).is_err(), "cut to {len} bytes");
        }
        altered.push(0);
        assert!(merkle::verify(&altered, &root).is_err(), "a byte follows");
    };
    let threads = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        for share in questions.chunks(questions.len().div_ceil(threads)) {
            scope.spawn(|| share.iter().for_each(check));
        }
    });
}

#[test]
fn proofs_of_the_other_hash_function_hold_too_and_of_another_root_do_not() {
    let (_sandbox, _, root, questions) = questions(HashKind::Blake3);
    let other = StateRoot::from_bytes([7; 32]);
    for Question { key, value, proof } in &questions {
        let statement = merkle::verify(proof, &root).unwrap();
        assert_eq!((statement.key, statement.value), (&key[..], value.as_deref()));
        assert!(merkle::verify(proof, &other).is_err());
    }
}

#[test]
fn the_program_proves_what_the_library_proves() {
    let (sandbox, snapshot, root, questions) = questions(HashKind::Sha256);
    let root = root.to_string();
    for question in questions.iter().step_by(40) {
        let key = std::str::from_utf8(&question.key).unwrap();
        let proved = sandbox.json(["prove", &snapshot, key, "-o", "proof"]);
        assert_eq!(text(&proved["root"]), root);
        assert_eq!(sandbox.read("proof"), question.proof);
        let verified = sandbox.json(["verify", "proof", "--root", &root]);
        assert_eq!(verified["valid"], true);
        assert_eq!(verified["key"], key);
        assert_eq!(verified["present"], question.value.is_some());

        let mut altered = question.proof.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 0x10;
        sandbox.write("altered", &altered);
        let refused = sandbox.cascow(["--json", "verify", "altered", "--root", &root]);
        assert_eq!((refused.code, &refused.json()["valid"]), (1, &false.into()));
    }
    for garbage in [&b""[..], b"\0", b"CCSP", &[0xff; 5000]] {
        sandbox.write("garbage", garbage);
        assert_eq!(sandbox.cascow(["verify", "garbage", "--root", &root]).code, 1);
    }
    for no_root in ["", "abc", &root[1..], &format!("{root}00"), &"g".repeat(64)] {
        sandbox.cascow(["verify", "garbage", "--root", no_root]).error(2);
    }
}
