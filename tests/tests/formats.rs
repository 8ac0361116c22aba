// SPDX-License-Identifier: MIT
//! FORMATS.md is true: a reader that was written from it alone reads what the program writes, and its worked example is what the
//! program writes.

use std::collections::HashMap;
use std::fs;

use cascow_core::blob;
use cascow_core::bundle::{self, Encoder};
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::frame;
use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Playouts};
use cascow_core::hash::HashKind;
use cascow_core::manager::encode_delta;
use cascow_core::record;
use cascow_core::search::{Packed, Search, Settings};
use cascow_core::snapshot::{Edit, State, Value};
use cascow_core::store::{MemoryStore, ObjectStore};
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;
use cascow_tests::browser::{Browser, Server};
use cascow_tests::ledger::noise;
use cascow_tests::program::Answer;
use cascow_tests::sandbox::{Sandbox, text};
use cascow_tests::searches;
use serde_json::Value as Json;

const KIND: HashKind = HashKind::Sha256;

/// What the second reader says.
#[track_caller]
fn reader<'a>(sandbox: &Sandbox, arguments: impl IntoIterator<Item = &'a str>) -> Json {
    Answer::of(sandbox.tool("read_repository.py").args(arguments)).done().json()
}

/// The files below a directory of a sandbox.
fn files(sandbox: &Sandbox, dir: &str) -> Vec<String> {
    let found = sandbox.shell(&format!("find {dir} -type f | sort"));
    found.text().lines().map(str::to_owned).collect()
}

#[test]
fn a_reader_written_from_the_document_gets_every_tree_back() {
    for (store, hash, count) in
        [("segments", "sha256", "64"), ("files", "sha256", "8"), ("segments", "blake3", "0")]
    {
        let sandbox = Sandbox::without_repository();
        sandbox.cascow(["init", "--store", store, "--hash", hash]).done();
        if hash == "sha256" {
            Answer::of(sandbox.tool("make_tree.py").args(["--files", count, "tree"])).done();
            // Long enough for a list of a list.
            sandbox.write("tree/long", noise(1, 3 << 20));
        } else {
            // The reader's BLAKE3 takes its time.
            sandbox.write("tree/long", noise(1, 40_000));
            sandbox.write("tree/dir/words", "the same words, ".repeat(200));
        }
        sandbox.json(["save", "tree", "--label", "first / 100 %é"]);
        sandbox.write("tree/more", "more\n".repeat(300));
        let second = sandbox.save("tree");

        let listed = reader(&sandbox, ["list", "."]);
        let labels = sandbox.json(["label"]);
        let label = text(&listed["labels"]["first / 100 %é"]);
        assert_eq!(listed["labels"].as_object().unwrap().len(), 1, "{labels}");
        assert_eq!(*listed["snapshots"].as_array().unwrap(), [label, second.clone()]);
        let stored = sandbox.json(["stats"])["objects"].as_u64().unwrap();
        assert_eq!(listed["objects"].as_u64().unwrap(), stored);

        reader(&sandbox, ["extract", ".", &second, "out"]);
        sandbox.assert_equal_trees("tree", "out");
        sandbox.cascow(["export", &second, "-o", "bundle"]).done();
        reader(&sandbox, ["extract", "bundle", &second, "from-bundle"]);
        sandbox.assert_equal_trees("tree", "from-bundle");
        assert_eq!(reader(&sandbox, ["list", "bundle"])["snapshots"][0], second);
    }
}

#[test]
fn a_reader_written_from_the_document_understands_what_lies_beside_the_objects() {
    let sandbox = searches::workspace();
    let score = searches::score(&sandbox);
    let search = searches::search(&score, &["--name", "kept"]);
    let answer = sandbox.json(search);
    let dump = |path: &str| reader(&sandbox, ["dump", path]);

    let journal = dump(".cascow/searches/kept/journal");
    let records = journal["records"].as_array().unwrap();
    assert_eq!(records[0]["what"], "begin");
    let is_at = |record: &&Json| record["landing"]["what"] == "at";
    let new = records.iter().filter(is_at).filter(|record| !record["delta"].is_null()).count();
    assert_eq!(new as u64 + 1, answer["unique_states"].as_u64().unwrap(), "{answer}");

    let scores = files(&sandbox, ".cascow/scores");
    assert_eq!(scores.len(), 1, "one score command");
    let scores = dump(&scores[0]);
    let roots: HashMap<String, f64> = scores["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (text(&record["root"]), record["value"].as_f64().unwrap()))
        .collect();
    assert_eq!(roots[&text(&answer["best"]["root"])], answer["best"]["score"].as_f64().unwrap());

    // The search took longer than files are too young to be remembered.
    let saved = sandbox.save("w");
    let caches = files(&sandbox, ".cascow/stat-cache");
    let known: Vec<Json> = caches.iter().map(|path| dump(path)).collect();
    let found = known.iter().find(|known| known["snapshot"] == saved).expect("it was remembered");
    assert!(!found["files"].as_array().unwrap().is_empty());

    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/read_repository.py");
    let leases = sandbox.path(".cascow/leases");
    let look = format!("python3 -B {tool} dump $(ls {}/*)", leases.display());
    let ran = sandbox.cascow(["run", &saved, "--", "sh", "-e", "-c", &look]).done();
    let (lease, _) = ran.text().rsplit_once("}\n").expect("a document");
    let lease: Json = serde_json::from_str(&format!("{lease}}}")).unwrap();
    assert_eq!((&lease["magic"], &lease["pins"][0]), (&"CCLE".into(), &saved.into()));
}

#[test]
fn a_reader_written_from_the_document_reads_a_saved_search() {
    let sandbox = Sandbox::without_repository();
    let store = Repository::init(&sandbox.path(""), KIND, StoreKind::Files).unwrap();
    let plain = Settings { seed: 7, ..Settings::two_players() };
    // Nodes that know their parents lie otherwise.
    let wide = Settings { seed: 7, ..Settings::optimisation() };
    for settings in [plain, wide] {
        let mut game = Playouts::<Connect4>::new();
        let mut search = Search::new(settings, Connect4::START, &mut game).unwrap();
        while search.counts().evaluations < 9000 {
            search.step(&mut game).unwrap();
        }
        let saved = search.save(store.store()).unwrap();
        store.store().sync().unwrap();
        let read = reader(&sandbox, ["search", ".", &saved.checkpoint.to_string()]);
        let counts = search.counts();
        assert_eq!(read["evaluations"], counts.evaluations);
        assert_eq!(read["transpositions"], counts.transpositions);
        let graph = read["graph"].as_object().unwrap();
        assert_eq!(graph.len(), search.len());
        for node in search.nodes() {
            let found = &graph[&node.id.number().to_string()];
            let mut words = [0; Connect4::WORDS];
            node.state.pack(&mut words);
            let state: String = words
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(found["state"], state);
            // Numbers of 32 bits, read as JSON.
            assert!((found["value"].as_f64().unwrap() - node.value).abs() < 1e-12);
            let edges = found["edges"].as_array().unwrap();
            assert_eq!(edges.len(), search.edges(node.id).count());
            for (found, edge) in edges.iter().zip(search.edges(node.id)) {
                assert_eq!(found["action"], edge.action.0);
                assert_eq!(found["visits"], edge.visits);
                assert_eq!(found["to"].as_u64(), edge.child().map(|child| child.number().into()));
            }
        }
        assert_eq!(read["repetition"]["what"], "impossible");
    }
}

#[test]
fn a_reader_written_from_the_document_reads_a_browsers_database() {
    let sandbox = Sandbox::without_repository();
    let server = Server::start();
    let mut browser = Browser::start(&sandbox.path("profile"));
    let tab = browser.open(&server.url);
    let found = browser.run(
        &tab,
        "const db = await Database.open('format');
        const board = db.create([['a1', 'rook'], ['long', 'the same words, '.repeat(2000)]]);
        for (const value of ['1', '2', '3', '4']) {
            const draft = board.fork();
            draft.write('move', value);
            await db.commit('board', draft.commit().save());
        }
        const search = Search.begin('connect4', { moves: '44', seed: 7 });
        search.run({ playouts: 9000 });
        const first = await db.savePoint('game', search, { label: 'first' });
        search.advance('3');
        await db.savePoint('game', search, { label: 'sécond', parent: first.index });
        await db.close();

        const opened = await new Promise((done, failed) => {
            const opened = indexedDB.open('cascow:format');
            opened.onsuccess = () => done(opened.result);
            opened.onerror = () => failed(opened.error);
        });
        const hex = value => value instanceof Uint8Array
            ? Array.from(value, byte => byte.toString(16).padStart(2, '0')).join('') : value;
        const all = store => new Promise((done, failed) => {
            const pairs = [], asked = opened.transaction(store).objectStore(store).openCursor();
            asked.onsuccess = () => {
                const at = asked.result;
                if (!at) return done(pairs);
                pairs.push([at.key, hex(at.value)]);
                at.continue();
            };
            asked.onerror = () => failed(asked.error);
        });
        const stores = {};
        for (const name of opened.objectStoreNames) stores[name] = await all(name);
        return { stores, version: opened.version, states: search.counts().states, root: search.statisticsRoot() };",
    );
    let found = found.unwrap_or_else(|threw| panic!("threw {threw}"));
    browser.close();
    assert_eq!(found["version"], 1);
    let names: Vec<&String> = found["stores"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["directories", "heads", "meta", "pages"]);
    sandbox.write("stores.json", found["stores"].to_string());
    let read = reader(&sandbox, ["browser", "stores.json"]);
    let versions: Vec<&String> = read["board"]["versions"].as_object().unwrap().keys().collect();
    assert_eq!(versions, ["2", "3", "4"], "three stay");
    assert_eq!(read["board"]["state"]["move"], hex(b"4"));
    assert_eq!(read["board"]["state"]["a1"], hex(b"rook"));
    let points = &read["game"]["points"];
    assert_eq!((&points["0"]["label"], &points["0"]["moves"]), (&"first".into(), &"44".into()));
    assert_eq!((&points["1"]["label"], &points["1"]["from"]), (&"sécond".into(), &0.into()));
    assert_eq!(
        (&points["1"]["nodes"], &points["1"]["statistics"]),
        (&found["states"], &found["root"])
    );
    assert_eq!(read["game"]["next"], 2);
}

/// The lines of the document's worked example, by their labels.
fn examples() -> HashMap<String, String> {
    let document = include_str!("../../FORMATS.md");
    let (_, example) = document.rsplit_once("```text\n").expect("the example is the last");
    let example = example.replace("\n  ", "");
    let lines = example.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(label, hex)| (label.to_owned(), hex.to_owned())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_worked_example_is_what_the_program_writes() {
    let examples = examples();
    let is = |label: &str, bytes: &[u8]| assert_eq!(hex(bytes), examples[label], "{label}");

    let store = MemoryStore::new(KIND);
    let (content, _) = blob::write(&store, b"hello\n").unwrap();
    let kind = EntryKind::File(content.id);
    let entry = Entry { kind, mode: 0o644, xattrs: Vec::new(), links: None };
    let (mtime_secs, mtime_nanos) = (1_700_000_000, 5);
    let note = Note { mtime_secs, mtime_nanos, uid: 1000, gid: 1000, index: content.index };
    let mut state = State::new();
    let (bytes, beside) = (entry.encode(), note.encode());
    is("entry of hello", &bytes);
    is("note of hello", &beside);
    state.write(*b"hello", Value { bytes: bytes.into(), note: beside.into() });
    let written = record::write(&store, &state, None).unwrap();
    let blob::BlobId::Chunk { hash: listing, .. } = written.record.listing.id else {
        panic!("a short listing is one chunk")
    };
    let name = KIND.hash(b"hello\n");
    is("name of the content", name.as_bytes());
    is("frame of the content", &frame::encode(b"hello\n").unwrap());
    is("listing", &store.get(&listing).unwrap());
    is("root", written.record.root.as_bytes());
    is("record", &store.get(&written.snapshot).unwrap());
    is("snapshot", written.snapshot.as_bytes());

    let mut bytes = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut wanted = |hash: &cascow_core::hash::ContentHash| Ok(seen.insert(*hash));
    let mut out = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    bundle::export(&store, &[written.snapshot], &mut wanted, &mut out).unwrap();
    is("bundle", &bytes);
    let delta = encode_delta([Edit::whiteout(b"hello")].into_iter()).unwrap();
    is("delta that takes hello away", &delta);
    // What the encoder alone makes begins alike.
    let mut begin = Vec::new();
    Encoder::new(KIND, &[written.snapshot], &mut begin).unwrap();
    assert!(examples["bundle"].starts_with(&hex(&begin)));

    for kind in [StoreKind::Files, StoreKind::Segments] {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init(dir.path(), KIND, kind).unwrap();
        repository.store().put(b"hello\n").unwrap();
        let again = repository.write_snapshot(&state, None).unwrap();
        repository.publish(&again.snapshot, None).unwrap();
        assert_eq!(again.snapshot, written.snapshot);
        let within = dir.path().join(".cascow");
        is("file snapshots", &fs::read(within.join("snapshots")).unwrap());
        if kind == StoreKind::Files {
            is("file format, store of files", &fs::read(within.join("format")).unwrap());
        } else {
            let segment = hex(&fs::read(within.join("objects/segments/00000001")).unwrap());
            let record = &examples["record of the content in a segment"];
            assert!(segment.contains(record.as_str()), "{record} in {segment}");
        }
        // Of the lease, all but when it began.
        repository.pin(&again.snapshot).unwrap();
        let lease = fs::read_dir(within.join("leases")).unwrap().next().unwrap().unwrap();
        let (found, shown) = (
            hex(&fs::read(lease.path()).unwrap()),
            &examples["lease since 1700000000 on the snapshot"],
        );
        assert_eq!((&found[..16], &found[32..]), (&shown[..16], &shown[32..]));
    }
}
