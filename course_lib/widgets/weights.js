
// ---- ImportanceExplorer: particles as large as their weights ------------------------------------------

const YELLOW = "#F0E442"; // Okabe and Ito
const MANY = 0.05; // share of all weight from which on a single particle stands out

const rules = {
  amount: (seconds, speed) => Math.round(seconds * speed),
  take(session, header, buffers) {
    const [x, size, k, histogram, at, running] = buffers.slice(0, 6).map(float32);
    Object.assign(session, { x, size, k: k[0], histogram, at, running });
    if (!header.land) return;
    session.land = { ...header.land, grid: numbers(buffers[6], Uint16Array), contours: numbers(buffers[7], Uint16Array) };
  },
};

class WeightView extends Panel {
  constructor(session, el) {
    const { targets, proposals } = session.model.get("view");
    super(session, el, {
      step: 1, stepName: "draw one batch more", unit: "draws",
      choices: [["target", "target p", targets], ["proposal", "proposal q", proposals]],
    });
  }

  picture() {
    return this.plane.root;
  }

  build(left, charts) {
    const stage = document.createElement("div");
    stage.className = "pan-stage pan-map";
    this.canvas = stage.appendChild(document.createElement("canvas"));
    this.context = this.canvas.getContext("2d");
    left.appendChild(stage);
    const [a, b, c, d] = this.world.box, tall = Math.round((480 * (d - c)) / (b - a));
    this.plane = new Plane(stage, { wide: 480, tall, left: 0, right: 0, top: 0, bottom: 0, kind: "pan-weights" });
    this.plane.range([a, b], [c, d], { xs: [], ys: [] });
    this.circles = [1, 2].map(() => svg("circle", { class: "pan-proposal" }, this.plane.plane));
    this.nameQ = svg("text", { class: "pan-on-map" }, this.plane.over, "q");
    this.centre = this.handle(this.plane.over, "centre", "centre of the proposal", "M0 -8L8 0L0 8L-8 0Z");
    this.width = this.handle(this.plane.over, "width", "width of the proposal", "M-10 0L-4 -6V-2H4V-6L10 0L4 6V2H-4V6Z");
    const scale = document.createElement("div");
    scale.className = "lex-legend pan-note-line";
    scale.innerHTML = `<span><i class="pan-k-large"></i>area = weight</span><span><i class="pan-k-heavy"></i>more than ${100 * MANY} % of all weight</span><span><i class="lex-k-start"></i>drag</span><span>dashed: 1 and 2 widths of q</span>`;
    left.appendChild(scale);
    this.meter = new Meter(charts, "Effective sample size");
    this.tail = new Meter(charts, "Pareto k, the tail of the weights");
    this.weights = new Plane(charts, { wide: 360, tall: 128, left: 34, bottom: 30, title: "log weights, 0 is the mean weight", xlabel: "nats" });
    this.zero = svg("path", { class: "pan-first" }, this.weights.plane);
    this.bars = svg("path", { class: "pan-bars" }, this.weights.plane);
    this.chart = new Plane(charts, { wide: 360, tall: 158, left: 34, bottom: 30, title: "log Z", xlabel: "draws" });
    this.truth = svg("path", { class: "pan-first" }, this.chart.plane);
    this.estimate = svg("path", { class: "lex-h" }, this.chart.plane);
    this.end = svg("path", { class: "pan-error" }, this.chart.plane);
  }

  fit() {
    const ratio = (this.ratio = Math.min(3, devicePixelRatio || 1)), width = Math.round(this.canvas.clientWidth * ratio);
    if (!width || width === this.canvas.width) return false;
    this.canvas.width = width;
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    this.base = null;
    return true;
  }

  // -- the hand

  drag(name, event) {
    const [x, y] = this.plane.at(event), { x1, x2 } = this.session.settings;
    this.put(name === "width" ? { scale: Math.hypot(x - x1, y - x2) } : { x1: x, x2: y });
  }

  nudge(name, dx, dy, fine) {
    const { x1, x2, scale } = this.session.settings;
    this.put(name === "width" ? { scale: scale * 1.05 ** ((dx + dy) * fine) } : { x1: x1 + 0.1 * dx * fine, x2: x2 + 0.1 * dy * fine });
  }

  put(values) {
    const [a, b, c, d] = this.world.box, [s] = this.world.sliders;
    const limits = { x1: [a, b], x2: [c, d], scale: [s.low, s.high] };
    this.session.set(Object.fromEntries(Object.entries(values).map(([name, v]) => [name, clamp(+v.toFixed(3), ...limits[name])])));
  }

  // -- what is to be seen

  draw(header, settings) {
    if (!this.session.land) return;
    this.drawMap();
    this.drawProposal(settings);
    this.drawFacts(header);
    this.drawWeights();
    this.drawRunning(header);
  }

  drawMap() {
    const { context: g, session, plane } = this, view = plane.root.viewBox.baseVal;
    if (!this.canvas.width) return;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.drawImage(this.ground(), 0, 0);
    g.setTransform(this.canvas.width / view.width, 0, 0, this.canvas.height / view.height, 0, 0);
    const { x, size } = session, n = size.length;
    const total = size.reduce((sum, v) => sum + Math.exp(v), 0), mean = total / n;
    const order = Array.from(size.keys()).sort((i, j) => size[j] - size[i]); // the small ones on top
    for (const i of order) {
      const weight = Math.exp(size[i]), px = plane.x(x[2 * i]), py = plane.y(x[2 * i + 1]);
      if (!(px > -60 && px < view.width + 60 && py > -60 && py < view.height + 60)) continue;
      const r = Math.max(0.9, 3 * Math.sqrt((weight / mean) * Math.min(1, 400 / n)));
      const heavy = weight > MANY * total;
      g.beginPath();
      g.arc(px, py, r, 0, 6.2832);
      g.globalAlpha = heavy ? 0.85 : weight < 0.02 * mean ? 0.55 : 0.8;
      g.fillStyle = heavy ? YELLOW : "#fff";
      g.fill();
      g.globalAlpha = 1;
      g.lineWidth = r < 1.2 ? 0.4 : 0.9;
      g.strokeStyle = "rgba(15,15,15,.9)";
      g.stroke();
    }
    session.drawn = (session.drawn ?? 0) + 1;
  }

  /** Heat map, contours and ticks, kept until the target or the size changes. */
  ground() {
    const { land } = this.session;
    if (this.base && this.based === land) return this.base;
    this.based = land;
    const base = (this.base = document.createElement("canvas")), W = (base.width = this.canvas.width), H = (base.height = this.canvas.height);
    const g = base.getContext("2d"), { size, top, height, grid, contours, counts } = land, table = bytes(this.model.get("colours"));
    const image = new ImageData(size, size), scale = Math.sqrt(height / top) / 65535;
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const colour = Math.min(255, Math.round(grid[(size - 1 - row) * size + column] * scale * 255)) * 3;
        image.data.set([table[colour], table[colour + 1], table[colour + 2], 255], (row * size + column) * 4);
      }
    }
    const small = document.createElement("canvas");
    small.width = small.height = size;
    small.getContext("2d").putImageData(image, 0, 0);
    const hx = W / (size - 1) / 2, hy = H / (size - 1) / 2; // values sit on the grid points, edge to edge
    g.imageSmoothingQuality = "high";
    g.drawImage(small, -hx, -hy, W + 2 * hx, H + 2 * hy);
    g.strokeStyle = "rgba(255,255,255,.5)";
    g.lineWidth = 0.8 * this.ratio;
    g.beginPath();
    let i = 0;
    for (const count of counts)
      for (let j = 0; j < count; j++, i += 2) {
        const x = (contours[i] / 65535) * W, y = H - (contours[i + 1] / 65535) * H;
        if (j) g.lineTo(x, y);
        else g.moveTo(x, y);
      }
    g.stroke();
    this.paintTicks(g, W, H);
    return base;
  }

  paintTicks(g, W, H) {
    const [a, b, c, d] = this.world.box, r = this.ratio;
    g.font = `${10.5 * r}px system-ui, sans-serif`;
    g.lineWidth = 2.5 * r;
    g.lineJoin = "round";
    g.strokeStyle = "rgba(0,0,0,.6)";
    g.fillStyle = "#fff";
    const write = (v, x, y) => {
      const text = `${+v.toPrecision(3)}`.replace("-", "−");
      g.strokeText(text, x, y);
      g.fillText(text, x, y);
    };
    g.textAlign = "center";
    for (const v of ticks(a, b, 6)) if (v > a + (b - a) * 0.05 && v < b) write(v, ((v - a) / (b - a)) * W, H - 6 * r);
    g.textAlign = "left";
    for (const v of ticks(c, d, 6)) if (v > c + (d - c) * 0.05 && v < d) write(v, 6 * r, H - ((v - c) / (d - c)) * H + 3.5 * r);
  }

  drawProposal({ x1, x2, scale }) {
    const { plane } = this, at = [plane.x(x1), plane.y(x2)], unit = plane.x(plane.x0 + 1) - plane.x(plane.x0);
    this.circles.forEach((circle, i) => {
      circle.setAttribute("cx", at[0]);
      circle.setAttribute("cy", at[1]);
      circle.setAttribute("r", (i + 1) * scale * unit);
    });
    const side = x1 + scale <= plane.x1 ? 1 : -1, east = clamp(at[0] + side * scale * unit, 4, plane.x(plane.x1) - 4);
    this.centre.setAttribute("transform", `translate(${at})`);
    this.width.setAttribute("transform", `translate(${Math.abs(east - at[0]) < 14 ? at[0] + side * 14 : east},${at[1]})`);
    this.centre.setAttribute("aria-valuenow", x1);
    this.centre.setAttribute("aria-valuetext", `centre ${short(x1)}, ${short(x2)}`);
    this.width.setAttribute("aria-valuenow", scale);
    this.width.setAttribute("aria-valuetext", `width ${short(scale)}`);
    this.nameQ.setAttribute("x", at[0] - 0.7 * scale * unit - 12);
    this.nameQ.setAttribute("y", at[1] - 0.75 * scale * unit - 4);
  }

  drawFacts(header) {
    const { k } = this.session, { share, draws, largest } = header;
    const percent = (v) => `${short(100 * v, v < 0.1 ? 2 : 1)} %`;
    this.meter.show(share, 0, [], `${many(share * draws)} of ${many(draws)}, ${percent(share)}`, share < 0.1 ? "pan-bad" : "");
    const verdict = k < 0.5 ? "no warning" : k < 0.7 ? "in doubt" : "do not trust it";
    this.tail.show(Number.isFinite(k) ? k / 1.2 : k > 0 ? 1 : 0, 0, [[0.5 / 1.2, "0.5"], [0.7 / 1.2, "0.7"]], `${short(k)}: ${verdict}`, k < 0.7 ? "" : "pan-bad");
    const off = header.log_z - header.truth;
    this.$(".lex-status").textContent = `${many(draws)} draws · the largest weight holds ${percent(largest)} of all · log Z off by ${short(off, 3)}, with a stated error of ${short(header.error, 3)}`;
  }

  drawWeights() {
    const { weights, session: { histogram } } = this, [low, high] = this.world.weights, b = weights.box;
    const top = Math.max(...histogram), wide = (high - low) / histogram.length;
    weights.range([low, high], [0, top * 1.1], { xs: [-20, -15, -10, -5, 0, 5, 10], ys: [], name: (v) => (v === -20 ? "≤ −20" : `${v}`.replace("-", "−")) });
    let d = "";
    histogram.forEach((count, i) => {
      if (!count) return;
      const x = weights.x(low + i * wide), y = Math.min(weights.y(count), b.bottom - 1.5); // one draw is seen as well
      d += `M${x.toFixed(1)} ${b.bottom}V${y.toFixed(1)}H${(weights.x(low + (i + 1) * wide) - 0.8).toFixed(1)}V${b.bottom}Z`;
    });
    this.bars.setAttribute("d", d);
    this.zero.setAttribute("d", `M${weights.x(0)} ${b.top}V${b.bottom}`);
    weights.root.setAttribute("aria-label", "Histogram of the log weights relative to their mean");
  }

  drawRunning(header) {
    const { chart, session: { at, running } } = this, b = chart.box, last = Math.log10(Math.max(1000, header.draws));
    const half = Math.max(0.5, ...Array.from(running, (v) => (Number.isFinite(v) ? Math.abs(v - header.truth) : 0)).slice(at.length >> 2), header.error);
    const step = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500].find((s) => s >= half) ?? 1000;
    const decades = [1, 2, 3, 4, 5].filter((v) => v <= last);
    chart.range([1, last], [header.truth - step * 1.05, header.truth + step * 1.05], { xs: decades, name: (v) => many(10 ** v) });
    this.truth.setAttribute("d", `M${b.left} ${chart.y(header.truth)}H${b.right}`);
    this.estimate.setAttribute("d", line(Array.from(at, (n, i) => [chart.x(Math.log10(n)), chart.y(running[i])])));
    const x = Math.min(chart.x(Math.log10(header.draws)), b.right - 4), y = (v) => chart.y(header.log_z + v * 2 * header.error);
    this.end.setAttribute("d", `M${x - 4} ${y(1)}h8M${x} ${y(1)}V${y(-1)}M${x - 4} ${y(-1)}h8`);
    chart.reading.textContent = `${short(header.log_z, 3)} ± ${short(header.error, 3)}, truth ${short(header.truth, 3)}`;
    chart.root.setAttribute("aria-label", `Running estimate of log Z: ${chart.reading.textContent}`);
  }
}

const explorer = () => mount(rules, WeightView);

export default explorer;
