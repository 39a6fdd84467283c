"use strict";
// A click on a head sorts by that column, a second click the other way round; cells without a value stay last.
for (const table of document.querySelectorAll("table.trials")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "descending" || !head.hasAttribute("aria-sort") && column < 2;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [row.cells[column].dataset.v, row]);
    const numeric = keyed.every(([key]) => key === "" || Number.isFinite(Number(key)));
    const compare = numeric ? (a, b) => Number(a) - Number(b) : (a, b) => a.localeCompare(b);
    keyed.sort(([a], [b]) => a === "" || b === "" ? (a === "") - (b === "") : (up ? 1 : -1) * compare(a, b));
    body.append(...keyed.map(([, row]) => row));
  }));
}
// Everything that is folded away is printed, too.
addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details")) fold.open = true; });
// Titles of drawings at once, where the pointer is; the browser's own come late.
const tip = document.body.appendChild(document.createElement("div"));
tip.id = "tip";
document.addEventListener("pointermove", (event) => {
  const mark = event.target.closest?.(".marks *, svg.spark, svg.cell");
  const holder = mark?.closest(".point, .dot, .series, svg.spark, svg.cell");
  const title = holder?.querySelector(":scope > title");
  tip.hidden = !title;
  if (!title) return;
  tip.textContent = title.textContent;
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + "px";
});
tip.hidden = true;
