// SPDX-License-Identifier: MIT
// The stand-alone verifier, in a worker of its own: it has a proof and a root, and neither the database nor the search.

import { boardOf, statisticsOf, verify } from "../pkg/index.js";
import { ready } from "./package.js";


onmessage = async ({ data: { id, proof, root, game } }) => {
    await ready;
    const begun = performance.now();
    try {
        const statement = verify(proof, root);
        const millis = performance.now() - begun;
        postMessage({ id, gave: { statement, millis, ...told(statement, game) } });
    } catch (error) {
        postMessage({ id, threw: { code: error.code ?? "page", message: error.message ?? String(error) } });
    }
};

/** What a statement says of a game, if it is about one. */
function told({ key, value }, game) {
    try {
        return { board: boardOf(game, key), statistics: value && statisticsOf(value) };
    } catch {
        // It is about something else: any state has proofs.
        return {};
    }
}
