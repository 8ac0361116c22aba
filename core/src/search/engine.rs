// SPDX-License-Identifier: MIT
//! The search itself: one step tries one edge.
//!
//! A step first asks the game everything it needs, and writes only when nothing can fail any more: after an error
//! the graph, the counts and the generator are what they were.

use alloc::vec::Vec;

use rand_xoshiro::rand_core::SeedableRng;

use super::{
    Edge, EdgeId, Evaluation, Game, Generator, Node, NodeId, Renewal, SearchError, Settings,
    Target, graph::Graph, select::Descent,
};

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// An edge was tried.
    Tried {
        /// The edge, whose parent is the last node of the descent.
        edge: EdgeId,
        /// What it led to.
        outcome: Outcome,
    },
    /// Every state within the depth limit has been met and every edge between them tried: nothing is left to do.
    Exhausted,
}

/// What an edge led to when it was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// A state not met before, now a node.
    New {
        /// The new node.
        node: NodeId,
        /// The game's judgement of it.
        evaluation: Evaluation,
    },
    /// A state met before by another way: nothing was evaluated.
    Transposition {
        /// The node of that state.
        node: NodeId,
    },
    /// The action does not apply or leaves the state as it was; the edge is closed.
    Closed,
}

/// How much a search has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Valid evaluations received, one for each node ever made.
    pub evaluations: u64,
    /// Edges found to lead to a state met before.
    pub transpositions: u64,
    /// Edges found to lead nowhere.
    pub closed: u64,
}

/// A Monte-Carlo graph search over a [`Game`], which is lent to it for each step.
pub struct Search<G: Game> {
    pub(super) graph: Graph<G::State, G::Action, G::Key>,
    settings: Settings,
    generator: Generator,
    pub(super) counts: Counts,
    pub(super) best: NodeId,
}

impl<G: Game> Search<G> {
    /// Begins at `root`, which is evaluated.
    ///
    /// # Errors
    /// [`SearchError`]: a setting out of range, or a game that fails or breaks its contract at the root.
    pub fn new(
        settings: Settings,
        root: G::State,
        game: &mut G,
    ) -> Result<Self, SearchError<G::Error>> {
        settings.validate()?;
        let mut search = Self {
            graph: Graph::new(),
            settings,
            generator: Generator::seed_from_u64(settings.seed),
            counts: Counts::default(),
            best: NodeId::ROOT,
        };
        let key = game.key(&root);
        search.add(key, root, 0, game)?;
        search.graph.renew(&[NodeId::ROOT], &settings);
        Ok(search)
    }

    /// Tries one edge: the untried one at the end of a descent from the root by PUCT.
    ///
    /// Costs one [`Game::apply`], at most one [`Game::evaluate`] and one [`Game::actions`], and the renewal of values
    /// as set by [`Renewal`].
    ///
    /// # Errors
    /// [`SearchError`]: the game failed or broke its contract, or the graph is full. The search is as it was before.
    pub fn step(&mut self, game: &mut G) -> Result<Step, SearchError<G::Error>> {
        let Descent { path, untried, dead_ends } = self.graph.descend(&self.settings);
        let Some(edge) = untried else {
            self.graph.renew(&dead_ends, &self.settings);
            return Ok(Step::Exhausted);
        };
        let outcome = self.try_edge(edge, game)?;
        let nearer = self.write(edge, outcome, &path);
        self.renew(edge, outcome, &path, dead_ends, nearer);
        Ok(Step::Tried { edge, outcome })
    }

    /// Learns from the game where `edge` leads, and adds the node if it is new.
    fn try_edge(&mut self, edge: EdgeId, game: &mut G) -> Result<Outcome, SearchError<G::Error>> {
        let parent = self.graph.node(edge.parent);
        let action = self.graph.action(self.graph.edge(edge).action);
        let Some(state) = game.apply(&parent.state, action).map_err(SearchError::Game)? else {
            return Ok(Outcome::Closed);
        };
        let key = game.key(&state);
        match self.graph.find(&key) {
            Some(node) if node == edge.parent => Ok(Outcome::Closed),
            Some(node) => Ok(Outcome::Transposition { node }),
            None => {
                let depth = parent.depth.saturating_add(1);
                let (node, evaluation) = self.add(key, state, depth, game)?;
                Ok(Outcome::New { node, evaluation })
            }
        }
    }

    /// Asks the game about a new state and, if all answers are sound, makes it a node.
    fn add(
        &mut self,
        key: G::Key,
        state: G::State,
        depth: u32,
        game: &mut G,
    ) -> Result<(NodeId, Evaluation), SearchError<G::Error>> {
        let id = self.graph.next_id().ok_or(SearchError::Full)?;
        let mut generator = self.generator.clone();
        let evaluation = game.evaluate(&state, &mut generator).map_err(SearchError::Game)?;
        if !(0.0..=1.0).contains(&evaluation.value) {
            return Err(SearchError::InvalidValue { found: evaluation.value });
        }
        let mut actions = Vec::new();
        if !evaluation.terminal {
            game.actions(&state, &mut actions).map_err(SearchError::Game)?;
        }
        let node = Node {
            maximises: game.maximises(&state),
            edges: self.edges(actions)?,
            parents: Vec::new(),
            value: evaluation.value,
            best: evaluation.value,
            complete: false,
            walk: 0,
            evaluation,
            depth,
            state,
        };
        self.generator = generator;
        self.graph.insert(id, key, node);
        self.counts.evaluations += 1;
        let best = self.graph.node(self.best);
        if best.better(evaluation.value, best.evaluation.value) != best.evaluation.value {
            self.best = id;
        }
        Ok((id, evaluation))
    }

    /// Names the actions and scales their priors.
    fn edges(
        &mut self,
        actions: Vec<(G::Action, f32)>,
    ) -> Result<Vec<Edge>, SearchError<G::Error>> {
        let invalid =
            |&(_, &(_, prior)): &(usize, &(G::Action, f32))| !prior.is_finite() || prior < 0.0;
        if let Some((index, &(_, found))) = actions.iter().enumerate().find(invalid) {
            return Err(SearchError::InvalidPrior { index, found });
        }
        let count = u32::try_from(actions.len()).map_err(|_| SearchError::Full)?;
        let sum: f64 = actions.iter().map(|&(_, prior)| f64::from(prior)).sum();
        let scaled =
            |prior: f32| if sum > 0.0 { f64::from(prior) / sum } else { 1.0 / f64::from(count) };
        let edge = |(action, prior): (G::Action, f32)| {
            let action = self.graph.intern(action).ok_or(SearchError::Full)?;
            Ok(Edge { action, prior: scaled(prior), visits: 0, target: Target::Untried })
        };
        actions.into_iter().map(edge).collect()
    }

    /// Writes down where `edge` leads. Returns the nodes that came nearer to the root.
    fn write(&mut self, edge: EdgeId, outcome: Outcome, path: &[EdgeId]) -> Vec<NodeId> {
        let node = match outcome {
            Outcome::Closed => {
                self.counts.closed += 1;
                self.graph.edge_mut(edge).target = Target::Closed;
                return Vec::new();
            }
            Outcome::Transposition { node } => {
                self.counts.transpositions += 1;
                node
            }
            Outcome::New { node, .. } => node,
        };
        // An edge that closes a cycle says nothing about where it comes from, so it is known but not yet visited.
        if !path.iter().any(|passed| passed.parent == node) {
            for &passed in path.iter().chain([&edge]) {
                let visits = &mut self.graph.edge_mut(passed).visits;
                *visits = visits.saturating_add(1);
            }
        }
        self.graph.link(edge, node)
    }

    /// Brings values up to date above what a step has changed.
    fn renew(
        &mut self,
        edge: EdgeId,
        outcome: Outcome,
        path: &[EdgeId],
        mut changed: Vec<NodeId>,
        nearer: Vec<NodeId>,
    ) {
        if let Outcome::New { node, .. } = outcome {
            changed.push(node);
        }
        changed.push(edge.parent);
        // A node that came nearer may be open again, and its ancestors must not go on as if it were complete.
        if self.settings.renewal == Renewal::Ancestors || !nearer.is_empty() {
            changed.extend(nearer);
            changed = self.graph.ancestry(&changed);
        } else {
            changed.extend(path.iter().rev().map(|passed| passed.parent));
        }
        self.graph.renew(&changed, &self.settings);
    }
}
