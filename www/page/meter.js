// SPDX-License-Identifier: MIT
// The meter: what the search and its keeping take, in figures that stand still.

import { bytes, count, el, many, millis, say } from "./dom.js";

const figures = {
    states: "positions, each kept once", logical: "nodes without sharing", memory: "memory of the graph",
    stored: "stored on disk", saved: "not stored twice", quota: "of the browser’s quota", latency: "for the last write", kept: "kept in",
};

const reasons = {
    "asked": "as asked", "no-indexeddb": "this browser has no IndexedDB", "refused": "the browser refuses to store",
    "connection-lost": "the connection was lost", "superseded": "a newer version took over", "unreadable": "the database cannot be read",
};

export class Meter {
    #places = {};
    #gauge = el("i");

    constructor(list) {
        for (const [key, name] of Object.entries(figures)) {
            const [value, sub] = [el("dd", {}, "–"), el("dd", { class: "sub" })];
            this.#places[key] = [value, sub];
            list.append(el("div", {}, el("dt", {}, name), value, sub, key === "quota" ? el("dd", { class: "gauge", "aria-hidden": true }, this.#gauge) : null));
        }
    }

    #set(key, value, sub = "") {
        const [first, second] = this.#places[key];
        say(first, value);
        say(second, sub);
    }

    counts({ states, logicalNodes, transpositions, forgotten, bytes: memory }) {
        this.#set("states", count(states), forgotten ? `${count(forgotten)} forgotten so far` : "");
        this.#set("logical", count(logicalNodes), `${count(transpositions)} times, paths met`);
        this.#set("memory", bytes(memory), states ? `${count(memory / states)} bytes a position` : "");
    }

    status(status) {
        const { persistence, role, reason, objects, storedBytes, pages, putBytes, savedBytes, usageBytes, quotaBytes, quotaReached, batches, batchMillis, waitingBytes } = status;
        this.#set("stored", bytes(storedBytes), `${many(objects, "object")} in ${many(pages, "record")}`);
        this.#set("saved", bytes(savedBytes), putBytes ? `${count(100 * savedBytes / putBytes)} % of ${bytes(putBytes)} were there already` : "");
        const part = usageBytes !== undefined && quotaBytes ? usageBytes / quotaBytes : null;
        this.#set("quota", part === null ? "–" : `${count(100 * part, part < 0.1 ? 2 : 0)} %`,
            quotaReached ? "full: nothing is lost, but nothing more is stored" : part === null ? "the browser does not say" : `${bytes(usageBytes)} of ${bytes(quotaBytes)}`);
        this.#gauge.style.setProperty("--part", part ?? 0);
        this.#set("latency", batches ? millis(batchMillis.last) : "–", batches ? `half within ${millis(batchMillis.p50)}, 95 % within ${millis(batchMillis.p95)}` : `${bytes(waitingBytes)} wait`);
        const memory = persistence === "memory";
        this.#set("kept", memory ? "memory" : "IndexedDB", memory ? `nothing survives a reload: ${reasons[reason] ?? reason}`
            : role === "follower" ? "another tab writes; this one reads" : status.persisted ? "for good, as the browser says" : "until the browser needs the room");
    }
}
