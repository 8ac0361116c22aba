// SPDX-License-Identifier: MIT
// Where games are kept: a history of points in the database, each a whole search with its statistics.
//
// A point is the search of one position at the time when the game left it. The position at which the game stands has a point too,
// written again while thinking goes on; it is final once a move is made. So going back never finds statistics of later thoughts.

import { Database } from "../pkg/index.js";

const HISTORY = "game";

export class Keeper {
    #db;
    #last = Promise.resolve();
    /** The point that is written again, and the one that it goes on from. */
    here;
    parent;
    /** What the last saving took, in milliseconds: the next one waits the longer for it. */
    took = 0;

    static async open(name, changed) {
        const keeper = new Keeper();
        keeper.#db = await Database.open(name, { hash: "sha256" });
        keeper.#db.subscribe(changed);
        return keeper;
    }

    get database() { return this.#db; }

    /** The point at which the game stands, or which it was begun from. */
    get at() { return this.here ?? this.parent; }

    ready() { return this.#db.ready(); }
    status() { return this.#db.status(); }
    points() { return this.#db.points(HISTORY); }

    // Each writes the list anew, so one waits for another.
    #alone(work) {
        const result = this.#last.then(work);
        this.#last = result.catch(() => {});
        return result;
    }

    /** Saves the search as the point of the position at which it stands. */
    save(search, label, durability = "relaxed") {
        return this.#alone(async () => {
            const begun = performance.now();
            const saved = { label, durability, parent: this.parent, replace: this.here };
            for (const [name, value] of Object.entries(saved)) if (value === undefined) delete saved[name];
            const point = await this.#db.savePoint(HISTORY, search, saved);
            this.took = performance.now() - begun;
            this.here = point.index;
            return point;
        });
    }

    /** What follows goes on from the point that is here. */
    leave() {
        this.parent = this.at;
        this.here = undefined;
    }

    /** Begins a game without a past. */
    begin() { this.here = this.parent = undefined; }

    load(index) { return this.#alone(() => this.#db.loadPoint(HISTORY, index)); }

    /** Goes on at a point that was loaded: as the game's present, or on a branch of its own. */
    stand(point, present) {
        this.here = present ? point.index : undefined;
        this.parent = present ? point.parent : point.index;
    }

    /** Removes points, and what only they needed. */
    forget(indices) {
        return this.#alone(async () => {
            await this.#db.removePoints(HISTORY, indices);
            return this.#db.collect();
        });
    }

    export() { return this.#alone(() => this.#db.exportHistory(HISTORY)); }
    import(bytes) { return this.#alone(() => this.#db.importHistory(HISTORY, bytes)); }
    flush() { return this.#db.flush({ durability: "strict" }); }
}
