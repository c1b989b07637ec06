for (const figure of document.querySelectorAll("figure.chart")) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  vegaEmbed(figure.querySelector("div"), spec, { actions: false, renderer: "svg" });
}
for (const head of document.querySelectorAll("table.sortable th")) {
  head.onclick = () => {
    const body = head.closest("table").tBodies[0], sign = (head.dataset.sign = -(head.dataset.sign || 1));
    const cell = (row) => row.cells[head.cellIndex].textContent;
    const compare = (a, b) => (parseFloat(a) - parseFloat(b)) || a.localeCompare(b, "en", { numeric: true });
    body.append(...[...body.rows].sort((a, b) => sign * compare(cell(a), cell(b))));
  };
}
