"use strict";
// Headers become buttons that sort their table: ascending, descending, as it was.
// Where scripts are off, the headers stay plain text.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const original = [...body.rows];
  const next = { none: "ascending", ascending: "descending", descending: "none" };

  const key = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value;
    return raw ? Number(raw) : cell.textContent.trim();
  };
  const isNumber = (value) => typeof value === "number" && !Number.isNaN(value);
  const isEmpty = (value) => value === "" || value === "–";
  // Numbers before words before nothing, in either direction.
  const rank = (value) => (isNumber(value) ? 0 : isEmpty(value) ? 2 : 1);

  const order = (column, direction) => (left, right) => {
    const a = key(left, column);
    const b = key(right, column);
    if (rank(a) !== rank(b)) return rank(a) - rank(b);
    const sign = direction === "ascending" ? 1 : -1;
    if (isNumber(a)) return sign * (a - b);
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const direction = next[head.getAttribute("aria-sort")];
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", direction);
      const rows = direction === "none" ? original : [...original].sort(order(column, direction));
      body.append(...rows);
    });
  });
}
