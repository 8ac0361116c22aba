// SPDX-License-Identifier: MIT
//! Cutting 64 MB into chunks, and naming them, beside the crates `fastcdc` and `sha2`.

use std::hint::black_box;

use cascow_benches::measure::repeated;
use cascow_benches::report::{Duel, Report, Unit};
use cascow_core::chunk::{ChunkSizes, chunks};
use cascow_core::hash::HashKind;
use fastcdc::v2020::FastCDC;
use sha2::{Digest, Sha256};

/// Bytes of the value.
const LEN: u32 = 64_000_000;

pub(crate) fn run(report: &mut Report) {
    // Noise is the common case of chunking: a cut is as likely at one byte as at any other.
    let value = crate::noise(64, LEN as usize);
    let unit = Unit::Throughput(f64::from(LEN));

    let cut = Duel {
        work: "cut 64 MB of noise into chunks of 2/4/8 KiB".into(),
        peer: "fastcdc 5, v2020",
        unit,
        at_least: Some(1.2),
    };
    let ours = repeated(|| chunks(black_box(&value)).count());
    report.duel(&cut, ours, repeated(|| peer_chunks(black_box(&value)).count()));

    let name = Duel {
        work: "cut 64 MB of noise into chunks and name each by SHA-256, one thread".into(),
        peer: "fastcdc 5, then sha2 0.11 on each chunk",
        unit,
        at_least: Some(1.0),
    };
    // Sixteen at a time, as blobs are written.
    let ours = repeated(|| {
        let mut chunks = chunks(black_box(&value));
        loop {
            let batch: [&[u8]; 16] = std::array::from_fn(|_| chunks.next().unwrap_or_default());
            if batch[0].is_empty() {
                break;
            }
            let named = batch.iter().take_while(|chunk| !chunk.is_empty()).count();
            HashKind::Sha256.hash_each(&batch[..named], |_, name| _ = black_box(name));
        }
    });
    let peer = repeated(|| {
        for chunk in peer_chunks(black_box(&value)) {
            black_box(Sha256::digest(&value[chunk.offset..][..chunk.length]));
        }
    });
    report.duel(&name, ours, peer);
}

fn peer_chunks(value: &[u8]) -> FastCDC<'_> {
    let sizes = ChunkSizes::FORMAT;
    FastCDC::new(value, sizes.min(), sizes.avg(), sizes.max())
}
