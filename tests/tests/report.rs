// SPDX-License-Identifier: MIT
//! The report of a search through ten thousand states, opened in a browser: it is drawn, it answers, and it asks nobody.
//!
//! The browser runs the page and then, as part of it, the probe below, before the page counts as loaded; what the probe found
//! is the document that the browser prints. So no result waits on a clock. The page stays in the target's `tmp` directory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cascow_core::snapshot::ChangeKind;
use cascow_native::Error;
use cascow_native::search::{
    BaseReport, BestReport, Differences, EdgeOutcome, Figures, FirstWay, Graph, GraphEdge,
    GraphNode, PageGraph, PathChange, Report, Since, Summary, html,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde_json::Value;

const STATES: usize = 10_000;
const ACTIONS: usize = 24;
const FILES: usize = 8;

/// A name that would run, were it taken for more than text.
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>";

/// Each action edits a place of its own in one of eight files; a state is the set of actions on the way to it, so that many
/// orders lead to one state.
struct Sets(Vec<u32>, Vec<Option<usize>>);

impl Sets {
    fn sides(&self, node: usize, since: Since) -> [u32; 2] {
        match since {
            Since::Base => [0, self.0[node]],
            Since::Parent => [self.1[node].map_or(0, |parent| self.0[parent]), self.0[node]],
        }
    }
}

/// The actions that edit a file, of a set.
fn within(set: u32, file: usize) -> u32 {
    (0..ACTIONS).filter(|action| action % FILES == file).map(|action| set & (1 << action)).sum()
}

impl Differences for Sets {
    fn changes(&self, node: usize, since: Since) -> Result<Vec<PathChange>, Error> {
        let [before, after] = self.sides(node, since);
        let change = |file: usize| {
            let [old, new] = [within(before, file), within(after, file)];
            (old != new).then(|| PathChange {
                kind: ChangeKind::Modified,
                path: format!("src/module_{file}/part.rs").into_bytes(),
                contents: [old.to_le_bytes(), new.to_le_bytes()].concat(),
            })
        };
        Ok((0..FILES).filter_map(change).collect())
    }

    fn patch(&self, node: usize, since: Since, change: &PathChange) -> Result<Vec<u8>, Error> {
        let [before, after] = self.sides(node, since);
        let path = String::from_utf8_lossy(&change.path);
        let mut patch = format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n");
        let file = (0..FILES).find(|file| path.contains(&format!("_{file}/"))).unwrap();
        for action in 0..ACTIONS {
            if within(before ^ after, file) & (1 << action) != 0 {
                let line = 10 * action + 1;
                writeln!(patch, "@@ -{line},5 +{line},5 @@").unwrap();
                write!(patch, " fn part_{action}(total: u64) -> u64 {{\n     // As it was.\n")
                    .unwrap();
                write!(patch, "-    total + {action}\n+    total.saturating_add({action})\n")
                    .unwrap();
                patch.push_str(" }\n \n");
            }
        }
        Ok(patch.into_bytes())
    }
}

/// A search that prefers good states, as a search would.
fn searched() -> (Graph, Sets, usize) {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut below = |limit: usize| {
        usize::try_from(generator.next_u64() % u64::try_from(limit).unwrap()).unwrap()
    };
    let score = |set: u32| {
        let good = (set & 0x7ff).count_ones();
        let bad = (set >> 11).count_ones();
        (0.2 + 0.07 * f64::from(good) - 0.05 * f64::from(bad)).clamp(0.0, 1.0)
    };
    let node = |number: usize, set: u32, depth: u32, first: Option<FirstWay>| GraphNode {
        number: u32::try_from(number).unwrap(),
        root: format!(
            "{:064x}",
            u128::from(set) << 64 | u128::from(set).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ),
        depth,
        score: score(set),
        value: score(set),
        visits: 0,
        feedback: Some(format!("{} of 24 tests pass {HOSTILE}", (set & 0x7ff).count_ones())),
        first,
    };
    let mut graph = Graph {
        actions: (0..ACTIONS).map(|action| format!("mend part {action}")).collect(),
        nodes: vec![node(0, 0, 0, None)],
        evaluations: vec![0],
        ..Graph::default()
    };
    graph.actions[3] = HOSTILE.to_owned();
    graph.actions[5] = "calm the printer".to_owned();
    let (mut sets, mut places) = (Sets(vec![0], vec![None]), HashMap::from([(0_u32, 0_usize)]));
    let mut edges: HashMap<(usize, usize), usize> = HashMap::new();
    while graph.nodes.len() < STATES {
        // Down from the base, by the better of three actions each time, until one is new.
        let (mut at, mut way) = (0, Vec::new());
        loop {
            graph.nodes[at].visits += 1;
            let picks = [below(ACTIONS), below(ACTIONS), below(ACTIONS)];
            let gain = |action: &usize| score(sets.0[at] | 1 << action);
            let action = picks.into_iter().max_by(|a, b| gain(a).total_cmp(&gain(b))).unwrap();
            if let Some(edge) = edges.get(&(at, action)) {
                graph.edges[*edge].visits += 1;
                way.push(at);
                match graph.edges[*edge].to {
                    Some(to) => at = to,
                    None => break,
                }
                continue;
            }
            let set = sets.0[at] | 1 << action;
            let depth = graph.nodes[at].depth + 1;
            edges.insert((at, action), graph.edges.len());
            let (to, outcome) = match places.get(&set) {
                Some(to) if *to == at => (None, EdgeOutcome::NoEffect),
                Some(to) => (Some(*to), EdgeOutcome::Transposition),
                None => {
                    let place = graph.nodes.len();
                    places.insert(set, place);
                    let first = Some(FirstWay { parent: at, action });
                    graph.nodes.push(node(place, set, depth, first));
                    sets.0.push(set);
                    sets.1.push(Some(at));
                    (Some(place), EdgeOutcome::New)
                }
            };
            graph.edges.push(GraphEdge { from: at, action, to, visits: 1, outcome });
            if let Some(to) = to {
                graph.nodes[to].visits += 1;
                graph.evaluations.push(to);
            }
            break;
        }
    }
    let scores = |place: &usize| graph.nodes[*place].score;
    let best = (0..STATES).max_by(|a, b| scores(a).total_cmp(&scores(b))).unwrap();
    (graph, sets, best)
}

fn report() -> Report {
    let (graph, sets, best) = searched();
    let mut actions = Vec::new();
    let mut at = best;
    while let Some(first) = graph.nodes[at].first {
        actions.insert(0, graph.actions[first.action].clone());
        at = first.parent;
    }
    let changes = sets.changes(best, Since::Base).unwrap();
    let patches = changes.iter().map(|change| sets.patch(best, Since::Base, change).unwrap());
    let transpositions =
        graph.edges.iter().filter(|edge| edge.outcome == EdgeOutcome::Transposition).count();
    let timing = Summary { p50: 500, p95: 900, count: STATES };
    Report {
        cascow: "0",
        title: format!("ten thousand {HOSTILE}"),
        workspace: "/w".to_owned(),
        score_command: "true".to_owned(),
        seed: 7,
        target: 1.0,
        stopped: "evaluations",
        materializer: "copy",
        workers: 1,
        resumed: false,
        figures: Figures {
            evaluations: u64::try_from(graph.evaluations.len()).unwrap(),
            unique_states: STATES,
            transpositions: u64::try_from(transpositions).unwrap(),
            score_cache_hits: u64::try_from(transpositions).unwrap(),
            without_effect: 0,
            failed_actions: 0,
            lost_states: 0,
            forgotten: 0,
            proposals_left_out: 0,
            bad_proposals: 0,
            elapsed_secs: 61.0,
            fork_us: timing,
            seal_us: timing,
            backtrack_us: timing,
        },
        base: BaseReport {
            root: graph.nodes[0].root.clone(),
            snapshot: "0".repeat(64),
            score: graph.nodes[0].score,
        },
        best: BestReport {
            node: graph.nodes[best].number,
            root: graph.nodes[best].root.clone(),
            snapshot: "1".repeat(64),
            score: graph.nodes[best].score,
            actions,
            patch: patches.map(|patch| String::from_utf8(patch).unwrap()).collect(),
        },
        graph: PageGraph::new(&graph, best, &sets).unwrap(),
    }
}

/// Gathers what goes wrong, from before the page's own script.
const WATCH: &str = r##"<script>
const faults = [];
addEventListener("error", e => faults.push(String(e.message)), true);
addEventListener("unhandledrejection", e => faults.push(String(e.reason)));
addEventListener("securitypolicyviolation", e => faults.push(`${e.violatedDirective} ${e.blockedURI}`));
for (const kind of ["error", "warn"]) console[kind] = (...said) => faults.push(said.join(" "));
</script>"##;

/// Uses the page as a person would, and leaves what came of it as the page's only text.
const PROBE: &str = r##"<script type="module">
const found = {}, all = s => [...document.querySelectorAll(s)], one = s => document.querySelector(s);
let overflow = NaN;
try {
  overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const click = (target, at = {}) => target.dispatchEvent(new MouseEvent("click", { bubbles: true, ...at })),
    press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })),
    selected = () => one(".detail h3").firstChild.textContent, shown = () => all(".pane .node").length, named = text => all("button").find(b => b.textContent === text);
  found.title = one("#verdict").textContent;
  found.spoilt = all(".plain").map(p => p.textContent).filter(text => text.startsWith("This part cannot"));
  found.drawn = shown();
  found.met = all(".node rect").length;
  found.states = one("#states [role=status]").textContent;

  // Down a line through the middle of the picture, where cells are too thin for letters.
  const canvas = one("canvas"), pixels = canvas.getContext("2d").getImageData(Math.floor(canvas.width * .45), 0, 1, canvas.height).data, colours = new Set();
  let painted = 0;
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] === 255) { painted++; colours.add(`${pixels.slice(i, i + 3)}`); }
  found.colours = colours.size;
  found.painted = painted / canvas.height;

  const other = all(".pane .node").find(n => n.getAttribute("aria-pressed") === "false" && n.querySelector("title").textContent.includes("depth 2"));
  click(other);
  found.clicked = [other.querySelector("title").textContent, selected(), one(".detail dl").textContent, all(".detail .add").map(row => row.textContent)];
  click(named("since the base"));
  found.since_base = all(".detail .add").length;
  click(named("since its parent"));

  const before = selected();
  other.focus();
  press("ArrowLeft");
  found.to_parent = selected();
  press("ArrowRight");
  press("ArrowDown");
  found.by_keys = [before, selected()];
  const width = () => Number(one(".pane svg").getAttribute("width")), wide = width();
  press("+");
  found.zoomed = width() / wide;
  press("0");
  found.fits = width() <= one(".pane").clientWidth && Number(one(".pane svg").getAttribute("height")) <= one(".pane").clientHeight;
  const few = shown();
  click(one(".more"));
  found.unfolded = shown() - few;
  click(named("Fold back"));

  const range = one("input[type=range]");
  range.value = range.max;
  range.dispatchEvent(new Event("input"));
  found.most = shown();

  const search = one("input[type=search]");
  search.value = "Printer calm";
  search.dispatchEvent(new Event("input"));
  found.filtered = [one("#states [role=status]").textContent, all("#states tbody tr").length, new Set(all("#states tbody td:nth-child(2)").map(td => td.textContent)).size];
  click(named("Score"));
  found.sorted = all("#states tbody td:nth-child(3)").map(td => Number(td.textContent));
  const last = all("#states tbody button").at(-1), number = last.textContent;
  click(last);
  found.from_table = [`State ${number}`, selected(), one(".node[aria-pressed=true] title").textContent];
  const { left, top, width: w, height: h } = canvas.getBoundingClientRect();
  click(canvas, { clientX: left + w * .45, clientY: top + h * .5 });
  found.from_map = [`State ${number}`, selected()];
  found.diff_from_map = all(".detail .add").length;
} catch (error) { faults.push(error.stack); }
found.elements = all("img, script[src], link, iframe").length;
found.requests = performance.getEntriesByType("resource").length;
found.overflow = overflow;
found.faults = faults;
document.documentElement.replaceChildren(document.createElement("body"));
document.body.textContent = JSON.stringify(found);
</script>"##;

/// The document that a browser has once it loaded a page.
#[track_caller]
fn opened(page: &Path) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        // The browser's own sandbox does not run as root; what it opens is ours.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-extensions", "--window-size=1280,900", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("chromium, which Debian has in a package of that name");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the probe found, between the tags of a document; markup in it is escaped.
#[track_caller]
fn found(document: &str) -> Value {
    let body = document.split_once("<body>").expect(document).1.split_once("</body>").unwrap().0;
    let json = body.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&json).expect(body)
}

/// The report with the watch and the probe in it.
fn probed(page: &str) -> String {
    let watched = page.replacen("<title>", &format!("{WATCH}<title>"), 1);
    let (before, after) = watched.rsplit_once("</body>").unwrap();
    format!("{before}{PROBE}</body>{after}")
}

fn kept(name: &str, page: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, page).unwrap();
    path
}

#[test]
fn ten_thousand_states_make_a_small_file() {
    let page = html(&report()).unwrap();
    kept("report.html", &page);
    assert!(page.len() < 3_000_000, "{}", page.len());
    assert!(!page.contains(HOSTILE));
}

#[test]
fn ten_thousand_states_are_drawn_and_answer_without_a_fault_or_a_request() {
    let page = html(&report()).unwrap();
    let found = found(&opened(&kept("report-probed.html", &probed(&page))));
    assert_eq!(found["faults"], serde_json::json!([]), "{found}");
    assert_eq!(found["spoilt"], serde_json::json!([]));
    for none in ["elements", "requests"] {
        assert_eq!(found[none], 0, "{none}: {found}");
    }
    assert!(found["title"].as_str().unwrap().starts_with("Not found, but closer"), "{found}");
    assert_eq!(found["states"], "10,000 states.");

    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number: {found}"));
    assert!(number(&found["drawn"]) >= 60.0 && number(&found["met"]) > 0.0, "{found}");
    assert!(number(&found["painted"]) > 0.6, "all states are painted: {found}");
    assert!(number(&found["colours"]) >= 4.0, "by their score: {found}");
    assert!(number(&found["most"]) >= 500.0, "{found}");

    let clicked = &found["clicked"];
    let title = clicked[0].as_str().unwrap();
    let shown = clicked[1].as_str().unwrap();
    assert!(title.starts_with(&format!("{},", shown.trim())), "{clicked}");
    let score = title.split_once("score ").unwrap().1.split_once(',').unwrap().0;
    assert!(clicked[2].as_str().unwrap().contains(&format!("Score{score}")), "{clicked}");
    let added = clicked[3].as_array().unwrap();
    assert_eq!(added.len(), 1, "one action away from its parent: {clicked}");
    assert!(added[0].as_str().unwrap().contains("saturating_add"), "{clicked}");
    assert_eq!(found["since_base"], 2, "two actions away from the base: {found}");

    assert_ne!(found["to_parent"], clicked[1], "{found}");
    assert_ne!(found["by_keys"][0], found["by_keys"][1], "{found}");
    assert!((number(&found["zoomed"]) - 1.25).abs() < 1e-6, "{found}");
    assert_eq!(found["fits"], true, "{found}");
    assert!(number(&found["unfolded"]) > 0.0, "{found}");

    let filtered = &found["filtered"];
    assert!(filtered[0].as_str().unwrap().ends_with(" of 10,000 states found."), "{found}");
    assert_eq!((&filtered[1], &filtered[2]), (&15.into(), &1.into()), "{found}");
    let sorted: Vec<f64> = found["sorted"].as_array().unwrap().iter().map(number).collect();
    assert!(sorted.is_sorted_by(|a, b| a >= b) && sorted.len() == 15, "{sorted:?}");
    let table = &found["from_table"];
    assert_eq!(table[0].as_str().unwrap(), table[1].as_str().unwrap().trim());
    assert!(table[2].as_str().unwrap().starts_with(table[0].as_str().unwrap()), "{table}");
    assert_ne!(found["from_map"][0].as_str(), found["from_map"][1].as_str().map(str::trim));
    assert!(number(&found["diff_from_map"]) > 0.0, "{found}");
}

#[test]
fn a_telephone_shows_it_without_scrolling_sideways() {
    let page = probed(&html(&report()).unwrap());
    // A window cannot be as narrow; a frame can, and passes on what the probe found.
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    let frame = format!(
        "<!doctype html><body><iframe width=360 height=780 srcdoc=\"{page}\"></iframe><script>\
         addEventListener('load', () => {{ const found = frames[0].document.body.textContent; \
         document.documentElement.replaceChildren(document.createElement('body')); \
         document.body.textContent = found; }});</script>"
    );
    let found = found(&opened(&kept("report-narrow.html", &frame)));
    assert_eq!(found["faults"], serde_json::json!([]), "{found}");
    assert_eq!(found["overflow"], 0, "{found}");
    assert_eq!(found["since_base"], 2, "{found}");
}
