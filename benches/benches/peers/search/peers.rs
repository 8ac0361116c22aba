// SPDX-License-Identifier: MIT
//! Connect Four as treant and mcts want it, whose traits have the same names: a tree, moves replayed from the root.

use std::cell::{Cell, RefCell};

use cascow_benches::measure::timed;
use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Outcome, Side};
use cascow_core::search::Generator;
use cascow_core::search::rand_core::SeedableRng;

use super::Run;

thread_local! {
    static GENERATOR: RefCell<Generator> = RefCell::new(Generator::seed_from_u64(0));
    static EVALUATIONS: Cell<u64> = const { Cell::new(0) };
}

/// A playout's result for the first player in halves, since peers count whole numbers.
fn evaluate(board: &Connect4) -> i64 {
    EVALUATIONS.set(EVALUATIONS.get() + 1);
    let outcome = GENERATOR.with_borrow_mut(|generator| board.playout(generator));
    match outcome {
        Outcome::Win(Side::First) => 2,
        Outcome::Draw => 1,
        Outcome::Win(Side::Second) => 0,
    }
}

fn moves(board: &Connect4) -> Vec<u32> {
    match board.outcome() {
        Some(_) => Vec::new(),
        None => board.moves().map(Connect4::number).collect(),
    }
}

/// Twice what it would be for values from 0 to 1.
const EXPLORATION: f64 = 2.0;

macro_rules! peer {
    ($name:ident, $krate:ident) => {
        pub(crate) fn $name(evaluations: u64, seed: u64) -> Run {
            use $krate::tree_policy::UCTPolicy;
            use $krate::{Evaluator, GameState, MCTS, MCTSManager, SearchHandle};

            #[derive(Clone)]
            struct Position(Connect4);

            impl GameState for Position {
                type Move = u32;
                type Player = Side;
                type MoveList = Vec<u32>;

                fn current_player(&self) -> Side {
                    self.0.turn()
                }

                fn available_moves(&self) -> Vec<u32> {
                    moves(&self.0)
                }

                fn make_move(&mut self, number: &u32) {
                    let column = Connect4::numbered(*number).expect("it was offered");
                    self.0 = self.0.play(column).expect("it was offered");
                }
            }

            struct Playout;

            impl Evaluator<Spec> for Playout {
                type StateEvaluation = i64;

                fn evaluate_new_state(
                    &self,
                    position: &Position,
                    moves: &Vec<u32>,
                    _: Option<SearchHandle<'_, Spec>>,
                ) -> (Vec<()>, i64) {
                    (vec![(); moves.len()], evaluate(&position.0))
                }

                fn evaluate_existing_state(
                    &self,
                    _: &Position,
                    known: &i64,
                    _: SearchHandle<'_, Spec>,
                ) -> i64 {
                    *known
                }

                fn interpret_evaluation_for_player(&self, value: &i64, player: &Side) -> i64 {
                    if *player == Side::First { *value } else { 2 - *value }
                }
            }

            struct Spec;

            impl MCTS for Spec {
                type State = Position;
                type Eval = Playout;
                type NodeData = ();
                type ExtraThreadData = ();
                type TreePolicy = UCTPolicy;
                type TranspositionTable = ();
            }

            GENERATOR.set(Generator::seed_from_u64(seed));
            EVALUATIONS.set(0);
            let mut kept = None;
            let elapsed = timed(|| {
                let position = Position(Connect4::START);
                let policy = UCTPolicy::new(EXPLORATION);
                let mut manager = MCTSManager::new(position, Spec, Playout, policy, ());
                while EVALUATIONS.get() < evaluations {
                    manager.playout_n((evaluations - EVALUATIONS.get()).min(1000));
                }
                kept = Some(manager);
            });
            Run { elapsed, evaluations: EVALUATIONS.get(), kept: Box::new(kept) }
        }
    };
}

peer!(treant, treant);
peer!(mcts, mcts);
