// SPDX-License-Identifier: MIT
//! One search, whatever its game: what the views, the steps and the database need of it, without its types.
//!
//! Only what must know the game's type is generic, so that each game adds little to the module.

use cascow_core::games::{Board, Playouts};
use cascow_core::search::{
    Action, Choice, Counts, Edge, EdgeId, Evaluation, Game, Generator, Node, NodeId, Preference,
    Saved, Search, SearchError, Settings, Step, Turn,
};
use cascow_core::store::StoreError;
use js_sys::Object;

use super::custom::{Custom, CustomState};
use crate::board::{self, GameName};
use crate::database::Objects;
use crate::error::{Code, Failure};
use crate::js;

/// A node without its game's type.
#[derive(Clone, Debug)]
pub(super) struct NodeFacts {
    pub(super) id: NodeId,
    pub(super) turn: Turn,
    pub(super) evaluation: Evaluation,
    pub(super) value: f64,
    pub(super) bounds: (f64, f64),
    pub(super) is_complete: bool,
    pub(super) visits: u64,
    /// Canonical bytes.
    pub(super) state: Vec<u8>,
}

impl NodeFacts {
    pub(super) fn is_proven(&self) -> bool {
        self.bounds.0 >= self.bounds.1
    }
}

/// Why a batch of steps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    Playouts,
    Time,
    Exhausted,
}

/// How far a batch may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) playouts: u64,
    /// On the clock of [`js::now`].
    pub(super) deadline: f64,
}

/// A search whose game it knows itself.
pub(super) trait Engine {
    fn run(&mut self, budget: &Budget) -> Result<Stopped, Failure>;
    fn step(&mut self) -> Result<Step, Failure>;
    fn advance(&mut self, action: Action) -> Result<bool, Failure>;
    fn save(&self, store: &Objects) -> Result<Saved, StoreError>;

    fn counts(&self) -> Counts;
    fn len(&self) -> usize;
    fn bytes(&self) -> u64;
    fn root(&self) -> NodeId;
    fn numbered(&self, number: u32) -> Option<NodeId>;
    fn find(&self, state: &[u8]) -> Option<NodeId>;
    fn node(&self, id: NodeId) -> Option<NodeFacts>;
    fn each_node(&self, visit: &mut dyn FnMut(NodeFacts));
    fn edges(&self, id: NodeId) -> Vec<Edge>;
    fn best_edge(&self, id: NodeId) -> Option<EdgeId>;

    /// The built-in game.
    fn game(&self) -> Option<GameName>;
    /// The root as a board of a built-in game.
    fn board(&self) -> Option<Object>;
    /// A move as people write it.
    fn name_of(&self, action: Action) -> String;
    /// The action that is written so.
    fn action_of(&self, text: &str) -> Option<Action>;
}

/// What an engine needs beside the core's idea of a game.
pub(super) trait Rules: Game<Error: Into<Failure>> {
    fn bytes_of(state: &Self::State) -> Vec<u8>;
    fn state_of(bytes: &[u8]) -> Option<Self::State>;
    fn game(&self) -> Option<GameName>;
    fn board(&self, state: &Self::State) -> Option<Object>;
    fn name_of(&self, action: Action) -> String;
    fn action_of(&self, text: &str) -> Option<Action>;
}

/// A built-in game.
pub(super) struct BuiltIn<B> {
    pub(super) name: GameName,
    playouts: Playouts<B>,
}

impl<B> BuiltIn<B> {
    pub(super) const fn new(name: GameName) -> Self {
        Self { name, playouts: Playouts::new() }
    }
}

/// The core's games cannot fail: this has no value.
pub(super) enum Never {}

impl From<Never> for Failure {
    fn from(never: Never) -> Self {
        match never {}
    }
}

fn never(infallible: std::convert::Infallible) -> Never {
    match infallible {}
}

impl<B: Board> Game for BuiltIn<B> {
    type State = B;
    type Error = Never;

    fn turn(&self, state: &B) -> Turn {
        self.playouts.turn(state)
    }

    fn actions(&mut self, state: &B, out: &mut Vec<Choice>) -> Result<(), Never> {
        self.playouts.actions(state, out).map_err(never)
    }

    fn apply(&mut self, state: &B, action: Action) -> Result<Option<B>, Never> {
        self.playouts.apply(state, action).map_err(never)
    }

    fn evaluate(&mut self, state: &B, generator: &mut Generator) -> Result<Evaluation, Never> {
        self.playouts.evaluate(state, generator).map_err(never)
    }
}

impl<B: Board> Rules for BuiltIn<B> {
    fn bytes_of(state: &B) -> Vec<u8> {
        board::canonical(state)
    }

    fn state_of(bytes: &[u8]) -> Option<B> {
        board::of_canonical(bytes)
    }

    fn game(&self) -> Option<GameName> {
        Some(self.name)
    }

    fn board(&self, state: &B) -> Option<Object> {
        Some(board::view(self.name, state))
    }

    fn name_of(&self, action: Action) -> String {
        B::numbered(action.0).map(|action| action.to_string()).unwrap_or_default()
    }

    fn action_of(&self, text: &str) -> Option<Action> {
        let (action, rest) = B::read_move(text)?;
        // Passes are written here, since each move is one of the search's.
        rest.is_empty().then(|| Action(B::number(action)))
    }
}

impl Rules for Custom {
    fn bytes_of(state: &CustomState) -> Vec<u8> {
        state.bytes().to_vec()
    }

    fn state_of(bytes: &[u8]) -> Option<CustomState> {
        CustomState::new(bytes)
    }

    fn game(&self) -> Option<GameName> {
        None
    }

    fn board(&self, _: &CustomState) -> Option<Object> {
        None
    }

    fn name_of(&self, action: Action) -> String {
        action.0.to_string()
    }

    fn action_of(&self, text: &str) -> Option<Action> {
        text.parse().ok().map(Action)
    }
}

/// A search with its game.
pub(super) struct Seat<R: Rules> {
    pub(super) search: Search<R::State>,
    pub(super) rules: R,
}

impl<R: Rules> Seat<R> {
    pub(super) fn begin(settings: Settings, root: R::State, mut rules: R) -> Result<Self, Failure> {
        let search = Search::new(settings, root, &mut rules).map_err(failure)?;
        Ok(Self { search, rules })
    }

    pub(super) fn facts(node: Node<R::State>) -> NodeFacts {
        NodeFacts {
            id: node.id,
            turn: node.turn,
            evaluation: node.evaluation,
            value: node.value,
            bounds: node.bounds,
            is_complete: node.is_complete,
            visits: node.visits,
            state: R::bytes_of(&node.state),
        }
    }
}

fn failure<E: Into<Failure>>(error: SearchError<E>) -> Failure {
    match error {
        SearchError::Game(error) => error.into(),
        SearchError::InvalidValue { found } => SearchError::InvalidValue { found }.into(),
        SearchError::InvalidPrior { index, found } => {
            SearchError::InvalidPrior { index, found }.into()
        }
        SearchError::InvalidSetting { field } => SearchError::InvalidSetting { field }.into(),
        SearchError::TooManyActions { found, most } => {
            SearchError::TooManyActions { found, most }.into()
        }
        SearchError::Recurred { depth } => SearchError::Recurred { depth }.into(),
        SearchError::Full => SearchError::Full.into(),
        _ => Failure::new(Code::Game, "the search cannot go on"),
    }
}

impl<R: Rules> Engine for Seat<R> {
    fn run(&mut self, budget: &Budget) -> Result<Stopped, Failure> {
        /// Steps between two looks at the clock, which is a call into JavaScript: far less than a millisecond's worth.
        const BATCH: u32 = 64;
        let end = self.search.counts().evaluations.saturating_add(budget.playouts);
        loop {
            for _ in 0..BATCH {
                if self.search.counts().evaluations >= end {
                    return Ok(Stopped::Playouts);
                }
                // One descent: what a search becomes is not to depend on where a budget or the clock divides it.
                if self.search.step(&mut self.rules).map_err(failure)? == Step::Exhausted {
                    return Ok(Stopped::Exhausted);
                }
            }
            if js::now() >= budget.deadline {
                return Ok(Stopped::Time);
            }
        }
    }

    fn step(&mut self) -> Result<Step, Failure> {
        self.search.step(&mut self.rules).map_err(failure)
    }

    fn advance(&mut self, action: Action) -> Result<bool, Failure> {
        let to = self.search.advance_root(action, &mut self.rules).map_err(failure)?;
        Ok(to.is_some())
    }

    fn save(&self, store: &Objects) -> Result<Saved, StoreError> {
        self.search.save(store)
    }

    fn counts(&self) -> Counts {
        self.search.counts()
    }

    fn len(&self) -> usize {
        self.search.len()
    }

    fn bytes(&self) -> u64 {
        self.search.bytes()
    }

    fn root(&self) -> NodeId {
        self.search.root().id
    }

    fn numbered(&self, number: u32) -> Option<NodeId> {
        self.search.numbered(number)
    }

    fn find(&self, state: &[u8]) -> Option<NodeId> {
        self.search.find(&R::state_of(state)?)
    }

    fn node(&self, id: NodeId) -> Option<NodeFacts> {
        self.search.node(id).map(Self::facts)
    }

    fn each_node(&self, visit: &mut dyn FnMut(NodeFacts)) {
        self.search.nodes().for_each(|node| visit(Self::facts(node)));
    }

    fn edges(&self, id: NodeId) -> Vec<Edge> {
        self.search.edges(id).collect()
    }

    fn best_edge(&self, id: NodeId) -> Option<EdgeId> {
        self.search.best_edge(id, Preference::Visits)
    }

    fn game(&self) -> Option<GameName> {
        self.rules.game()
    }

    fn board(&self) -> Option<Object> {
        self.rules.board(&self.search.root().state)
    }

    fn name_of(&self, action: Action) -> String {
        self.rules.name_of(action)
    }

    fn action_of(&self, text: &str) -> Option<Action> {
        self.rules.action_of(text)
    }
}
