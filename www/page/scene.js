// SPDX-License-Identifier: MIT
// The drawn part of a graph as a tree: every position under the one from which it is visited most. The other ways that lead to it
// are kept aside; they are where paths meet.

import { hex } from "./dom.js";

export function scene({ nodes, edges, omitted }) {
    const places = new Map(nodes.map(node => [node.id, { ...node, key: hex(node.state), children: [], parent: null, way: null, ways: [] }]));
    const root = places.get(nodes[0].id);
    for (const edge of edges) {
        const to = places.get(edge.to), from = places.get(edge.from);
        if (to === root) continue;
        to.ways.push({ ...edge, source: from });
    }
    for (const node of places.values()) {
        // A way from deeper down would make a circle.
        const above = node.ways.filter(way => way.source.depth < node.depth);
        node.way = above.reduce((best, way) => best && best.visits >= way.visits ? best : way, null);
        if (!node.way) continue;
        node.parent = node.way.source;
        node.parent.children.push(node);
    }
    // In the game's order, so that they keep their places while numbers change.
    for (const node of places.values()) node.children.sort((a, b) => a.way.index - b.way.index);
    const all = [];
    const visit = node => { all.push(node); node.children.forEach(visit); };
    visit(root);
    const joins = all.flatMap(node => node.ways.filter(way => way !== node.way && all.includes(way.source)).map(way => ({ ...way, target: node })));
    return { root, all, joins, omitted, byKey: new Map(all.map(node => [node.key, node])) };
}

/** The nodes from the root to one. */
export function trail(node) {
    const way = [];
    for (let at = node; at; at = at.parent) way.unshift(at);
    return way;
}

/** The nodes of the line that is visited most. */
export function favourite(root) {
    const line = [root];
    for (;;) {
        const next = line.at(-1).children.reduce((best, child) => best && best.way.visits >= child.way.visits ? best : child, null);
        if (!next) return line;
        line.push(next);
    }
}

/** Where an arrow key leads from a node. `across` keys go to what is beside it in the same layer. */
export function walk(key, node, { root, all }) {
    const layer = all.filter(other => other.depth === node.depth), at = layer.indexOf(node);
    return { ArrowLeft: node.parent, ArrowRight: node.children[Math.floor(node.children.length / 2)], ArrowUp: layer[at - 1], ArrowDown: layer[at + 1], Home: root, End: favourite(root).at(-1) }[key];
}

/** A position in words, for those who do not see it. */
export const spoken = (node, names) => `${node.way ? `move ${node.way.move}` : "the position looked from"}, depth ${node.depth}, ${node.visits.toLocaleString("en")} visits, ${names.first} ${Math.round(100 * node.value)} percent${node.ways.length > 1 ? `, ${node.ways.length} paths meet here` : ""}`;
