// SPDX-License-Identifier: MIT
//! The browser host in a real browser: what was saved is there after a reload and after a kill, tabs share a database, what is
//! damaged is told, what does not fit is not lost, and all bytes are those of the native host.

use std::fs;
use std::path::Path;
use std::process::Command;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use cascow_core::games::{Board as _, after};
use cascow_core::hash::HashKind;
use cascow_core::snapshot::State;
use cascow_core::store::MemoryStore;
use cascow_tests::browser::{Browser, Server, Tab};
use cascow_tests::npm::{copy, package};
use cascow_tests::oracle::{checkpoint, played, statistics};
use serde_json::{Value, json};

/// A profile that outlives its browser, and a server at an address that stays.
struct Stage {
    server: Server,
    profile: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self { server: Server::start(), profile: tempfile::tempdir().unwrap() }
    }

    fn browser(&self) -> (Browser, Tab) {
        let mut browser = Browser::start(&self.profile.path().join("profile"));
        let tab = browser.open(&self.server.url);
        (browser, tab)
    }
}

#[track_caller]
fn ok(given: Result<Value, String>) -> Value {
    given.unwrap_or_else(|threw| panic!("threw {threw}"))
}

const PLAY: &str = "
    const db = await Database.open('games');
    const search = Search.begin('connect4', { moves: '44', seed: 7 });
    search.run({ playouts: 20000 });
";

#[test]
fn after_a_reload_the_tree_is_back_and_goes_on_as_it_would_have() {
    let stage = Stage::new();
    let (mut browser, tab) = stage.browser();
    let saved = ok(browser.run(
        &tab,
        &format!(
            "{PLAY}
            const status = await db.status();
            const point = await db.savePoint('game', search, {{ label: 'first' }});
            return {{ status, point }};"
        ),
    ));
    assert_eq!(saved["status"]["persistence"], "indexeddb", "{saved}");
    assert_eq!(saved["status"]["role"], "leader");
    let native = played(after(Connect4::START, "44").unwrap(), 20_000);
    assert_eq!(saved["point"]["checkpoint"], checkpoint(&native));
    assert_eq!(saved["point"]["statisticsRoot"], statistics(&native).root().to_string());

    let go_on = "
        const db = await Database.open('games');
        const { search, point, states, rootUnchanged } = await db.loadPoint('game', 0);
        search.run({ playouts: 5000 });
        const proof = search.prove(search.board().bytes);
        return {
            point, states, rootUnchanged, moves: search.moves, checkpoint: search.save(db).checkpoint,
            proven: statisticsOf(verify(proof.proof, search.statisticsRoot()).value).visits, visits: search.node().visits,
        };";
    let further = checkpoint(&played(after(Connect4::START, "44").unwrap(), 25_000));
    browser.navigate(&tab, &stage.server.url);
    let reloaded = ok(browser.run(&tab, go_on));
    browser.close();
    let (mut browser, tab) = stage.browser();
    for found in [reloaded, ok(browser.run(&tab, go_on))] {
        assert_eq!(found["point"], saved["point"]);
        assert_eq!(found["rootUnchanged"], true);
        assert_eq!((&found["states"], &found["moves"]), (&json!(native.len()), &json!("44")));
        assert_eq!(found["checkpoint"], further);
        assert_eq!(found["proven"], found["visits"]);
    }
}

/// Points are saved one after another until the browser is killed; what it had acknowledged is there, and whole.
#[test]
fn a_kill_in_the_middle_of_a_write_loses_nothing_that_was_acknowledged() {
    let stage = Stage::new();
    let mut acknowledged = 0;
    for round in 0..3 {
        let (mut browser, tab) = stage.browser();
        let found = ok(browser.run(
            &tab,
            "globalThis.db = await Database.open('games');
            const points = await db.points('game');
            const whole = [];
            for (const { index } of points) whole.push((await db.loadPoint('game', index)).rootUnchanged);
            return { indices: points.map(point => point.index), whole, head: points.length ? await db.head('game') : null };",
        ));
        let indices = found["indices"].as_array().unwrap();
        assert!(indices.len() >= acknowledged, "round {round}: {acknowledged} were saved: {found}");
        assert!(found["whole"].as_array().unwrap().iter().all(|whole| whole == true), "{found}");
        assert_ne!(found["head"]["fellBack"], true, "{found}");
        browser.begin(
            &tab,
            "globalThis.saved = (await db.points('game')).length;
            const search = Search.begin('connect4', { seed: saved });
            for (;;) { search.run({ playouts: 3000 }); await db.savePoint('game', search); saved++; }",
        );
        // A few more each time; then the next is under way, at one place or another.
        let wanted = acknowledged + 2 + round;
        let told = ok(browser.run(
            &tab,
            &format!("while (!(globalThis.saved >= {wanted})) await new Promise(done => setTimeout(done, 1)); return saved;"),
        ));
        acknowledged = usize::try_from(told.as_u64().unwrap()).unwrap();
        browser.kill();
    }
}

#[test]
fn of_two_tabs_one_writes_and_the_other_follows_and_takes_over() {
    let stage = Stage::new();
    let (mut browser, first) = stage.browser();
    ok(browser.run(&first, "globalThis.db = await Database.open('shared'); return null;"));
    let second = browser.open(&stage.server.url);
    let follower = ok(browser.run(
        &second,
        "globalThis.db = await Database.open('shared');
        globalThis.events = [];
        globalThis.heard = new Promise(done => db.subscribe(event => { events.push(event); if (event.type === 'head') done(event); }));
        globalThis.promoted = new Promise(done => db.subscribe(async event => { if ((await db.status()).role === 'leader') done(); }));
        const mine = db.put('of the follower');
        return { role: (await db.status()).role, refused: await code(() => db.commit('mine', mine)) };",
    ));
    assert_eq!(follower, json!({ "role": "follower", "refused": "follower" }));
    ok(browser.run(&first, "await db.commit('head', db.put('of the leader')); return null;"));
    let followed = ok(browser.run(
        &second,
        "const event = await heard;
        const head = await db.head('head');
        return { event, text: text(await db.get(head.target)) };",
    ));
    assert_eq!(followed["text"], "of the leader");
    assert_eq!(followed["event"], json!({ "type": "head", "name": "head", "version": 1 }));
    browser.close_tab(first);
    let taken_over = ok(browser.run(
        &second,
        "await promoted;
        await db.commit('head', db.put('of the heir'), { expected: (await db.head('head')).target });
        return { head: await db.head('head'), kept: db.has(contentHash('sha256', 'of the follower')) };",
    ));
    assert_eq!(taken_over["head"]["version"], 2);
    assert_eq!(taken_over["kept"], true);
}

#[test]
fn a_newer_version_is_made_way_for_and_not_opened() {
    let stage = Stage::new();
    let (mut browser, old) = stage.browser();
    ok(browser.run(&old, "globalThis.db = await Database.open('v'); await db.commit('h', db.put('old')); return null;"));
    let new = browser.open(&stage.server.url);
    // Resolves only because the old tab lets go.
    ok(browser.run(&new, "(await raw('v', 2)).close(); return null;"));
    let after = ok(browser.run(
        &old,
        "const status = await db.status();
        await db.commit('h', db.put('goes on in memory'));
        return { persistence: status.persistence, reason: status.reason, again: await code(() => Database.open('v')), text: text(await db.get((await db.head('h')).target)) };",
    ));
    let expected = json!({
        "persistence": "memory", "reason": "superseded", "again": "newer-version", "text": "goes on in memory",
    });
    assert_eq!(after, expected);
    // A tab that does not let go blocks a removal, and that is told.
    let blocked = "globalThis.held = await raw('w', 1); return code(() => Database.remove('w'));";
    assert_eq!(ok(browser.run(&new, blocked)), "blocked");
}

#[test]
fn what_is_damaged_is_told_and_the_head_falls_back_to_what_is_whole() {
    let stage = Stage::new();
    let (mut browser, tab) = stage.browser();
    let told = ok(browser.run(
        &tab,
        "let db = await Database.open('d');
        const search = Search.begin('connect4', { seed: 3 });
        search.run({ playouts: 3000 });
        await db.savePoint('game', search, { label: 'whole' });
        const before = (await db.status()).pages;
        search.run({ playouts: 3000 });
        await db.savePoint('game', search, { label: 'to be damaged' });
        const pages = (await db.status()).pages;
        await db.close();
        // Of what the second save has written, the longest frame is a page of the search.
        await tamper('d', 'pages', (page, number) => { if (number > before) { page[Math.floor(page.length / 2)] ^= 1; return page; } });
        db = await Database.open('d');
        const labels = async () => (await db.points('game')).map(point => point.label);
        const at_first = await labels();
        let failure;
        try { await db.loadPoint('game', 1); } catch (error) { failure = { code: error.code, hash: error.hash?.length, found: error.found?.length }; }
        const head = await db.head('game');
        const left = await labels();
        const again = (await db.loadPoint('game', 0)).rootUnchanged;
        await db.close();
        // The newest version's record itself.
        await tamper('d', 'heads', (record, [name, version]) => { if (version === 2) { record[20] ^= 1; return record; } });
        db = await Database.open('d');
        const fallen = await db.head('game');
        await db.savePoint('game', search, { label: 'after' });
        return { pages: pages > before, at_first, failure, fellBack: head.fellBack, version: head.version, left, again, fallen: [fallen.fellBack, fallen.version], then: await labels() };",
    ));
    assert_eq!(told["pages"], true, "{told}");
    assert_eq!(told["failure"], json!({ "code": "damaged", "hash": 64, "found": 64 }), "{told}");
    assert_eq!(told["left"], json!(["whole"]), "{told}");
    assert_eq!((&told["fellBack"], &told["version"]), (&json!(true), &json!(1)), "{told}");
    assert_eq!(told["again"], true);
    assert_eq!(told["fallen"], json!([true, 1]));
    assert_eq!(told["then"], json!(["whole", "after"]));
}

/// Lets the next `refusals` writing transactions end as the browser ends one that it has no room for: aborted, after its requests
/// have succeeded. (The browser's own override of the quota does not reach IndexedDB.)
const NO_ROOM: &str = "
    globalThis.refusals = 0;
    globalThis.refused = 0;
    const add = IDBObjectStore.prototype.add;
    IDBObjectStore.prototype.add = function (...given) {
        const { transaction } = this, request = add.apply(this, given);
        if (refusals > 0 && !Object.hasOwn(transaction, 'error')) {
            refusals--;
            refused++;
            Object.defineProperty(transaction, 'error', { value: new DOMException('no room', 'QuotaExceededError') });
            request.onsuccess = () => transaction.abort();
        }
        return request;
    };
    globalThis.room = bytes => Object.defineProperty(navigator.storage, 'estimate', { configurable: true, value: async () => ({ usage: 1e9, quota: 1e9 + bytes }) });
";

#[test]
fn what_has_no_room_waits_in_memory_until_there_is_some() {
    let stage = Stage::new();
    let (mut browser, tab) = stage.browser();
    let refused = ok(browser.run(
        &tab,
        &format!("{NO_ROOM}
            globalThis.db = await Database.open('q', {{ batchBytes: 1e9, batchMillis: 1e9 }});
            const small = db.put('small');
            await db.commit('h', small);
            room(0);
            refusals = Infinity;
            globalThis.large = db.put(new Uint8Array(6e6));
            const threw = await code(() => db.commit('h', large));
            const {{ quotaReached, waitingObjects, lastError }} = await db.status();
            const unmoved = (await db.head('h')).target === small;
            return {{ threw, quotaReached, waitingObjects, lastError: lastError?.code, unmoved, kept: (await db.get(large)).length, refused }};"),
    ));
    let expected = json!({
        "threw": "quota", "quotaReached": true, "waitingObjects": 1, "lastError": "quota", "unmoved": true, "kept": 6_000_000, "refused": 1,
    });
    assert_eq!(refused, expected);
    // A refusal where there is room is a browser that was busy: the write is tried again, a bounded number of times.
    let busy = ok(browser.run(
        &tab,
        "room(1e9);
        refused = 0;
        const at_last = await code(() => db.commit('h', large));
        const bound = refused;
        refusals = 2;
        await db.commit('h', large);
        const head = await db.head('h');
        return { at_last, bound, moved: head.target === large, version: head.version, reached: (await db.status()).quotaReached };",
    ));
    assert_eq!(
        busy,
        json!({ "at_last": "quota", "bound": 3, "moved": true, "version": 2, "reached": false })
    );
    browser.navigate(&tab, &stage.server.url);
    let found = ok(browser.run(
        &tab,
        "const db = await Database.open('q'); return (await db.get((await db.head('h')).target)).length;",
    ));
    assert_eq!(found, 6_000_000);
}

#[test]
fn without_indexeddb_all_of_it_works_in_memory_and_says_so() {
    let stage = Stage::new();
    let (mut browser, tab) = stage.browser();
    for (hide, reason) in [
        (
            "Object.defineProperty(globalThis, 'indexedDB', { value: undefined, configurable: true });",
            "no-indexeddb",
        ),
        (
            "Object.defineProperty(globalThis, 'indexedDB', { value: Object.create(IDBFactory.prototype, { open: { value() { throw new DOMException('not here', 'SecurityError'); } } }), configurable: true });",
            "refused",
        ),
    ] {
        let found = ok(browser.run(
            &tab,
            &format!("{hide} {PLAY}
                await db.savePoint('game', search);
                const {{ persistence, reason }} = await db.status();
                return {{ persistence, reason, root: (await db.loadPoint('game', 0)).rootUnchanged }};"),
        ));
        assert_eq!(found, json!({ "persistence": "memory", "reason": reason, "root": true }));
    }
}

#[test]
fn what_no_head_needs_is_collected_and_what_one_needs_stays() {
    let stage = Stage::new();
    let (mut browser, tab) = stage.browser();
    let found = ok(browser.run(
        &tab,
        "let db = await Database.open('c');
        const search = Search.begin('othello', { seed: 1 });
        for (let at = 0; at < 6; at++) {
            search.run({ playouts: 2000 });
            await db.savePoint('game', search, at ? { replace: 0 } : {});
        }
        for (let at = 0; at < 50; at++) db.put('nobody needs ' + at);
        await db.flush();
        const before = (await db.status()).storedBytes, freed = await db.collect(), after = (await db.status()).storedBytes;
        await db.close();
        db = await Database.open('c');
        const { rootUnchanged } = await db.loadPoint('game', 0);
        return { freed, less: before - after, left: after, again: await db.collect(), rootUnchanged, same: (await db.status()).storedBytes };",
    ));
    assert_eq!(found["rootUnchanged"], true, "{found}");
    assert_eq!(found["freed"]["bytes"], found["less"], "{found}");
    assert!(found["freed"]["objects"].as_u64().unwrap() >= 50, "{found}");
    assert!(found["less"].as_u64() > Some(100_000), "{found}");
    assert_eq!(
        (&found["again"]["objects"], &found["same"]),
        (&json!(0), &found["left"]),
        "{found}"
    );
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1").join(name)).unwrap()
}

#[test]
fn roots_proofs_and_bundles_are_the_native_hosts_byte_for_byte() {
    let stage = Stage::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1");
    fs::create_dir(stage.server.directory().join("v1")).unwrap();
    for kind in ["sha256", "blake3"] {
        for name in [".bundle", "-present.proof", "-empty.proof", "-other.proof"] {
            let name = format!("{kind}{name}");
            fs::copy(fixtures.join(&name), stage.server.directory().join("v1").join(&name))
                .unwrap();
        }
    }
    let (mut browser, tab) = stage.browser();
    for (kind, root) in [
        (HashKind::Sha256, "017b5824e91259326bf6806f23ab0a72a803f424e611daa623154d1e5beeed13"),
        (HashKind::Blake3, "682ceff3397a6f39992f6c5e5edc521f0cc5de173b62b5d34609d931bb70bdbe"),
    ] {
        let name = kind.name();
        let found = ok(browser.run(
            &tab,
            &format!("
                const file = async name => new Uint8Array(await (await fetch('/v1/{name}' + name)).arrayBuffer());
                const db = await Database.open('{name}', {{ hash: '{name}' }});
                const bundle = await file('.bundle');
                const {{ heads, objects }} = await db.importBundle(bundle);
                const again = await db.exportBundle(heads);
                const statements = [];
                for (const which of ['present', 'empty', 'other']) {{
                    const {{ entries, key, value, hash }} = verify(await file('-' + which + '.proof'), '{root}');
                    statements.push([hash, entries, text(key), value !== undefined]);
                }}
                const broken = await file('-present.proof');
                broken[broken.length - 1] ^= 1;
                const state = db.create([['turn', 'x'], ['board', new Uint8Array(20000)]]);
                const fork = state.fork();
                fork.write('turn', 'o');
                fork.delete('board');
                const next = fork.commit();
                return {{
                    heads, objects, same: again.length === bundle.length && again.every((byte, at) => byte === bundle[at]), statements,
                    broken: await code(() => verify(broken, '{root}')), root: state.root(), next: next.root(), hash: contentHash('{name}', 'x'),
                    proof: [...next.prove('turn')], saved: state.save(),
                }};"),
        ));
        let mut state = State::new();
        state.write(*b"turn", *b"x");
        state.write(*b"board", vec![0; 20_000]);
        assert_eq!(found["root"], state.root(kind).to_string());
        let store = MemoryStore::new(kind);
        let saved = cascow_core::record::write(&store, &state, None).unwrap().snapshot;
        assert_eq!(found["saved"], saved.to_string());
        state.write(*b"turn", *b"o");
        state.remove(b"board");
        assert_eq!(found["next"], state.root(kind).to_string());
        assert_eq!(found["proof"], json!(state.trie(kind).prove(b"turn", Some(b"o")).unwrap()));
        assert_eq!(found["hash"], kind.hash(b"x").to_string());
        assert_eq!((&found["same"], &found["broken"]), (&json!(true), &json!("proof")), "{found}");
        assert_eq!(found["statements"].as_array().unwrap().len(), 3);
        assert_eq!(found["statements"][0][1], 9);
        let bundle = fixture(&format!("{name}.bundle"));
        assert!(bundle.len() > 1000 && found["objects"] != 0);
    }
    let search = ok(browser.run(
        &tab,
        "const search = Search.begin('othello', { moves: 'd3c5', seed: 7 });
        search.run({ playouts: 3000 });
        const db = await Database.open('o', { memory: true });
        const proof = search.prove(search.board().bytes);
        return { checkpoint: search.save(db).checkpoint, root: search.statisticsRoot(), proof: [...proof.proof], line: search.line() };",
    ));
    let native = played(after(Othello::START, "d3c5").unwrap(), 3000);
    assert_eq!(search["checkpoint"], checkpoint(&native));
    assert_eq!(search["root"], statistics(&native).root().to_string());
    let proof: Vec<u8> = serde_json::from_value(search["proof"].clone()).unwrap();
    assert_eq!(
        cascow_core::merkle::verify(&proof, &statistics(&native).root()).unwrap().entries,
        native.len() as u64
    );
}

/// The aim is a module of 150,000 bytes, which it is far from: `host-wasm/README.md` says why. Until then it must not grow.
const MODULE_MAX_LEN: usize = 420_000;
const SCRIPT_MAX_LEN: usize = 15_000;

#[test]
fn the_package_does_not_grow() {
    let gzip = |name: &str| {
        let output = Command::new("gzip").args(["-9c"]).arg(package().join(name)).output().unwrap();
        assert!(output.status.success());
        output.stdout.len()
    };
    let (module, script) = (gzip("cascow_bg.wasm"), gzip("cascow.js") + gzip("index.js"));
    println!("cascow_bg.wasm {module} bytes, JavaScript {script} bytes, both by gzip -9");
    assert!(script <= SCRIPT_MAX_LEN, "{script}");
    assert!(module <= MODULE_MAX_LEN, "{module}");
}

/// The tarball that `npm pack` makes, installed in an empty project, in Node and in a browser.
#[test]
fn the_package_installs_and_runs_in_node_and_in_a_browser() {
    let project = tempfile::tempdir().unwrap();
    let npm = |arguments: &[&str]| {
        let output = Command::new("npm")
            .args(arguments)
            .arg("--offline")
            .current_dir(project.path())
            .output();
        let output = output.expect("npm, which Debian has in a package of that name");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(
        project.path().join("package.json"),
        r#"{ "name": "empty", "private": true, "type": "module" }"#,
    )
    .unwrap();
    let packed: Value =
        serde_json::from_str(&npm(&["pack", "--json", &package().display().to_string()])).unwrap();
    let files: Vec<&str> = packed[0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    for expected in [
        "LICENSE",
        "README.md",
        "package.json",
        "index.js",
        "index.d.ts",
        "cascow.js",
        "cascow.d.ts",
        "cascow_bg.wasm",
    ] {
        assert!(files.contains(&expected), "{expected} in {files:?}");
    }
    let tarball = format!("./{}", packed[0]["filename"].as_str().unwrap());
    npm(&["install", &tarball]);
    let script = "
        import { init, Database, Search, version } from 'cascow';
        const [one, two] = [init(), init()];
        await one;
        const search = Search.begin('connect4', { seed: 7 });
        search.run({ playouts: 500 });
        const db = await Database.open('x');
        await db.savePoint('game', search);
        const { rootUnchanged } = await db.loadPoint('game', 0);
        const { persistence, reason } = await db.status();
        console.log(JSON.stringify({ version: version(), same: one === two, rootUnchanged, persistence, reason, checkpoint: search.save(db).checkpoint }));
    ";
    fs::write(project.path().join("main.js"), script).unwrap();
    let output = Command::new("node").arg("main.js").current_dir(project.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "same": true, "rootUnchanged": true, "persistence": "memory", "reason": "no-indexeddb",
        "checkpoint": checkpoint(&played(Connect4::START, 500)),
    });
    assert_eq!(found, expected);

    let stage = Stage::new();
    copy(&project.path().join("node_modules"), &stage.server.directory().join("node_modules"));
    let (mut browser, tab) = stage.browser();
    let installed = ok(browser.run(
        &tab,
        "const installed = await import('/node_modules/cascow/index.js');
        await installed.init();
        return installed.version();",
    ));
    assert_eq!(installed, env!("CARGO_PKG_VERSION"));
}

/// How long it takes is a figure of `browser_figures`: here others use the machine, too.
#[test]
fn a_hundred_thousand_nodes_are_back_with_the_same_root_and_go_on() {
    let stage = Stage::new();
    let (mut browser, tab) = stage.browser();
    let saved = ok(browser.run(
        &tab,
        "const db = await Database.open('big');
        const search = Search.begin('connect4', { seed: 7 });
        search.run({ playouts: 100000 });
        return db.savePoint('game', search);",
    ));
    browser.navigate(&tab, &stage.server.url);
    let found = ok(browser.run(
        &tab,
        "const db = await Database.open('big');
        const { search, states, rootUnchanged, point } = await db.loadPoint('game', 0);
        return { states, rootUnchanged, root: point.statisticsRoot, more: search.run({ playouts: 1 }).playouts };",
    ));
    assert_eq!((&found["rootUnchanged"], &found["root"]), (&json!(true), &saved["statisticsRoot"]));
    assert_eq!(found["states"], saved["states"]);
    assert!(
        found["states"].as_u64() > Some(100_000) && found["more"].as_u64() >= Some(1),
        "{found}"
    );
}

#[test]
fn who_opens_a_database_after_it_was_closed_may_write_it() {
    let stage = Stage::new();
    let (mut browser, tab) = stage.browser();
    let found = ok(browser.run(
        &tab,
        "const roles = [];
        for (let at = 0; at < 20; at++) {
            const db = await Database.open('again');
            roles.push((await db.status()).role);
            db.commit('h', db.put('text ' + at), { durability: 'relaxed' });
            await db.close();
        }
        const db = await Database.open('again');
        return { leaders: roles.filter(role => role === 'leader').length, head: text(await db.get((await db.head('h')).target)) };",
    ));
    assert_eq!(found, json!({ "leaders": 20, "head": "text 19" }));
}
