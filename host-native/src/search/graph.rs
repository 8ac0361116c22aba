// SPDX-License-Identifier: MIT
//! The graph of a search as its report holds it: bounded, whatever was searched and for how long.
//!
//! It is made of plain data, so it knows no engine. Texts that many states share stand in tables, once. When a table is full,
//! the states visited most have had their say, and what was left out is counted.

use std::collections::{HashMap, HashSet};

use cascow_core::snapshot::ChangeKind;
use serde::Serialize;

use crate::Error;

/// States that a page holds. A browser lays out twice as many, but a person has no use for them.
const MAX_NODES: usize = 20_000;

/// Edges that a page holds.
const MAX_EDGES: usize = 50_000;

/// Points of the curve that a page holds, besides those at which the best score rose.
const MAX_POINTS: usize = 20_000;

/// Changed paths named for one state.
const MAX_CHANGES_PER_NODE: usize = 24;

/// Changed paths named for all states together.
const MAX_CHANGES: usize = 150_000;

/// Bytes of all patches together, of all feedback, and of all paths.
const MAX_PATCHES_LEN: usize = 640 << 10;
const MAX_FEEDBACK_LEN: usize = 384 << 10;
const MAX_PATHS_LEN: usize = 256 << 10;

/// Bytes of one path's patch; the rest of a longer one is left out at a line's end.
const MAX_PATCH_LEN: usize = 12 << 10;

/// Bytes of one state's feedback.
const MAX_TEXT_LEN: usize = 2 << 10;

/// What a search went through.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The actions' names. Nodes and edges name an action by its place here.
    pub actions: Vec<String>,
    /// The states; the base is the first.
    pub nodes: Vec<GraphNode>,
    /// What was tried.
    pub edges: Vec<GraphEdge>,
    /// The scores in the order in which they were asked for: each a place in `nodes`.
    pub evaluations: Vec<usize>,
}

/// A state that a search went through.
#[derive(Clone, Debug)]
pub struct GraphNode {
    /// What it is called in events.
    pub number: u32,
    /// Its root.
    pub root: String,
    /// Actions from the base, by the shortest way known.
    pub depth: u32,
    /// Its score.
    pub score: f64,
    /// What the search expects of it and of what lies beyond it.
    pub value: f64,
    /// How often the search came by.
    pub visits: u64,
    /// What its score command said.
    pub feedback: Option<String>,
    /// How it was first reached; of the base, `None`.
    pub first: Option<FirstWay>,
}

/// How a state was first reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstWay {
    /// The place of the state that it was reached from.
    pub parent: usize,
    /// The place of the action's name.
    pub action: usize,
}

/// An action that was tried in a state.
#[derive(Clone, Copy, Debug)]
pub struct GraphEdge {
    /// The place of the state.
    pub from: usize,
    /// The place of the action's name.
    pub action: usize,
    /// The place of the state that it led to.
    pub to: Option<usize>,
    /// How often the search went this way.
    pub visits: u64,
    /// What it led to.
    pub outcome: EdgeOutcome,
}

/// What an action led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeOutcome {
    /// A state not met before.
    New,
    /// A state met before.
    Transposition,
    /// The same state.
    NoEffect,
    /// Nowhere.
    Failed,
}

/// What a state is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// The base.
    Base,
    /// The state that it was first reached from.
    Parent,
}

/// A path that differs.
#[derive(Clone, Debug)]
pub struct PathChange {
    /// How.
    pub kind: ChangeKind,
    /// The path.
    pub path: Vec<u8>,
    /// What decides its patch besides the path: both contents or their hashes. Equal ones are asked for once.
    pub contents: Vec<u8>,
}

/// Tells how the states of a graph differ.
pub trait Differences {
    /// The paths in which a state differs; nodes are named by their place.
    ///
    /// # Errors
    /// Whatever prevents reading the states.
    fn changes(&self, node: usize, since: Since) -> Result<Vec<PathChange>, Error>;

    /// The unified diff of one of these paths.
    ///
    /// # Errors
    /// Whatever prevents reading the contents.
    fn patch(&self, node: usize, since: Since, change: &PathChange) -> Result<Vec<u8>, Error>;
}

/// A graph as a page holds it: tables of texts, and rows that are arrays of values in a fixed order.
#[derive(Clone, Debug, Serialize)]
pub struct PageGraph {
    actions: Vec<String>,
    paths: Vec<String>,
    feedback: Vec<String>,
    patches: Vec<Patch>,
    nodes: Vec<NodeRow>,
    edges: Vec<EdgeRow>,
    curve: Vec<PointRow>,
    left_out: LeftOut,
}

/// What there was no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// States.
    pub nodes: usize,
    /// Edges, those of such states among them.
    pub edges: usize,
    /// Patches of different content.
    pub patches: usize,
    /// States whose feedback was left out or cut short.
    pub feedback: usize,
}

/// A patch, and how many of its lines were left out.
#[derive(Clone, Debug, Serialize)]
struct Patch(String, usize);

/// Number, root, depth, score, value, visits, feedback, first parent's number, first action, changes since that parent and since
/// the base, and how many of either there are.
#[derive(Clone, Debug, Serialize)]
struct NodeRow(
    u32,
    String,
    u32,
    f64,
    f64,
    u64,
    Option<usize>,
    Option<u32>,
    Option<usize>,
    Vec<ChangeRow>,
    Vec<ChangeRow>,
    (usize, usize),
);

/// Kind, path, and patch unless it was left out.
#[derive(Clone, Copy, Debug, Serialize)]
struct ChangeRow(u8, usize, Option<usize>);

/// From, action, to, visits and outcome.
#[derive(Clone, Copy, Debug, Serialize)]
struct EdgeRow(u32, usize, Option<u32>, u64, u8);

/// Evaluation, score, and the state's number unless it was left out.
#[derive(Clone, Copy, Debug, Serialize)]
struct PointRow(usize, f64, Option<u32>);

/// Texts, each once, as many as there is room for.
struct Table<K> {
    places: HashMap<K, Option<usize>>,
    len: usize,
    room: usize,
}

impl<K: std::hash::Hash + Eq> Table<K> {
    fn new(room: usize) -> Self {
        Self { places: HashMap::new(), len: 0, room }
    }

    /// Where a text stands; `make` makes one that is new. `None` if there was no room for it.
    fn place(
        &mut self,
        key: K,
        make: impl FnOnce() -> Result<usize, Error>,
    ) -> Result<Option<usize>, Error> {
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        // Full for good at the first that does not fit, so that no later text is made in vain.
        let place = if self.room == 0 {
            None
        } else {
            let len = make()?;
            if len > self.room {
                self.room = 0;
                None
            } else {
                self.room -= len;
                self.len += 1;
                Some(self.len - 1)
            }
        };
        self.places.insert(key, place);
        Ok(place)
    }

    fn left_out(&self) -> usize {
        self.places.len() - self.len
    }
}

impl PageGraph {
    /// What a page has room for: the states visited most, each with the way to it, and always the way to `best`.
    /// O(n log n), and the patches that it holds.
    ///
    /// # Errors
    /// As [`Differences`].
    pub fn new(graph: &Graph, best: usize, differences: &dyn Differences) -> Result<Self, Error> {
        let kept = kept(graph, best, MAX_NODES);
        let number = |place: usize| {
            let node = graph.nodes.get(place).filter(|_| kept.contains(&place));
            node.map(|node| node.number)
        };
        let mut ranked: Vec<usize> = kept.iter().copied().collect();
        // The best path's texts are never those that find no room.
        let way: HashSet<usize> = way_to(graph, best).collect();
        ranked.sort_unstable_by_key(|place| {
            let visits = graph.nodes[*place].visits;
            (!way.contains(place), std::cmp::Reverse(visits), *place)
        });

        let mut texts = Texts::new();
        let mut nodes = Vec::with_capacity(ranked.len());
        for place in ranked {
            let node = &graph.nodes[place];
            let feedback = texts.feedback(node.feedback.as_deref())?;
            let parent = node.first.and_then(|first| number(first.parent));
            let mut totals = (0, 0);
            let since_parent = match node.first {
                Some(_) => texts.changes(place, Since::Parent, differences, &mut totals.0)?,
                None => Vec::new(),
            };
            let since_base = match node.first {
                Some(_) => texts.changes(place, Since::Base, differences, &mut totals.1)?,
                None => Vec::new(),
            };
            nodes.push(NodeRow(
                node.number,
                node.root.clone(),
                node.depth,
                round(node.score),
                round(node.value),
                node.visits,
                feedback,
                parent,
                node.first.map(|first| first.action),
                since_parent,
                since_base,
                totals,
            ));
        }

        let mut edges: Vec<&GraphEdge> = graph
            .edges
            .iter()
            .filter(|edge| kept.contains(&edge.from) && edge.to.is_none_or(|to| kept.contains(&to)))
            .collect();
        if edges.len() > MAX_EDGES {
            edges.sort_by_key(|edge| std::cmp::Reverse(edge.visits));
            edges.truncate(MAX_EDGES);
        }
        let row = |edge: &&GraphEdge| {
            let from = number(edge.from)?;
            let outcome = match edge.outcome {
                EdgeOutcome::New => 0,
                EdgeOutcome::Transposition => 1,
                EdgeOutcome::NoEffect => 2,
                EdgeOutcome::Failed => 3,
            };
            Some(EdgeRow(from, edge.action, edge.to.and_then(number), edge.visits, outcome))
        };
        let edges: Vec<EdgeRow> = edges.iter().filter_map(row).collect();
        Ok(Self {
            actions: graph.actions.clone(),
            left_out: LeftOut {
                nodes: graph.nodes.len() - nodes.len(),
                edges: graph.edges.len() - edges.len(),
                patches: texts.patch_places.left_out(),
                feedback: texts.feedback_left_out,
            },
            paths: texts.paths,
            feedback: texts.feedback,
            patches: texts.patches,
            nodes,
            edges,
            curve: curve(graph, number),
        })
    }

    /// What there was no room for.
    pub const fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

/// The tables of a page under way.
struct Texts {
    paths: Vec<String>,
    path_places: Table<Vec<u8>>,
    feedback: Vec<String>,
    feedback_places: Table<String>,
    feedback_left_out: usize,
    patches: Vec<Patch>,
    patch_places: Table<(Vec<u8>, Vec<u8>)>,
    changes: usize,
}

impl Texts {
    fn new() -> Self {
        Self {
            paths: Vec::new(),
            path_places: Table::new(MAX_PATHS_LEN),
            feedback: Vec::new(),
            feedback_places: Table::new(MAX_FEEDBACK_LEN),
            feedback_left_out: 0,
            patches: Vec::new(),
            patch_places: Table::new(MAX_PATCHES_LEN),
            changes: 0,
        }
    }

    fn feedback(&mut self, feedback: Option<&str>) -> Result<Option<usize>, Error> {
        let Some(feedback) = feedback else { return Ok(None) };
        let cut = cut(feedback, MAX_TEXT_LEN);
        let place = self.feedback_places.place(cut.to_owned(), || Ok(cut.len()))?;
        if place == Some(self.feedback.len()) {
            self.feedback.push(cut.to_owned());
        }
        if place.is_none() || cut.len() < feedback.len() {
            self.feedback_left_out += 1;
        }
        Ok(place)
    }

    fn changes(
        &mut self,
        node: usize,
        since: Since,
        differences: &dyn Differences,
        total: &mut usize,
    ) -> Result<Vec<ChangeRow>, Error> {
        let changes = differences.changes(node, since)?;
        *total = changes.len();
        let mut rows = Vec::new();
        for change in changes.into_iter().take(MAX_CHANGES_PER_NODE) {
            if self.changes == MAX_CHANGES {
                break;
            }
            let place = self.path_places.place(change.path.clone(), || Ok(change.path.len()))?;
            let Some(path) = place else { break };
            if path == self.paths.len() {
                self.paths.push(String::from_utf8_lossy(&change.path).into_owned());
            }
            let mut made = None;
            let place =
                self.patch_places.place((change.path.clone(), change.contents.clone()), || {
                    let patch = differences.patch(node, since, &change)?;
                    let patch = bounded(&String::from_utf8_lossy(&patch));
                    let len = patch.0.len();
                    made = Some(patch);
                    Ok(len)
                })?;
            // Made, but not placed, if it was the first that found no room.
            if let (Some(patch), Some(_)) = (made, place) {
                self.patches.push(patch);
            }
            let kind = match change.kind {
                ChangeKind::Added => 0,
                ChangeKind::Modified => 1,
                ChangeKind::Deleted => 2,
            };
            rows.push(ChangeRow(kind, path, place));
            self.changes += 1;
        }
        Ok(rows)
    }
}

/// The places of the states to keep: each with the way to it, so that none hangs in the air.
fn kept(graph: &Graph, best: usize, limit: usize) -> HashSet<usize> {
    let mut kept: HashSet<usize> = way_to(graph, 0).chain(way_to(graph, best)).collect();
    let mut ranked: Vec<usize> = (0..graph.nodes.len()).collect();
    ranked.sort_by_key(|place| std::cmp::Reverse(graph.nodes[*place].visits));
    for place in ranked {
        if kept.len() >= limit {
            break;
        }
        // Whoever is kept has its way kept already.
        let way: Vec<usize> = way_to(graph, place).take_while(|at| !kept.contains(at)).collect();
        kept.extend(way);
    }
    kept
}

/// A state and those before it on the way by which it was first reached, backwards.
fn way_to(graph: &Graph, place: usize) -> impl Iterator<Item = usize> {
    let known = |place: usize| (place < graph.nodes.len()).then_some(place);
    let before = move |place: &usize| graph.nodes[*place].first.and_then(|way| known(way.parent));
    // A way is never longer than there are states, unless it runs in a circle.
    std::iter::successors(known(place), before).take(graph.nodes.len())
}

/// The scores in their order: all if they fit, else each at which the best rose, and of the others one in so many.
fn curve(graph: &Graph, number: impl Fn(usize) -> Option<u32>) -> Vec<PointRow> {
    let every = graph.evaluations.len().div_ceil(MAX_POINTS).max(1);
    let last = graph.evaluations.len().saturating_sub(1);
    let mut best = f64::NEG_INFINITY;
    let mut points = Vec::new();
    for (before, place) in graph.evaluations.iter().enumerate() {
        let Some(node) = graph.nodes.get(*place) else { continue };
        if node.score > best || before % every == 0 || before == last {
            best = best.max(node.score);
            points.push(PointRow(before + 1, round(node.score), number(*place)));
        }
    }
    points
}

/// Six digits after the point: more than a page shows.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The longest beginning of at most `len` bytes that ends between characters.
fn cut(text: &str, len: usize) -> &str {
    &text[..text.floor_char_boundary(len)]
}

/// As many whole lines as there is room for, and how many lines follow.
fn bounded(patch: &str) -> Patch {
    if patch.len() <= MAX_PATCH_LEN {
        return Patch(patch.to_owned(), 0);
    }
    let room = cut(patch, MAX_PATCH_LEN);
    let (shown, rest) = patch.split_at(room.rfind('\n').map_or(room.len(), |end| end + 1));
    Patch(shown.to_owned(), rest.lines().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state changes the file named after it.
    struct OneFileEach(usize);

    impl Differences for OneFileEach {
        fn changes(&self, node: usize, _: Since) -> Result<Vec<PathChange>, Error> {
            let path = format!("file {node}").into_bytes();
            Ok(vec![PathChange { kind: ChangeKind::Modified, path, contents: Vec::new() }])
        }

        fn patch(&self, _: usize, _: Since, _: &PathChange) -> Result<Vec<u8>, Error> {
            Ok("+line\n".repeat(self.0).into_bytes())
        }
    }

    fn line_of(states: u32) -> Graph {
        let node = |number: u32| GraphNode {
            number,
            root: format!("{number:064x}"),
            depth: number,
            score: 0.5,
            value: 0.5,
            visits: u64::from(states - number),
            feedback: Some(format!("state {number}")),
            first: number
                .checked_sub(1)
                .map(|parent| FirstWay { parent: parent as usize, action: 0 }),
        };
        Graph {
            actions: vec!["go on".to_owned()],
            nodes: (0..states).map(node).collect(),
            edges: (1..states as usize)
                .map(|to| GraphEdge {
                    from: to - 1,
                    action: 0,
                    to: Some(to),
                    visits: 1,
                    outcome: EdgeOutcome::New,
                })
                .collect(),
            evaluations: (0..states as usize).collect(),
        }
    }

    #[test]
    fn a_small_graph_is_kept_whole() {
        let page = PageGraph::new(&line_of(50), 49, &OneFileEach(3)).unwrap();
        assert_eq!(page.left_out(), LeftOut::default());
        assert_eq!((page.nodes.len(), page.edges.len(), page.curve.len()), (50, 49, 50));
        // The base differs from nothing; each other state has one patch, the same since its parent and since the base.
        assert_eq!((page.patches.len(), page.paths.len()), (49, 49));
    }

    #[test]
    fn a_large_graph_keeps_the_most_visited_and_the_whole_way_to_the_best() {
        let mut graph = line_of(300);
        for place in 100..300 {
            graph.nodes[place].first = Some(FirstWay { parent: place - 100, action: 0 });
        }
        let kept = kept(&graph, 299, 20);
        assert!([299, 199, 99, 98, 0].iter().all(|place| kept.contains(place)));
        assert_eq!(kept.len(), 102, "the way to the best is longer than the limit");
        graph.nodes[250].visits = 1000;
        let kept = super::kept(&graph, 0, 20);
        assert!([250, 150, 50, 49, 0].iter().all(|place| kept.contains(place)));
    }

    #[test]
    fn texts_stay_within_their_bounds_and_what_is_left_out_is_counted() {
        let mut graph = line_of(2000);
        graph.nodes[5].feedback = Some("ä".repeat(MAX_TEXT_LEN));
        let page = PageGraph::new(&graph, 0, &OneFileEach(400)).unwrap();
        let sum: usize = page.patches.iter().map(|patch| patch.0.len()).sum();
        assert!(sum <= MAX_PATCHES_LEN && sum > MAX_PATCHES_LEN - 3000, "{sum}");
        assert_eq!(page.patches.len() + page.left_out().patches, 1999);
        assert_eq!(page.left_out().feedback, 1);
        // The most visited have theirs.
        let has_patch = |row: &NodeRow| row.9.iter().all(|change| change.2.is_some());
        assert!(page.nodes[..page.patches.len()].iter().all(has_patch));
        assert!(!has_patch(page.nodes.last().unwrap()));
    }

    #[test]
    fn a_long_patch_ends_between_lines_and_says_how_many_follow() {
        let patch = bounded(&"+é line\n".repeat(5000));
        assert!(patch.0.len() <= MAX_PATCH_LEN && patch.0.ends_with("line\n"));
        assert_eq!(patch.0.lines().count() + patch.1, 5000);
    }

    #[test]
    fn a_long_curve_keeps_every_rise() {
        let mut graph = line_of(3);
        graph.nodes[2].score = 0.9;
        graph.evaluations = vec![0; MAX_POINTS * 3];
        graph.evaluations[31_337] = 2;
        let points = curve(&graph, |_| None);
        assert!(points.len() <= MAX_POINTS + 3);
        assert!(points.iter().any(|point| (point.0, point.1) == (31_338, 0.9)));
    }

    #[test]
    fn a_way_in_a_circle_ends() {
        let mut graph = line_of(3);
        graph.nodes[0].first = Some(FirstWay { parent: 2, action: 0 });
        assert_eq!(way_to(&graph, 1).count(), 3);
        assert_eq!(PageGraph::new(&graph, 2, &OneFileEach(1)).unwrap().nodes.len(), 3);
    }
}
