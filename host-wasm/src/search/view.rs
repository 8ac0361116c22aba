// SPDX-License-Identifier: MIT
//! A search as plain objects: nodes, edges, lines, and the part of its graph that is worth drawing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use cascow_core::search::{Edge, NodeId, Target, Turn};
use js_sys::{Array, Object};

use super::engine::{Engine, NodeFacts};
use crate::js::{self, object};

pub(super) const fn turn(turn: Turn) -> &'static str {
    match turn {
        Turn::First => "first",
        Turn::Second => "second",
        Turn::Chance => "chance",
    }
}

/// A value as whoever moves sees it.
fn for_mover(turn: Turn, value: f64) -> f64 {
    if turn == Turn::Second { 1.0 - value } else { value }
}

pub(super) fn node(node: &NodeFacts) -> Object {
    object! {
        "id": node.id.number(),
        "visits": js::number(node.visits),
        "value": node.value,
        "valueForMover": for_mover(node.turn, node.value),
        "lowest": node.bounds.0,
        "highest": node.bounds.1,
        "proven": node.is_proven(),
        "complete": node.is_complete,
        "terminal": node.evaluation.terminal,
        "evaluation": node.evaluation.value,
        "turn": turn(node.turn),
        "state": js::array(&node.state),
    }
}

pub(super) fn edge(engine: &dyn Engine, edge: &Edge, turn: Turn) -> Object {
    let target = match edge.target {
        Target::Untried | Target::Claimed => "untried",
        Target::Closed => "closed",
        Target::Node(_) => "node",
        Target::Forgotten(_) => "forgotten",
    };
    let object = object! {
        "from": edge.id.parent.number(),
        "index": edge.id.index,
        "action": edge.action.0,
        "move": engine.name_of(edge.action),
        "prior": edge.prior,
        "visits": edge.visits,
        "target": target,
    };
    let known = match edge.target {
        Target::Node(child) => {
            js::set(&object, "to", child.number());
            engine.node(child).map(|child| (child.value, child.is_proven()))
        }
        Target::Forgotten(value) => Some((value, false)),
        Target::Untried | Target::Claimed | Target::Closed => None,
    };
    if let Some((value, is_proven)) = known {
        js::set(&object, "value", value);
        js::set(&object, "valueForMover", for_mover(turn, value));
        js::set(&object, "proven", is_proven);
    }
    object
}

pub(super) fn edges(engine: &dyn Engine, at: &NodeFacts) -> Array {
    js::list(engine.edges(at.id).iter().map(|one| edge(engine, one, at.turn)))
}

/// The moves of the best edges from a node on, until the line ends or would repeat a state.
pub(super) fn line(engine: &dyn Engine, from: NodeId, length: usize) -> Vec<String> {
    let mut passed = Vec::new();
    let mut line = Vec::new();
    let mut current = from;
    while line.len() < length && !passed.contains(&current) {
        passed.push(current);
        let Some(best) = engine.best_edge(current) else { break };
        let Some(best) = engine.edges(current).into_iter().find(|edge| edge.id == best) else {
            break;
        };
        line.push(engine.name_of(best.action));
        let Some(child) = best.child() else { break };
        current = child;
    }
    line
}

/// The moves of a node, the best first, each with what is expected to follow.
pub(super) fn moves(engine: &dyn Engine, at: &NodeFacts, length: usize) -> Array {
    let best = engine.best_edge(at.id);
    let mut edges = engine.edges(at.id);
    edges.sort_by_key(|edge| (Some(edge.id) != best, Reverse(edge.visits)));
    js::list(edges.iter().map(|one| {
        let object = edge(engine, one, at.turn);
        let mut following = vec![engine.name_of(one.action)];
        if let Some(child) = one.child() {
            following.extend(line(engine, child, length.saturating_sub(1)));
        }
        js::set(&object, "best", Some(one.id) == best);
        js::set(&object, "line", js::list(following));
        object
    }))
}

/// How much of a graph to show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) nodes: usize,
    pub(super) depth: u32,
    pub(super) visits: u32,
}

/// The part of the graph that was visited most: grown from a node, each time by the most visited edge that leads out of what is there.
pub(super) fn graph(engine: &dyn Engine, from: NodeId, extent: Extent) -> Object {
    let mut shown: Vec<(NodeId, u32)> = vec![(from, 0)];
    let mut places: HashMap<NodeId, usize> = HashMap::from([(from, 0)]);
    let mut edges: Vec<Edge> = Vec::new();
    // Of equals, the one met first: a fixed order.
    let mut fringe: BinaryHeap<(u32, Reverse<usize>, u32, NodeId)> = BinaryHeap::new();
    let mut met = 0;
    let mut omitted = 0_u32;
    let mut at = 0;
    loop {
        while let Some(&(node, depth)) = shown.get(at) {
            at += 1;
            for edge in engine.edges(node) {
                let Some(child) = edge.child() else { continue };
                met += 1;
                if !places.contains_key(&child) {
                    if depth < extent.depth && edge.visits >= extent.visits {
                        fringe.push((edge.visits, Reverse(met), depth + 1, child));
                    } else {
                        omitted += 1;
                    }
                }
                edges.push(edge);
            }
        }
        let Some((_, _, depth, child)) = fringe.pop() else { break };
        if places.contains_key(&child) {
            continue;
        }
        if shown.len() < extent.nodes {
            places.insert(child, shown.len());
            shown.push((child, depth));
        } else {
            omitted += 1;
        }
    }
    edges.retain(|edge| edge.child().is_some_and(|child| places.contains_key(&child)));
    let mut parents = vec![0_u32; shown.len()];
    for edge in &edges {
        if let Some(place) = edge.child().and_then(|child| places.get(&child)) {
            parents[*place] += 1;
        }
    }
    let mut turns: HashMap<NodeId, Turn> = HashMap::new();
    let nodes = Array::new();
    for ((id, depth), parents) in shown.iter().zip(parents) {
        let Some(facts) = engine.node(*id) else { continue };
        turns.insert(*id, facts.turn);
        let object = node(&facts);
        js::set(&object, "depth", *depth);
        js::set(&object, "parents", parents);
        nodes.push(&object);
    }
    let edges = edges.iter().map(|one| {
        let turn = turns.get(&one.id.parent).copied().unwrap_or(Turn::First);
        edge(engine, one, turn)
    });
    object! { "nodes": nodes, "edges": js::list(edges), "omitted": omitted }
}
