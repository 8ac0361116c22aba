// SPDX-License-Identifier: MIT
//! The npm package in Node, where all of it is in memory: the same bytes as on every host, errors with codes, and games written in
//! JavaScript.

use std::fs;
use std::path::{Path, PathBuf};

use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use cascow_core::games::{Board, after};
use cascow_core::hash::HashKind;
use cascow_core::record;
use cascow_core::snapshot::State;
use cascow_core::store::MemoryStore;
use cascow_tests::npm::node;
use cascow_tests::oracle::{checkpoint, played, statistics};
use serde_json::{Value, json};

#[track_caller]
fn ok(body: &str) -> Value {
    node(body).unwrap_or_else(|threw| panic!("threw {threw}"))
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").canonicalize().unwrap()
}

/// What reads the frozen bytes that every host reads.
fn files() -> String {
    format!(
        "const {{ readFileSync }} = await import('node:fs');
        const file = name => new Uint8Array(readFileSync('{}/' + name));",
        fixtures().display()
    )
}

#[test]
fn objects_are_named_by_their_content_and_copied_both_ways() {
    let found = ok("const found = {};
        for (const hash of ['sha256', 'blake3']) {
            const db = await Database.open('', { hash, memory: true });
            const bytes = new Uint8Array(20000).fill(7);
            const name = db.put(bytes);
            bytes.fill(8);
            const read = await db.get(name);
            const held = [name === contentHash(hash, new Uint8Array(20000).fill(7)), read.length, read.every(byte => byte === 7)];
            read.fill(9);
            const again = (await db.get(name)).every(byte => byte === 7);
            db.put('text');
            db.put(new TextEncoder().encode('text'));
            const { objects, putBytes, savedBytes, persistence, reason, hash: kind } = await db.status();
            found[hash] = { name, held, again, has: [db.has(name), db.has(contentHash(hash, 'x'))], objects, putBytes, savedBytes, persistence, reason, kind };
        }
        return found;");
    for kind in [HashKind::Sha256, HashKind::Blake3] {
        let expected = json!({
            "name": kind.hash(&[7; 20_000]).to_string(), "held": [true, 20_000, true], "again": true, "has": [true, false],
            "objects": 2, "putBytes": 20_008, "savedBytes": 4, "persistence": "memory", "reason": "asked", "kind": kind.name(),
        });
        assert_eq!(found[kind.name()], expected);
    }
}

#[test]
fn a_head_moves_by_compare_and_swap() {
    let found = ok("const db = await Database.open('', { memory: true });
        const [a, b] = [db.put('a'), db.put('b')];
        const versions = [];
        versions.push((await db.commit('h', a, { expected: null })).version);
        versions.push(await code(() => db.commit('h', b, { expected: null })));
        versions.push(await code(() => db.commit('h', b, { expected: b })));
        versions.push((await db.commit('h', b, { expected: a })).version);
        versions.push((await db.commit('h', a)).version);
        versions.push(await code(() => db.commit('h', contentHash('sha256', 'not there'))));
        const { target, fellBack } = await db.head('h');
        const heads = (await db.heads()).map(head => head.name);
        await db.removeHead('h');
        return { versions, target: target === a, fellBack, heads, gone: await code(() => db.head('h')), left: (await db.heads()).length };");
    assert_eq!(
        found,
        json!({
            "versions": [1, "head-moved", "head-moved", 2, 3, "missing"],
            "target": true, "fellBack": false, "heads": ["h"], "gone": "head-missing", "left": 0,
        })
    );
}

#[test]
fn snapshots_fork_differ_merge_and_have_the_native_roots() {
    for kind in [HashKind::Sha256, HashKind::Blake3] {
        let found = ok(&format!("
            const db = await Database.open('', {{ hash: '{}', memory: true }});
            const base = db.create([['a', '1'], ['b', new Uint8Array(9000)], ['c', '3']]);
            const edited = (of, edits) => {{ const draft = of.fork(); for (const [key, value] of edits) value === null ? draft.delete(key) : draft.write(key, value); return draft.commit(); }};
            const ours = edited(base, [['a', 'ours'], ['c', null]]);
            const theirs = edited(base, [['a', 'theirs'], ['d', '4']]);
            const shown = changes => changes.map(({{ key, kind }}) => [text(key), kind]);
            const merged = ours.merge(theirs);
            const saved = merged.snapshot.save();
            const loaded = await db.snapshot(saved);
            return {{
                roots: [base, ours, theirs].map(snapshot => snapshot.root()),
                diff: shown(base.diff(ours)), across: shown(ours.diff(theirs)),
                conflicts: shown(merged.conflicts), kept: text(merged.snapshot.read('a')),
                theirs: text(ours.merge(theirs, 'theirs').snapshot.read('a')),
                entries: merged.snapshot.entries().map(([key]) => text(key)), length: merged.snapshot.length,
                loaded: loaded.root() === merged.snapshot.root(), nothing: loaded.read('c') === undefined,
                base: base.save(), unrelated: shown(base.diff(db.create([['a', '1']]))),
            }};", kind.name()));
        let mut state = State::new();
        for (key, value) in [(b"a", vec![b'1']), (b"b", vec![0; 9000]), (b"c", vec![b'3'])] {
            state.write(*key, value);
        }
        let saved = record::write(&MemoryStore::new(kind), &state, None).unwrap().snapshot;
        assert_eq!(found["base"], saved.to_string());
        let base = state.root(kind).to_string();
        let (mut ours, mut theirs) = (state.clone(), state);
        ours.write(*b"a", *b"ours");
        ours.remove(b"c");
        theirs.write(*b"a", *b"theirs");
        theirs.write(*b"d", *b"4");
        let roots = json!([base, ours.root(kind).to_string(), theirs.root(kind).to_string()]);
        assert_eq!(found["roots"], roots);
        assert_eq!(found["diff"], json!([["a", "modified"], ["c", "deleted"]]));
        assert_eq!(found["across"], json!([["a", "modified"], ["c", "added"], ["d", "added"]]));
        assert_eq!(found["conflicts"], json!([["a", "modified-modified"]]));
        assert_eq!((&found["kept"], &found["theirs"]), (&json!("ours"), &json!("theirs")));
        assert_eq!((&found["entries"], &found["length"]), (&json!(["a", "b", "d"]), &json!(3)));
        assert_eq!((&found["loaded"], &found["nothing"]), (&json!(true), &json!(true)));
        assert_eq!(found["unrelated"], json!([["b", "deleted"], ["c", "deleted"]]));
    }
}

#[test]
fn the_frozen_vectors_of_proofs_are_judged_as_by_every_host() {
    let found = ok(&format!("{}
        const {{ vectors }} = JSON.parse(text(file('proofs/vectors.json')));
        const bytes = hex => Uint8Array.from(hex.match(/../g) ?? [], byte => parseInt(byte, 16));
        const hex = bytes => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
        const count = {{ accepted: 0, refused: 0 }}, wrong = [];
        for (const [at, vector] of vectors.entries()) {{
            if (vector.about !== 'state' && vector.about !== 'multi') continue;
            let judged;
            try {{
                const statements = vector.about === 'state' ? [verify(bytes(vector.proof), vector.trusted.root)] : verifyMany(bytes(vector.proof), vector.trusted.root);
                judged = JSON.stringify({{ entries: statements[0]?.entries, says: statements.map(({{ key, value }}) => [hex(key), value === undefined ? null : hex(value)]) }});
                count.accepted++;
            }} catch (error) {{ judged = error.code; count.refused++; }}
            const expected = vector.accepted ? JSON.stringify({{ entries: vector.accepted.says.length ? vector.accepted.entries : undefined, says: vector.accepted.says }}) : 'proof';
            if (judged !== expected) wrong.push([at, judged, expected]);
        }}
        return {{ count, wrong: wrong.slice(0, 5) }};", files()));
    let vectors: Value =
        serde_json::from_slice(&fs::read(fixtures().join("proofs/vectors.json")).unwrap()).unwrap();
    let ours = vectors["vectors"].as_array().unwrap().iter();
    let ours = ours.filter(|vector| vector["about"] == "state" || vector["about"] == "multi");
    let (accepted, refused): (Vec<_>, Vec<_>) =
        ours.partition(|vector| vector["refused"].is_null());
    assert_eq!(found["wrong"], json!([]), "{found}");
    let count = json!({ "accepted": accepted.len(), "refused": refused.len() });
    assert_eq!(found["count"], count);
    assert!(accepted.len() > 20 && refused.len() > 500, "{count}");
}

#[test]
fn bundles_of_the_native_host_come_in_and_go_out_byte_for_byte() {
    let found = ok(&format!("{}
        const found = [];
        for (const hash of ['sha256', 'blake3']) for (const name of [hash, hash + '-small']) {{
            const db = await Database.open('', {{ hash, memory: true }});
            const bundle = file('v1/' + name + '.bundle');
            const {{ heads, snapshots, objects }} = await db.importBundle(bundle);
            const again = await db.exportBundle(heads);
            const roots = await Promise.all(snapshots.map(async hash => (await db.snapshot(hash)).root()));
            const broken = bundle.slice();
            broken[bundle.length >> 1] ^= 1;
            const other = await Database.open('', {{ hash: hash === 'sha256' ? 'blake3' : 'sha256', memory: true }});
            const codes = [];
            for (const bytes of [broken, bundle.slice(0, -1), new Uint8Array([...bundle, 0]), new Uint8Array()]) codes.push(await code(() => other.importBundle(bytes)));
            found.push({{
                name, same: Buffer.compare(bundle, again) === 0, objects: objects > 0, snapshots: snapshots.length > 0 && roots.every(root => root.length === 64),
                codes, other: await code(() => other.importBundle(bundle)), nothing: (await other.status()).objects,
            }});
        }}
        return found;", files()));
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 4);
    for found in found {
        assert_eq!((&found["same"], &found["objects"]), (&json!(true), &json!(true)), "{found}");
        assert_eq!(found["snapshots"], true, "{found}");
        // Whether damage or the other hash function is met first, nothing is kept.
        for code in found["codes"].as_array().unwrap() {
            assert!(code == "bundle" || code == "unsupported", "{found}");
        }
        assert_eq!(
            (&found["other"], &found["nothing"]),
            (&json!("unsupported"), &json!(0)),
            "{found}"
        );
    }
}

#[test]
fn searches_of_both_games_are_the_native_ones() {
    let found = ok("const found = {};
        for (const [game, moves] of [['connect4', '4435'], ['othello', 'd3c5']]) {
            const search = Search.begin(game, { moves, seed: 7 });
            const batch = search.run({ playouts: 2000 });
            const db = await Database.open('', { memory: true });
            const { checkpoint } = search.save(db);
            const loaded = await Search.load(db, checkpoint, game);
            const { state } = loaded.node();
            const { proof, root, present } = loaded.prove(state);
            const statement = verify(proof, root);
            const never = loaded.prove(boardOf(game, new Uint8Array(state.length)).bytes);
            search.run({ playouts: 500 });
            loaded.run({ playouts: 500 });
            found[game] = {
                batch: [batch.playouts, batch.stopped], checkpoint, root, present,
                visits: statisticsOf(statement.value).visits, entries: statement.entries,
                never: [never.present, verify(never.proof, root).value === undefined],
                together: search.save(db).checkpoint === loaded.save(db).checkpoint,
                other: await code(() => Search.load(db, checkpoint, game === 'othello' ? 'connect4' : 'othello')),
                line: search.line().length > 0, moves: search.movesOf().length === search.board().moves.length,
                turn: board(game, moves).turn === search.board().turn,
            };
        }
        return found;");
    fn expected<B: Board>(start: B) -> Value {
        let native = played(start, 2000);
        let statistics = statistics(&native);
        json!({
            "batch": [2000, "playouts"], "checkpoint": checkpoint(&native), "root": statistics.root().to_string(), "present": true,
            "visits": native.root().visits, "entries": native.len(), "never": [false, true], "together": true, "other": "other-game",
            "line": true, "moves": true, "turn": true,
        })
    }
    assert_eq!(found["connect4"], expected(after(Connect4::START, "4435").unwrap()));
    assert_eq!(found["othello"], expected(after(Othello::START, "d3c5").unwrap()));
}

/// Take one to three of a heap: whoever takes the last wins. Who moves loses exactly on multiples of four.
const HEAP: &str = "
    const heap = (size, more = {}) => ({
        start: new Uint8Array([size, 0]),
        turn: ([, mover]) => mover ? 'second' : 'first',
        actions: ([left]) => [1, 2, 3].filter(take => take <= left),
        apply: ([left, mover], take) => new Uint8Array([left - take, 1 - mover]),
        evaluate: ([left, mover], seed) => left ? (seed % 1000) / 1000 : { value: mover, terminal: true },
        ...more,
    });
";

#[test]
fn a_game_written_in_javascript_is_solved_saved_and_goes_on() {
    let found = ok(&format!("{HEAP}
        const db = await Database.open('', {{ memory: true }});
        const search = Search.begin(heap(21), {{ seed: 3 }});
        const {{ stopped }} = search.run({{ playouts: 100000, millis: 60000 }});
        const {{ checkpoint }} = search.save(db);
        const loaded = await Search.load(db, checkpoint, heap(21));
        const point = await db.savePoint('game', search, {{ label: 'solved' }});
        const again = await db.loadPoint('game', point.index, heap(21));
        search.advance(1);
        return {{
            stopped, best: loaded.movesOf()[0].move, value: loaded.node().value, proven: loaded.node().proven, states: loaded.counts().states <= 44,
            same: loaded.statisticsRoot() === point.statisticsRoot, root: again.rootUnchanged, game: search.game, left: Array.from(search.node().state),
            needed: await code(() => db.loadPoint('game', point.index)), other: await code(() => Search.load(db, checkpoint, 'othello')),
            board: await code(() => search.board()), illegal: await code(() => search.advance(7)),
        }};"));
    let expected = json!({
        "stopped": "exhausted", "best": "1", "value": 1, "proven": true, "states": true, "same": true, "root": true, "game": "custom",
        "left": [20, 1], "needed": "argument", "other": "other-game", "board": "argument", "illegal": "illegal-move",
    });
    assert_eq!(found, expected);
}

#[test]
fn a_game_that_breaks_its_contract_or_calls_back_is_told_and_the_search_lives() {
    let found = ok(&format!("{HEAP}
        const broken = {{
            turnless: {{ turn: () => 'third' }}, number: {{ apply: () => 7 }}, long: {{ apply: () => new Uint8Array(64) }}, action: {{ actions: () => [-1] }},
            half: {{ actions: () => [0.5] }}, nothing: {{ actions: () => 5 }}, value: {{ evaluate: () => 'high' }}, beyond: {{ evaluate: () => 2 }},
            prior: {{ actions: () => [[1, 'x']] }},
        }};
        const codes = {{}};
        for (const [name, more] of Object.entries(broken)) codes[name] = await code(() => Search.begin(heap(9, more)).run({{ playouts: 50 }}));
        let throws = false, search, calls = [];
        const game = heap(30, {{ evaluate: ([left, mover], seed) => {{
            if (throws) throw new RangeError('of its own');
            if (search && calls.length < 4) for (const call of [() => search.run(), () => search.counts(), () => search.advance(1), () => search.statisticsRoot()]) {{
                try {{ call(); calls.push('done'); }} catch (error) {{ calls.push(error.code ?? 'no code'); }}
            }}
            return left ? (seed % 1000) / 1000 : {{ value: mover, terminal: true }};
        }} }});
        search = Search.begin(game);
        search.run({{ playouts: 10 }});
        throws = true;
        let threw;
        try {{ search.run({{ playouts: 100 }}); }} catch (error) {{ threw = [error instanceof RangeError, error.message]; }}
        throws = false;
        const before = search.counts().playouts, batch = search.run({{ playouts: 1 }});
        const {{ playouts }} = search.counts();
        let freed = false;
        var suicidal = Search.begin(heap(30, {{ evaluate: () => {{ if (suicidal && !freed) {{ try {{ suicidal.free(); freed = 'done'; }} catch (error) {{ freed = error.message; }} }} return 0.5; }} }}));
        const ended = suicidal.run({{ playouts: 5 }}).playouts;
        return {{ codes, calls, threw, lives: playouts - before === batch.playouts, freed, ended, after: await code(() => suicidal.run()) }};"));
    let codes = found["codes"].as_object().unwrap();
    for name in ["number", "long", "action", "half", "prior", "value", "beyond"] {
        assert_eq!(codes[name], "game", "{name}: {found}");
    }
    assert_eq!(codes["nothing"], "game", "{found}");
    assert_eq!(found["calls"], json!(["busy", "busy", "busy", "busy"]), "{found}");
    assert_eq!(found["threw"], json!([true, "of its own"]));
    assert_eq!(found["lives"], true);
    // Freed by its own game, it is refused from then on, and the batch is ended all the same.
    // Five were asked for; the last step may have tried all three edges of a node.
    assert!((5..8).contains(&found["ended"].as_u64().unwrap()), "{found}");
    assert!(found["freed"].as_str().unwrap().contains("while it was borrowed"), "{found}");
    assert!(found["after"].as_str().unwrap().contains("null pointer"), "{found}");
}

#[test]
fn every_mistake_has_its_code_and_is_an_error() {
    let found = ok("const db = await Database.open('', { memory: true });
        const search = Search.begin('connect4');
        const draft = db.create([['a', '1']]).fork();
        draft.commit();
        const [gone, left] = [db.create([['a', '1']]), db.create([['b', '1']])];
        gone.prune();
        const zero = '0'.repeat(64);
        const of = {
            game: () => Search.begin('chess'), moves: () => Search.begin('connect4', { moves: '9' }), seed: () => Search.begin('connect4', { seed: -1 }),
            advance: () => search.advance('9'), node: () => search.node(77), hash: () => db.get('xyz'), missing: () => db.get(zero),
            put: () => db.put(7), kind: () => contentHash('md5', ''), proof: () => verify(new Uint8Array(9), zero), root: () => verify(new Uint8Array(9), 'x'),
            board: () => board('othello', 'a1'), bytes: () => boardOf('othello', new Uint8Array(3)), snapshot: () => db.snapshot(zero),
            used: () => draft.write('a', 'b'), pruned: () => gone.read('a'), load: () => Search.load(db, zero, 'connect4'),
            point: () => db.loadPoint('none', 0), durability: () => db.flush({ durability: 'eternal' }), options: () => Database.open('', { memory: 'yes' }),
            key: () => left.read({}), entries: () => db.create(7), pairs: () => db.create([['a']]), bundle: () => db.importBundle(new Uint8Array(3)),
            statistics: () => statisticsOf(new Uint8Array(3)),
        };
        const codes = {}, names = new Set();
        for (const [name, doing] of Object.entries(of)) {
            try { await doing(); codes[name] = 'nothing was thrown'; }
            catch (error) { codes[name] = error.code ?? String(error); if (error instanceof Error) names.add(error.name); }
        }
        await db.close();
        codes.closed = await code(() => db.put('x'));
        codes.flush = await code(() => db.flush());
        return { codes, names: [...names] };");
    let expected = json!({
        "game": "argument", "moves": "illegal-move", "seed": "argument", "advance": "illegal-move", "node": "unknown-node",
        "hash": "argument", "missing": "missing", "put": "argument", "kind": "argument", "proof": "proof", "root": "argument",
        "board": "illegal-move", "bytes": "argument", "snapshot": "missing", "used": "freed", "pruned": "unknown-node", "load": "missing",
        "point": "head-missing", "durability": "argument", "options": "argument", "key": "argument", "entries": "argument",
        "pairs": "argument", "bundle": "bundle", "statistics": "argument", "closed": "closed", "flush": "closed",
    });
    assert_eq!(found["codes"], expected, "{found}");
    assert_eq!(found["names"], json!(["CascowError"]));
}

#[test]
fn what_is_freed_is_refused_and_the_rest_lives() {
    let found = ok("const db = await Database.open('', { memory: true });
        const one = db.create([['a', '1']]), draft = one.fork();
        draft.write('a', '2');
        const two = draft.commit();
        one.free();
        const search = Search.begin('connect4');
        search[Symbol.dispose]();
        const manager = new StateManager();
        const { node } = manager.createRoot(new Uint8Array([1]));
        const state = manager.backtrackTo(node)[0];
        manager.free();
        db.free();
        const dead = [one, search, manager, db].map(object => { try { (object.root ?? object.counts ?? object.statistics ?? object.put).call(object, 0); return 'lives'; } catch (error) { return error instanceof Error; } });
        return { dead, two: text(two.read('a')), state };");
    assert_eq!(found, json!({ "dead": [true, true, true, true], "two": "2", "state": 1 }));
}

/// Saves that overlap read and write one list: none may be lost. A collection among them deletes nothing that they are about to
/// refer to.
#[test]
fn overlapping_calls_lose_nothing() {
    let found = ok("const db = await Database.open('', { memory: true });
        const searches = Array.from({ length: 6 }, (_, seed) => { const search = Search.begin('othello', { seed }); search.run({ playouts: 200 }); return search; });
        const saves = searches.flatMap((search, at) => [db.savePoint('game', search, { label: String(at) }), db.collect(), db.points('game'), db.commit('h', db.put('text ' + at))]);
        await Promise.all(saves);
        await db.collect();
        const points = await db.points('game');
        const whole = await Promise.all(points.map(async ({ index }) => (await db.loadPoint('game', index)).rootUnchanged));
        await Promise.all([db.removePoints('game', [0, 1]), db.removePoints('game', [2]), db.savePoint('game', searches[0], { label: 'last', parent: 3 })]);
        const left = (await db.points('game')).map(({ label, parent }) => [label, parent ?? null]);
        const history = await db.exportHistory('game');
        const other = await Database.open('', { memory: true });
        const brought = await other.importHistory('brought', history);
        const went = await Promise.all(brought.map(async ({ index }) => (await other.loadPoint('brought', index)).rootUnchanged));
        return { labels: points.map(point => point.label).sort(), indices: points.map(point => point.index), whole, left, brought: brought.length, went };");
    let expected = json!({
        "labels": ["0", "1", "2", "3", "4", "5"], "indices": [0, 1, 2, 3, 4, 5], "whole": [true, true, true, true, true, true],
        "left": [["3", null], ["4", null], ["5", null], ["last", 3]], "brought": 4, "went": [true, true, true, true],
    });
    assert_eq!(found, expected);
}

#[test]
fn listeners_are_called_on_a_later_turn_and_may_call_back() {
    let found = ok("const db = await Database.open('', { memory: true });
        const told = [];
        const end = db.subscribe(event => { told.push([event.type, event.name, event.version, db.has(contentHash('sha256', 'x'))]); });
        const head = db.commit('h', db.put('x'));
        const at_once = told.length;
        await head;
        await new Promise(done => setImmediate(done));
        end();
        await db.commit('h', db.put('y'));
        await new Promise(done => setImmediate(done));
        return { at_once, told };");
    assert_eq!(found, json!({ "at_once": 0, "told": [["head", "h", 1, true]] }));
}

#[test]
fn the_state_manager_recognises_states_and_goes_back_to_each() {
    let found = ok("const manager = new StateManager();
        const root = manager.createRoot([['board', 'empty'], ['turn', 'x']]);
        const a = manager.createNode(root.node, 1, [['board', 'x'], ['turn', 'o']]);
        const b = manager.createNode(root.node, 2, [['turn', null]]);
        const back = manager.createNode(b.node, 3, [['turn', 'x']]);
        const show = node => manager.backtrackTo(node).map(([key, value]) => [text(key), text(value)]);
        const pruned = manager.pruneUnreachable([a.node]);
        return {
            isNew: [root, a, b, back].map(node => node.isNew), back: back.node === root.node, states: [a].map(({ node }) => show(node)),
            read: text(manager.read(a.node, 'board')), found: manager.find(manager.root(a.node)) === a.node, pruned: pruned.nodes > 0,
            gone: await code(() => manager.backtrackTo(b.node)), parent: manager.parent(a.node)?.action ?? null,
        };");
    assert_eq!(found["isNew"], json!([true, true, true, false]), "{found}");
    assert_eq!((&found["back"], &found["read"]), (&json!(true), &json!("x")), "{found}");
    assert_eq!(found["states"], json!([[["board", "x"], ["turn", "o"]]]));
    assert_eq!((&found["found"], &found["pruned"]), (&json!(true), &json!(true)), "{found}");
    assert_eq!(found["gone"], "unknown-node", "{found}");
}
