// SPDX-License-Identifier: MIT
//! A tree of moves, and the way between two of its nodes: for those who keep no states.

/// One playout: the node it starts from, by its number, and what decides about all the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) parent: usize,
    pub(crate) seed: u64,
}

/// The moves that led to nodes, and the way from the root to where one stands.
pub(crate) struct Path {
    /// Of all nodes but the root, which is number 0.
    steps: Vec<Step>,
    standing: Vec<usize>,
    /// Where one stood before.
    before: Vec<usize>,
}

impl Path {
    pub(crate) const fn new() -> Self {
        Self { steps: Vec::new(), standing: Vec::new(), before: Vec::new() }
    }

    /// A new node; one stays where one was.
    pub(crate) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// A new node below the one where one stands, to which one goes.
    pub(crate) fn push_and_stand(&mut self, step: Step) {
        self.push(step);
        self.standing.push(self.steps.len());
    }

    /// Goes to a node: how many moves to take back, and which to make then.
    pub(crate) fn go_to(&mut self, node: usize) -> (usize, impl Iterator<Item = u64> + '_) {
        std::mem::swap(&mut self.standing, &mut self.before);
        self.standing.clear();
        let mut at = node;
        while at > 0 {
            self.standing.push(at);
            at = self.steps[at - 1].parent;
        }
        self.standing.reverse();
        let pairs = self.standing.iter().zip(&self.before);
        let common = pairs.take_while(|(now, before)| now == before).count();
        let on = self.standing[common..].iter().map(|node| self.steps[node - 1].seed);
        (self.before.len() - common, on)
    }

    /// Goes to a node from the root, wherever one stands: the moves that lead to it.
    pub(crate) fn way_to(&mut self, node: usize) -> impl Iterator<Item = u64> + '_ {
        self.standing.clear();
        self.go_to(node).1
    }
}
