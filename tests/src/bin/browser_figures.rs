// SPDX-License-Identifier: MIT
//! Figures of the browser host beside the native core, each measured in turn with what it is compared with, on this machine now:
//! `cargo run --release -p cascow-tests --bin browser_figures`.
//!
//! A browser and the native core make the very same search, playout for playout, so that times of equal work are compared.

use std::time::Instant;

use cascow_core::games::Board as _;
use cascow_core::games::connect4::Connect4;
use cascow_tests::browser::{Browser, Server, Tab};
use cascow_tests::oracle::{checkpoint, played};
use serde_json::Value;

const ROUNDS: usize = 5;
const PLAYOUTS: u64 = 200_000;

fn main() {
    let server = Server::start();
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Browser::start(&profile.path().join("profile"));
    let tab = browser.open(&server.url);
    playouts(&mut browser, &tab);
    reload(&mut browser, &tab, &server.url);
    persisting(&mut browser, &tab);
}

#[track_caller]
fn run(browser: &mut Browser, tab: &Tab, body: &str) -> Value {
    browser.run(tab, body).unwrap_or_else(|threw| panic!("threw {threw}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn playouts(browser: &mut Browser, tab: &Tab) {
    let (mut ratios, mut native, mut here) = (Vec::new(), Vec::new(), Vec::new());
    // The first round warms up: the browser compiles the module twice, the second time well.
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let search = played(Connect4::START, PLAYOUTS);
        let native_secs = begun.elapsed().as_secs_f64();
        let found = run(
            browser,
            tab,
            &format!(
                "const search = Search.begin('connect4', {{ seed: 7 }});
                const {{ millis }} = search.run({{ playouts: {PLAYOUTS} }});
                return {{ millis, checkpoint: search.save(await Database.open('', {{ memory: true }})).checkpoint }};"
            ),
        );
        assert_eq!(found["checkpoint"], checkpoint(&search), "not the same search");
        let secs = found["millis"].as_f64().unwrap() / 1000.0;
        if round > 0 {
            ratios.push(native_secs / secs);
            native.push(native_secs);
            here.push(secs);
        }
    }
    let rate = |secs: Vec<f64>| 200.0 / median(secs);
    println!(
        "playouts a second, in thousands, Connect Four, {PLAYOUTS} from the start: native {:.0}, Chromium {:.0}; ratio {:.2} (medians of {ROUNDS}, in turn)",
        rate(native),
        rate(here),
        median(ratios)
    );
}

fn reload(browser: &mut Browser, tab: &Tab, url: &str) {
    let mut times = Vec::new();
    let mut states = 0;
    for round in 0..3 {
        let saved = run(
            browser,
            tab,
            &format!(
                "const db = await Database.open('reload');
                const search = Search.begin('connect4', {{ seed: {round} }});
                search.run({{ playouts: 100000 }});
                const point = await db.savePoint('game', search);
                await db.close();
                return point;"
            ),
        );
        browser.navigate(tab, url);
        // From before the module is there, to the first playout after loading.
        let begun = Instant::now();
        let found = run(
            browser,
            tab,
            &format!(
                "const db = await Database.open('reload');
                const {{ search, point, states, rootUnchanged }} = await db.loadPoint('game', {round});
                const {{ playouts }} = search.run({{ playouts: 1 }});
                globalThis.reloaded = db;
                return {{ states, playouts, root: rootUnchanged && point.statisticsRoot }};"
            ),
        );
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        run(browser, tab, "await reloaded.close(); return null;");
        assert_eq!(found["root"], saved["statisticsRoot"]);
        assert!(found["playouts"].as_u64() >= Some(1));
        states = found["states"].as_u64().unwrap();
    }
    println!(
        "{states} states saved, page reloaded, search going on, root identical: {:.0} ms (median of 3, with loading the module and checking the root)",
        median(times)
    );
}

fn persisting(browser: &mut Browser, tab: &Tab) {
    let mut costs = Vec::new();
    let mut saves = 0;
    for round in 0..ROUNDS {
        // Of two that do the same work, the one that saves goes first in every other round.
        let mut millis = [0.0; 2];
        for turn in 0..2 {
            let persists = (turn + round) % 2 == 0;
            let found = run(
                browser,
                tab,
                &format!(
                    "const db = await Database.open('persist{round}');
                    const search = Search.begin('connect4', {{ seed: {round} }});
                    const {{ port1, port2 }} = new MessageChannel();
                    const turn = () => new Promise(done => {{ port1.onmessage = done; port2.postMessage(0); }});
                    const begun = performance.now();
                    let left = 1000000, saved = begun, saves = 0;
                    while (left > 0) {{
                        left -= search.run({{ millis: 12, playouts: left }}).playouts;
                        if ({persists} && performance.now() - saved >= 5000) {{
                            saved = performance.now();
                            saves++;
                            db.commit('autosave', search.save(db).checkpoint, {{ durability: 'relaxed' }});
                        }}
                        await db.ready();
                        await turn();
                    }}
                    const millis = performance.now() - begun;
                    search.free();
                    await db.close();
                    await Database.remove('persist{round}');
                    return {{ millis, saves }};"
                ),
            );
            millis[usize::from(persists)] = found["millis"].as_f64().unwrap();
            saves += found["saves"].as_u64().unwrap();
        }
        costs.push(millis[1] / millis[0] - 1.0);
    }
    println!(
        "persisting while searching, 1000000 playouts with the whole search saved every 5 s ({:.1} saves a run): {:+.1} % of the time (median of {ROUNDS}, in turn)",
        f64::from(u32::try_from(saves).unwrap_or(u32::MAX))
            / f64::from(u32::try_from(ROUNDS).unwrap_or(1)),
        100.0 * median(costs)
    );
}
