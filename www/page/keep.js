// SPDX-License-Identifier: MIT
// Export and import of everything that is kept, and forgetting of games that are over.

import { bytes, count, download, el, many } from "./dom.js";
import { speak } from "./speak.js";

export function keep(place, engine, { history, arrived, fault }) {
    const status = el("p", { class: "soft", id: "keep-status" });
    const said = text => { status.textContent = text; speak(text); };
    const file = el("input", { type: "file", id: "import-file", class: "visually-hidden", tabindex: -1, "aria-label": "A bundle", change: async event => {
        const [chosen] = event.target.files;
        event.target.value = "";
        if (!chosen) return;
        try {
            const { points, back } = await engine.ask("import", new Uint8Array(await chosen.arrayBuffer()));
            arrived(points, back);
            said(`${many(points.length, "point")} brought in from ${chosen.name}.`);
        } catch (error) {
            fault(error);
        }
    } });
    const button = (id, text, click) => el("button", { type: "button", id, click }, text);
    place.append(
        button("export", "Export a bundle", async () => {
            try {
                const bundle = await engine.ask("export");
                download(bundle, "cascow-games.bundle");
                said(`A bundle of ${bytes(bundle.length)} was made.`);
            } catch (error) {
                fault(error);
            }
        }),
        button("import", "Import a bundle", () => file.click()), file,
        button("forget", "Forget all other games", async () => {
            try {
                const others = history.others();
                const { objects, bytes: freed } = await engine.ask("forget", others);
                arrived(await engine.ask("points"), null);
                said(`${many(others.length, "point")} forgotten; ${count(objects)} objects of ${bytes(freed)} went with them.`);
            } catch (error) {
                fault(error);
            }
        }), status);
}
