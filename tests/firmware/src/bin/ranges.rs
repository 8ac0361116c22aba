// SPDX-License-Identifier: MIT
//! An image of the verifier of ranges of a long value and nothing else, to be measured. It is not run.
#![no_std]
#![no_main]

use cascow_core::merkle::{ListRoot, Slot};
use cascow_firmware::face::{face_chunk, face_range, unknown};

#[cortex_m_rt::entry]
fn main() -> ! {
    let proof: &[u8] = unknown(&[]);
    unknown(said(proof));
    loop {
        cortex_m::asm::wfi();
    }
}

fn said(proof: &[u8]) -> bool {
    let root = unknown(ListRoot::from_bytes([0; 32]));
    let mut slots = unknown([Slot::new(); 16]);
    let reader = unknown(face_range(proof, &root, unknown(0..1), &mut slots));
    reader
        .is_ok_and(|mut reader| reader.wanted().is_some() && face_chunk(&mut reader, proof).is_ok())
}
