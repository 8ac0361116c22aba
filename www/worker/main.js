// SPDX-License-Identifier: MIT
// The worker that owns the database and the search. The page asks by messages `{ id, name, args }` and is answered by
// `{ id, gave }` or `{ id, threw }`; what changes without being asked for comes as `{ tell, ... }`.

import { commands } from "./commands.js";
import { ready } from "./package.js";

onmessage = async ({ data: { id, name, args } }) => {
    try {
        await ready;
        postMessage({ id, gave: await commands[name](...args) });
    } catch (error) {
        postMessage({ id, threw: { code: error.code ?? "page", message: error.message ?? String(error) } });
    }
};
