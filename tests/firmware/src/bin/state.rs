// SPDX-License-Identifier: MIT
//! An image of the verifier of proofs of one key and nothing else, to be measured. It is not run.
#![no_std]
#![no_main]

use cascow_core::merkle::StateRoot;
use cascow_firmware::face::{face_state, unknown};

#[cortex_m_rt::entry]
fn main() -> ! {
    let proof: &[u8] = unknown(&[]);
    unknown(said(proof));
    loop {
        cortex_m::asm::wfi();
    }
}

fn said(proof: &[u8]) -> bool {
    let root = unknown(StateRoot::from_bytes([0; 32]));
    unknown(face_state(proof, &root)).is_ok()
}
