// SPDX-License-Identifier: MIT
//! One step in slow motion: selection, expansion, playout, backup.
//!
//! The core tells what a step led to; which way it went is read off the graph, by comparing what every edge was visited before and
//! after. That costs O(nodes), which a person who clicks does not notice.

use std::collections::HashMap;

use cascow_core::search::{Edge, NodeId, Outcome, Step};
use js_sys::Object;

use super::engine::{Engine, NodeFacts};
use super::view;
use crate::error::Failure;
use crate::js::{self, object};

struct Before {
    visits: u64,
    value: f64,
    edges: Vec<u32>,
}

pub(super) fn step(engine: &mut dyn Engine) -> Result<Object, Failure> {
    let mut before: HashMap<NodeId, Before> = HashMap::with_capacity(engine.len());
    let mut seen = Vec::with_capacity(engine.len());
    engine.each_node(&mut |node| seen.push(node));
    for node in seen {
        let edges = engine.edges(node.id).iter().map(|edge| edge.visits).collect();
        before.insert(node.id, Before { visits: node.visits, value: node.value, edges });
    }
    let step = engine.step()?;
    let path = path(engine, &before);
    let (outcome, node) = match step {
        Step::Tried { outcome: Outcome::New { node }, .. } => ("new", Some(node)),
        Step::Tried { outcome: Outcome::Transposition { node }, .. } => {
            ("transposition", Some(node))
        }
        Step::Tried { outcome: Outcome::Closed, .. } => ("closed", None),
        // All its edges at once: what they led to are the node's edges.
        Step::Expanded { node, .. } => ("expanded", Some(node)),
        // `step` makes one descent: it never strides.
        Step::Repeated | Step::Busy | Step::Strode { .. } => ("repeated", None),
        Step::Exhausted => ("exhausted", None),
    };
    let backup = path.iter().rev().filter_map(|(node, _)| {
        let was = before.get(&node.id)?;
        Some(object! {
            "id": node.id.number(),
            "visitsBefore": js::number(was.visits),
            "visits": js::number(node.visits),
            "valueBefore": was.value,
            "value": node.value,
        })
    });
    let object = object! {
        "outcome": outcome,
        "path": js::list(path.iter().map(|(node, edge)| view::edge(engine, edge, node.turn))),
        "backup": js::list(backup),
    };
    js::set_some(
        &object,
        "node",
        node.and_then(|node| engine.node(node)).map(|node| view::node(&node)),
    );
    Ok(object)
}

/// The edges that were visited once more, from the root down.
fn path(engine: &dyn Engine, before: &HashMap<NodeId, Before>) -> Vec<(NodeFacts, Edge)> {
    let mut path: Vec<(NodeFacts, Edge)> = Vec::new();
    let mut next = Some(engine.root());
    while let Some(node) = next.and_then(|id| engine.node(id)) {
        if path.iter().any(|(passed, _)| passed.id == node.id) {
            break;
        }
        let was = before.get(&node.id);
        let visits = |index: usize| was.and_then(|was| was.edges.get(index)).copied().unwrap_or(0);
        let chosen = engine.edges(node.id).into_iter().enumerate();
        let chosen = chosen
            .filter(|(index, edge)| edge.visits > visits(*index))
            .map(|(_, edge)| edge)
            .next();
        let Some(edge) = chosen else { break };
        next = edge.child();
        path.push((node, edge));
    }
    path
}
