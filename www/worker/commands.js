// SPDX-License-Identifier: MIT
// What the page can ask of the worker. Each takes and gives plain values.

import { board, boardOf, statisticsOf, version } from "../pkg/index.js";
import { Keeper } from "./keeper.js";
import { slowly } from "./slowly.js";
import { Table } from "./table.js";

const tell = (what, values) => postMessage({ tell: what, ...values });

let keeper, table;

/** A node of the search by its position's bytes: numbers change when a search is loaded, bytes do not. */
function at(state) {
    const id = state ? table.search.find(state) : undefined;
    if (state && id === undefined) throw Object.assign(new Error("this position is not in the tree any more"), { code: "unknown-node" });
    return id;
}

/** Takes up a point, and tells how it was found. Its root is computed from the loaded search, before anything is thought. */
async function travel(index, goOn) {
    table.stop();
    const points = await keeper.points();
    const { search, point, states, millis, rootUnchanged } = await keeper.load(index);
    const root = search.statisticsRoot();
    // What other points go on from stays as it is: thinking further makes a branch.
    const present = !points.some(other => other.parent === index);
    keeper.stand(point, present);
    table.resume(search, goOn ?? present);
    return { point, states, millis, rootUnchanged, root };
}

export const commands = {
    /** Opens the database, and goes on with the game that was played last, or begins one. */
    async open({ database, settings, last, game }) {
        keeper = await Keeper.open(database, event => tell("database", { event: event.type }));
        table = new Table(keeper, tell);
        Object.assign(table.settings, settings);
        const points = await keeper.points();
        const point = points.find(point => point.index === last) ?? points.at(-1);
        const opened = { version: version(), points };
        if (!point) {
            table.begin(game);
            return opened;
        }
        try {
            return { ...opened, back: await travel(point.index) };
        } catch (error) {
            // What cannot be read is said, and stays where it is; the game begins anew.
            table.begin(point.game);
            return { ...opened, lost: { code: error.code, message: error.message } };
        }
    },

    begin({ game, settings }) {
        Object.assign(table.settings, settings);
        table.begin(game);
    },
    change(settings) { table.change(settings); },
    play: move => table.play(move),
    /** Goes to a point to look at it, or to play on from it. */
    async travel(index, goOn) {
        await table.keep("strict");
        return travel(index, goOn);
    },
    goOn() { table.goOn(); },
    keep: () => table.keep("strict"),

    points: () => keeper.points(),
    status: () => keeper.status(),
    forget: indices => keeper.forget(indices),
    async export() {
        await table.keep("strict");
        return keeper.export();
    },
    async import(bytes) {
        table.stop();
        const points = await keeper.import(bytes);
        return { points, back: await travel(points.at(-1).index, false) };
    },

    graph: (state, options) => table.search.graph({ ...options, from: at(state) }),
    /** A position with its statistics and its moves. */
    inspect(state) {
        const id = at(state), { search } = table;
        const node = search.node(id);
        return { node, edges: search.edges(id), board: boardOf(search.game, node.state), line: search.line(id, 8) };
    },
    edges(state) {
        const { search } = table;
        return search.edges(at(state)).map(edge => edge.to === undefined ? edge : { ...edge, state: search.node(edge.to).state, inside: search.node(edge.to).visits > 1 });
    },
    board: (game, moves) => board(game, moves),
    boardOf: (game, state) => boardOf(game, state),

    /** Proves that a position is in the tree, or that it is not. */
    prove(state) {
        const begun = performance.now();
        const proven = table.search.prove(state);
        return { ...proven, states: table.search.counts().states, millis: performance.now() - begun };
    },
    statisticsOf: value => statisticsOf(value),

    slowly: (what, ...rest) => slowly(table, what, ...rest),
};
