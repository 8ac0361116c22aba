// SPDX-License-Identifier: MIT
//! An image of all verifiers and nothing else, to be measured. It is not run.
//!
//! With the feature `panics` or `heap` it does what no image may, and must not link.
#![no_std]
#![no_main]

use cascow_core::merkle::log::TreeHead;
use cascow_core::merkle::{ListRoot, LogRoot, Slot, StateRoot};
use cascow_firmware::face::{
    face_chunk, face_consistency, face_inclusion, face_many, face_range, face_state, unknown,
};

#[cortex_m_rt::entry]
fn main() -> ! {
    let proof: &[u8] = unknown(&[]);
    for said in [said_state, said_many, said_ranges, said_logs] {
        unknown(said(proof));
    }
    #[cfg(feature = "panics")]
    unknown(proof[unknown(0)]);
    #[cfg(feature = "heap")]
    unknown(alloc::boxed::Box::new(unknown(0)));
    loop {
        cortex_m::asm::wfi();
    }
}

#[cfg(feature = "heap")]
extern crate alloc;

fn said_state(proof: &[u8]) -> bool {
    let root = unknown(StateRoot::from_bytes([0; 32]));
    unknown(face_state(proof, &root)).is_ok()
}

fn said_many(proof: &[u8]) -> bool {
    let root = unknown(StateRoot::from_bytes([0; 32]));
    let mut slots = unknown([Slot::new(); 40]);
    unknown(face_many(proof, &root, &mut slots)).is_ok_and(|statements| statements.count() > 0)
}

fn said_ranges(proof: &[u8]) -> bool {
    let root = unknown(ListRoot::from_bytes([0; 32]));
    let mut slots = unknown([Slot::new(); 16]);
    let reader = unknown(face_range(proof, &root, unknown(0..1), &mut slots));
    reader
        .is_ok_and(|mut reader| reader.wanted().is_some() && face_chunk(&mut reader, proof).is_ok())
}

fn said_logs(proof: &[u8]) -> bool {
    let head = unknown(TreeHead { size: 1, root: LogRoot::from_bytes([0; 32]) });
    unknown(face_inclusion(proof, &head)).is_ok()
        | unknown(face_consistency(proof, &head, &head)).is_ok()
}
