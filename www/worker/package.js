// SPDX-License-Identifier: MIT
// The package, loaded once in each worker that imports this.

import { init } from "../pkg/index.js";

export const ready = init(new URL("../pkg/cascow_bg.wasm", import.meta.url));
