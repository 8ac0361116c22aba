// SPDX-License-Identifier: MIT
//! The demo page in a real browser: it is played by keys, keeps its tree through a reload, goes back in time, proves, and can be
//! used by everybody. Its pictures, at three widths, light and dark, are left in `tests/output/page`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cascow_tests::browser::{Browser, Server, Tab};
use cascow_tests::npm::{copy, repository};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The version of axe-core.
const AXE: &str = "4.14.1";

/// What is at hand in the page: `until` waits for something to become true, by frames.
const PRELUDE: &str = r"
    const one = s => document.querySelector(s), all = s => [...document.querySelectorAll(s)], text = s => one(s).textContent;
    const until = async (what, ready) => {
        for (const begun = performance.now(); !ready(); await new Promise(next => setTimeout(next, 20)))
            if (performance.now() - begun > 60_000) throw new Error(`waited in vain for ${what}: ${text('#status')}, ${text('#substatus')}, ${text('#fault')}`);
    };
    const rested = () => until('rest', () => 'ready' in one('#badge').dataset && !one('.point') === false && (text('#substatus').startsWith('Thought') || text('#substatus').startsWith('after')));
    const discs = () => all('.cell[data-side]').length;
    // After a person's move and its answer: so many discs, and so many points kept.
    const moved = (n, points) => until(`${n} discs and ${points} points`, () => discs() === n && all('.point').length === points && text('#substatus').startsWith('Thought'));
    const look = async point => {
        one('#travelled').replaceChildren();
        one(point).click();
        await until('an earlier point', () => text('#status').startsWith('Back at') && one('#root-now'));
    };
    const choose = (id, value) => { one(id).value = value; one(id).dispatchEvent(new Event('change', { bubbles: true })); };
    const known = () => [text('#visits'), text('#verdict'), ...all('#moves tr').map(row => row.textContent)].join('|');
";

/// A page on a server, in a browser with a profile.
struct Visit {
    browser: Browser,
    tab: Tab,
    server: Server,
    profile: TempDir,
}

impl Visit {
    fn start() -> Self {
        let server = Server::start();
        let page = repository().join("www");
        for part in ["index.html", "icon.svg", "page", "style", "worker"] {
            copy(&page.join(part), server.directory());
        }
        let profile = tempfile::tempdir().unwrap();
        let (browser, tab) = open(&server, profile.path());
        let mut visit = Self { browser, tab, server, profile };
        visit.size(1440, 1000, false);
        visit.run("await until('the beginning', () => 'ready' in one('#badge').dataset)");
        visit
    }

    /// A visit at which nobody thinks in another's turn, so that all figures come to rest.
    fn at_rest() -> Self {
        let mut visit = Self::start();
        visit.run("choose('#time', '300'); one('#ponder').click(); await rested()");
        visit
    }

    /// The browser ends, as when the machine is switched off, and the page is opened anew.
    fn again(self) -> Self {
        let Self { browser, server, profile, .. } = self;
        browser.close();
        let (browser, tab) = open(&server, profile.path());
        let mut visit = Self { browser, tab, server, profile };
        visit.run("await until('the beginning', () => 'ready' in one('#badge').dataset)");
        visit
    }

    /// Runs the body of an asynchronous function in the page.
    #[track_caller]
    fn run(&mut self, body: &str) -> Value {
        let expression = format!("(async () => {{ {PRELUDE} {body} }})()");
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.command("Runtime.evaluate", params);
        let thrown = &answer["exceptionDetails"]["exception"]["description"];
        assert!(thrown.is_null(), "{}", thrown.as_str().unwrap_or_default());
        answer["result"]["value"].clone()
    }

    #[track_caller]
    fn text(&mut self, body: &str) -> String {
        let value = self.run(body);
        value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
    }

    #[track_caller]
    fn command(&mut self, method: &str, params: Value) -> Value {
        self.browser.command(Some(&self.tab), method, params)
    }

    /// A key, as the keyboard sends it.
    fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => key.bytes().next().map_or(0, u32::from),
        };
        let mut down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        match key {
            "Enter" => down["text"] = "\r".into(),
            _ if key.len() == 1 => down["text"] = key.into(),
            _ => {}
        }
        self.command("Input.dispatchKeyEvent", down);
        self.command(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }),
        );
    }

    fn size(&mut self, width: u32, height: u32, mobile: bool) {
        let params =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.command("Emulation.setDeviceMetricsOverride", params);
    }

    fn scheme(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    fn settle_on_the_graph(&mut self) {
        self.run(
            "one('#graph-title').scrollIntoView();
             await until('the graph', () => all('#paths .node').length > 5 && one('#detail .picture'));
             scrollTo(0, 0);",
        );
    }
}

fn open(server: &Server, profile: &Path) -> (Browser, Tab) {
    let mut browser = Browser::start(profile);
    let tab = browser.open(&server.url);
    (browser, tab)
}

/// axe-core, by npm into the cache of the tests' tools.
fn axe() -> String {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache"),
        PathBuf::from,
    );
    let place = cache.join(format!("cascow-tests/axe-core-{AXE}"));
    let script = place.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        fs::create_dir_all(&place).unwrap();
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ]);
        let installed = npm.arg(&place).arg(format!("axe-core@{AXE}")).status();
        assert!(installed.expect("npm, which Debian has in a package of that name").success());
    }
    fs::read_to_string(script).unwrap()
}

#[test]
fn a_game_is_played_to_its_end_by_keys_alone() {
    let mut visit = Visit::start();
    // The first stop leads past everything to the board.
    visit.press("Tab");
    assert_eq!(visit.text("return document.activeElement.textContent"), "Skip to the board");
    visit.press("Enter");
    visit.press("Tab");
    assert_eq!(visit.text("return document.activeElement.role"), "gridcell");
    // On to the settings: a weak opponent, chosen by its first letter.
    let mut stops = 0;
    while visit.text("return document.activeElement.id") != "strength" {
        visit.press("Tab");
        stops += 1;
        assert!(stops < 40, "the strength is not reached");
    }
    visit.press("B");
    assert_eq!(visit.run("return one('#strength').value"), "100");
    visit.run("one('.board [tabindex=\"0\"]').focus()");

    let mut moves = 0;
    let ended = loop {
        visit.run("await until('a turn', () => text('#status').startsWith('Your turn') || /won|draw/.test(text('#status')))");
        let status = visit.text("return text('#status')");
        if !status.starts_with("Your turn") {
            break status;
        }
        let discs = visit.run("return discs()");
        // Every other move by walking there.
        let column = visit.text("return String(all('[role=gridcell]').findIndex(cell => 'open' in cell.dataset) % 7 + 1)");
        if moves % 2 == 0 {
            visit.press(&column);
        } else {
            visit.press("Home");
            for _ in 1..column.parse::<u32>().unwrap() {
                visit.press("ArrowRight");
            }
            visit.press("Enter");
        }
        moves += 1;
        visit.run(&format!("await until('move {moves} at {column}, from ' + document.activeElement.ariaLabel, () => discs() > {discs})"));
        assert!(moves <= 21, "a game without an end");
    };
    assert!(ended.contains("won") || ended.contains("draw"), "{ended}");
    assert!(moves >= 3, "{moves}");
    assert_eq!(visit.text("return text('#fault')"), "");
    // It was said what happened, too.
    let spoken = visit.text(
        "await until('words', () => /won|draw/.test(text('#spoken'))); return text('#spoken')",
    );
    assert!(!spoken.is_empty());
    // Every position has its point: those before the moves, and the last one.
    let discs = visit.run("return discs()").as_u64();
    let points = visit.run(
        "await until('points', () => all('.point').length > discs()); return all('.point').length",
    );
    assert_eq!(points.as_u64(), discs.map(|discs| discs + 1));
}

#[test]
fn the_tree_is_back_after_a_reload_and_after_the_browsers_end() {
    let mut visit = Visit::at_rest();
    visit.run("one('#ponder').click(); await until('thoughts', () => text('#substatus').endsWith('…')); await rested()");
    // Looked at, nothing is thought any more: what is there now is what must come back.
    visit.run("await look('.point[aria-current]')");
    let root = visit.text("return text('#root-now')");
    let states = visit.text("return all('#meter dd')[0].textContent");
    assert_eq!(root.len(), 64);
    assert!(states.replace(',', "").parse::<u32>().unwrap() > 10_000, "{states}");

    let came_back = |visit: &mut Visit| {
        let badge = visit.text("return text('#badge')");
        assert!(badge.contains(&format!("{states} nodes in ")), "{badge}");
        assert!(badge.contains("root unchanged"), "{badge}");
        assert_eq!(visit.text("return text('#root-now')"), root);
    };
    visit.browser.navigate(&visit.tab, &visit.server.url);
    visit.run("await until('the beginning', () => 'ready' in one('#badge').dataset)");
    came_back(&mut visit);
    // It goes on from there at once; to look again, the newest is gone back from to the same.
    visit.run("await rested()");
    visit.run("await look('.point[aria-current]')");
    let later = visit.text("return text('#root-now')");
    let mut visit = visit.again();
    assert!(visit.text("return text('#badge')").contains("root unchanged"));
    assert_eq!(visit.text("return text('#root-now')"), later);
}

#[test]
fn an_earlier_point_knows_what_it_knew_and_a_branch_leaves_it_so() {
    let mut visit = Visit::at_rest();
    let mut known = vec![visit.text("return known()")];
    for (column, discs) in [("4", 2), ("3", 4)] {
        visit.run("one('.board [tabindex=\"0\"]').focus()");
        visit.press(column);
        visit.run(&format!("await moved({discs}, {discs} + 1)"));
        known.push(visit.text("return known()"));
    }
    assert_eq!(visit.run("return all('.point').length"), 5);
    // Points 1, 3 and 5 are those of a person's turns. Backwards and forwards again.
    for point in [2, 0, 4, 0, 2] {
        visit.run(&format!("one('.point[data-index=\"{point}\"]').click(); await until('point {point}', () => one('.point[data-index=\"{point}\"]').ariaCurrent && text('#travelled').startsWith('Point {}:'))", point + 1));
        assert_eq!(visit.text("return known()"), known[point / 2], "point {point}");
        let [then, now] = ["return one('.roots code').textContent", "return text('#root-now')"]
            .map(|body| visit.text(body));
        assert_eq!(then, now);
        assert!(visit.text("return text('#root-verdict')").contains("identical"));
    }
    // A branch: it has points of its own, and those of the line that was left are what they were.
    visit.run("one('.board [tabindex=\"0\"]').focus()");
    visit.press("6");
    visit.run("await moved(4, 7)");
    assert_eq!(visit.run("return new Set(all('.point').map(point => point.style.top)).size"), 2);
    visit.run("one('.point[data-index=\"4\"]').click(); await until('point 5', () => text('#travelled').startsWith('Point 5:'))");
    assert_eq!(visit.text("return known()"), known[2]);
}

#[test]
fn a_proof_is_accepted_and_with_any_bit_flipped_refused() {
    let mut visit = Visit::at_rest();
    let accepted = visit.text("one('#prove').click(); await until('a ruling', () => /^(✓|✗)/.test(text('#ruling'))); return text('#ruling')");
    let visits = visit.text("return text('#visits')");
    assert!(accepted.starts_with("✓ Accepted: it is there"), "{accepted}");
    assert!(
        accepted.contains(&format!("Visits{visits}")),
        "the statistics that are shown: {accepted}"
    );

    let length = visit.run("return one('#proof-text').value.length / 2").as_u64().unwrap();
    assert!(length > 40, "{length}");
    for at in (0..length).step_by(7) {
        let refused = visit.text(&format!(
            "one('#mend').click(); await until('mended', () => text('#ruling').startsWith('✓'));
             one('#proof-at').value = {at}; one('#flip').click(); await until('a refusal', () => text('#ruling').startsWith('✗')); return text('#ruling')"
        ));
        assert!(refused.contains("The verifier says"), "byte {at}: {refused}");
    }
    assert_eq!(
        visit.run("return all('.bytes rect[fill=\"var(--bad)\"]').length"),
        1,
        "and it is shown which"
    );

    // A position that was never met, and one that cannot be.
    let absent = visit.text("one('#proof-moves').value = '111111222222333333'; one('#prove').click(); await until('a ruling', () => text('#ruling').includes('not there')); return text('#ruling')");
    assert!(absent.starts_with("✓ Accepted: it is not there"), "{absent}");
    let nothing = visit.text("one('#proof-moves').value = '1111111'; one('#prove').click(); await until('a ruling', () => text('#ruling').startsWith('Nothing')); return text('#ruling')");
    assert!(nothing.starts_with("Nothing to prove"), "{nothing}");
}

#[test]
fn a_proof_of_the_native_host_is_accepted_when_pasted() {
    let vectors = fs::read(repository().join("tests/fixtures/proofs/vectors.json")).unwrap();
    let vectors: Value = serde_json::from_slice(&vectors).unwrap();
    let mut visit = Visit::at_rest();
    let mut checked = [0, 0];
    for vector in vectors["vectors"].as_array().unwrap() {
        let says = vector["accepted"]["says"].as_array();
        // One key, or a proof that was spoilt; the others are not about states, or about several keys.
        if vector["about"] != "state" || says.is_some_and(|says| says.len() != 1) {
            continue;
        }
        let kind = usize::from(says.is_some());
        // A few of each are enough: the verifier is tested with all of them elsewhere.
        if checked[kind] == 12 {
            continue;
        }
        let (Some(root), Some(proof)) =
            (vector["trusted"]["root"].as_str(), vector["proof"].as_str())
        else {
            continue;
        };
        checked[kind] += 1;
        let ruling = visit.text(&format!(
            "one('#proof-root').value = '{root}'; one('#proof-text').value = '{proof}'; one('#ruling').replaceChildren();
             one('#proof-text').dispatchEvent(new Event('input'));
             await until('a ruling', () => text('#ruling').length > 0); return text('#ruling')"
        ));
        match says.map(|says| &says[0]) {
            None => assert!(
                ruling.starts_with('✗') || ruling.starts_with("Not a proof"),
                "{vector}: {ruling}"
            ),
            Some(says) if says[1].is_null() => {
                assert!(ruling.starts_with("✓ Accepted: it is not there"), "{vector}: {ruling}");
            }
            Some(_) => {
                assert!(ruling.starts_with("✓ Accepted: it is there"), "{vector}: {ruling}");
                let entries = format!("of {} entries", vector["accepted"]["entries"]);
                assert!(ruling.contains(&entries), "{vector}: {ruling}");
            }
        }
    }
    assert!(checked.iter().all(|count| *count > 3), "{checked:?}");
}

#[test]
fn games_leave_as_a_bundle_and_come_back_in_another_database() {
    let mut visit = Visit::at_rest();
    visit.run("one('.board [tabindex=\"0\"]').focus()");
    visit.press("4");
    visit.run("await moved(2, 3)");
    let roots = "return JSON.stringify(all('.point').map(point => point.ariaLabel))";
    let before = visit.text(roots);
    // What the page would save as a file is caught on its way.
    let bundle = visit.text(
        "let made; URL.createObjectURL = blob => { made = blob; return '#'; };
         one('#export').click(); await until('a bundle', () => made);
         const bytes = new Uint8Array(await made.arrayBuffer());
         return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')",
    );
    let other = format!("{}?database=another", visit.server.url);
    visit.browser.navigate(&visit.tab, &other);
    visit.run(
        "await until('the beginning', () => 'ready' in one('#badge').dataset); await rested()",
    );
    assert_ne!(visit.text(roots), before);
    let status = visit.text(&format!(
        "const bytes = Uint8Array.from('{bundle}'.match(/../g), pair => parseInt(pair, 16)), files = new DataTransfer();
         files.items.add(new File([bytes], 'games.bundle'));
         one('#import-file').files = files.files; one('#import-file').dispatchEvent(new Event('change'));
         await until('the points', () => text('#keep-status').includes('brought in')); return text('#keep-status')"
    ));
    assert!(status.starts_with("3 points"), "{status}");
    assert_eq!(visit.text(roots), before);
    assert!(visit.text("return text('#root-verdict')").contains("identical"));
}

#[test]
fn nothing_jumps_while_the_search_runs() {
    let mut visit = Visit::start();
    // It plays itself, so that boards, points and the graph change too.
    visit.run(
        "const types = PerformanceObserver.supportedEntryTypes;
         if (!types.includes('longtask') || !types.includes('layout-shift')) throw new Error('this browser does not tell');
         window.long = []; window.jumps = [];
         new PerformanceObserver(list => long.push(...list.getEntries().map(entry => entry.duration))).observe({ type: 'longtask' });
         new PerformanceObserver(list => jumps.push(...list.getEntries().map(entry => entry.value))).observe({ type: 'layout-shift' });
         choose('#you', 'neither');
         one('#graph-title').scrollIntoView();
         const moves = all('.point').length;
         await until('some moves', () => all('.point').length >= moves + 6 && all('#paths .node').length > 20);",
    );
    let [long, jumps] = ["return long", "return jumps"].map(|body| visit.run(body));
    // How long a task takes is the machine's matter, and what else it does; so it is told, and not judged.
    println!("tasks of the main thread over 50 ms, in milliseconds: {long}");
    let sum: f64 = jumps.as_array().unwrap().iter().filter_map(Value::as_f64).sum();
    assert!(sum < 0.01, "layout shifts: {jumps}");
    // One that is long is seen.
    let seen = visit.run("const before = long.length, begun = performance.now(); setTimeout(() => { while (performance.now() - begun < 150); }); await until('the long one', () => long.length > before); return Math.max(...long.slice(before))");
    assert!(seen.as_f64().unwrap() > 50.0, "{seen}");
}

#[test]
fn axe_finds_nothing_serious_in_any_view_light_or_dark() {
    let mut visit = Visit::at_rest();
    visit.settle_on_the_graph();
    visit.run("one('#step-next').click(); await until('a step', () => all('.frame').length > 0 && text('#step-next') !== 'Begin'); one('#prove').click(); await until('a proof', () => text('#ruling').startsWith('✓'))");
    // Into a world of its own: the page's policy lets in no script that is not the page's.
    let tree = visit.command("Page.getFrameTree", json!({}));
    let world = json!({ "frameId": tree["frameTree"]["frame"]["id"], "worldName": "axe" });
    let context = visit.command("Page.createIsolatedWorld", world)["executionContextId"].clone();
    let script = axe();
    visit.command("Runtime.evaluate", json!({ "expression": script, "contextId": context }));
    let mut looked = 0;
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")] {
        visit.size(width, 1000, width < 500);
        visit.scheme(scheme);
        for view in ["paths", "rings", "outline"] {
            visit.run(&format!("one('#tab-{view}').click(); await until('the view', () => one('#{view}').querySelector('[tabindex=\"0\"]'))"));
            let expression = "axe.run(document, { resultTypes: ['violations', 'passes'] }).then(({ violations, passes }) => ({
                passed: passes.length,
                serious: violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => [id, nodes.slice(0, 4).map(node => [node.target.join(' '), node.failureSummary])]),
                others: violations.map(({ id }) => id) }))";
            let params = json!({ "expression": expression, "contextId": context, "awaitPromise": true, "returnByValue": true });
            let found = visit.command("Runtime.evaluate", params)["result"]["value"].clone();
            assert!(found["passed"].as_u64().unwrap_or(0) > 20, "it looked at the page: {found}");
            assert_eq!(found["serious"], json!([]), "{width} {scheme} {view}");
            looked += 1;
        }
    }
    assert_eq!(looked, 12);
}

#[test]
fn three_widths_show_all_without_scrolling_sideways_and_nothing_is_asked_of_others() {
    let place = repository().join("tests/output/page");
    fs::create_dir_all(&place).unwrap();
    let mut visit = Visit::at_rest();
    for (column, discs) in [("4", 2), ("3", 4)] {
        visit.run("one('.board [tabindex=\"0\"]').focus()");
        visit.press(column);
        visit.run(&format!("await moved({discs}, {discs} + 1)"));
    }
    visit.run("await look('.point'); one('#prove').click(); await until('a proof', () => text('#ruling').startsWith('✓'))");
    for (width, mobile) in [(390, true), (820, true), (1440, false)] {
        visit.size(width, 1000, mobile);
        for scheme in ["light", "dark"] {
            visit.scheme(scheme);
            visit.settle_on_the_graph();
            let over = visit.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(over, 0, "{width}");
            let size = visit.command("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
            let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
            let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
            let picture = visit.command("Page.captureScreenshot", params);
            let bytes = unbase64(picture["data"].as_str().unwrap());
            assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{width} {scheme}");
            fs::write(place.join(format!("{width}-{scheme}.png")), bytes).unwrap();
        }
    }
    let asked = visit.run("return performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith(location.origin))");
    assert_eq!(asked, json!([]));
}

/// What the browser sends pictures in; of that it is trusted.
fn unbase64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').map(value).collect();
    letters
        .chunks(4)
        .flat_map(|group| {
            let word = (0..4)
                .fold(0, |word, at| word << 6 | u32::from(group.get(at).copied().unwrap_or(0)));
            let [_, bytes @ ..] = word.to_be_bytes();
            bytes.into_iter().take(group.len() - 1)
        })
        .collect()
}
