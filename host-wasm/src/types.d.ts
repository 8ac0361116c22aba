// SPDX-License-Identifier: MIT

/** What every failure is: an `Error` with a stable `code`. Messages are for people and may change. */
export interface CascowError extends Error {
    name: "CascowError";
    code: ErrorCode;
    /** Of `missing` and `damaged`: the object, where it has a name. */
    hash?: Hash;
    /** Of `damaged`: what the bytes found hash to, where they are whole but another object's. */
    found?: Hash;
}
export type ErrorCode =
    /** A value of the wrong kind or out of range: the caller's mistake. */
    | "argument"
    /** A move cannot be read or played. */
    | "illegal-move"
    /** An object that is referred to is not in the database. */
    | "missing"
    /** Bytes are not what their name says, or a record does not decode. */
    | "damaged"
    /** Of a version, flag or hash function that this build does not read. */
    | "unsupported"
    /** A saved search is of another game. */
    | "other-game"
    /** A proof is not accepted; the message says why. */
    | "proof"
    /** Bytes are no bundle, or what it brings is not whole. */
    | "bundle"
    /** A node, snapshot or state that was forgotten or pruned, or is another object's. */
    | "unknown-node"
    /** Two snapshots come from nothing in common. */
    | "unrelated"
    /** A graph, tree or manager can hold no more: set or raise a limit. */
    | "full"
    /** A game written in JavaScript broke its contract. What it throws is passed on as it is. */
    | "game"
    /** Called by a game's own method while that search is stepping. */
    | "busy"
    /** A draft that was committed. */
    | "freed"
    /** Another tab writes this database; this one reads. */
    | "follower"
    /** The head is not what was expected. */
    | "head-moved"
    /** There is no head of that name, or no version of it is whole. */
    | "head-missing"
    /** The browser has no room. Nothing is lost: what waits stays in memory. */
    | "quota"
    /** The database was made by a newer build. */
    | "newer-version"
    /** Other tabs keep the database open and did not let go in time. */
    | "blocked"
    /** IndexedDB failed in a way that is none of the above. Nothing was deleted. */
    | "storage"
    /** The database was closed. */
    | "closed";

/** 64 hexadecimal digits. */
export type Hash = string;
/** Bytes, or a string, which stands for its UTF-8. What comes out is always bytes, copied. */
export type Bytes = Uint8Array | string;
export type HashKind = "sha256" | "blake3";

/** What an accepted proof says: a state of so many entries holds `value`, or nothing if it is undefined, under `key`. */
export interface Statement { hash: HashKind; entries: number; key: Uint8Array; value?: Uint8Array }

export type GameName = "connect4" | "othello";
export type Side = "first" | "second";

/** A position of a built-in game. */
export interface Board {
    game: GameName;
    rows: number;
    columns: number;
    /** Rows from the top, each from the left; 0 empty, 1 the first player's, 2 the second's. */
    cells: Uint8Array;
    turn: Side;
    outcome?: Side | "draw";
    /** As people write them: "4", "d3", "pass". None when the game is over. */
    moves: string[];
    /** Canonical bytes: the key under which statistics are proven. */
    bytes: Uint8Array;
    /** Their content hash by SHA-256. */
    hash: Hash;
}

/** A game written in JavaScript: deterministic, but for what it makes of the seed. */
export interface Game {
    /** Where it begins: at most 63 bytes, with everything that legality and value depend upon. */
    start: Uint8Array;
    /** Who decides: `first` wants high values, `second` low ones. Always `first` if it is left out. */
    turn?(state: Uint8Array): Side | "chance";
    /** Actions from 0 below 2^32 in a stable order, each alone or with its prior; none where the game ends. */
    actions(state: Uint8Array): Iterable<number | [action: number, prior: number]>;
    /** What an action leads to; null if it does not apply or changes nothing. */
    apply(state: Uint8Array, action: number): Uint8Array | null;
    /** From 0 to 1 in the first player's view. The seed is a number below 2^32 from the search's generator. */
    evaluate(state: Uint8Array, seed: number): number | { value: number; terminal: boolean };
}

export interface SearchOptions {
    /** Moves from the start to the root, of built-in games. */
    moves?: string;
    /** A whole number below 2^53; 0 if it is left out. */
    seed?: number;
    /** Bytes that the graph may take, beyond which what was visited least is forgotten; 256 MiB if it is left out. */
    byteLimit?: number;
    exploration?: number;
    /** For two players (`playouts`, if it is left out), or for one who looks for the best state. */
    kind?: "playouts" | "optimise";
}

export interface Batch {
    /** Evaluations that were made. */
    playouts: number;
    millis: number;
    /** `exhausted`: the root's value is proven, or all is known. */
    stopped: "playouts" | "time" | "exhausted";
}

export interface Counts {
    /** Evaluations so far. */
    playouts: number;
    /** Unique states in memory. */
    states: number;
    /** Nodes that a tree which shares nothing would have. */
    logicalNodes: number;
    transpositions: number;
    closed: number;
    forgotten: number;
    /** Memory of the graph. */
    bytes: number;
}

/** One state, and what the search knows of it. Values are from 0 to 1 in the first player's view, unless they are `…ForMover`. */
export interface NodeView {
    /** Its number in this search, until it is forgotten. */
    id: number;
    visits: number;
    value: number;
    valueForMover: number;
    /** What it is proven to be worth at least, and at most. */
    lowest: number;
    highest: number;
    proven: boolean;
    /** Nothing is left to learn below it. */
    complete: boolean;
    terminal: boolean;
    /** The game's own judgement: its playout. */
    evaluation: number;
    turn: Side | "chance";
    /** Canonical bytes. */
    state: Uint8Array;
}

/** One action at one state. */
export interface EdgeView {
    from: number;
    index: number;
    action: number;
    /** As people write it. */
    move: string;
    prior: number;
    visits: number;
    target: "untried" | "closed" | "node" | "forgotten";
    /** Of `node`. */
    to?: number;
    /** Of `node` and `forgotten`. */
    value?: number;
    valueForMover?: number;
    proven?: boolean;
}

/** An edge with what is expected to follow, itself first. */
export interface MoveView extends EdgeView { best: boolean; line: string[] }

export interface GraphView {
    /** The node asked for first. A node that several edges lead to stands once; `parents` counts those edges. */
    nodes: (NodeView & { depth: number; parents: number })[];
    edges: EdgeView[];
    /** Edges that lead to what was left out. */
    omitted: number;
}

/** One step: selection and expansion (`path`), playout (`node`), backup. */
export interface StepView {
    outcome: "new" | "transposition" | "closed" | "repeated" | "exhausted" | "expanded";
    /** The edges gone along from the root; the last one is the one that was tried. */
    path: EdgeView[];
    node?: NodeView;
    /** The nodes of the path from the bottom up. */
    backup: { id: number; visitsBefore: number; visits: number; valueBefore: number; value: number }[];
}

export interface SavedSearch { checkpoint: Hash; objects: number; newObjects: number; newBytes: number }

/** What a proof about a search's statistics shows of a position. */
export interface NodeStatistics {
    visits: number;
    value: number;
    lowest: number;
    highest: number;
    complete: boolean;
    terminal: boolean;
    turn: Side | "chance";
}

export interface OpenOptions {
    /** Of a new database: `sha256` if it is left out. An old one keeps its own. */
    hash?: HashKind;
    /** In memory alone. */
    memory?: boolean;
    /** Writing begins when so many bytes wait: 1 MiB if it is left out. */
    batchBytes?: number;
    /** … or when something has waited so long: 1000 if it is left out. */
    batchMillis?: number;
    /** `ready` waits while more bytes than these wait: 32 MiB if it is left out. */
    maxWaitingBytes?: number;
    /** Ask the browser to keep the data when room is short: true if it is left out. */
    persist?: boolean;
}

export interface Head { name: string; target: Hash; version: number }

export interface Status {
    /** `memory`: nothing survives a reload; `reason` says why. */
    persistence: "indexeddb" | "memory";
    /** `superseded`: a newer build took over, or the database was deleted. */
    reason?: "asked" | "no-indexeddb" | "refused" | "connection-lost" | "superseded" | "unreadable";
    /** `leader` writes; `follower` reads what another tab writes, and takes over when that ends; `alone`: there are no Web Locks. */
    role: "leader" | "follower" | "alone";
    hash: HashKind;
    /** What the browser says of `navigator.storage`, where it says anything. */
    persisted?: boolean;
    usageBytes?: number;
    quotaBytes?: number;
    /** A write was refused for want of room, and none has succeeded since. */
    quotaReached: boolean;
    /** On disk or waiting. */
    objects: number;
    /** Of their frames, on disk. */
    storedBytes: number;
    waitingBytes: number;
    waitingObjects: number;
    /** Frames in memory. */
    residentBytes: number;
    /** Records that objects are packed into. */
    pages: number;
    /** Bytes that were put since it was opened, and of these, those that were there already. */
    putBytes: number;
    savedBytes: number;
    /** Transactions that completed since it was opened, and how long they took. */
    batches: number;
    batchMillis: { last: number; p50: number; p95: number };
    lastError?: { code: ErrorCode; message: string };
}

export type DatabaseEvent =
    | { type: "status" }
    /** This tab or another moved a head; version 0: removed it. */
    | { type: "head"; name: string; version: number };

/** One point of a history: a saved search. */
export interface Point {
    /** Ascending in the order of saving; never used again. */
    index: number;
    /** The point that this one goes on from. */
    parent?: number;
    label: string;
    game: GameName | "custom";
    /** From the start to the saved search's root. */
    moves: string;
    checkpoint: Hash;
    statisticsRoot: Hash;
    states: number;
    playouts: number;
    bytes: number;
    /** Milliseconds since 1970. */
    savedAt: number;
}

export interface PointOptions {
    label?: string;
    parent?: number;
    /** The index of a point that this one takes the place of. */
    replace?: number;
    savedAt?: number;
    /** `strict` if it is left out. */
    durability?: "relaxed" | "strict";
}

export interface LoadedPoint { search: Search; point: Point; states: number; millis: number; rootUnchanged: boolean }

export interface Change { key: Uint8Array; kind: "added" | "modified" | "deleted" }
export interface Conflict {
    key: Uint8Array;
    kind: "added-added" | "modified-modified" | "modified-deleted" | "deleted-modified";
}

/** `null` deletes. */
export type Edits = Iterable<[Bytes, Bytes | null]>;

export interface StateManagerOptions {
    /** Without a database: `sha256` if it is left out. */
    hash?: HashKind;
    residentBytes?: number;
    nodes?: number;
}

export interface CreatedNode { node: number; isNew: boolean }

export interface ManagerStatistics {
    nodes: number;
    hits: number;
    misses: number;
    loads: number;
    evictions: number;
    transpositions: number;
    residentBytes: number;
    inlineBytes: number;
    storedBytes: number;
    indexBytes: number;
}
