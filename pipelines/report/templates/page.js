// What the page does when it is open: sorts tables, draws charts, follows the theme. Text from documents is never
// touched here; everything that is written goes through textContent.
"use strict";
(function () {
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const whole = new Intl.NumberFormat("en-US");
  const brief = (value) => {
    if (value == null) return "–";
    const size = Math.abs(value);
    if (size >= 1e6) return value / 1e6 + "M";
    if (size >= 1e4) return value / 1e3 + "k";
    if (size !== 0 && size < 1e-3) return value.toExponential(1).replace("e-", "e−");
    return String(Number(value.toPrecision(3)));
  };
  const exact = (value) =>
    value == null ? "–"
    : Number.isInteger(value) || Math.abs(value) >= 1e4 ? whole.format(Math.round(value))
    : Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(5)));

  // ---- tables -------------------------------------------------------------------------------------------------
  const keyOf = (row, column, kind) => {
    const cell = row.cells[column];
    if (kind === "text") return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" || cell.dataset.value === undefined ? -Infinity : Number(cell.dataset.value);
  };
  function sort(head) {
    const table = head.closest("table");
    const column = head.cellIndex;
    const kind = head.dataset.kind;
    // numbers are most often wanted from the largest
    const first = kind === "text" ? "ascending" : "descending";
    const second = kind === "text" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? second : first;
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    for (const body of table.tBodies) {
      const rows = Array.from(body.rows, (row) => [keyOf(row, column, kind), row]);
      rows.sort((a, b) => sign * (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      body.append(...rows.map((pair) => pair[1]));
    }
  }
  for (const head of document.querySelectorAll("table.sortable thead th")) {
    head.querySelector("button").addEventListener("click", () => sort(head));
  }

  // ---- charts -------------------------------------------------------------------------------------------------
  const axis = (more) => Object.assign({
    stroke: () => colour("muted"),
    font: "11px " + getComputedStyle(root).getPropertyValue("--sans"),
    grid: { stroke: () => colour("faint"), width: 1 },
    ticks: { stroke: () => colour("faint"), width: 1, size: 4 },
  }, more);
  const countAxis = () => axis({ size: 46, values: (_, ticks) => ticks.map((tick) => Number.isInteger(tick) ? brief(tick) : "") });

  // A bin has place i to i+1 on the axis; a value between two edges has its place between them.
  function placeOf(data, value) {
    const edges = data.edges;
    if (value <= edges[0]) return 0;
    if (value >= edges[edges.length - 1]) return edges.length - 1;
    const scale = data.log ? Math.log : Number;
    let i = 0;
    while (value >= edges[i + 1]) i++;
    return i + (scale(value) - scale(edges[i])) / (scale(edges[i + 1]) - scale(edges[i]));
  }
  function valueAt(data, place) {
    const edges = data.edges;
    const i = Math.max(0, Math.min(edges.length - 2, Math.floor(place)));
    const part = place - i;
    return data.log ? edges[i] * Math.pow(edges[i + 1] / edges[i], part) : edges[i] + part * (edges[i + 1] - edges[i]);
  }
  function roundPlaces(data, low, high) {
    const from = valueAt(data, Math.max(0, low)), to = valueAt(data, Math.min(data.edges.length - 1, high));
    const found = [];
    if (data.log && to / from > 20) {
      for (let power = Math.floor(Math.log10(from)); Math.pow(10, power) <= to; power++) {
        for (const digit of to / from > 3000 ? [1] : to / from > 200 ? [1, 3] : [1, 2, 5]) found.push(digit * Math.pow(10, power));
      }
    } else {
      const rough = (to - from) / 5, unit = Math.pow(10, Math.floor(Math.log10(rough)));
      const step = [1, 2, 5, 10].find((n) => n * unit >= rough) * unit;
      for (let n = Math.ceil(from / step - 1e-9); n * step <= to + 1e-9 * step; n++) found.push(Number((n * step).toPrecision(12)));
    }
    return found.filter((value) => value >= from && value <= to && (!data.whole || Number.isInteger(value)));
  }

  function drawBounds(data) {
    return (u) => {
      const { left, top, width, height } = u.bbox;
      const c = u.ctx;
      c.save();
      c.beginPath(); c.rect(left, top, width, height); c.clip();
      for (const [side, bound] of data.bounds) {
        const x = u.valToPos(placeOf(data, bound), "x", true);
        const isOff = bound < data.edges[0] || bound > data.edges[data.edges.length - 1];
        if (isOff) continue;
        c.globalAlpha = 0.09; c.fillStyle = colour("left");
        if (side === "at_least") c.fillRect(left, top, x - left, height); else c.fillRect(x, top, left + width - x, height);
        c.globalAlpha = 1; c.strokeStyle = colour("left"); c.lineWidth = 1.5 * devicePixelRatio;
        c.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
        c.beginPath(); c.moveTo(x, top); c.lineTo(x, top + height); c.stroke();
      }
      c.restore();
    };
  }

  function drawMark(data) {
    return (u) => {
      if (data.mark == null) return;
      const { top, height } = u.bbox;
      const c = u.ctx, x = u.valToPos(data.mark, "x", true);
      c.save();
      c.strokeStyle = colour("muted"); c.lineWidth = 1.5 * devicePixelRatio;
      c.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
      c.beginPath(); c.moveTo(x, top); c.lineTo(x, top + height); c.stroke();
      c.restore();
    };
  }

  // What a counted share may be in truth: a stroke from low to high through its point.
  function drawIntervals(data) {
    return (u) => {
      const c = u.ctx;
      c.save();
      for (const s of data.series.filter((s) => s.low)) {
        c.strokeStyle = colour(s.colour); c.lineWidth = 1.25 * devicePixelRatio;
        c.beginPath();
        s.low.forEach((low, i) => {
          if (low == null) return;
          const x = u.valToPos(data.x[i], "x", true);
          c.moveTo(x, u.valToPos(low, "y", true)); c.lineTo(x, u.valToPos(s.high[i], "y", true));
        });
        c.stroke();
      }
      c.restore();
    };
  }

  function histogram(data, width, height, say) {
    const n = data.edges.length - 1;
    const x = Array.from({ length: n }, (_, i) => i + 0.5);
    // stacked: the first series stands at the bottom, so the sums are drawn from the tallest down
    const sums = data.series.map((_, k) => x.map((_, i) => data.series.slice(0, k + 1).reduce((sum, s) => sum + s.values[i], 0)));
    const order = data.series.map((_, k) => data.series.length - 1 - k);
    return new uPlot({
      width, height, legend: { show: false }, padding: [8, 14, 0, 0],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false } },
      scales: { x: { time: false, range: (u, low, high) => low === 0.5 && high === n - 0.5 ? [0, n] : [low, high] }, y: { range: (u, low, high) => [0, Math.max(1, high * 1.05)] } },
      axes: [
        axis({
          size: 28,
          splits: (u, i, low, high) => roundPlaces(data, low, high).map((value) => placeOf(data, value)),
          values: (u, places) => places.map((place) => brief(Number(valueAt(data, place).toPrecision(6)))),
        }),
        countAxis(),
      ],
      series: [{}].concat(order.map((k) => ({
        fill: () => colour(data.series[k].colour), stroke: () => colour(data.series[k].colour), width: 0,
        paths: uPlot.paths.bars({ size: [0.9, 200], align: 0 }), points: { show: false },
      }))),
      hooks: {
        draw: [drawBounds(data)],
        setCursor: [(u) => {
          const i = u.cursor.idx;
          say(i == null ? "" : exact(data.edges[i]) + " to " + exact(data.edges[i + 1]) + ": "
            + data.series.map((s) => s.label + " " + whole.format(s.values[i])).join(", "));
        }],
      },
    }, [x].concat(order.map((k) => sums[k])));
  }

  function lines(data, width, height, say) {
    return new uPlot({
      width, height, legend: { show: false }, padding: [8, 10, 0, 0],
      cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false }, ...(data.fraction ? {} : { sync: { key: "training" } }) },
      scales: { x: { time: false }, ...(data.fraction ? { y: { range: (u, low, high) => [Math.min(low, 0.5), 1.02] } } : {}) },
      axes: [
        axis({ size: 28, values: (u, ticks) => ticks.map((tick) => data.fraction || Number.isInteger(tick) ? brief(tick) : "") }),
        axis({ size: 56, values: (u, ticks) => ticks.map(brief) }),
      ],
      series: [{}].concat(data.series.map((s) => s.points
        ? { stroke: () => colour(s.colour), width: 1.5, spanGaps: true, ...(s.low ? { paths: () => null } : {}), points: { show: true, size: 7, width: 1.5, stroke: () => colour(s.colour), fill: () => colour("paper") } }
        : { stroke: () => colour(s.colour === "lr" ? "kept" : s.colour === "other" ? "muted" : s.colour), width: 1.25, spanGaps: true, points: { show: data.x.length < 3 } })),
      hooks: {
        draw: [drawMark(data), drawIntervals(data)],
        setCursor: [(u) => {
          const i = u.cursor.idx;
          say(i == null ? "" : data.xLabel + " " + exact(data.x[i]) + ": "
            + data.series.filter((s) => s.values[i] != null).map((s) => s.label + " " + exact(s.values[i])).join(", "));
        }],
      },
    }, [data.x].concat(data.series.map((s) => s.values)));
  }

  const drawn = [];
  // A chart in a closed part of the page has no width: it is drawn when it gets one.
  const watch = new ResizeObserver((entries) => requestAnimationFrame(() => {
    for (const entry of entries) {
      const place = entry.target, width = Math.floor(entry.contentRect.width);
      if (!width) continue;
      if (place.chart) { if (place.chart.width !== width) place.chart.setSize({ width, height: place.chart.height }); continue; }
      const readout = place.nextElementSibling;
      const say = (text) => { readout.textContent = text || "\u00a0"; };
      const kind = place.data.kind === "histogram" ? histogram : lines;
      place.chart = kind(place.data, width, Number(place.dataset.height), say);
      place.append(place.chart.root);
      drawn.push(place.chart);
    }
  }));
  for (const place of document.querySelectorAll(".plot")) {
    place.data = JSON.parse(place.querySelector("script").textContent);
    place.style.minHeight = place.dataset.height + "px"; // a link into the page must not slip when charts appear above it
    watch.observe(place);
  }
  const redraw = () => drawn.forEach((chart) => chart.redraw(true, true));

  // ---- theme --------------------------------------------------------------------------------------------------
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  const remember = (theme) => { try { localStorage.setItem("postgrad-theme", theme); } catch { /* a file may have no storage */ } };
  const remembered = () => { try { return localStorage.getItem("postgrad-theme"); } catch { return null; } };
  function show(theme) {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = "Theme: " + theme;
    redraw();
  }
  let theme = themes.includes(remembered()) ? remembered() : "auto";
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    remember(theme);
    show(theme);
  });
  show(theme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", redraw);

  // ---- where the reader is ------------------------------------------------------------------------------------
  const links = new Map(Array.from(document.querySelectorAll("nav ol a"), (link) => [link.getAttribute("href").slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link) => link.removeAttribute("aria-current"));
      const link = links.get(entry.target.id);
      if (link) link.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -75% 0px" });
  document.querySelectorAll("section").forEach((section) => seen.observe(section));
})();
