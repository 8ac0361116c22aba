// SPDX-License-Identifier: MIT
// Light, dark, or as the system has it. A classic script, so that it runs before anything is painted.
{
    const kinds = ["system", "light", "dark"];
    const read = () => { try { return localStorage.getItem("cascow-theme"); } catch { return null; } };
    let kind = kinds.includes(read()) ? read() : "system";
    const apply = () => {
        if (kind === "system") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = kind;
    };
    apply();
    addEventListener("DOMContentLoaded", () => {
        const button = document.getElementById("theme");
        const name = () => { button.textContent = `Theme: ${kind}`; };
        name();
        button.addEventListener("click", () => {
            kind = kinds[(kinds.indexOf(kind) + 1) % kinds.length];
            // A private window may keep nothing; then it lasts as long as the page.
            try { localStorage.setItem("cascow-theme", kind); } catch { /* said above */ }
            apply();
            name();
        });
    });
}
