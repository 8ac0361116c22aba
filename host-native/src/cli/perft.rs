// SPDX-License-Identifier: MIT
//! `perft`: how many ways a game can go.

use std::time::Instant;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use cascow_core::games::{Board, perft};
use cascow_core::hash::HashKind;
use cascow_native::Error;
use indicatif::HumanCount;
use serde_json::json;

use super::Answer;
use super::args::{GameName, Perft};
use super::output::Output;

pub(super) fn perft(args: &Perft, output: &Output) -> Result<Answer, Error> {
    match args.game {
        GameName::Connect4 => count::<Connect4>(args.depth, output),
        GameName::Othello => count::<Othello>(args.depth, output),
    }
}

fn count<B: Board>(depth: u32, output: &Output) -> Result<Answer, Error> {
    let begun = Instant::now();
    let paths = perft::paths(&B::START, depth);
    let states = perft::states(&B::START, depth, HashKind::Sha256);
    let answer = json!({ "game": B::NAME, "depth": depth, "paths": paths, "states": states });
    output.answer(&answer, || {
        let (paths, states) = (HumanCount(paths).to_string(), HumanCount(states).to_string());
        let width = paths.len();
        format!(
            "{} after {depth} moves\n\
             paths   {paths:>width$}\n\
             states  {states:>width$}\n\
             in {:.2} s\n",
            B::NAME,
            begun.elapsed().as_secs_f64()
        )
    })?;
    Ok(Answer::Yes)
}
