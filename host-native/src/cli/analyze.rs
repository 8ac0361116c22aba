// SPDX-License-Identifier: MIT
//! `analyze`: what the search thinks of a position.

use std::num::NonZeroU32;
use std::time::Duration;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use cascow_core::games::{Board, Outcome, Side, after};
use cascow_core::search::{Preference, Search, Target};
use cascow_native::Error;
use cascow_native::boards::{self, Limits, Thought};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use serde_json::json;

use super::args::{Analyze, GameName, Thinking};
use super::output::Output;
use super::{Answer, interrupt_flag};

/// How long a search without any limit thinks.
const DEFAULT_TIME: Duration = Duration::from_secs(1);

pub(super) fn analyze(args: &Analyze, output: &Output) -> Result<Answer, Error> {
    match args.game {
        GameName::Connect4 => position::<Connect4>(args, output),
        GameName::Othello => position::<Othello>(args, output),
    }
}

fn position<B: Board + Send + Sync>(args: &Analyze, output: &Output) -> Result<Answer, Error> {
    let board = start::<B>(args.moves.as_deref())?;
    if let Some(outcome) = board.outcome() {
        let result = in_words(outcome);
        return Err(Error::Misuse(format!("no moves: the game is over, {result}")));
    }
    let mut limits = limits(&args.thinking);
    // Beginning evaluates the position itself.
    limits.evaluations = limits.evaluations.map(|nodes| nodes.saturating_sub(1));
    let mut search = boards::begin(board, args.thinking.seed, args.thinking.bytes)?;
    let bar = output.figure_bar("thinking");
    bar.enable_steady_tick(Duration::from_millis(100));
    let thought = boards::think(&mut search, &limits, &*interrupt_flag()?);
    bar.finish_and_clear();
    let thought = thought?;
    let opinion = Opinion::of(&search);
    let counts = search.counts();
    // A rate for people needs no 53 bits.
    let per_sec = counts.evaluations as f64 / thought.elapsed.as_secs_f64().max(f64::EPSILON);
    let answer = json!({
        "game": B::NAME,
        "best_move": opinion.best_move,
        "value": opinion.value,
        "proven": opinion.proven,
        "playouts": counts.evaluations,
        "playouts_per_sec": per_sec,
        "moves": opinion.moves,
        "line": opinion.line,
        "unique_states": search.len(),
        "transpositions": counts.transpositions,
        "forgotten": counts.forgotten,
        "bytes": search.bytes(),
        "elapsed_secs": thought.elapsed.as_secs_f64(),
        "workers": limits.workers,
        "stopped": thought.stopped.name(),
    });
    output.answer(&answer, || describe(&board, &opinion, &search, &thought, per_sec))?;
    Ok(Answer::Yes)
}

/// The position after moves of the command line.
pub(super) fn start<B: Board>(moves: Option<&str>) -> Result<B, Error> {
    after(B::START, moves.unwrap_or_default()).map_err(|error| Error::Misuse(error.to_string()))
}

pub(super) fn limits(thinking: &Thinking) -> Limits {
    let default = if thinking.nodes.is_none() { Some(DEFAULT_TIME) } else { None };
    Limits {
        evaluations: thinking.nodes,
        time: thinking.time.or(default),
        workers: NonZeroU32::new(thinking.workers).unwrap_or(NonZeroU32::MIN),
    }
}

/// What the search thinks of a position where somebody is to move, in the view of that side.
pub(super) struct Opinion {
    pub(super) best_move: String,
    pub(super) value: f64,
    pub(super) proven: bool,
    /// The moves, the best first.
    pub(super) moves: Vec<MoveOpinion>,
    /// How the search expects the game to go on.
    pub(super) line: Vec<String>,
}

/// What the search thinks of a move.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MoveOpinion {
    #[serde(rename = "move")]
    pub(super) name: String,
    pub(super) visits: u32,
    pub(super) value: f64,
    pub(super) proven: bool,
}

impl Opinion {
    pub(super) fn of<B: Board>(search: &Search<B>) -> Self {
        let root = search.root();
        let side = root.state.turn();
        let best = search.best_edge(root.id, Preference::Visits);
        let mut edges: Vec<_> = search.edges(root.id).collect();
        // The rest by how much the search made of them; equals as the game has them.
        edges.sort_by_key(|edge| (Some(edge.id) != best, std::cmp::Reverse(edge.visits)));
        let mut moves: Vec<MoveOpinion> = edges
            .iter()
            .map(|edge| {
                let (value, proven) = match edge.target {
                    Target::Node(child) => match search.node(child) {
                        Some(child) => (child.value, child.bounds.0 == child.bounds.1),
                        None => (root.value, false),
                    },
                    Target::Forgotten(value) => (value, false),
                    // Of what was never tried, nothing but where it was left is known.
                    Target::Untried | Target::Claimed | Target::Closed => (root.value, false),
                };
                let name = name_of::<B>(edge.action);
                MoveOpinion { name, visits: edge.visits, value: view(side, value), proven }
            })
            .collect();
        if moves.is_empty() {
            // The root alone was evaluated.
            let unvisited = |action: B::Move| MoveOpinion {
                name: action.to_string(),
                visits: 0,
                value: view(side, root.value),
                proven: false,
            };
            moves.extend(root.state.moves().map(unvisited));
        }
        let line = search.principal_variation(Preference::Visits);
        let line = line.into_iter().filter_map(|edge| search.edge(edge));
        Self {
            best_move: moves.first().map(|best| best.name.clone()).unwrap_or_default(),
            value: view(side, root.value),
            proven: root.bounds.0 == root.bounds.1,
            moves,
            line: line.map(|edge| name_of::<B>(edge.action)).collect(),
        }
    }

    /// The value in a few words: what is proven, or a chance.
    pub(super) fn in_words(&self) -> String {
        value_in_words(self.value, self.proven)
    }
}

fn name_of<B: Board>(action: cascow_core::search::Action) -> String {
    // The search's actions are the board's own moves.
    B::numbered(action.0).map(|action| action.to_string()).unwrap_or_default()
}

fn view(side: Side, value: f64) -> f64 {
    match side {
        Side::First => value,
        Side::Second => 1.0 - value,
    }
}

fn value_in_words(value: f64, proven: bool) -> String {
    match proven {
        true if value > 0.75 => "a sure win".to_owned(),
        true if value < 0.25 => "a sure loss".to_owned(),
        true => "a sure draw".to_owned(),
        false => format!("{:.1} %", 100.0 * value),
    }
}

/// A side as the board shows it.
pub(super) const fn mark(side: Side) -> char {
    match side {
        Side::First => 'X',
        Side::Second => 'O',
    }
}

/// A result as the end of a sentence.
pub(super) fn in_words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Win(side) => format!("{} has won", mark(side)),
        Outcome::Draw => "a draw".to_owned(),
    }
}

fn describe<B: Board>(
    board: &B,
    opinion: &Opinion,
    search: &Search<B>,
    thought: &Thought,
    per_sec: f64,
) -> String {
    /// Enough of the expected line to see where it goes.
    const LINE: usize = 12;
    let mut text = format!("{board}\n\n");
    let (mover, best) = (mark(board.turn()), &opinion.best_move);
    text.push_str(&format!("{mover} to move: {best}, {} for {mover}\n\n", opinion.in_words()));
    text.push_str(&table(&opinion.moves));
    let line = &opinion.line[..opinion.line.len().min(LINE)];
    text.push_str(&format!("\nexpected  {}\n", line.join(" ")));
    text.push_str(&format!(
        "searched  {} playouts in {:.2} s, {} a second\n",
        HumanCount(search.counts().evaluations),
        thought.elapsed.as_secs_f64(),
        HumanCount(whole(per_sec)),
    ));
    let states = u64::try_from(search.len()).unwrap_or(u64::MAX);
    text.push_str(&format!("states    {} in {}\n", HumanCount(states), HumanBytes(search.bytes())));
    text
}

/// A row for each move, with a bar of its chances.
fn table(moves: &[MoveOpinion]) -> String {
    const BAR: f64 = 20.0;
    let mut text = format!("{:>6}  {:>13}  value\n", "move", "visits");
    for one in moves {
        let bar: String = (0..whole(one.value * BAR)).map(|_| '█').collect();
        text.push_str(&format!(
            "{:>6}  {:>13}  {:<11}  {bar}\n",
            one.name,
            HumanCount(one.visits.into()).to_string(),
            value_in_words(one.value, one.proven)
        ));
    }
    text
}

/// A number that is not negative, rounded for people.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and there is no other conversion"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}
