// SPDX-License-Identifier: MIT
//! What a proposer is told of a state: gathered from the session, then written out without holding it up.

use cascow_core::search::{NodeId, Target};
use cascow_core::store::ObjectStore;

use super::proposer::{Request, Sibling, bounded};
use super::session::{Job, Session};
use super::states::Difference;
use crate::Error;
use crate::patch::patch_values;

/// Longest file that is told line by line.
const MAX_COMPARED_LEN: u64 = 128 << 10;

/// What the session knows.
pub(super) struct Asked {
    request: Request,
    differences: Vec<Difference>,
}

impl Asked {
    pub(super) fn new(session: &mut Session, job: Job) -> Result<Self, Error> {
        let (Job::Propose { node, .. }
        | Job::Try { edge: cascow_core::search::EdgeId { parent: node, .. }, .. }) = job;
        let (state, root) = {
            let position = session.place(job)?;
            (position.state, position.root)
        };
        let base = session.states.base();
        let differences = session.states.differences(base, state)?;
        let score = session.states.score(state);
        let request = Request {
            node: node.number(),
            depth: session
                .search()?
                .node(node)
                .and_then(|node| node.wide)
                .map_or(0, |wide| wide.depth),
            root: root.to_string(),
            diff: String::new(),
            actions: session.way_to(node)?,
            feedback: score.and_then(|score| score.feedback.clone()),
            score: score.map_or(0.0, |score| score.value),
            siblings: siblings(session, node)?,
        };
        Ok(Self { request, differences })
    }

    /// The document, with the contents that differ.
    pub(super) fn request<S: ObjectStore>(self, store: &S) -> Result<Request, Error> {
        let mut diff = Vec::new();
        for Difference { change, before, after } in &self.differences {
            let (before, after) = (before.as_ref(), after.as_ref());
            diff.append(&mut patch_values(store, &change.key, before, after, MAX_COMPARED_LEN)?);
        }
        Ok(Request { diff: bounded(&diff), ..self.request })
    }
}

/// What else was tried where the shortest way to a node leaves the one before it.
fn siblings(session: &Session, node: NodeId) -> Result<Vec<Sibling>, Error> {
    let search = session.search()?;
    let Some(own) = search.path_to(node).unwrap_or_default().pop() else { return Ok(Vec::new()) };
    let mut siblings = Vec::new();
    for edge in search.edges(own.parent).filter(|edge| edge.id != own) {
        let score = match edge.target {
            Target::Untried | Target::Claimed => continue,
            Target::Closed => None,
            Target::Forgotten(value) => Some(value),
            Target::Node(child) => {
                let child = search.node(child).map(|child| child.state);
                let position = child.map(|handle| session.states.position(handle)).transpose()?;
                let score = position.and_then(|position| session.states.score(position.state));
                score.map(|score| score.value)
            }
        };
        siblings.push(Sibling { name: session.actions.name(edge.action.0).to_owned(), score });
    }
    Ok(siblings)
}
